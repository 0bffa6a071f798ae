"""The count of committed samples, in the file."""

from __future__ import annotations

import numpy as np

from ganprobe.errors import StoreError
from ganprobe.store.disk import DiskFile
from ganprobe.store.header import COUNTER_WORDS
from ganprobe.store.records import N_PLACES, latest, sealed

__all__ = ["Counter", "read_count"]

_BYTES = 8 * COUNTER_WORDS


class Counter:
    """Counts up, and down where samples turned out to be damaged."""

    def __init__(self, file: DiskFile, offset: int, generation: int = 0) -> None:
        self._file, self._offset, self._generation = file, offset, generation

    @classmethod
    def resumed(cls, file: DiskFile, offset: int) -> Counter:
        """One that goes on where another ended."""
        found = latest(_places(file, offset))
        return cls(file, offset, 0 if found is None else found[0])

    def write(self, n_committed: int) -> None:
        """From now on so many samples count."""
        self._generation += 1
        place = self._offset + _BYTES * (self._generation % N_PLACES)
        self._file.write(place, sealed(self._generation, np.array([n_committed], np.uint64)))


def read_count(file: DiskFile, offset: int) -> int:
    """How many samples are committed.

    Raises:
        StoreError: both places of the count are damaged.
    """
    found = latest(_places(file, offset))
    if found is None:
        raise StoreError("its count of committed samples is damaged")
    return int(found[1][0])


def _places(file: DiskFile, offset: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    stored = file.read(offset, N_PLACES * _BYTES)
    return np.frombuffer(stored, np.uint64).reshape(N_PLACES, COUNTER_WORDS)
