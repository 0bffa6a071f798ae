"""The file that is written: how it comes under its name, and what of it counts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from glob import escape
from pathlib import Path
from secrets import token_hex

from ganprobe.errors import OutputExistsError, StoreError
from ganprobe.progress import Progress
from ganprobe.store.appending import Appender
from ganprobe.store.checking import find_damage, find_torn_index
from ganprobe.store.contents import Contents, read_contents
from ganprobe.store.counting import Counter, read_count
from ganprobe.store.disk import DiskFile, check_space, named_errors
from ganprobe.store.extents import Extent
from ganprobe.store.header import make_header
from ganprobe.store.identity import differences
from ganprobe.store.layout import Dataset, Key, RecordingSpec, datasets
from ganprobe.store.reading import block_reader, committed_chunks

__all__ = ["Target", "open_target"]


class Target:
    """An open store that is being written.

    Args:
        partial: the name that it has until it is under its own; None: it is there.
        tail: behind the last byte that counts, where compressed chunks are appended.
        is_readable_by_others: the index of compressed chunks is as it should be.
    """

    def __init__(
        self,
        file: DiskFile,
        extents: Mapping[Key, Extent],
        counter: Counter,
        *,
        n_committed: int = 0,
        partial: Path | None = None,
        tail: int = 0,
        is_readable_by_others: bool = True,
    ) -> None:
        self.file, self.extents, self.n_committed = file, extents, n_committed
        self._counter, self._partial = counter, partial
        self._tail = tail
        self.is_readable_by_others = is_readable_by_others
        self._whole = file.path.resolve()

    @property
    def is_there(self) -> bool:
        """Whether it still is what lies under its name."""
        return self._partial is None and self.file.is_at(self._whole)

    def commit(self, n: int) -> None:
        """From now on the first `n` samples count.

        Raises:
            StoreError: the file has vanished, or cannot be written.
        """
        if self._partial is None and not self.is_there:
            raise StoreError(
                f"{self.file.path} has vanished while it was written: it was moved, deleted or"
                " replaced, or its disk is gone; record it again"
            )
        self._counter.write(n)
        self.n_committed = n
        if self._partial is not None:
            self.publish(replace=True)

    @property
    def rows_at_once(self) -> int:
        """How many rows all datasets take at once: a whole block of each.

        Those whose blocks are one chunk wide, not compressed, are left out: they take any number.
        """
        found = [
            extent.tiling.n_rows
            for extent in self.extents.values()
            if extent.tiling.n_columns > 1 or extent.index is not None
        ]
        return max(found, default=1)

    @cached_property
    def appender(self) -> Appender:
        """Gives places to compressed chunks."""
        return Appender(self.file, self._tail)

    def trim(self) -> None:
        """Give back the space that was claimed for compressed chunks and is not needed."""
        if "appender" in self.__dict__:
            self.appender.finish()

    @property
    def takes_part_blocks(self) -> bool:
        """Whether a block may be written that is filled up and written again later."""
        return all(extent.index is None for extent in self.extents.values())

    def finish(self) -> None:
        """Have the disk keep everything, the name of the file too."""
        self.trim()
        self.file.flush()
        with suppress(OSError):  # some systems cannot
            folder = os.open(self.file.path.resolve().parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def publish(self, *, replace: bool) -> None:
        """Put the file under its own name.

        Raises:
            OutputExistsError: another is there, and `replace` is False.
        """
        assert self._partial is not None
        path = self._whole
        with named_errors("write", path):
            if not replace:
                try:
                    os.link(self._partial, path)
                    self._partial.unlink(missing_ok=True)
                except FileExistsError as error:
                    raise OutputExistsError(
                        f"{self.file.path} exists by now; name another"
                    ) from error
                except OSError:  # no hard links here
                    self._partial.rename(path)
            else:
                self._partial.replace(path)
        self._partial = None

    def end(self, *, is_new: bool) -> None:
        """Close the file; remove it if it is new and nothing of it counts."""
        try:
            if self.n_committed or not is_new:
                with suppress(StoreError):  # what was to be said of the disk was said
                    self.trim()
            elif self._partial is not None:
                self._partial.unlink(missing_ok=True)
            elif self.file.is_at(self._whole):
                self._whole.unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            self.file.close()


@contextmanager
def open_target(spec: RecordingSpec, progress: Progress) -> Iterator[Target]:
    """The file to write: a new one, or an existing one to go on with.

    A new file is under its name from its header on; where it replaces another, from its first
    commit on. One that nothing was committed to is removed.

    Raises:
        OutputExistsError: the file exists and may neither be replaced nor gone on with.
        StoreError: it cannot be written, is written by another, is not of this recording, or the
            disk is too small.
    """
    path = spec.path
    if os.path.lexists(path) and not path.is_file():
        raise OutputExistsError(f"{path} is no file that could be replaced; name another")
    _remove_abandoned(path.resolve())
    if spec.resume and path.exists() and _can_go_on(path):
        opening = _existing(spec, progress)
    elif path.exists() and not (spec.overwrite or spec.resume):
        raise OutputExistsError(
            f"{path} exists; give --force (overwrite=True) to replace it, or --resume"
            " (resume=True) to go on with it"
        )
    else:
        opening = _new(spec)
    with opening as target:
        yield target


def _can_go_on(path: Path) -> bool:
    """Whether there is something to go on with: samples, or at least their space."""
    contents = read_contents(path)
    if all(stored.extent.index is None for stored in contents.datasets.values()):
        return True
    file = DiskFile.open(path, writing=False)
    try:
        return read_count(file, contents.counter) > 0
    finally:
        file.close()


@contextmanager
def _new(spec: RecordingSpec) -> Iterator[Target]:
    path = spec.path
    whole = path.resolve()
    created = [parent for parent in whole.parents if not parent.exists()]
    target = None
    try:
        with named_errors("write", path):
            whole.parent.mkdir(parents=True, exist_ok=True)
        planned = datasets(spec)
        check_space(whole, _least_bytes(spec, planned))
        header = make_header(spec, planned)
        check_space(whole, header.size)
        with _locked_if_there(path) as replaces:
            partial = whole.parent / f".{whole.name}.{token_hex(4)}.partial"
            file = DiskFile.create(partial, path)
            counter = Counter(file, header.counter)
            target = Target(file, header.extents, counter, partial=partial, tail=header.size)
            file.lock()
            file.allocate(header.size)
            for offset, values in header.writes:
                file.write(offset, values)
            if not replaces:
                target.publish(replace=False)
            yield target
    finally:
        if target is not None:
            target.end(is_new=True)
        for parent in created:
            with suppress(OSError):  # something is in there
                parent.rmdir()


def _remove_abandoned(whole: Path) -> None:
    """Remove what killed processes left of this file before it had its name."""
    for left in whole.parent.glob(f".{escape(whole.name)}.*.partial"):
        with suppress(StoreError, OSError):  # another is at work on it
            file = DiskFile.open(left, writing=True)
            try:
                if file.lock():
                    left.unlink()
            finally:
                file.close()


def _least_bytes(spec: RecordingSpec, planned: Mapping[Key, Dataset]) -> int:
    """Of the values that are not compressed, known before the header, which takes memory."""
    return sum(
        dataset.tiling.n_bytes
        for dataset in planned.values()
        if not dataset.is_compressed(spec.compression)
    )


@contextmanager
def _locked_if_there(path: Path) -> Iterator[bool]:
    """Holds the lock of the file that is going to be replaced; gives whether there is one."""
    if not path.exists():
        yield False
        return
    older = DiskFile.open(path, writing=True)
    try:
        older.lock()
        yield True
    finally:
        older.close()


@contextmanager
def _existing(spec: RecordingSpec, progress: Progress) -> Iterator[Target]:
    file = DiskFile.open(spec.path, writing=True)
    try:
        file.lock()
        contents = read_contents(spec.path)
        _check_same(spec, contents)
        extents = {key: dataset.extent for key, dataset in contents.datasets.items()}
        n_committed = read_count(file, contents.counter)
        damage = find_damage(file, contents, n_committed, progress)
        n_whole = min((damaged.rows.start for damaged in damage), default=n_committed)
        counter = Counter.resumed(file, contents.counter)
        if n_whole < n_committed:
            counter.write(n_whole)
        readers = [
            block_reader(file, str(key), extent, contents.compression)
            for key, extent in extents.items()
            if extent.index is not None
        ]
        tail = max((committed_chunks(reader, n_whole).end for reader in readers), default=0)
        target = Target(
            file,
            extents,
            counter,
            n_committed=n_whole,
            tail=tail,
            is_readable_by_others=not find_torn_index(file, contents, n_whole),
        )
        try:
            yield target
        finally:
            target.end(is_new=False)
    finally:
        file.close()


def _check_same(spec: RecordingSpec, contents: Contents) -> None:
    found = differences(contents.identity, spec.identity)
    if contents.share != spec.share:
        found.insert(0, f"share {contents.share or 'all'} (now {spec.share or 'all'})")
    if contents.compression != spec.compression:
        found.append(f"compression {contents.compression} (now {spec.compression})")
    if found:
        raise StoreError(
            f"{spec.path} was begun with other settings, so that --resume would mix two"
            f" recordings: {'; '.join(found)}; give the same settings, or --force to begin anew"
        )
