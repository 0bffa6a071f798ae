"""Principal components: of z, w, or the activations at a site, and these carried back to z."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Components, carried_back, control_band, principal_components
from ganprobe_directions.families import Family, Floats, Spectrum, direction_set, file_name
from ganprobe_directions.plan import Plan, Points

_DRAWS = 199  # of isotropic points, that components are compared with
_MOST_SIMULATED = 128  # numbers of a point, beyond which the limits are those of many numbers
_WEAK = 0.5  # of a component's variance, that is linear in the latent


def find_components(plan: Plan) -> list[Family]:
    """The components of the space; of a site or w also what they are in z."""
    points = Points.of(plan.space, plan.found_in)
    batches = _coordinates if plan.params.pca_of == "means" else _whole
    found = principal_components(
        lambda: batches(points), plan.params.n_components, seed=plan.context.seed
    )
    names = tuple(f"pc{place}" for place in range(len(found)))
    families = [_of_space(plan, points, found, names)]
    if not plan.space.is_latent:
        families.append(_in_latents(plan, points, found, names))
    return families


def _whole(points: Points) -> list[Tensor] | Points:
    return list(points.kept) or points


def _coordinates(points: Points) -> list[Tensor]:
    return [points.space.coordinates(batch) for batch in points]


def _of_space(plan: Plan, points: Points, found: Components, names: tuple[str, ...]) -> Family:
    space = plan.space
    vectors = found.vectors
    if plan.params.pca_of == "means" and space.unit_axis is not None:
        vectors = space.along(torch.from_numpy(vectors)).flatten(1).numpy()
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    isotropic = isotropic_limits(found, plan.context.seed) if space.name in ("z", "w") else None
    known = {
        "method": "pca",
        "of": plan.params.pca_of,
        "eigenvalues": found.variances.tolist(),
        "shares_of_variance": found.shares.tolist(),
        "algorithm": found.method,
        "residual": found.residual,
    }
    return Family(
        file_name("pca", space.name),
        f"the PCA of {_what(plan)}",
        space,
        space.extent(plan.prior),
        direction_set(plan, space, vectors, names, known),
        (_how_much(plan, found), *_isotropy(plan, found, isotropic), *_mixed(found)),
        Spectrum(
            100 * found.shares,
            100 * 1.96 * found.errors / found.total_variance,
            None if isotropic is None else 100 * isotropic / found.total_variance,
            "chance: 95 %, if all directions vary alike",
            "share of the variance (%)",
        ),
    )


def _in_latents(plan: Plan, points: Points, found: Components, names: tuple[str, ...]) -> Family:
    pairs = points.pairs()
    if plan.params.pca_of == "means":
        pairs = ((points.space.coordinates(batch), z) for batch, z in pairs)
    back = carried_back(found, pairs)
    space = plan.context.space("z")
    directions = torch.from_numpy(back.directions)
    directions = directions / directions.norm(dim=1, keepdim=True)
    known = {
        "method": "pca, carried back to z by least squares",
        "of": plan.params.pca_of,
        "activations_of": plan.space.name,
        "explained": back.explained.tolist(),
        "latents_per_deviation": np.linalg.norm(back.directions, axis=1).tolist(),
    }
    told = ", ".join(
        f"{name} {share:.2f}" for name, share in zip(names, back.explained, strict=True)
    )
    weak = [name for name, share in zip(names, back.explained, strict=True) if share < _WEAK]
    caution = (
        f"; less than half of {', '.join(weak)} is, so that these directions of z move other"
        " things as much"
        if weak
        else ""
    )
    return Family(
        file_name("pca", f"{plan.space.name}-in-z"),
        f"the PCA of {_what(plan)}, carried back to z",
        space,
        space.extent(plan.prior),
        direction_set(plan, space, directions.numpy(), names, known),
        (
            f"Carried back to z by least squares, the share of each component that is linear in z"
            f" is {told} (n = {found.n}){caution}.",
        ),
    )


def isotropic_limits(found: Components, seed: int) -> Floats | None:
    """(2, k) where 95 % of the variances of as many normal points without any direction lie.

    They have the same total variance. None where points are no more than their numbers.
    """
    n, size = found.n, len(found.mean)
    level = found.total_variance / size
    if n <= size + 1:
        return None
    if size > _MOST_SIMULATED:
        edge = (size / n) ** 0.5
        upper = np.full(len(found), level * (1 + edge) ** 2)
        return np.stack([np.full(len(found), level * (1 - edge) ** 2), upper])
    random = np.random.default_rng(seed)
    drawn = [_wishart_variances(random, n - 1, size)[: len(found)] for _ in range(_DRAWS)]
    return level * np.stack(control_band(drawn))


def _wishart_variances(random: np.random.Generator, n: int, size: int) -> NDArray[np.float64]:
    """Variances of n + 1 standard normal points about their mean, by Bartlett's decomposition."""
    lower = np.tril(random.standard_normal((size, size)), -1)
    lower[np.diag_indices(size)] = np.sqrt(random.chisquare(n - np.arange(size)))
    variances: NDArray[np.float64] = np.linalg.eigvalsh(lower @ lower.T)[::-1] / n
    return variances


def _what(plan: Plan) -> str:
    is_means = plan.params.pca_of == "means" and plan.space.unit_axis is not None
    return f"unit means of {plan.space.name}" if is_means else plan.space.name


def _how_much(plan: Plan, found: Components) -> str:
    shares = ", ".join(f"{100 * share:.1f}" for share in found.shares)
    how = "exact covariance"
    if found.method == "randomised":
        how = f"randomised, {found.n_passes} passes, residual {found.residual:.1g}"
    numbers = f"{len(found.mean)} numbers"
    return (
        f"The first {len(found)} principal components of {_what(plan)} ({numbers}) hold {shares} %"
        f" of the variance, {100 * found.shares.sum():.1f} % together (n = {found.n} samples, seed"
        f" {plan.context.seed}; {how})."
    )


def _isotropy(plan: Plan, found: Components, limits: Floats | None) -> list[str]:
    if limits is None:
        return []
    level = found.total_variance / len(found.mean)
    first, chance = found.variances[0] / level, limits[1, 0] / level
    if first > chance:
        return []
    return [
        f"These components of {plan.space.name} are arbitrary: the first has {first:.3f} times the"
        f" mean variance, and {found.n} points that vary alike in every direction reach"
        f" {chance:.3f} by chance. They are random directions; PCA of a site, closed-form or an"
        " attribute give others."
    ]


def _mixed(found: Components) -> list[str]:
    blurred = [f"pc{place} and pc{place + 1}" for place in np.flatnonzero(~found.is_apart)]
    if not blurred:
        return []
    return [
        f"Not told apart by {found.n} samples: {', '.join(blurred)} (their variances' 95 % limits"
        " overlap, so that only what they span together is known)."
    ]
