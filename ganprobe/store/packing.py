"""A batch cut into whole chunks, so that writing them is nothing but a copy to the file.

Cutting is one copy on the producer's side, which also gives the values memory of their own, so
that no later forward can write into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganprobe.transfer import OnItsWay, host_memory, start_copy

__all__ = ["Packed", "pack"]


@dataclass(frozen=True, eq=False)
class Packed:
    """Values on the host, and where they go.

    Args:
        arriving: (grid..., chunk...) where they are cut into whole chunks, else (n, ...).
        start: the first sample's row.
        chunk: the chunk's shape, or None where the values are not cut.
    """

    arriving: OnItsWay
    start: int
    chunk: tuple[int, ...] | None

    @property
    def memory(self) -> Tensor:
        """The memory on the host, whose values may still be arriving."""
        return self.arriving.target

    @property
    def values(self) -> np.ndarray[Any, Any]:
        """The values as numpy sees them; waits until they have arrived."""
        values: np.ndarray[Any, Any] = self.arriving.wait().numpy()
        return values

    def chunks(self) -> Iterator[tuple[tuple[int, ...], np.ndarray[Any, Any]]]:
        """The offset of each whole chunk in the dataset, and its contiguous values."""
        assert self.chunk is not None
        values = self.values
        for index in np.ndindex(*values.shape[: len(self.chunk)]):
            offset = [place * size for place, size in zip(index, self.chunk, strict=True)]
            yield (self.start + offset[0], *offset[1:]), values[index]


def pack(
    tensor: Tensor, start: int, chunk: tuple[int, ...], *, memory: Tensor | None = None
) -> Packed:
    """Cut rows start, start + 1, ... into chunks where they fill them, else leave them whole.

    Args:
        memory: a batch packed earlier and no longer needed, whose memory is used again where it
            has the right size: touching fresh pages costs more than the copy itself.
    """
    tensor = tensor.detach().resolve_conj()
    dtype = torch.float32 if tensor.dtype == torch.bfloat16 else tensor.dtype
    fills = start % chunk[0] == 0 and all(
        size % part == 0 for size, part in zip(tensor.shape, chunk, strict=True)
    )
    if not fills:
        target = host_memory(tuple(tensor.shape), dtype, tensor)
        return Packed(start_copy(tensor, target), start, None)
    split = [
        part for size, own in zip(tensor.shape, chunk, strict=True) for part in (size // own, own)
    ]
    blocks = tensor.reshape(split).permute(*range(0, len(split), 2), *range(1, len(split), 2))
    if memory is None or memory.shape != blocks.shape or memory.dtype != dtype:
        memory = host_memory(tuple(blocks.shape), dtype, tensor)
    return Packed(start_copy(blocks, memory), start, chunk)
