"""What each unit's map amounts to in one sample, and how much of a difference is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

OF_A_MAP = {
    "mean": "mean over positions",
    "std": "standard deviation over positions",
    "share_above_0": "share of positions above 0",
    "minimum": "smallest value",
    "maximum": "largest value",
}
"""The statistics of a map, and what they are."""


@dataclass(frozen=True, eq=False)
class MapStatistics:
    """Statistics of every sample and unit, computed in float64.

    Args:
        source: by name, each (sample, unit): see `OF_A_MAP`.
        donor: the same of the donors; empty without.
        squared: (sample, unit) sum over positions of the squared difference; None without donors.
        n_positions: of a map.
    """

    source: dict[str, Values]
    donor: dict[str, Values]
    squared: Values | None
    n_positions: int

    @classmethod
    def of(cls, source: NDArray[np.floating], donor: NDArray[np.floating] | None) -> Self:
        """Of maps (sample, unit, y, x)."""
        ours = _rows(source)
        n_positions = ours.shape[2]
        if donor is None:
            return cls(_of_rows(ours), {}, None, n_positions)
        theirs = _rows(donor)
        with np.errstate(invalid="ignore"):
            squared = np.square(theirs - ours).sum(axis=2)
        return cls(_of_rows(ours), _of_rows(theirs), squared, n_positions)

    @property
    def root_mean_square(self) -> Values | None:
        """(sample, unit) of the difference over positions; None without donors."""
        return None if self.squared is None else np.sqrt(self.squared / self.n_positions)

    @property
    def shares(self) -> Values | None:
        """(sample, unit) of the squared difference of all units; NaN where there is none."""
        return None if self.squared is None else _shares(self.squared)

    @property
    def pooled_shares(self) -> Values | None:
        """(unit,) the same, of the squared difference summed over samples."""
        return None if self.squared is None else _shares(self.squared.sum(axis=0))

    @property
    def is_zero(self) -> NDArray[np.bool_]:
        """(sample, unit) whether the source's map is 0 everywhere."""
        return np.asarray((self.source["minimum"] == 0) & (self.source["maximum"] == 0))

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """(sample, unit) whether it is the same everywhere and not 0; False without space."""
        is_flat = self.source["minimum"] == self.source["maximum"]
        return np.asarray(is_flat & ~self.is_zero & (self.n_positions > 1))


def _rows(maps: NDArray[np.floating]) -> Values:
    """(sample, unit, position)"""
    return maps.reshape(*maps.shape[:2], -1).astype(np.float64)


def _of_rows(rows: Values) -> dict[str, Values]:
    with np.errstate(invalid="ignore"):
        return {
            "mean": rows.mean(axis=2),
            "std": rows.std(axis=2),
            "share_above_0": (rows > 0).mean(axis=2),
            "minimum": rows.min(axis=2),
            "maximum": rows.max(axis=2),
        }


def _shares(squared: Values) -> Values:
    total = squared.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(squared / total, np.float64)
