"""Exact quantiles of any number of values, by reading them again: memory does not grow with them.

A radix selection: each pass counts the next bits of the values that agree so far with a wanted
one. The first 16 bits of float32 are the sketch's, of a pass that was made already; the other 16
take one more pass where 512 KiB for each unit and wanted value are allowed, and else as many as
the memory asks for, at most 16. float64 takes 4 such passes or more, and no sketch.

Each pass reads every value once, on the host, and compares it with each distinct prefix of its
unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ganprobe.statistics.batches import UnitBatch
from ganprobe.statistics.order import keys_of, values_of
from ganprobe.statistics.sketch import SKETCH_BITS, Sketch

__all__ = ["select"]

_MOST_BITS = 16


def select(
    read: Callable[[], Iterable[UnitBatch]],
    ranks: NDArray[np.int64],
    *,
    sketch: Sketch,
    memory: int,
) -> NDArray[np.float64]:
    """The finite values of these ranks at each unit, exactly.

    Args:
        read: gives all batches, the same values each time.
        ranks: (n_units, m), counted from 0 in ascending order, of values that there are.
        sketch: of the same values.
        memory: bytes of counts that are kept at most, though at least 1 bit is found in a pass.

    Returns:
        (n_units, m) float64.
    """
    dtype = torch.float64 if sketch.is_rounded else torch.float32
    found = _Found(SKETCH_BITS, *sketch.find(ranks))
    if sketch.is_rounded:
        found = _Found(0, np.zeros_like(ranks), ranks)
    while found.n_bits < 8 * dtype.itemsize:
        slots = found.slots()
        affordable = int(np.log2(max(2, memory // (8 * (slots.max(initial=0) + 1)))))
        n_next = min(affordable, _MOST_BITS, 8 * dtype.itemsize - found.n_bits)
        counts = np.zeros((slots.max(initial=0) + 1, 2**n_next), np.int64)
        for batch in read():
            _count_next(batch, found, slots, counts)
        found = found.narrowed(counts, slots)
    return values_of(found.prefix, dtype)


@dataclass(frozen=True, eq=False)
class _Found:
    """What is known of wanted values after some passes.

    Args:
        n_bits: how many upper bits of their keys are known.
        prefix: (n_units, m) int64, these bits.
        rank: (n_units, m) int64, among the values with the same prefix.
    """

    n_bits: int
    prefix: NDArray[np.int64]
    rank: NDArray[np.int64]

    def slots(self) -> NDArray[np.int64]:
        """A number for each wanted value, the same for those of a unit with the same prefix."""
        first = _first_equal(self.prefix)
        is_first = first == np.arange(first.shape[1])
        numbered = is_first.cumsum().reshape(first.shape) - 1
        return np.take_along_axis(numbered, first, axis=1)

    def narrowed(self, counts: NDArray[np.int64], slots: NDArray[np.int64]) -> _Found:
        """With the next bits, from the counts (n_slots, 2^bits), which are used up."""
        n_digits = counts.shape[1]
        up_to = counts.cumsum(1, out=counts)
        digit = np.stack(
            [
                (up_to[slot] <= rank[:, None]).sum(1)
                for slot, rank in zip(slots.T, self.rank.T, strict=True)
            ],
            axis=1,
        )
        digit = np.minimum(digit, n_digits - 1)  # a unit without values has no rank 0
        before = np.where(digit > 0, up_to[slots, digit - 1], 0)
        # Keys are signed: of the very first digit the upper half stands for negative ones.
        offset = 0 if self.n_bits else n_digits // 2
        prefix = self.prefix * n_digits + digit - offset
        return _Found(self.n_bits + n_digits.bit_length() - 1, prefix, self.rank - before)


def _first_equal(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first position in its row (n, m) at which each value stands."""
    return np.asarray((values[:, :, None] == values[:, None, :]).argmax(2))


def _count_next(
    batch: UnitBatch, found: _Found, slots: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Count a batch's next bits into `counts`, by the slot of their prefix."""
    n_digits = counts.shape[1]
    n_left = 8 * batch.dtype.itemsize - found.n_bits
    is_first = _first_equal(slots) == np.arange(slots.shape[1])
    for _, units, values in batch.tiles(batch.dtype):
        by_unit = values.transpose(0, 1).flatten(1).contiguous()  # (units, n)
        keys = keys_of(by_unit).cpu().numpy()
        none = np.iinfo(keys.dtype).min  # no prefix: at least one bit is left to be found
        upper = keys >> n_left if found.n_bits else np.zeros_like(keys)
        if found.n_bits < SKETCH_BITS:  # so few bits do not tell infinity from large numbers
            upper[~by_unit.isfinite().cpu().numpy()] = none + 1
        wanted = np.where(is_first, found.prefix, none)[units].astype(keys.dtype)
        for column in np.flatnonzero(is_first[units].any(0)):
            hits = np.flatnonzero(upper == wanted[:, column, None])
            digit = keys.ravel()[hits] >> (n_left - n_digits.bit_length() + 1)
            digit = digit & (n_digits - 1) if found.n_bits else digit + n_digits // 2
            slot = slots[units, column][hits // keys.shape[1]]
            np.add.at(counts.reshape(-1), slot * n_digits + digit, 1)
