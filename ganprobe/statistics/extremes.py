"""The smallest and the largest value of each unit, where they occur, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.statistics.tables import SampleTable

__all__ = ["NOWHERE", "Extreme", "Extremes"]

NOWHERE = -1
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Extreme:
    """The largest value of each unit; the smallest where values are negated.

    Args:
        value: (n_units,) float64, exact; -infinity where there is no finite value.
        sample: (n_units,) int64, the lowest index of a sample that has it; -1 where there is none.
        count: (n_units,) float64, how many values are equal to it.
    """

    value: NDArray[np.float64]
    sample: NDArray[np.int64]
    count: NDArray[np.float64]

    @classmethod
    def empty(cls, n_units: int) -> Extreme:
        """Of no value."""
        return cls(
            np.full(n_units, -np.inf), np.full(n_units, NOWHERE, np.int64), np.zeros(n_units)
        )

    @classmethod
    def of(cls, highest: NDArray[Any], counts: NDArray[Any], samples: NDArray[np.int64]) -> Extreme:
        """Of values (n, n_units), how often each occurs, and indices that broadcast to them."""
        value = highest.max(0)
        is_there = (highest == value) & np.isfinite(value)
        sample = np.where(is_there, samples, _LAST).min(0)
        count = np.where(is_there, counts, 0).sum(0)
        return cls(value, np.where(is_there.any(0), sample, NOWHERE), count)

    def merged(self, other: Extreme) -> Extreme:
        """Of the values of both."""
        return Extreme.of(
            np.stack([self.value, other.value]),
            np.stack([self.count, other.count]),
            np.stack([self.sample, other.sample]),
        )


@dataclass(frozen=True, eq=False)
class Extremes:
    """Both ends of each unit; those of the lower are kept negated."""

    negated: Extreme
    upper: Extreme

    @classmethod
    def empty(cls, n_units: int) -> Extremes:
        """Of no value."""
        return cls(Extreme.empty(n_units), Extreme.empty(n_units))

    @classmethod
    def of(cls, table: SampleTable, samples: NDArray[np.int64]) -> Extremes:
        """Of a batch."""
        return cls(
            Extreme.of(-table.lowest, table.n_low, samples[:, None]),
            Extreme.of(table.highest, table.n_high, samples[:, None]),
        )

    @property
    def minimum(self) -> NDArray[np.float64]:
        """NaN where there is no finite value."""
        return np.where(self.negated.sample == NOWHERE, np.nan, -self.negated.value)

    @property
    def maximum(self) -> NDArray[np.float64]:
        """NaN where there is no finite value."""
        return np.where(self.upper.sample == NOWHERE, np.nan, self.upper.value)

    @property
    def count(self) -> NDArray[np.float64]:
        """How many values are equal to the minimum or the maximum."""
        is_constant = self.minimum == self.maximum
        return np.where(is_constant, self.upper.count, self.upper.count + self.negated.count)

    def merged(self, other: Extremes) -> Extremes:
        """Of the values of both."""
        return Extremes(self.negated.merged(other.negated), self.upper.merged(other.upper))
