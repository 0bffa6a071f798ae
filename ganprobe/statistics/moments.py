"""Mean and variance of each unit, from batches in any order.

Each batch is summed around a value near the mean, and batches are combined by the update of Chan
et al.; the mean is held as the sum of two float64, so that a mean far larger than the standard
deviation costs no accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe.statistics.tables import SampleTable

__all__ = ["Moments", "two_sum"]

_MOST_LOST = 4
_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """The first two moments of each unit's finite values, all (n_units,) float64.

    Args:
        n: how many values.
        centre: the mean, rounded; 0 where there is no value.
        rest: the mean less the centre.
        squares: the sum of the squared deviations from the mean; infinite or NaN where float64
            values above 1e150 have squares that are no float64.

    Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance" (1983), eq. 2.1;
    the sum of two numbers and its rounding error: Knuth, TAOCP 2, 4.2.2, theorem C.
    """

    n: _Floats
    centre: _Floats
    rest: _Floats
    squares: _Floats

    @classmethod
    def empty(cls, n_units: int) -> Moments:
        """Of no value."""
        return cls(*np.zeros((4, n_units)))

    @classmethod
    def of(cls, table: SampleTable, shift: _Floats) -> Moments:
        """Of a batch that was tabulated around a shift."""
        n = table.n_finite.sum(0)
        total = table.deviation.sum(0)
        rest = total / np.maximum(n, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.maximum(table.squared.sum(0) - total * rest, 0)
        return cls(n, np.where(n > 0, shift, 0.0), rest, squares)

    @property
    def mean(self) -> _Floats:
        """NaN where there is no value."""
        return np.where(self.n > 0, self.centre + self.rest, np.nan)

    @property
    def variance(self) -> _Floats:
        """The sum of squared deviations divided by n; NaN where there is no value."""
        return np.where(self.n > 0, self.squares / np.maximum(self.n, 1), np.nan)

    def is_cancelled(self, whole: Moments) -> NDArray[np.bool_]:
        """Whether what this batch adds to a whole was lost, as a difference of larger numbers.

        (n_units,); it is so where the values are far from the shift of the batch, compared with
        how far all values are from each other.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self.n * self.rest * self.rest > _MOST_LOST * whole.squares)

    def merged(self, other: Moments) -> Moments:
        """Of the values of both."""
        n = self.n + other.n
        share = other.n / np.maximum(n, 1)
        delta = (other.centre - self.centre) + (other.rest - self.rest)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = self.squares + other.squares + delta * delta * self.n * share
        is_first = self.n == 0
        centre = np.where(is_first, other.centre, self.centre)
        rest = np.where(is_first, other.rest, self.rest + delta * share)
        return Moments(n, *two_sum(centre, rest), squares)


def two_sum(a: _Floats, b: _Floats) -> tuple[_Floats, _Floats]:
    """a + b rounded, and what the rounding left out, exactly."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)
