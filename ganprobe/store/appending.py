"""Where compressed chunks go: behind everything else, in space that is claimed some at a time."""

from __future__ import annotations

import shutil

from ganprobe.errors import StoreError
from ganprobe.store.chunk_index import SUPERBLOCK_BYTES, superblock_end, superblock_with_end
from ganprobe.store.disk import DiskFile

__all__ = ["Appender"]

_STEP = 64 * 1024 * 1024


class Appender:
    """Gives places behind the end of a file, which it moves along.

    The file's own note of its end is written after the space was claimed and before anything
    points there, so that the file can be read at any moment.

    Args:
        tail: behind the last byte that counts.
    """

    def __init__(self, file: DiskFile, tail: int) -> None:
        self._file, self.tail, self._first = file, tail, tail
        self._superblock = file.read(0, SUPERBLOCK_BYTES)
        self._claimed = superblock_end(self._superblock)

    @property
    def n_bytes(self) -> int:
        """Bytes that were given places here."""
        return self.tail - self._first

    def reserve(self, n_bytes: int) -> int:
        """The offset of `n_bytes` that belong to the caller.

        Raises:
            StoreError: the disk is full.
        """
        offset, end = self.tail, self.tail + n_bytes
        if end > self._claimed:
            try:
                self._claim(max(end, self._claimed + _STEP))
            except StoreError:
                self._claim(end)
        self.tail = end
        return offset

    def check_space(self, n_bytes: int, n_samples: int) -> None:
        """Refuse what will not fit, going by the first samples.

        Args:
            n_bytes: that are still to come, about.
            n_samples: by which that is known.

        Raises:
            StoreError: the disk has less room.
        """
        free = shutil.disk_usage(self._file.path.parent).free + self._claimed - self.tail
        if free < n_bytes:
            raise StoreError(
                f"{self._file.path} needs about {n_bytes:,} bytes more, going by its first"
                f" {n_samples} samples, but its disk has {free:,} free; record fewer samples or"
                " sites, or choose another disk"
            )

    def finish(self) -> None:
        """Give back what was claimed and is not needed."""
        self._end_at(self.tail)
        self._file.truncate(self.tail)

    def _claim(self, size: int) -> None:
        self._file.allocate(size)
        self._end_at(size)

    def _end_at(self, size: int) -> None:
        self._superblock = superblock_with_end(self._superblock, size)
        self._file.write(0, self._superblock)
        self._claimed = size
