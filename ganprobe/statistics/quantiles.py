"""Quantiles of each unit: exact while all values fit into a memory budget, else from a sketch.

Values are kept in one buffer on the device where they are made. When it is full it is counted
into a `Sketch` and used again: from then on the quantiles are the sketch's. Which of the two it
was does not depend on the order or size of the batches, nor on what was merged with what: they
are exact if and only if the values of all samples fit. For exact quantiles of more values, read
them more than once (`summarize_twice`).

Keeping costs one copy of the values, counting two readings of them, exact quantiles a sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.statistics.sketch import Sketch

__all__ = ["QuantileKeeper", "Quantiles", "interpolated", "ranks_around"]

_SORTED_VALUES = 2**22
_SMALLEST = 2.0**-133  # nearer to zero than this, the middle of a bucket is taken as zero


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Quantiles of each unit's finite values, interpolated linearly as numpy does by default.

    Args:
        levels: in [0, 1], in the order in which they were asked for.
        values: (n_units, n_levels) float64; NaN where a unit has no finite value.
        error: (n_units, n_levels) float64: the true quantile is at most so far away, guaranteed;
            0 where it is exact.
        method: "exact" or "sketch".
    """

    levels: tuple[float, ...]
    values: NDArray[np.float64]
    error: NDArray[np.float64]
    method: Literal["exact", "sketch"]


class QuantileKeeper:
    """Values of units on their way to quantiles.

    Args:
        n_units: how many units.
        memory: bytes of values that are kept at most, in all units together. The sketch comes on
            top: 8 bytes for each unit and filled bucket.
        dtype: float32 or float64, of the values.
    """

    def __init__(self, n_units: int, memory: int, dtype: torch.dtype) -> None:
        self.capacity = memory // (n_units * dtype.itemsize)
        self.sketch = Sketch.empty(n_units)
        self._n_units, self._dtype, self._n_kept = n_units, dtype, 0
        self._buffer: Tensor | None = None

    @property
    def is_exact(self) -> bool:
        """Whether all values are kept."""
        return not self.sketch.buckets.size

    @property
    def kept(self) -> Tensor:
        """The values (n_units, n) that are kept."""
        if self._buffer is None:
            return torch.empty(self._n_units, 0, dtype=self._dtype)
        return self._buffer[:, : self._n_kept]

    def add(self, rows: Tensor) -> None:
        """Take values (n, n_units, positions) in, finite or not."""
        n_samples, _, n_positions = rows.shape
        by_unit = rows.transpose(0, 1)  # (n_units, n, positions)
        if self._make_room(n_samples * n_positions, rows.device):
            slot = self._take(n_samples * n_positions)
            slot.unflatten(1, (n_samples, n_positions)).copy_(by_unit)
        else:
            self._count(by_unit.flatten(1).to(self._dtype))

    def merge(self, other: QuantileKeeper) -> None:
        """Take in what another keeps."""
        self.sketch = self.sketch.merged(other.sketch)
        kept = other.kept
        if self._make_room(kept.shape[1], kept.device):
            self._take(kept.shape[1]).copy_(kept)
        else:
            self._count(kept)

    def settled(self) -> Sketch | None:
        """The sketch of all values; None where they are all kept."""
        if self.is_exact:
            return None
        self._spill()
        return self.sketch

    def quantiles(
        self,
        levels: tuple[float, ...],
        n: NDArray[np.float64],
        ends: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> Quantiles:
        """The quantiles of units with n finite values (n_units,) between known ends."""
        self.settled()
        below, above, weight = ranks_around(levels, n)
        if self.is_exact:
            self._forget_infinities()
            ordered = self._order_statistics(np.concatenate([below, above], axis=1))
            low, high = np.split(ordered, 2, axis=1)
            values = _where_any(n, interpolated(low, high, weight))
            return Quantiles(levels, values, np.zeros_like(values), "exact")
        lows, highs = zip(self._bounds(below, ends), self._bounds(above, ends), strict=True)
        low, high = (interpolated(*pair, weight) for pair in (lows, highs))
        values, error = _middle(low, high)
        return Quantiles(levels, _where_any(n, values), _where_any(n, error), "sketch")

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays."""
        return {
            "capacity": np.asarray(self.capacity),
            "kept": self.kept.cpu().numpy().copy(),
            "buckets": self.sketch.buckets,
            "counts": self.sketch.counts,
            "is_rounded": np.asarray(self.sketch.is_rounded),
        }

    @classmethod
    def from_state(cls, state: dict[str, NDArray[Any]]) -> QuantileKeeper:
        """Back from `state`."""
        kept = torch.from_numpy(np.array(state["kept"]))
        keeper = cls(kept.shape[0], 0, kept.dtype)
        keeper.capacity = int(state["capacity"])
        keeper.sketch = Sketch(state["buckets"], state["counts"], bool(state["is_rounded"]))
        if kept.shape[1] and keeper._make_room(kept.shape[1], kept.device):
            keeper._take(kept.shape[1]).copy_(kept)
        return keeper

    def _make_room(self, n: int, device: torch.device) -> bool:
        """Whether n more values of each unit can be kept."""
        if self._n_kept + n > self.capacity:
            self._spill()
        if n > self.capacity:
            return False
        if self._buffer is None:  # memory that is not written to is not taken from the host
            size = (self._n_units, self.capacity)
            self._buffer = torch.empty(size, dtype=self._dtype, device=device)
        return True

    def _take(self, n: int) -> Tensor:
        assert self._buffer is not None
        self._n_kept += n
        return self._buffer[:, self._n_kept - n : self._n_kept]

    def _spill(self) -> None:
        self._count(self.kept)
        self._n_kept = 0

    def _count(self, values: Tensor) -> None:
        if values.shape[1]:
            self.sketch = self.sketch.merged(Sketch.of(values))

    def _bounds(
        self, ranks: NDArray[np.int64], ends: tuple[NDArray[np.float64], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low, high = self.sketch.around(ranks)
        least, most = (end[:, None] for end in ends)
        return np.fmax(low, least), np.fmin(high, most)

    def _forget_infinities(self) -> None:
        kept = self.kept
        if not bool(kept.isfinite().all()):
            kept.masked_fill_(kept.isinf(), torch.nan)

    def _order_statistics(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values of these ranks (n_units, m); NaN are last when a row is sorted."""
        kept = self.kept
        size = max(1, _SORTED_VALUES // max(kept.shape[1], 1))
        chosen = [
            _sorted(block).gather(1, torch.from_numpy(of_block).to(kept.device)).double().cpu()
            for block, of_block in zip(
                kept.split(size), np.split(ranks, range(size, len(ranks), size)), strict=True
            )
        ]
        return torch.cat(chosen).numpy()


def ranks_around(
    levels: tuple[float, ...], n: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Between which two ranks each level lies in n values, and how far from the first in [0, 1).

    Example:
        >>> [part.tolist() for part in ranks_around((0.5,), np.array([4.0]))]
        [[[1]], [[2]], [[0.5]]]
    """
    place = np.multiply.outer(np.maximum(n - 1, 0), np.asarray(levels))  # (n_units, n_levels)
    below = np.floor(place)
    above = np.ceil(place)
    return below.astype(np.int64), above.astype(np.int64), place - below


def interpolated(
    low: NDArray[np.float64], high: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """From low to high by a weight, rounded as in `numpy.quantile`."""
    apart = high - low
    return np.where(weight < 0.5, low + apart * weight, high - apart * (1 - weight))


def _sorted(block: Tensor) -> Tensor:
    """On the host in place, by numpy, which is several times faster there than torch."""
    if block.device.type != "cpu":
        return block.sort(dim=1).values
    block.numpy().sort(axis=1)
    return block


def _where_any(n: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(n[:, None] > 0, values, np.nan)


def _middle(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Between two bounds, and how far they are; a few units in the last place are for rounding."""
    middle = low / 2 + high / 2
    middle = np.where((np.abs(middle) < _SMALLEST) & (low <= 0) & (high >= 0), 0.0, middle)
    middle = np.where(low == high, low, middle)
    slack = np.where(low == high, 0.0, 4 * np.spacing(np.maximum(np.abs(low), np.abs(high))))
    return middle, np.maximum(high - middle, middle - low) + slack
