"""One file of a store, open for reading: a whole store, or one of the shards that make it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.errors import StoreError
from ganprobe.progress import Progress, silent
from ganprobe.store.checking import Damage, find_damage, find_torn_index, find_unreadable
from ganprobe.store.contents import read_contents
from ganprobe.store.counting import read_count
from ganprobe.store.disk import DiskFile
from ganprobe.store.layout import Key
from ganprobe.store.reading import BlockReader, block_reader
from ganprobe.store.selection import Rows, Selection

__all__ = ["Piece", "Task", "groups"]

Task = Callable[[], None]
_TASKS = 2
_WORTH_A_TASK = 4 * 1024 * 1024  # bytes


class Piece:
    """One file.

    Args:
        first: its first row, counted over the whole store.

    Raises:
        StoreError: there is no such file, or it is no activation store of a known version, or it
            is damaged.
    """

    def __init__(self, path: Path, *, first: int = 0, verify: bool = True) -> None:
        self.path, self.first, self._verify = path, first, verify
        self.contents = read_contents(path)
        self._file = DiskFile.open(path, writing=False)
        if self._file.size < self.contents.n_bytes:
            self.close()
            raise StoreError(f"{path} is cut off: it should be {self.contents.n_bytes:,} bytes")

    @property
    def n_samples(self) -> int:
        """How many samples are committed; more each time while it is being written.

        Raises:
            StoreError: the count is damaged, or the file was closed.
        """
        if self._file.descriptor < 0:
            raise StoreError(f"{self.path} was closed; open it again")
        try:
            n = read_count(self._file, self.contents.counter)
        except StoreError as error:
            raise StoreError(f"{self.path} is damaged: {error}") from error
        if n > self.contents.n_planned:
            raise StoreError(f"{self.path} is damaged: {n} samples of {self.contents.n_planned}")
        return n

    @property
    def is_complete(self) -> bool:
        """Whether all its samples are there."""
        return self.n_samples == self.contents.n_planned

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check(self, progress: Progress = silent) -> list[Damage]:
        """Every block with committed rows whose checksums do not fit."""
        n = self.n_samples
        damage = find_damage(self._file, self.contents, n, progress)
        return [
            *damage,
            *find_torn_index(self._file, self.contents, n),
            *find_unreadable(self.path, self.contents),
        ]

    def tasks(
        self, key: Key, chosen: Selection, rows: Rows, out: NDArray[Any], places: Any
    ) -> Iterator[Task]:
        """What reads some rows, in a few tasks; they may be done at once, in any order.

        Args:
            rows: counted in this file.
            out: the outcome, (n, *shape of the selection).
            places: the row of the outcome for each of `rows`: a slice, or numbers.
        """
        reader = self._reader(key)
        chosen = replace(chosen, extent=reader.extent)  # each file has chunks of its own
        wanted = list(_by_block(rows, chosen.extent.tiling.n_rows))
        records = _records(reader, [block for block, *_ in wanted])

        def read(number: int) -> None:
            block, inside, which, n_needed = wanted[number]
            chunks = reader.read(block, n_needed, chosen.part, records[number])
            at = _places(places, which)
            chosen.place(out, at, chosen.take(chunks, out.dtype, inside))

        n_bytes = len(wanted) * chosen.part.n_bytes(reader.extent)
        n_tasks = min(_TASKS, -(-n_bytes // _WORTH_A_TASK))
        for first in range(n_tasks):
            yield partial(_each, read, range(first, len(wanted), n_tasks))

    def _reader(self, key: Key) -> BlockReader:
        if key not in self._readers:
            extent = self.contents.datasets[key].extent
            self._readers[key] = block_reader(
                self._file, str(key), extent, self.contents.compression, verify=self._verify
            )
        return self._readers[key]

    @cached_property
    def _readers(self) -> dict[Key, BlockReader]:
        return {}


def _each(do: Callable[[int], None], numbers: Iterable[int]) -> None:
    for number in numbers:
        do(number)


def _records(reader: BlockReader, blocks: Sequence[int]) -> Sequence[NDArray[np.uint64] | None]:
    """The records of these blocks, read at once where they lie together; else they are not."""
    is_run = len(blocks) > 1 and blocks[-1] - blocks[0] == len(blocks) - 1
    return list(reader.places(blocks[0], len(blocks))) if is_run else [None] * len(blocks)


def _places(places: Any, which: Any) -> Any:
    if isinstance(places, slice) and isinstance(which, slice):
        return slice(places.start + which.start, places.start + which.stop)
    return places.start + which if isinstance(places, slice) else places[which]


def _by_block(rows: Rows, n_rows: int) -> Iterator[tuple[int, Any, Any, int]]:
    """(block, rows in it, positions among the rows, how many rows of the block are needed)."""
    if isinstance(rows, range) and rows.step == 1:
        start = rows.start
        while start < rows.stop:
            block = start // n_rows
            end = min(rows.stop, (block + 1) * n_rows)
            inside = slice(start - block * n_rows, end - block * n_rows)
            yield block, inside, slice(start - rows.start, end - rows.start), inside.stop
            start = end
        return
    numbers = np.asarray(rows, np.int64)
    for group in groups(numbers // n_rows):
        within = numbers[group] % n_rows
        yield int(numbers[group[0]]) // n_rows, within, group, int(within.max()) + 1


def groups(labels: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    """The positions of each label, label by label."""
    if not len(labels):
        return []
    order = np.argsort(labels, kind="stable")
    edges = np.flatnonzero(np.diff(labels[order]))
    return np.split(order, edges + 1)
