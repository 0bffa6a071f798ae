"""A histogram of each unit's values over the upper 16 bits of float32: fixed buckets for any data.

A bucket holds the values that agree in sign, exponent and 7 bits of the mantissa, so it is at
most 1/128 of its values wide, and its middle at most 1/256 of a value away from it; numbers below
the normal range of float32 are at most 2^-134 away. Zeros of a ReLU have a bucket whose middle is
taken as 0. Counts are exact, so merging is, and the order of the data does not matter.

Keeps 8 bytes for each unit and each bucket that some unit has filled: at most 65 280, some
thousand for usual activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.statistics.order import keys_of, values_of

__all__ = ["SKETCH_BITS", "Sketch"]

SKETCH_BITS = 16
_HALF = 2 ** (SKETCH_BITS - 1)
_N_NOT_FINITE = 128  # buckets of NaN and infinity at either end
_BLOCK_VALUES = 2**18


@dataclass(frozen=True, eq=False)
class Sketch:
    """How many values of each unit lie in each bucket.

    Args:
        buckets: (n_buckets,) int64, ascending: the upper 16 bits of the values' keys.
        counts: (n_units, n_buckets) int64.
        is_rounded: float64 was rounded to float32 to find its bucket.
    """

    buckets: NDArray[np.int64]
    counts: NDArray[np.int64]
    is_rounded: bool = False

    @classmethod
    def empty(cls, n_units: int) -> Sketch:
        """Of no value."""
        return cls(np.zeros(0, np.int64), np.zeros((n_units, 0), np.int64))

    @classmethod
    def of(cls, values: Tensor) -> Sketch:
        """Of values (n_units, n), float32 or float64; those that are not finite are left out."""
        size = max(1, _BLOCK_VALUES // max(values.shape[1], 1))
        blocks = [_counted(block) for block in values.split(size)]
        code, count = map(np.concatenate, zip(*blocks, strict=True))
        is_filled = np.zeros(2**SKETCH_BITS, np.bool_)
        is_filled[code % 2**SKETCH_BITS] = True
        column = is_filled.cumsum()[code % 2**SKETCH_BITS] - 1
        row = np.repeat(size * np.arange(len(blocks)), [len(part) for part, _ in blocks])
        counts = np.zeros((len(values), is_filled.sum()), np.int64)
        counts[row + code // 2**SKETCH_BITS, column] = count
        return cls(np.flatnonzero(is_filled) - _HALF, counts, values.dtype == torch.float64)

    def merged(self, other: Sketch) -> Sketch:
        """Of the values of both."""
        buckets = np.union1d(self.buckets, other.buckets)
        counts = np.zeros((len(self.counts), len(buckets)), np.int64)
        for sketch in (self, other):
            counts[:, np.searchsorted(buckets, sketch.buckets)] += sketch.counts
        return Sketch(buckets, counts, self.is_rounded or other.is_rounded)

    def find(self, ranks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bucket of the value of each rank (n_units, m), and its rank within the bucket.

        A rank counts a unit's finite values from 0 in ascending order; there is such a value.
        """
        up_to = self.counts.cumsum(1)  # (n_units, n_buckets)
        column = np.stack([(up_to <= rank[:, None]).sum(1) for rank in ranks.T], axis=1)
        column = np.minimum(column, len(self.buckets) - 1)
        before = np.take_along_axis(up_to - self.counts, column, axis=1)
        return self.buckets[column], ranks - before

    def around(self, ranks: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Between which two numbers, both included, the value of each rank (n_units, m) lies."""
        bucket, _ = self.find(ranks)
        beyond = int(self.is_rounded)  # to a bucket's first number also some below it are rounded
        first = (bucket << SKETCH_BITS) - beyond
        last = (bucket << SKETCH_BITS) + 2**SKETCH_BITS - 1 + beyond
        return values_of(first, torch.float32), values_of(last, torch.float32)


def _counted(values: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which finite buckets of which rows are filled, as row * 65 536 + bucket, and by how many."""
    n_rows, n = values.shape
    rows = torch.arange(n_rows, dtype=torch.int32, device=values.device)[:, None]
    codes = keys_of(_single(values).contiguous()).bitwise_right_shift_(SKETCH_BITS)
    codes += rows * 2**SKETCH_BITS + _HALF
    if n < 2**SKETCH_BITS and codes.device.type == "cpu":  # then sorting them is faster
        code, count = np.unique(codes.numpy(), return_counts=True)
    else:
        counts = torch.bincount(codes.flatten()).cpu().numpy()
        code = np.flatnonzero(counts)
        count = counts[code]
    bucket = code % 2**SKETCH_BITS - _HALF
    is_finite = (bucket >= _N_NOT_FINITE - _HALF) & (bucket < _HALF - _N_NOT_FINITE)
    return code[is_finite].astype(np.int64), count[is_finite]


def _single(values: Tensor) -> Tensor:
    """As float32; what is finite stays so."""
    if values.dtype == torch.float32:
        return values
    most = torch.finfo(torch.float32).max
    return torch.where(values.isfinite(), values.clamp(-most, most), values).float()
