"""How many values of each unit are finite, active and saturated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe.statistics.tables import SampleTable

__all__ = ["Counts"]


@dataclass(frozen=True, eq=False)
class Counts:
    """Numbers of values, all (n_units,) float64 and whole.

    Args:
        n_not_finite: NaN or infinite.
        n_active: above the threshold.
        n_low: at the lower end, where one was given.
        n_high: at the upper end.
    """

    n_not_finite: NDArray[np.float64]
    n_active: NDArray[np.float64]
    n_low: NDArray[np.float64]
    n_high: NDArray[np.float64]

    @classmethod
    def empty(cls, n_units: int) -> Counts:
        """Of no value."""
        return cls(*np.zeros((4, n_units)))

    @classmethod
    def of(cls, table: SampleTable, n_positions: int) -> Counts:
        """Of a batch."""
        return cls(
            (n_positions - table.n_finite).sum(0),
            table.n_active.sum(0),
            table.n_low.sum(0),
            table.n_high.sum(0),
        )

    def merged(self, other: Counts) -> Counts:
        """Of the values of both."""
        return Counts(
            self.n_not_finite + other.n_not_finite,
            self.n_active + other.n_active,
            self.n_low + other.n_low,
            self.n_high + other.n_high,
        )
