"""What one batch says of each sample at each unit: the only place where all values are looked at.

A table is made on the device where the activations are, in tiles that stay in the cache, and is
n_positions times smaller than they are. Everything else (moments, extremes, top samples, shares)
is computed from tables, on the host. Costs about six reductions of the values; the floor is one
reading of them from memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.statistics.batches import UnitBatch
from ganprobe.statistics.limits import Limits

__all__ = ["SampleTable", "tabulate"]

_FLOAT32_COUNTS = 2**24  # so many ones can be added in float32 without rounding


@dataclass(frozen=True, eq=False)
class SampleTable:
    """Of each sample at each unit, all (n, n_units) float64, over its finite values.

    Args:
        n_finite: how many there are.
        lowest: the smallest; infinity where there is none.
        highest: the largest; -infinity where there is none.
        n_active: how many are above the threshold.
        n_low: how many are at the lower end, or are the smallest where no end was given.
        n_high: how many are at the upper end, or are the largest.
        deviation: the sum of their deviations from the shift.
        squared: the sum of the squares of these.
        mean: NaN where there is none; None where it was not asked for.
    """

    n_finite: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    n_active: NDArray[np.float64]
    n_low: NDArray[np.float64]
    n_high: NDArray[np.float64]
    deviation: NDArray[np.float64]
    squared: NDArray[np.float64]
    mean: NDArray[np.float64] | None = None

    def scores(self, score: str) -> NDArray[np.float64]:
        """The "max" or "mean" of each sample, -infinity where it has no finite value."""
        if score == "max":
            return self.highest
        assert self.mean is not None
        return np.where(self.n_finite > 0, self.mean, -np.inf)


def tabulate(
    batch: UnitBatch, *, shift: NDArray[np.float64], limits: Limits, with_means: bool = False
) -> SampleTable:
    """Reduce each row of a batch; `shift` (n_units,) is near the mean, for accuracy."""
    device = batch.rows.device
    dtype = batch.dtype if batch.n_positions <= _FLOAT32_COUNTS else torch.float64
    size = (batch.n_samples, batch.n_units)
    plain = torch.empty(6, *size, dtype=dtype, device=device)
    plain[0] = batch.n_positions
    exact = torch.empty(2 + with_means, *size, dtype=torch.float64, device=device)
    around = torch.from_numpy(shift).to(device)[:, None]
    threshold, ends = limits.on(plain)
    for samples, units, values in batch.tiles(dtype):
        into, exactly = plain[:, samples, units].unbind(), exact[:, samples, units].unbind()
        tile = _Tile.of(values, into)
        tile.add_up(around[units], exactly)
        _count(torch.gt, tile.downward, threshold[units], into[3])
        low, high = (into[1][..., None], into[2][..., None])
        if ends is not None:
            low, high = ends[0][units], ends[1][units]
        _count(torch.le, tile.upward, low, into[4])
        _count(torch.ge, tile.downward, high, into[5])
    found, sums = plain.double().cpu().numpy(), exact.cpu().numpy()
    made = SampleTable(*found, *sums[:2])
    if not with_means:
        return made
    return replace(made, mean=sums[2] / np.where(made.n_finite > 0, made.n_finite, np.nan))


@dataclass(frozen=True, eq=False)
class _Tile:
    """Values (n, units, positions) and, where some are not finite, which are.

    Args:
        upward: the values, infinity in place of what is not finite.
        downward: the values, -infinity in its place.
    """

    values: Tensor
    upward: Tensor
    downward: Tensor
    finite: Tensor | None = None

    @classmethod
    def of(cls, values: Tensor, into: Sequence[Tensor]) -> _Tile:
        """With how many are finite, the lowest and the highest of each row written down."""
        n_finite, lowest, highest = into[:3]
        torch.amin(values, -1, out=lowest)
        torch.amax(values, -1, out=highest)
        if math.isfinite(float(highest.amax() - lowest.amin())):  # it would show NaN and infinity
            return cls(values, values, values)
        finite = values.isfinite()
        upward = values.masked_fill(~finite, torch.inf)
        downward = values.masked_fill(~finite, -torch.inf)
        n_finite.copy_(finite.sum(-1))
        torch.amin(upward, -1, out=lowest)
        torch.amax(downward, -1, out=highest)
        return cls(values, upward, downward, finite)

    def add_up(self, shift: Tensor, into: Sequence[Tensor]) -> None:
        """Write down the sums of deviations, of their squares, and where wanted of the values.

        The order of the last depends on nothing but the row, which is laid out anew for that.
        """
        if len(into) > 2:
            laid_out = torch.empty(self.values.shape, dtype=torch.float64, device=shift.device)
            torch.sum(self._without_others(laid_out.copy_(self.values)), -1, out=into[2])
        deviations = self._without_others(self.values.to(torch.float64, copy=True).sub_(shift))
        torch.sum(deviations, -1, out=into[0])
        torch.sum(deviations.square_(), -1, out=into[1])

    def _without_others(self, values: Tensor) -> Tensor:
        return values if self.finite is None else values.masked_fill_(~self.finite, 0.0)


def _count(compare: Callable[..., Any], values: Tensor, limit: Tensor, into: Tensor) -> None:
    """Count along each row; adding ones in the values' dtype is four times faster than bools."""
    ones = torch.empty_like(values)
    compare(values, limit, out=ones)
    torch.sum(ones, -1, out=into)
