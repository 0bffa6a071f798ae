"""Trends: what each measure does along each way, by the sign of the step and by its size.

The change from the first to the last step is twice the odd part of a curve, its slope with the
sign; the bend, both ends' mean less the middle, is the even part, what the size of a step does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import PairedEffects, paired_effects
from ganprobe_traversal.walk import Walks
from ganprobe_traversal.ways import Floats

__all__ = ["SIGNIFICANT", "Trends", "find_trends"]

SIGNIFICANT = 0.05
_FEWEST_RESAMPLES, _MOST_RESAMPLES, _RESAMPLES_PER_TEST = 2000, 20_000, 20
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Trends:
    """What every column of every measure does between the ends of every way.

    Args:
        columns: (measure, column) of each.
        ends: positions of the first and last step that are compared: of those within the prior,
            where there are two or more.
        starts, finishes: (way, column) means over bases at these.
        changes: over way * column: finish less start, paired by base.
        bends: likewise: mean of start and finish, less the middle.
        spans: over way * column: the largest less the smallest change of a base, 0 included.
        sizes: (way, column) the change in standard deviations over all images of the walks; NaN
            where these are all the same.
    """

    columns: tuple[tuple[str, str], ...]
    ends: tuple[int, int]
    starts: Floats
    finishes: Floats
    changes: PairedEffects
    bends: PairedEffects
    spans: Floats
    sizes: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """How many ways, how many columns."""
        return self.starts.shape[0], self.starts.shape[1]

    def place(self, way: int, column: int) -> int:
        """Of a way and a column in `changes` and `bends`."""
        return way * self.shape[1] + column

    def by_way(self, values: NDArray[np.float64]) -> Floats:
        """(way, column) of what `changes` or `bends` hold."""
        return values.reshape(self.shape)

    def most_changing(self, way: int) -> list[int]:
        """The columns, by how far the way changes them, in standard deviations."""
        return [int(column) for column in np.argsort(-_known(self.sizes[way]), kind="stable")]

    def interval(self, place: int) -> tuple[float, float] | None:
        """The 95 % interval of a change; None where it is wider than what the bases show.

        That is so where nearly all bases change by the same, and tell little of the others.
        """
        low, high = float(self.changes.low[place]), float(self.changes.high[place])
        mean, span = self.changes.mean[place], self.spans[place]
        return (low, high) if mean - span <= low and high <= mean + span else None

    def significant(self) -> list[tuple[int, int]]:
        """(way, column) of the changes with q below 0.05, the largest in deviations first."""
        return self._found(self.changes, _known(self.sizes))

    def significant_bends(self) -> list[tuple[int, int]]:
        """(way, column) of the bends with q below 0.05 that are no smaller than half the change.

        Both ends lie on the same side of the middle there.
        """
        bends, changes = self.by_way(self.bends.mean), self.by_way(self.changes.mean)
        is_curved = np.abs(bends) >= np.abs(changes) / 2
        spread = np.abs(np.divide(changes, self.sizes, where=_known(self.sizes) > 0,
                                  out=np.full(self.shape, np.inf)))  # fmt: skip
        found = self._found(self.bends, np.abs(bends) / spread)
        return [place for place in found if is_curved[place]]

    def _found(self, effects: PairedEffects, by: Floats) -> list[tuple[int, int]]:
        order = np.argsort(-by.ravel(), kind="stable")
        chosen = [int(place) for place in order if effects.q[place] < SIGNIFICANT]
        return [divmod(place, self.shape[1]) for place in chosen]


def find_trends(walks: Walks) -> Trends | None:
    """The trends of all measures; None where none was followed."""
    if not walks.measures:
        return None
    columns = tuple(
        (measure.name, column) for measure in walks.plan.measures for column in measure.columns
    )
    values = np.concatenate(list(walks.measures.values()), axis=3)  # (way, base, 1 + step, column)
    steps = values[:, :, 1:]
    ends, middle = compared_steps(walks.plan.steps, walks.plan.is_outside)
    first, last = steps[:, :, ends[0]], steps[:, :, ends[1]]  # (way, base, column)
    spread = values.std(axis=(0, 1, 2))  # (column,)
    change = (last - first).mean(axis=1)
    sizes = np.full(change.shape, np.nan)
    np.divide(change, spread, where=np.broadcast_to(spread > _TIE, change.shape), out=sizes)
    return Trends(
        columns=columns,
        ends=ends,
        starts=first.mean(axis=1),
        finishes=last.mean(axis=1),
        changes=_paired(last - first, walks.plan.context.seed),
        bends=_paired(
            (first + last) / 2 - steps[:, :, middle].mean(axis=2), walks.plan.context.seed
        ),
        spans=np.ptp(
            np.concatenate([last - first, np.zeros_like(first[:, :1])], axis=1), axis=1
        ).ravel(),
        sizes=sizes,
    )


def compared_steps(
    steps: Floats, is_outside: NDArray[np.bool_]
) -> tuple[tuple[int, int], list[int]]:
    """The first and the last step that are compared, and those at the middle of the two.

    Where all walks leave the prior at the same steps, only those within count, if there are two.
    """
    inside = np.flatnonzero(~is_outside.all(axis=(0, 1)))
    first, last = (int(inside[0]), int(inside[-1])) if len(inside) > 1 else (0, len(steps) - 1)
    distance = np.abs(steps - (steps[first] + steps[last]) / 2)
    middle = np.flatnonzero(distance <= distance.min() + _TIE * (1 + np.abs(steps).max()))
    return (first, last), [int(place) for place in middle]


def _paired(differences: Floats, seed: int) -> PairedEffects:
    """Over (way, base, column)."""
    rows = np.moveaxis(differences, 1, 2).reshape(-1, differences.shape[1])
    wanted = _RESAMPLES_PER_TEST * len(rows)
    n_resamples = min(max(wanted, _FEWEST_RESAMPLES), _MOST_RESAMPLES)
    return paired_effects(rows, seed=seed, n_resamples=n_resamples)


def _known(sizes: Floats) -> Floats:
    """How large they are; 0 where that is not known."""
    return np.abs(np.nan_to_num(sizes))
