"""Ranks: rank correlations of many numbers with one, with interval, p and q."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import associations

Floats = NDArray[np.float64]

_FEWEST = 20  # samples that have a rank correlation worth telling
_UNLIKELY = 0.05


@dataclass(frozen=True)
class Rank:
    """A Spearman correlation; all NaN where one side never varies, or there are under 20 samples.

    Args:
        value: in [-1, 1].
        low, high: the limits of its 95 % interval.
        p: of no correlation, two-sided.
        q: p after Benjamini-Hochberg over those that were asked for together.
    """

    value: float
    low: float
    high: float
    p: float
    q: float

    @property
    def is_known(self) -> bool:
        """Whether there is one."""
        return not math.isnan(self.value)

    @property
    def is_found(self) -> bool:
        """Whether q is below 0.05."""
        return self.q < _UNLIKELY

    def __str__(self) -> str:
        value, low, high = (
            f"{round(one, 2) + 0.0:.2f}" for one in (self.value, self.low, self.high)
        )
        return f"{value} [{low}, {high}]"


_UNKNOWN = Rank(math.nan, math.nan, math.nan, math.nan, math.nan)


def rank_correlations(columns: Floats, values: Floats, *, seed: int) -> tuple[Rank, ...]:
    """Of each of columns (n, k) with values (n,)."""
    varies = np.ptp(columns, axis=0) > 0
    is_told = len(values) >= _FEWEST and bool(np.ptp(values) > 0) and bool(varies.any())
    if not is_told:
        return (_UNKNOWN,) * len(varies)
    found = associations(
        columns[:, varies], values[:, None], seed=seed, mutual_information=False
    ).spearman
    low, high = np.fmin(found.low, found.value), np.fmax(found.high, found.value)  # of rounding
    limits = (found.value, low, high, found.p, found.q)
    known = iter(np.stack(limits)[..., 0].T.tolist())  # (k, 5)
    ranks: list[Rank] = [Rank(*next(known)) if one else _UNKNOWN for one in varies]
    return tuple(ranks)
