"""Everything that is done to a folder, step by step, to be played again and stopped anywhere.

A kill cuts a write off between any two pages of 4,096 bytes: on a tmpfs one in two kills in the
midst of writes of 16 KiB does. So each write is played page by page.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest

__all__ = ["Replica", "Step", "Tape", "recorded"]

_PAGE = 4096


class Step(Protocol):
    """Something that was done at once."""

    def play(self, replica: Replica) -> None:
        """Do it again."""


class Replica:
    """A folder in which a tape is played.

    Args:
        files: those that were there at the beginning, by inode.
    """

    def __init__(self, folder: Path, files: dict[int, str]) -> None:
        self.folder = folder
        self._descriptors = {
            inode: os.open(folder / name, os.O_RDWR) for inode, name in files.items()
        }

    def create(self, inode: int, name: str) -> None:
        """A new file."""
        path = self.folder / name
        self._descriptors[inode] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def descriptor(self, inode: int) -> int:
        """Of a file, whatever its name is by now."""
        return self._descriptors[inode]

    def close(self) -> None:
        """Close its files."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)


@dataclass(frozen=True)
class _Create:
    inode: int
    name: str

    def play(self, replica: Replica) -> None:
        replica.create(self.inode, self.name)


@dataclass(frozen=True)
class _Write:
    inode: int
    offset: int
    values: bytes

    def play(self, replica: Replica) -> None:
        os.pwrite(replica.descriptor(self.inode), self.values, self.offset)

    def parts(self, page: int) -> Iterator[_Write]:
        """As many writes of a page or less."""
        end = self.offset + len(self.values)
        cuts = [self.offset, *range(self.offset // page * page + page, end, page), end]
        for start, stop in pairwise(cuts):
            yield _Write(self.inode, start, self.values[start - self.offset : stop - self.offset])


@dataclass(frozen=True)
class _Resize:
    inode: int
    size: int

    def play(self, replica: Replica) -> None:
        os.truncate(replica.descriptor(self.inode), self.size)


@dataclass(frozen=True)
class _Name:
    """`os.link`, `os.rename` or `os.replace`."""

    act: Callable[[Path, Path], None]
    old: str
    new: str

    def play(self, replica: Replica) -> None:
        self.act(replica.folder / self.old, replica.folder / self.new)


@dataclass(frozen=True)
class _Unlink:
    name: str

    def play(self, replica: Replica) -> None:
        (replica.folder / self.name).unlink()


@dataclass
class Tape:
    """What was done to a folder.

    Args:
        before: a copy of it as it was.
        files: what was there, by inode.
    """

    before: Path
    files: dict[int, str]
    steps: list[Step] = field(default_factory=list)

    def played(self, folder: Path, *, page: int = _PAGE) -> Iterator[bool]:
        """Make a copy of the folder at `folder`, at first as it was; then take step by step.

        Args:
            page: bytes between which a write may be cut off.

        Returns:
            At each place whether it is in the midst of a write.
        """
        shutil.copytree(self.before, folder)
        replica = Replica(folder, self.files)
        try:
            yield False
            for step in self.steps:
                *parts, last = step.parts(page) if isinstance(step, _Write) else (step,)
                for part in parts:
                    part.play(replica)
                    yield True
                last.play(replica)
                yield False
        finally:
            replica.close()

    def play_to(self, folder: Path, place: int) -> None:
        """Make a copy of the folder as it was at a place, counted from 0."""
        for _ in islice(self.played(folder), place + 1):
            pass


@contextmanager
def recorded(folder: Path, before: Path) -> Iterator[Tape]:
    """Put on tape what is done to the files in `folder` while the block lasts.

    Args:
        before: where a copy of the folder is kept.
    """
    shutil.copytree(folder, before)
    tape = Tape(before, {path.stat().st_ino: path.name for path in folder.iterdir()})
    with pytest.MonkeyPatch.context() as patch:
        _Recorder(folder, tape).listen(patch)
        yield tape


class _Recorder:
    """Stands between Python and the system's calls that change files."""

    def __init__(self, folder: Path, tape: Tape) -> None:
        self._folder, self._tape = folder.resolve(), tape
        self._known = set(tape.files)
        self._lock = threading.RLock()  # the tape has the order in which things were done

    def listen(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(os, "open", self._opening(os.open))
        patch.setattr(os, "pwrite", self._writing(os.pwrite))
        patch.setattr(os, "truncate", self._resizing(os.truncate))
        patch.setattr(os, "ftruncate", self._resizing(os.ftruncate))
        patch.setattr(os, "posix_fallocate", self._claiming(os.posix_fallocate))
        patch.setattr(os, "unlink", self._unlinking(os.unlink))
        for name in ("link", "rename", "replace"):
            patch.setattr(os, name, self._naming(getattr(os, name)))
        patch.setattr(Path, "write_bytes", _write_bytes)

    def _is_here(self, path: Any) -> bool:
        return Path(path).resolve().parent == self._folder

    def _opening(self, act: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *mode: int, **folder: Any) -> int:
            with self._lock:
                is_new = flags & os.O_CREAT and not os.path.lexists(path)
                descriptor = act(path, flags, *mode, **folder)
                if is_new and self._is_here(path):
                    inode = os.fstat(descriptor).st_ino
                    self._known.add(inode)
                    self._tape.steps.append(_Create(inode, Path(path).name))
            return descriptor

        return opened

    def _writing(self, act: Callable[..., int]) -> Callable[..., int]:
        def written(descriptor: int, values: Any, offset: int) -> int:
            with self._lock:
                n = act(descriptor, values, offset)
                inode = os.fstat(descriptor).st_ino
                if inode in self._known:
                    self._tape.steps.append(_Write(inode, offset, bytes(values[:n])))
            return n

        return written

    def _resizing(self, act: Callable[..., None]) -> Callable[..., None]:
        def resized(file: Any, size: int) -> None:
            with self._lock:
                act(file, size)
                inode = os.stat(file).st_ino  # noqa: PTH116 (it may be a descriptor)
                if inode in self._known:
                    self._tape.steps.append(_Resize(inode, size))

        return resized

    def _claiming(self, act: Callable[..., None]) -> Callable[..., None]:
        def claimed(descriptor: int, offset: int, n: int) -> None:
            with self._lock:
                act(descriptor, offset, n)
                found = os.fstat(descriptor)
                if found.st_ino in self._known:
                    self._tape.steps.append(_Resize(found.st_ino, found.st_size))

        return claimed

    def _naming(self, act: Callable[..., None]) -> Callable[..., None]:
        def named(old: Any, new: Any) -> None:
            with self._lock:
                act(old, new)
                if self._is_here(new):
                    self._tape.steps.append(_Name(act, Path(old).name, Path(new).name))

        return named

    def _unlinking(self, act: Callable[..., None]) -> Callable[..., None]:
        def unlinked(path: Any) -> None:
            is_here = self._is_here(path)
            with self._lock:
                act(path)
                if is_here:
                    self._tape.steps.append(_Unlink(Path(path).name))

        return unlinked


def _write_bytes(path: Path, values: Any) -> int:
    """`Path.write_bytes`, by calls that are on the tape."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        return os.pwrite(descriptor, memoryview(values), 0)
    finally:
        os.close(descriptor)
