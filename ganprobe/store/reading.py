"""Blocks on their way out of the file: only the chunks that are needed, each one checked.

HDF5 has no part in it: a chunk is one read at a known place, so that several threads read at
once, a reader sees at once what a writer commits, and nothing waits for HDF5's global lock.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ganprobe.errors import StoreError
from ganprobe.store.chunk_index import UNDEFINED, read_entries, read_index
from ganprobe.store.compression import Codec, codec
from ganprobe.store.disk import DiskFile
from ganprobe.store.extents import Extent
from ganprobe.store.records import N_PLACES, Record, digest_of_rows, latest

__all__ = [
    "BlockReader",
    "CompressedReader",
    "DamageError",
    "Part",
    "StoredChunks",
    "block_reader",
    "committed_chunks",
    "read_chunks",
]

_TRIES = 20  # a reader beside a writer may come between a block and its record


def block_reader(
    file: DiskFile, name: str, extent: Extent, compression: str, *, verify: bool = True
) -> BlockReader:
    """The reader that fits a dataset."""
    if extent.index is None:
        return BlockReader(file, name, extent, verify=verify)
    return CompressedReader(file, name, extent, codec(compression), verify=verify)


class DamageError(StoreError):
    """Some rows of a dataset are not what was written."""

    def __init__(self, rows: range, message: str) -> None:
        self.rows = rows
        super().__init__(message)


@dataclass(frozen=True)
class Part:
    """Which chunks of each block are needed: their numbers along each axis but the first."""

    chosen: tuple[Sequence[int], ...]
    grid: tuple[int, ...]

    @classmethod
    def whole(cls, extent: Extent) -> Part:
        """All of them."""
        grid = extent.tiling.grid[1:]
        return cls(tuple(range(n) for n in grid), grid)

    def n_bytes(self, extent: Extent) -> int:
        """Bytes of them, in one block, before compression."""
        return len(self.columns) * extent.tiling.chunk_bytes

    @cached_property
    def columns(self) -> list[int]:
        """Their numbers within the block."""
        strides = [math.prod(self.grid[axis + 1 :]) for axis in range(len(self.grid))]
        return [
            sum(number * stride for number, stride in zip(place, strides, strict=True))
            for place in product(*self.chosen)
        ]

    @cached_property
    def runs(self) -> list[tuple[int, int, int]]:
        """(position among the chosen, first column, how many) of those that lie together."""
        found: list[tuple[int, int, int]] = []
        for position, column in enumerate(self.columns):
            if found and column == found[-1][1] + found[-1][2]:
                start, first, n = found[-1]
                found[-1] = (start, first, n + 1)
            else:
                found.append((position, column, 1))
        return found


class BlockReader:
    """Reads blocks of one dataset.

    Args:
        name: by which the user knows the dataset.
        verify: compare each chunk with its digest.
    """

    def __init__(self, file: DiskFile, name: str, extent: Extent, *, verify: bool = True) -> None:
        self._file, self._name, self._verify = file, name, verify
        self.extent = extent
        self._of_thread = threading.local()

    def read(
        self,
        block: int,
        n_rows: int,
        part: Part | None = None,
        places: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.uint8]:
        """Chunks of a block, (columns, rows, bytes of one row); rows from `n_rows` on are open.

        They are in memory that the next call in this thread uses again.

        Args:
            part: the chunks that are needed; None: all.
            places: of the block's record, if they were read before (`places`).

        Raises:
            DamageError: one is not what was written, or fewer than `n_rows` were.
        """
        part = part or Part.whole(self.extent)
        tiling = self.extent.tiling
        chunks = self._memory(len(part.columns))
        for attempt in range(_TRIES):
            generation, record = self._latest(block, places)
            places = None
            wrong = self._read_checked(block, part, chunks, record, n_rows)
            if not wrong:
                return chunks
            if attempt and generation == self.generation(block):
                break  # nobody is writing
        first = block * tiling.n_rows
        rows = range(first, first + n_rows)
        raise DamageError(
            rows,
            f"{self._file.path} is damaged: {self._name}, rows {rows.start} to {rows.stop - 1},"
            f" {wrong}; see what is whole with ganprobe check, and record again what is not",
        )

    @cached_property
    def _row_bytes(self) -> int:
        tiling = self.extent.tiling
        return math.prod(tiling.chunk[1:]) * tiling.itemsize

    def generation(self, block: int) -> int:
        """Of a block's latest record; 0: there is none."""
        return self._latest(block)[0]

    def record(self, block: int) -> Record:
        """What is known of a block.

        Raises:
            StoreError: its records are damaged.
        """
        record = self._latest(block)[1]
        if record is None:
            raise StoreError(f"{self._file.path} is damaged: {self._name} has no record {block}")
        return record

    def places(self, first: int, n: int = 1) -> NDArray[np.uint64]:
        """The records of some blocks as they are in the file, (n, places, words)."""
        words = self.extent.record_words
        stored = self._file.read(self.extent.record_offset(first), 8 * words * N_PLACES * n)
        return np.frombuffer(stored, np.uint64).reshape(n, N_PLACES, words)

    def _memory(self, n_columns: int) -> NDArray[np.uint8]:
        """Memory of this thread for so many chunks: touching fresh pages costs too much."""
        held: NDArray[np.uint8] | None = getattr(self._of_thread, "chunks", None)
        if held is None or len(held) < n_columns:
            shape = (n_columns, self.extent.tiling.n_rows, self._row_bytes)
            held = self._of_thread.chunks = np.empty(shape, np.uint8)
        return held[:n_columns]

    def _latest(
        self, block: int, places: NDArray[np.uint64] | None = None
    ) -> tuple[int, Record | None]:
        found = latest(self.places(block)[0] if places is None else places)
        if found is None:
            return 0, None
        return found[0], Record.read(found[1], self.extent.tiling.n_columns)

    def _read_checked(
        self,
        block: int,
        part: Part,
        chunks: NDArray[np.uint8],
        record: Record | None,
        n_rows: int,
    ) -> str:
        """Read chunks; what is wrong with them, or ""."""
        if record is None:
            return "whose checksums are damaged"
        if record.n_rows < n_rows:
            return f"only {record.n_rows} of {n_rows} of which were written"
        try:
            self._read_chunks(block, part, chunks, record)
        except StoreError as error:
            return f"which cannot be read: {error}"
        if self._verify:
            for chunk, column in zip(chunks, part.columns, strict=True):
                if digest_of_rows(chunk, record.n_rows) != record.digests[column]:
                    return "whose checksum does not fit"
        return ""

    def _read_chunks(
        self, block: int, part: Part, chunks: NDArray[np.uint8], record: Record
    ) -> None:
        offset, size = self.extent.block_offset(block), self.extent.tiling.chunk_bytes
        for position, first, n in part.runs:
            self._file.read_into(offset + first * size, chunks[position : position + n])


class CompressedReader(BlockReader):
    """Reads blocks of a dataset whose chunks are compressed, where its records say they are."""

    def __init__(
        self, file: DiskFile, name: str, extent: Extent, pack: Codec, *, verify: bool = True
    ) -> None:
        super().__init__(file, name, extent, verify=verify)
        self._pack = pack

    def is_chunk(self, number: int, entry: np.void) -> bool:
        """Whether an entry of the index leads to a chunk as its record wants it."""
        block, column = divmod(number, self.extent.tiling.n_columns)
        if entry["address"] == UNDEFINED or entry["mask"]:
            return False
        record = self.record(block)
        try:
            stored = self._file.read(int(entry["address"]), int(entry["size"]))
            unpacked = self._pack.decompress(stored, self.extent.tiling.chunk_bytes)
        except StoreError:
            return False
        rows = np.frombuffer(unpacked, np.uint8).reshape(self.extent.tiling.n_rows, -1)
        return digest_of_rows(rows, record.n_rows) == int(record.digests[column])

    def _read_chunks(
        self, block: int, part: Part, chunks: NDArray[np.uint8], record: Record
    ) -> None:
        n_bytes = self.extent.tiling.chunk_bytes
        for chunk, column in zip(chunks, part.columns, strict=True):
            address, size = int(record.addresses[column]), int(record.sizes[column])
            unpacked = self._pack.decompress(self._file.read(address, size), n_bytes)
            chunk.reshape(-1)[:] = np.frombuffer(unpacked, np.uint8)


@dataclass(frozen=True, eq=False)
class StoredChunks:
    """Where the compressed chunks of committed samples are, in order."""

    addresses: NDArray[np.uint64]
    sizes: NDArray[np.uint64]

    @property
    def end(self) -> int:
        """Behind the last byte of them."""
        return int((self.addresses + self.sizes).max(initial=0))


def committed_chunks(reader: BlockReader, n_committed: int) -> StoredChunks:
    """Where records say that the chunks of the first samples are.

    Raises:
        StoreError: records are damaged.
    """
    blocks = range(-(-n_committed // reader.extent.tiling.n_rows))
    records = [reader.record(block) for block in blocks]
    none = np.zeros(0, np.uint64)
    return StoredChunks(
        np.concatenate([none, *(record.addresses for record in records)]),
        np.concatenate([none, *(record.sizes for record in records)]),
    )


def read_chunks(file: DiskFile, extent: Extent) -> NDArray[np.void]:
    """What the index of a dataset tells other programs: an `ENTRY` for each chunk.

    Raises:
        StoreError: the index is damaged.
    """
    assert extent.index is not None
    end, n_chunks = file.size, extent.tiling.n_chunks
    index = read_index(file.read_at, extent.index, n_chunks=n_chunks, end=end)
    return read_entries(file.read_at, index, end=end)
