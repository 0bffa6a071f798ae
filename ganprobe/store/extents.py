"""Where a dataset's values and records are in the file."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ganprobe.store.layout import Tiling
from ganprobe.store.records import N_PLACES, n_words

__all__ = ["Extent"]


@dataclass(frozen=True)
class Extent:
    """Where a dataset's values and checksums are in the file.

    Args:
        values: the offset of its first block; None where chunks are compressed.
        index: the address of the index of compressed chunks, or None.
        records: the offset of the first block's records.
    """

    tiling: Tiling
    dtype: torch.dtype
    values: int | None
    index: int | None
    records: int

    def block_offset(self, block: int) -> int:
        """Where a block's values begin."""
        assert self.values is not None
        return self.values + block * self.tiling.block_bytes

    @property
    def record_words(self) -> int:
        """How many numbers of 64 bits make a record."""
        return n_words(self.tiling.n_columns, is_compressed=self.index is not None)

    def record_offset(self, block: int, place: int = 0) -> int:
        """Where a block's record is."""
        return self.records + 8 * self.record_words * (N_PLACES * block + place)

    @property
    def end(self) -> int:
        """Behind the last byte that is known to be in the file."""
        records = self.record_offset(self.tiling.n_blocks)
        return (
            records
            if self.values is None
            else max(records, self.block_offset(self.tiling.n_blocks))
        )
