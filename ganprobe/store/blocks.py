"""Blocks on their way into the file: values, then their records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Executor
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ganprobe.store.appending import Appender
from ganprobe.store.chunk_index import IndexPages, read_index
from ganprobe.store.compression import Codec, codec
from ganprobe.store.disk import DiskFile
from ganprobe.store.header import Extent
from ganprobe.store.layout import Compression, Key
from ganprobe.store.packing import Rows
from ganprobe.store.reading import BlockReader, block_reader, committed_chunks
from ganprobe.store.records import N_PLACES, Record, digest, sealed
from ganprobe.store.target import Target

__all__ = ["BlockWriter", "CompressedBlocks", "PlainBlocks", "block_writers"]


class BlockWriter(ABC):
    """Writes the blocks of one dataset, in order; the last may still be filled up later.

    Args:
        first: the row at which writing begins; what is there of its block is read.
    """

    def __init__(self, file: DiskFile, extent: Extent, reader: BlockReader, first: int) -> None:
        self._file, self._extent = file, extent
        self._begun: NDArray[np.uint8] | None = None
        self._records: dict[int, Record] = {}
        self._generations = _Generations(reader)
        block, begun = divmod(first, extent.tiling.n_rows)
        if begun:
            self._begun = reader.read(block, begun)

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
            self._records[number] = self._write_block(number, chunks, range(first, n_rows))

    def write_records(self) -> None:
        """Write the records of the blocks that were written since the last time."""
        for number, record in self._records.items():
            generation = self._generations.next(number)
            offset = self._extent.record_offset(number, generation % N_PLACES)
            self._file.write(offset, sealed(generation, record.words))
        self._records = {}

    @property
    @abstractmethod
    def _takes_any_rows(self) -> bool:
        """Whether a block may be written in part at little cost."""

    @abstractmethod
    def _write_block(self, number: int, chunks: NDArray[np.uint8], new: range) -> Record:
        """Write the chunks (columns, rows, bytes) of a block.

        Args:
            new: the rows that were not written before.
        """


class PlainBlocks(BlockWriter):
    """Blocks as they are, each at its place."""

    @property
    def _takes_any_rows(self) -> bool:
        return self._extent.tiling.n_columns == 1

    def _write_block(self, number: int, chunks: NDArray[np.uint8], new: range) -> Record:
        offset = self._extent.block_offset(number)
        if len(chunks) == 1:  # its rows lie one after the other
            (rows,) = chunks
            self._file.write(offset + new.start * rows.shape[1], rows[new.start : new.stop])
            return Record.of(new.stop, [digest(rows)])
        digests = []
        for chunk in chunks:
            digests.append(digest(chunk))
            self._file.write(offset, chunk)
            offset += chunk.nbytes
        return Record.of(new.stop, digests)


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
        super().__init__(file, extent, reader, first)
        assert extent.index is not None
        self._pack, self._appender, self._pool = pack, appender, pool
        self._pages = _index_of_committed(file, extent, reader, n_committed)

    @property
    def _takes_any_rows(self) -> bool:
        return False

    def _write_block(self, number: int, chunks: NDArray[np.uint8], new: range) -> Record:
        digests = self._pool.map(digest, chunks)
        packed = list(self._pool.map(self._pack.compress, chunks))
        sizes = [len(chunk) for chunk in packed]
        offset = self._appender.reserve(sum(sizes))
        addresses = [offset, *(offset + end for end in accumulate(sizes[:-1]))]
        for address, chunk in zip(addresses, packed, strict=True):
            self._file.write(address, chunk)
        return Record.of(new.stop, list(digests), addresses, sizes)

    def write_records(self) -> None:
        """Put what was stored into the index, then write the records."""
        if self._records:
            first = min(self._records) * self._extent.tiling.n_columns
            records = [self._records[number] for number in sorted(self._records)]
            addresses = np.concatenate([record.addresses for record in records])
            sizes = np.concatenate([record.sizes for record in records])
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
        pool: compresses.
    """

    def writer(key: Key, extent: Extent) -> BlockWriter:
        reader = block_reader(target.file, str(key), extent, compression)
        if extent.index is None:
            return PlainBlocks(target.file, extent, reader, first)
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
