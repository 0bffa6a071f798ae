"""A file on a disk that may be full, read-only, or gone: bytes at places, and plain errors.

Writing is in slices of at most 256 KiB: larger aligned writes are several times slower where
the host's memory is cold.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from ganprobe.errors import GanprobeError, StoreError

__all__ = ["DiskFile", "check_space", "named_errors"]

_SLICE = 256 * 1024
_WAYS_OUT = {
    errno.ENOSPC: "make room, or choose another disk",
    errno.EDQUOT: "make room, or choose another disk",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
}


class DiskFile:
    """An open file; what fails raises `StoreError`.

    Args:
        path: by which it is known to the user.
        descriptor: open for reading, and for writing where it is written.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor

    @classmethod
    def create(cls, path: Path, known_as: Path) -> Self:
        """A new and empty file at `path`, which must not exist."""
        with named_errors("write", known_as):
            return cls(known_as, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))

    @classmethod
    def open(cls, path: Path, *, writing: bool) -> Self:
        """The file at `path`."""
        with named_errors("write" if writing else "read", path):
            return cls(path, os.open(path, os.O_RDWR if writing else os.O_RDONLY))

    def close(self) -> None:
        """Close it; a second time does nothing."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return os.fstat(self.descriptor).st_size

    def lock(self) -> bool:
        """Be its only writer until it is closed, however the process ends; readers may go on.

        Returns:
            Whether its file system has locks.

        Raises:
            StoreError: another writer is at work.
        """
        import fcntl

        try:
            if hasattr(fcntl, "F_OFD_SETLK"):
                kind = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, kind)
            else:  # of the process, not of this open file
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return False
            raise StoreError(
                f"{self.path} is being written by another process; wait for it, or choose another"
                " --output"
            ) from error
        return True

    def allocate(self, size: int) -> None:
        """Claim the disk's space up to `size` bytes, so that no write before that fails."""
        with named_errors("write", self.path):
            if self.size >= size:
                return
            try:
                os.posix_fallocate(self.descriptor, 0, size)
            except (AttributeError, OSError) as error:
                if getattr(error, "errno", errno.EOPNOTSUPP) not in _NOT_SUPPORTED:
                    raise
                os.truncate(self.descriptor, size)

    def truncate(self, size: int) -> None:
        """Cut it off after `size` bytes."""
        with named_errors("write", self.path):
            os.truncate(self.descriptor, size)

    def write(self, offset: int, values: Any) -> None:
        """All bytes of a contiguous buffer, at `offset`."""
        view = memoryview(values).cast("B")
        start, n = 0, len(view)
        try:
            while start < n:
                written = os.pwrite(self.descriptor, view[start : start + _SLICE], offset + start)
                if not written:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                start += written
        except OSError as error:
            raise _told("write", self.path, error) from error

    def flush(self) -> None:
        """Have the disk keep what was written."""
        with named_errors("write", self.path):
            getattr(os, "fdatasync", os.fsync)(self.descriptor)

    def read_into(self, offset: int, buffer: Any) -> None:
        """Fill a contiguous buffer with the bytes at `offset`.

        Raises:
            StoreError: the file ends before.
        """
        view = memoryview(buffer).cast("B")
        start = 0
        try:
            while start < len(view):
                n = os.preadv(self.descriptor, [view[start:]], offset + start)
                if not n:
                    raise StoreError(f"{self.path} is cut off: it ends at byte {offset + start:,}")
                start += n
        except StoreError:
            raise
        except OSError as error:
            raise _told("read", self.path, error) from error

    def read(self, offset: int, n: int) -> bytes:
        """`n` bytes at `offset`."""
        if n > self.size - offset:
            raise StoreError(f"{self.path} is cut off: it ends before byte {offset + n:,}")
        buffer = bytearray(n)
        self.read_into(offset, buffer)
        return bytes(buffer)

    def read_at(self, offset: int, n: int) -> bytes:
        """`n` bytes at `offset`, fewer where the file ends before."""
        return self.read(offset, max(0, min(n, self.size - offset)))

    def is_at(self, path: Path) -> bool:
        """Whether it is still the file of that name."""
        try:
            there = path.stat()
        except OSError:
            return False
        here = os.fstat(self.descriptor)
        return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)


_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def named_errors(verb: str, path: Path) -> Iterator[None]:
    """Any `OSError` as a `StoreError` that names the file, the reason and the way out.

    Raises:
        StoreError: in place of it.
    """
    try:
        yield
    except GanprobeError:
        raise
    except OSError as error:
        raise _told(verb, path, error) from error


def _told(verb: str, path: Path, error: OSError) -> StoreError:
    reason = error.strerror or str(error)
    other = "choose another --output" if verb == "write" else "choose another file"
    way_out = _WAYS_OUT.get(error.errno or 0, other)
    return StoreError(f"cannot {verb} {path}: {reason}; {way_out}")


def check_space(path: Path, needed: int, already_there: int = 0) -> None:
    """Refuse what cannot fit.

    Args:
        path: of the file.
        needed: bytes of the whole file.
        already_there: bytes of it that the disk holds.

    Raises:
        StoreError: the disk has too little room, or files may not be that long.
    """
    with named_errors("write", path):
        free = shutil.disk_usage(path.parent).free
    if free < needed - already_there:
        raise StoreError(
            f"{path} needs {needed - already_there:,} bytes but its disk has {free:,} free; record"
            " fewer samples or sites, or choose another disk"
        )
    with suppress(ImportError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY and limit < needed:
            raise StoreError(
                f"{path} needs {needed:,} bytes but files may have {limit:,} (ulimit -f); raise"
                " the limit, or record fewer samples or sites"
            )
