"""Searches: the sets of units that drive an objective, one for each pair or one for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganprobe import (
    Context,
    FoundUnits,
    NotReplayableError,
    Swap,
    random_units,
    search_units,
)
from ganprobe_swap.objectives import Objective, OfImages
from ganprobe_swap.pairs import Pairs

OWN_SETS = ("greedy", "rank")
"""Strategies that find a set for each pair."""

Method = Literal["auto", "additive", "replay", "batched", "single"]


@dataclass(frozen=True, eq=False)
class Found:
    """What one strategy found for one objective.

    Args:
        kind: of the pairs that it was searched on.
        strategy: as it was asked for, or ``"given"``.
        detail: the same with what belongs to it.
        units: (set, pick) in the order of their picks; a set for each pair, or one for all.
        paths: (set, pick) the objective with the first 1, 2, ... of them: of the pair, or the mean
            over pairs.
        base: (set,) the objective of the unedited image.
        n_evaluated: how many sets of units were tried.
        how: by which method, and how it was checked.
    """

    kind: str
    objective: Objective
    strategy: str
    detail: str
    units: NDArray[np.int64]
    paths: NDArray[np.float64]
    base: NDArray[np.float64]
    n_evaluated: int
    how: str

    @property
    def is_one_for_all(self) -> bool:
        """Whether it found one set, on all pairs at once."""
        return self.strategy not in OWN_SETS

    @property
    def name(self) -> str:
        """As files and labels call it."""
        return f"{self.objective.name}-{self.strategy}"

    def sets(self, n_pairs: int) -> NDArray[np.int64]:
        """(pair, pick): the set of each pair."""
        n_sets, n_picks = self.units.shape
        return np.broadcast_to(self.units, (n_pairs, n_picks)) if n_sets == 1 else self.units


@dataclass(frozen=True, eq=False)
class RandomSets:
    """Nested random sets, the same for every objective and pair.

    Args:
        units: (draw, pick).
        paths: by objective, (draw, pick) the mean over pairs.
    """

    units: NDArray[np.int64]
    paths: dict[str, NDArray[np.float64]]


def search(
    context: Context, pairs: Pairs, site: str, objective: Objective, strategy: str, n_units: int
) -> Found:
    """Search on some pairs.

    Raises:
        ParameterError: there are too few units, or a gradient is wanted that there is not.
    """
    if strategy in OWN_SETS:
        found = _for_each(context, pairs, site, objective, strategy, n_units)
    else:
        found = [_search(context, pairs, site, objective, strategy, n_units, "auto")]
    return Found(
        pairs.kind,
        objective,
        strategy,
        f"joint {found[0].strategy}" if strategy == "joint" else found[0].strategy,
        np.array([one.units for one in found]),
        np.array([one.values for one in found]),
        np.array([one.base for one in found]),
        sum(one.n_evaluated for one in found),
        str(found[0].how),
    )


def given(
    context: Context, pairs: Pairs, site: str, objective: Objective, units: Sequence[int]
) -> Found:
    """A set that was found elsewhere, on these pairs."""
    values = context.probe.unit_values(
        pairs.sources,
        Swap(site, donor=pairs.donors),
        _on(context, pairs, objective),
        column=objective.column,
    )
    base, *path = values([tuple(units[:size]) for size in range(len(units) + 1)]).tolist()
    found = np.array([units]), np.array([path]), np.array([base])
    return Found(pairs.kind, objective, "given", "given", *found, len(path), str(values.how))


def draw_random(
    context: Context,
    pairs: Pairs,
    site: str,
    objectives: Sequence[Objective],
    n_units: int,
    n_draws: int,
) -> RandomSets:
    """Random sets of the seed, and what they do on these pairs."""
    paths = {}
    units: NDArray[np.int64] = np.zeros((0, 0), np.int64)
    for objective in objectives:
        drawn = random_units(
            context.probe,
            pairs.sources,
            Swap(site, donor=pairs.donors),
            _on(context, pairs, objective),
            n_units=n_units,
            n_draws=n_draws,
            seed=context.seed,
            column=objective.column,
            progress=context.progress,
        )
        units = np.array(drawn.draws)
        paths[objective.name] = drawn.values.numpy()
    return RandomSets(units, paths)


def _for_each(
    context: Context, pairs: Pairs, site: str, objective: Objective, strategy: str, n_units: int
) -> list[FoundUnits]:
    """A search on each pair; the method that proved the fastest on the first serves all."""
    found: list[FoundUnits] = []
    method: Method = "auto"
    with context.progress(len(pairs), f"{objective.name}, {strategy}: pairs") as bar:
        for pair in range(len(pairs)):
            wanted = (context.quiet(), pairs[pair], site, objective, strategy, n_units)
            try:
                found.append(_search(*wanted, method))
            except NotReplayableError:
                found.append(_search(*wanted, "auto"))
            method = found[-1].how.method
            bar.advance(1)
    return found


def _search(
    context: Context,
    pairs: Pairs,
    site: str,
    objective: Objective,
    strategy: str,
    n_units: int,
    method: Method,
) -> FoundUnits:
    return search_units(
        context.probe,
        pairs.sources,
        Swap(site, donor=pairs.donors),
        _on(context, pairs, objective),
        n_units=n_units,
        strategy="greedy" if strategy == "joint" else strategy,  # type: ignore[arg-type]
        maximise=objective.maximise,
        column=objective.column,
        method=method,
        progress=context.progress,
    )


def _on(context: Context, pairs: Pairs, objective: Objective) -> OfImages:
    images = context.probe.images
    return objective.on(images(pairs.sources), images(pairs.donors))
