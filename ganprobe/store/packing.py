"""Batches put into the order that they have in the file, in memory that is used again.

Copying them gives the values memory of their own, so that no later forward can write into them.
From a GPU the copy runs beside the work there, into page-locked memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import StoreError
from ganprobe.store.layout import Tiling
from ganprobe.transfer import OnItsWay, host_memory, start_copy

__all__ = ["Rows", "overflowed"]


class Rows:
    """Some rows of one dataset on the host, cut into blocks and chunks.

    Args:
        capacity: how many blocks there is room for.
        like: a tensor of the kind that will come, whose device decides which memory is taken.
    """

    def __init__(
        self, what: str, tiling: Tiling, dtype: torch.dtype, capacity: int, like: Tensor
    ) -> None:
        self.what, self._tiling = what, tiling
        shape = (capacity, *tiling.grid[1:], *tiling.chunk)
        self._memory = host_memory(shape, dtype, like).zero_()  # what pads a chunk stays zero
        self._by_row = _by_row(self._memory, tiling)
        self._arriving: list[OnItsWay] = []
        self._overflows: list[OnItsWay] = []
        self.start = self.end = 0

    def begin(self, row: int) -> None:
        """Forget what is here; the next row that comes is `row`."""
        self.start = self.end = row
        self._arriving, self._overflows = [], []

    @property
    def n_blocks(self) -> int:
        """How many blocks the rows touch."""
        first = self.start // self._tiling.n_rows
        return -(-self.end // self._tiling.n_rows) - first

    @property
    def n_bytes(self) -> int:
        """Bytes of the rows."""
        row = self._memory.nbytes // (len(self._memory) * self._tiling.n_rows)
        return (self.end - self.start) * row

    def has_room(self, n: int) -> bool:
        """Whether `n` rows more fit."""
        first = self.start // self._tiling.n_rows
        return self.end + n <= (first + len(self._memory)) * self._tiling.n_rows

    def put(self, values: Tensor) -> None:
        """Begin to copy the next rows, (n, ...)."""
        values = values.detach().resolve_conj().resolve_neg()
        if values.dtype != self._memory.dtype:
            self._overflows.append(start_copy(overflowed(values, self._memory.dtype)))
        values = _padded(values, self._tiling)
        n_rows = self._tiling.n_rows
        row = self.end - self.start // n_rows * n_rows
        done = 0
        while done < len(values):
            block, inside = divmod(row + done, n_rows)
            whole = 0 if inside else (len(values) - done) // n_rows
            if whole:
                part = values[done : done + whole * n_rows].unflatten(0, (whole, n_rows))
                self._copy(part, self._by_row[block : block + whole])
                done += whole * n_rows
            else:
                n = min(n_rows - inside, len(values) - done)
                self._copy(values[done : done + n], self._by_row[block, inside : inside + n])
                done += n
        self.end += len(values)

    def _copy(self, values: Tensor, target: Tensor) -> None:
        cut = values.reshape(target.shape)  # splits axes, so that it is a view
        self._arriving.append(start_copy(cut, target))

    def arrived(self) -> NDArray[np.uint8]:
        """All blocks, (blocks, columns, rows, bytes), once the values are there.

        Raises:
            StoreError: a finite value became infinite in the dtype of the file.
        """
        for copy in self._arriving:
            copy.wait()
        if any(bool(overflow.wait()) for overflow in self._overflows):
            dtype = str(self._memory.dtype).removeprefix("torch.")
            raise StoreError(
                f"{self.what} has values beyond the range of {dtype} in rows {self.start} to"
                f" {self.end - 1}; record with another --dtype"
            )
        memory = self._memory.view(torch.uint8).numpy()
        return memory.reshape(len(memory), self._tiling.n_columns, self._tiling.n_rows, -1)

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """(position here, number in the dataset, rows of it that are filled at the end)."""
        n_rows = self._tiling.n_rows
        first = self.start // n_rows
        for position in range(self.n_blocks):
            block = first + position
            yield position, block, min(n_rows, self.end - block * n_rows)


def overflowed(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Whether a finite value is infinite in `dtype`: a boolean tensor of no axes, on the device."""
    if not (values.is_floating_point() and dtype.is_floating_point):
        return torch.zeros((), dtype=torch.bool)
    if torch.finfo(dtype).max >= torch.finfo(values.dtype).max:
        return torch.zeros((), dtype=torch.bool)
    if not values.is_cuda:
        low, high = values.aminmax()
        limit = torch.finfo(dtype).max
        if -limit <= float(low) and float(high) <= limit:
            return torch.zeros((), dtype=torch.bool)
    return (values.isfinite() & values.to(dtype).isinf()).any()


def _by_row(memory: Tensor, tiling: Tiling) -> Tensor:
    """Blocks (n, grid[1:]..., chunk...) seen as (n, rows, columns, part, columns, part, ...)."""
    n_others = len(tiling.chunk) - 1
    grid, parts = range(1, 1 + n_others), range(2 + n_others, 2 + 2 * n_others)
    pairs = [axis for pair in zip(grid, parts, strict=True) for axis in pair]
    return memory.permute(0, 1 + n_others, *pairs)


def _padded(values: Tensor, tiling: Tiling) -> Tensor:
    """The values with zeros behind each axis whose chunks reach over its end."""
    axes = zip(tiling.grid[1:], tiling.chunk[1:], values.shape[1:], strict=True)
    missing = [count * part - size for count, part, size in axes]
    if not any(missing):
        return values
    return torch.nn.functional.pad(values, [n for size in reversed(missing) for n in (0, size)])
