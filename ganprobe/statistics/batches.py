"""A batch of activations as rows: one row of positions for each sample and unit.

Nothing is copied: rows are a view wherever the layout in memory allows one. Work is done in
tiles that stay in the processor's cache, so that memory is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import ParameterError, ShapeError
from ganprobe.sites import usual_unit_axis

__all__ = ["UnitBatch"]

_TILE_BYTES = 2**18  # with its float64 deviations it stays in a second-level cache
_DEVICE_TILE_BYTES = 2**26  # on a device what costs is the number of calls
_PART_ROWS = 2**15
_WHOLE_TILES = 4  # products of matrices want more columns than reductions do
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class UnitBatch:
    """Activations (n, units, positions), float16, bfloat16, float32 or float64, on any device.

    Args:
        rows: the values.
        samples: (n,) the index of each sample.
    """

    rows: Tensor
    samples: NDArray[np.int64]

    @classmethod
    def of(
        cls, activations: Tensor, samples: Sequence[int] | NDArray[Any], unit_axis: int | None
    ) -> UnitBatch:
        """Look at (n, units, *space), or units on another axis, as rows.

        Raises:
            ShapeError: there is no unit axis, nothing in it, or not one index for each sample.
            ParameterError: the dtype is not of floating point, or an index is negative or stands
                twice.
        """
        if activations.dtype not in _DTYPES:
            raise ParameterError(
                f"activations are of floating point, got {activations.dtype}; convert them first"
            )
        axis = _checked_axis(activations, unit_axis)
        indices = _checked_samples(samples, activations.shape[0])
        rows = activations.detach().movedim(axis, 1)
        if 0 in rows.shape[1:]:
            raise ShapeError(f"there is no value in activations of {tuple(activations.shape)}")
        return cls(rows.flatten(2) if rows.ndim > 2 else rows.unsqueeze(2), indices)

    @property
    def n_samples(self) -> int:
        """How many samples."""
        return self.rows.shape[0]

    @property
    def n_units(self) -> int:
        """How many units."""
        return self.rows.shape[1]

    @property
    def n_positions(self) -> int:
        """How many values of one unit in one sample."""
        return self.rows.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """Of the widened values: float64, or float32 where they have 16 or 32 bits."""
        return torch.float64 if self.rows.dtype == torch.float64 else torch.float32

    def parts(self) -> Iterator[UnitBatch]:
        """The batch by so few samples that also a number for each sample and unit is little."""
        size = max(1, _PART_ROWS // self.n_units)
        if self.n_samples <= size:
            yield self
            return
        for start in range(0, self.n_samples, size):
            part = slice(start, start + size)
            yield UnitBatch(self.rows[part], self.samples[part])

    def tiles(self, dtype: torch.dtype) -> Iterator[tuple[slice, slice, Tensor]]:
        """Which samples, which units, and their values (some, some, positions) in a dtype."""
        n_samples, n_units = self._tile_size()
        for first in range(0, self.n_samples, n_samples):
            for unit in range(0, self.n_units, n_units):
                samples, units = slice(first, first + n_samples), slice(unit, unit + n_units)
                yield samples, units, self.rows[samples, units].to(dtype)

    def whole_tiles(self) -> Iterator[Tensor]:
        """Values (some, units, positions), as they came, with all units."""
        yield from self.rows.split(_WHOLE_TILES * self._tile_size()[0])

    def _tile_size(self) -> tuple[int, int]:
        budget = _TILE_BYTES if self.rows.device.type == "cpu" else _DEVICE_TILE_BYTES
        most_rows = max(1, budget // (self.n_positions * self.dtype.itemsize))
        return max(1, most_rows // self.n_units), min(self.n_units, most_rows)


def _checked_axis(activations: Tensor, unit_axis: int | None) -> int:
    rank = activations.ndim
    if rank < 2:
        raise ShapeError(
            f"activations are (n, units, ...), got {tuple(activations.shape)}; reshape them"
        )
    given = usual_unit_axis(rank) if unit_axis is None else unit_axis
    axis = given + rank if given < 0 else given
    if not 1 <= axis < rank:
        raise ShapeError(
            f"no unit axis {given} in activations of {tuple(activations.shape)}; it is 1 to"
            f" {rank - 1}, or counted from the end"
        )
    return axis


def _checked_samples(samples: Sequence[int] | NDArray[Any], n: int) -> NDArray[np.int64]:
    given = np.asarray(samples)
    if given.shape != (n,):
        raise ShapeError(f"{n} samples need as many indices, got {given.shape}")
    if n and given.dtype.kind not in "iu":
        raise ParameterError(f"samples are whole numbers, got {given.dtype}")
    indices = given.astype(np.int64)
    if n and (indices.min() < 0 or len(np.unique(indices)) < n):
        raise ParameterError(f"sample indices are distinct and count from 0, got {samples}")
    return indices
