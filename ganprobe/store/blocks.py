"""Blocks on their way into the file: values, then their records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ganprobe.store.appending import Appender
from ganprobe.store.chunk_index import IndexPages, read_index
from ganprobe.store.compression import Codec, codec
from ganprobe.store.disk import DiskFile
from ganprobe.store.extents import Extent
from ganprobe.store.layout import Compression, Key
from ganprobe.store.packing import Rows
from ganprobe.store.reading import BlockReader, block_reader, committed_chunks
from ganprobe.store.records import N_PLACES, Record, digest, sealed
from ganprobe.store.target import Target

__all__ = ["BlockWriter", "CompressedBlocks", "PlainBlocks", "block_writers"]

_Places = tuple[list[int], list[int]]
_SMALL = 256 * 1024  # bytes whose digest is not worth another thread


@dataclass(frozen=True)
class _Written:
    """A block that is in the file, and what its record will say."""

    number: int
    n_rows: int
    digests: Callable[[], list[int]]
    addresses: list[int]
    sizes: list[int]

    def record(self) -> Record:
        """Its record, once the digests are computed."""
        return Record.of(self.n_rows, self.digests(), self.addresses, self.sizes)


def _digests_of(chunks: NDArray[np.uint8]) -> list[int]:
    return [digest(chunk) for chunk in chunks]


class BlockWriter(ABC):
    """Writes the blocks of one dataset, in order; the last may still be filled up later.

    Args:
        first: the row at which writing begins; what is there of its block is read.
        pool: computes digests while blocks are written.
    """

    def __init__(
        self, file: DiskFile, extent: Extent, reader: BlockReader, first: int, pool: Executor
    ) -> None:
        self._file, self._extent, self._pool = file, extent, pool
        self._begun: NDArray[np.uint8] | None = None
        self._written: list[_Written] = []
        self._generations = _Generations(reader)
        block, begun = divmod(first, extent.tiling.n_rows)
        if begun:
            self._begun = reader.read(block, begun).copy()

    def write(self, rows: Rows, *, takes_part: bool) -> None:
        """Write all blocks that rows fill; also one that they fill in part, if asked to."""
        tiling = self._extent.tiling
        blocks = rows.arrived()
        begun = rows.start % tiling.n_rows
        if begun and self._begun is not None:
            blocks[0, :, :begun] = self._begun[:, :begun]
        self._begun = None
        for position, number, n_rows in rows.blocks():
            chunks = blocks[position]
            first = begun if position == 0 else 0
            if n_rows < tiling.n_rows:
                chunks[:, n_rows:] = 0
                self._begun = chunks.copy()
                if not (takes_part or self._takes_any_rows):
                    continue
            digests = self._digests(chunks)
            places = self._write_block(number, chunks, range(first, n_rows))
            self._written.append(_Written(number, n_rows, digests, *places))

    def write_records(self) -> None:
        """Write the records of the blocks that were written since the last time."""
        for block in self._written:
            generation = self._generations.next(block.number)
            offset = self._extent.record_offset(block.number, generation % N_PLACES)
            self._file.write(offset, sealed(generation, block.record().words))
        self._written = []

    def _digests(self, chunks: NDArray[np.uint8]) -> Callable[[], list[int]]:
        """Gives the digests of the chunks, once they are computed."""
        if chunks.nbytes <= _SMALL:
            return partial(_digests_of, chunks)
        return self._pool.submit(_digests_of, chunks).result

    @property
    @abstractmethod
    def _takes_any_rows(self) -> bool:
        """Whether a block may be written in part at little cost."""

    @abstractmethod
    def _write_block(self, number: int, chunks: NDArray[np.uint8], new: range) -> _Places:
        """Write the chunks (columns, rows, bytes) of a block.

        Args:
            new: the rows that were not written before.

        Returns:
            The address and the size of each chunk, if they are compressed; else nothing.
        """


class PlainBlocks(BlockWriter):
    """Blocks as they are, each at its place."""

    @property
    def _takes_any_rows(self) -> bool:
        return self._extent.tiling.n_columns == 1

    def _write_block(self, number: int, chunks: NDArray[np.uint8], new: range) -> _Places:
        offset = self._extent.block_offset(number)
        if len(chunks) == 1:  # its rows lie one after the other
            (rows,) = chunks
            self._file.write(offset + new.start * rows.shape[1], rows[new.start : new.stop])
        else:
            self._file.write(offset, chunks)
        return [], []


class CompressedBlocks(BlockWriter):
    """Blocks whose chunks are compressed and appended; their index follows, then their records."""

    def __init__(
        self,
        file: DiskFile,
        extent: Extent,
        reader: BlockReader,
        first: int,
        *,
        n_committed: int,
        pack: Codec,
        appender: Appender,
        pool: Executor,
    ) -> None:
        super().__init__(file, extent, reader, first, pool)
        assert extent.index is not None
        self._pack, self._appender = pack, appender
        self._pages = _index_of_committed(file, extent, reader, n_committed)

    @property
    def _takes_any_rows(self) -> bool:
        return False

    def _write_block(self, number: int, chunks: NDArray[np.uint8], new: range) -> _Places:
        packed = list(self._pool.map(self._pack.compress, chunks))
        sizes = [len(chunk) for chunk in packed]
        offset = self._appender.reserve(sum(sizes))
        addresses = [offset, *(offset + end for end in accumulate(sizes[:-1]))]
        for address, chunk in zip(addresses, packed, strict=True):
            self._file.write(address, chunk)
        return addresses, sizes

    def write_records(self) -> None:
        """Put what was stored into the index, then write the records."""
        if self._written:
            first = self._written[0].number * self._extent.tiling.n_columns
            addresses = [address for block in self._written for address in block.addresses]
            sizes = [size for block in self._written for size in block.sizes]
            for offset, page in self._pages.update(first, addresses, sizes):
                self._file.write(offset, page)
        super().write_records()


class _Generations:
    """The generation of each block's next record; blocks come in order."""

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self._last: tuple[int, int] = (-1, 0)

    def next(self, block: int) -> int:
        """One more than the last; the file is asked once for each block."""
        last_block, generation = self._last
        if last_block != block:
            generation = self._reader.generation(block)
        self._last = (block, generation + 1)
        return generation + 1


def _index_of_committed(
    file: DiskFile, extent: Extent, reader: BlockReader, n_committed: int
) -> IndexPages:
    """The index with the chunks that count, and in the file no others: a kill may have torn it."""
    assert extent.index is not None
    n_chunks, end = extent.tiling.n_chunks, file.size
    index = read_index(file.read_at, extent.index, n_chunks=n_chunks, end=end)
    pages = IndexPages(file.read_at, index, end=end, is_blank=True)
    if n_committed:
        chunks = committed_chunks(reader, n_committed)
        pages.update(0, chunks.addresses, chunks.sizes)
        for offset, page in pages.all():
            file.write(offset, page)
    return pages


def block_writers(
    target: Target, compression: Compression, first: int, pool: Executor
) -> dict[Key, BlockWriter]:
    """One writer for each dataset.

    Args:
        first: the row at which writing begins.
        pool: computes digests, and compresses.
    """

    def writer(key: Key, extent: Extent) -> BlockWriter:
        reader = block_reader(target.file, str(key), extent, compression)
        if extent.index is None:
            return PlainBlocks(target.file, extent, reader, first, pool)
        pack, appender = codec(compression), target.appender
        return CompressedBlocks(
            target.file,
            extent,
            reader,
            first,
            n_committed=target.n_committed,
            pack=pack,
            appender=appender,
            pool=pool,
        )

    return {key: writer(key, extent) for key, extent in target.extents.items()}
