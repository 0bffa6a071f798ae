"""Closed form: what the first learned layer stretches most."""

from __future__ import annotations

import numpy as np

from ganprobe import LearnedMap, closed_form, control_band, learned_map
from ganprobe_directions.families import Family, Floats, Spectrum, direction_set, file_name
from ganprobe_directions.plan import Plan

_DRAWS = 39  # of random maps
_MOST_DRAWN = 2**22  # numbers of a random map that is drawn


def find_factors(plan: Plan) -> list[Family]:
    """The directions that the first learned map stretches most."""
    space, k = plan.space, plan.params.n_components
    learned = learned_map(space, plan.params.layer)
    found = closed_form(learned.weights)
    vectors, values = found.vectors[:k], found.eigenvalues[:k]
    shares = values / found.eigenvalues.sum()
    known = {
        "method": "closed-form",
        "layers": list(learned.layers),
        "is_direct": learned.is_direct,
        "eigenvalues": values.tolist(),
        "shares_of_eigenvalues": shares.tolist(),
    }
    names = tuple(f"sefa{place}" for place in range(len(vectors)))
    chance = _random_shares(learned, plan.context.seed)
    layers = ", ".join(learned.layers)
    return [
        Family(
            file_name("closed-form", space.name),
            f"the closed form of layer {layers}",
            space,
            space.extent(plan.prior),
            direction_set(plan, space, vectors, names, known),
            (_told(learned, shares, chance),),
            Spectrum(
                100 * shares,
                None,
                None if chance is None else 100 * chance[:, : len(shares)],
                "chance: 95 % of random weights of this size",
                "share of the eigenvalues (%)",
            ),
        )
    ]


def _random_shares(learned: LearnedMap, seed: int) -> Floats | None:
    """(2, d) limits of the shares of normal weights of the same size."""
    shape = learned.weights.shape
    if shape[0] * shape[1] > _MOST_DRAWN:
        return None
    random = np.random.default_rng(seed)
    drawn = [closed_form(random.standard_normal(shape)).eigenvalues for _ in range(_DRAWS)]
    return np.stack(control_band([one / one.sum() for one in drawn]))


def _told(learned: LearnedMap, shares: Floats, chance: Floats | None) -> str:
    size, n_outputs = learned.weights.shape
    listed = ", ".join(f"{100 * share:.1f}" for share in shares)
    random = ""
    if chance is not None:
        random = f"; the first of random weights of this size {100 * chance[1, 0]:.1f} at most"
        if shares[0] <= chance[1, 0]:
            random += ", so that these directions are as arbitrary as those of random weights"
    before = (
        ""
        if learned.is_direct
        else " What it is given is computed from the points, not the points themselves."
    )
    layers = ", ".join(learned.layers)
    return (
        f"The weights of layer {layers} ({size} numbers to {n_outputs} outputs, columns of length"
        f" 1) stretch the first {len(shares)} directions by {listed} % of all eigenvalues"
        f"{random}.{before}"
    )
