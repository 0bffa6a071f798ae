"""Records: for each block of a dataset how many of its rows count, and a digest of each chunk.

A digest is XXH3 (64 bits) over the bytes of the chunk before compression, the rows that do not
count taken as zeros. Where chunks are compressed, the record also says where they are.

A record, like the count of committed samples, has two places that are written in turn, each with
a generation and a digest of its own, after what it speaks of. So whatever moment a process is
killed at, also in the midst of such a write, one of the two is whole, and what it says is true:
later writes leave the rows that it names as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["N_PLACES", "Record", "digest", "digest_of_rows", "latest", "n_words", "sealed"]

N_PLACES = 2
_OWN_WORDS = 3  # generation, rows, and at the end the digest of the record


def digest(chunk: Any) -> int:
    """The digest of a chunk's bytes."""
    return xxhash.xxh3_64_intdigest(chunk)


def digest_of_rows(chunk: NDArray[np.uint8], n_rows: int) -> int:
    """The digest of a chunk (rows, bytes), all but its first `n_rows` taken as zeros."""
    if n_rows >= len(chunk):
        return digest(chunk)
    counted = np.zeros_like(chunk)
    counted[:n_rows] = chunk[:n_rows]
    return digest(counted)


def n_words(n_columns: int, *, is_compressed: bool) -> int:
    """How many numbers of 64 bits make the record of a block of `n_columns` chunks."""
    return _OWN_WORDS + n_columns * (3 if is_compressed else 1)


@dataclass(frozen=True, eq=False)
class Record:
    """What is known of a block.

    Args:
        n_rows: how many of its rows count.
        digests: of its chunks.
        addresses: where its chunks are, if they are compressed; else empty.
        sizes: in how many bytes they are stored.
    """

    n_rows: int
    digests: NDArray[np.uint64]
    addresses: NDArray[np.uint64]
    sizes: NDArray[np.uint64]

    @classmethod
    def of(
        cls, n_rows: int, digests: list[int], addresses: list[int] | None = None, sizes: Any = ()
    ) -> Record:
        """From plain numbers."""
        columns = (np.array(part, np.uint64) for part in (digests, addresses or (), sizes))
        return cls(n_rows, *columns)

    @classmethod
    def read(cls, words: NDArray[np.uint64], n_columns: int) -> Record:
        """From what `words` gave."""
        parts = words[1:].reshape(-1, n_columns)
        none = parts[:0].reshape(-1)
        return cls(int(words[0]), parts[0], *(parts[1:] if len(parts) > 1 else (none, none)))

    @property
    def words(self) -> NDArray[np.uint64]:
        """As numbers of 64 bits."""
        n_rows = np.array([self.n_rows], np.uint64)
        return np.concatenate([n_rows, self.digests, self.addresses, self.sizes])


def sealed(generation: int, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers with their generation before and their digest behind them, to be written at once."""
    said = np.concatenate([np.array([generation], np.uint64), words])
    return np.concatenate([said, np.array([digest(said)], np.uint64)])


def latest(places: NDArray[np.uint64]) -> tuple[int, NDArray[np.uint64]] | None:
    """The generation and the numbers of the latest whole place, (places, words); None: none is."""
    for place in sorted(places, key=lambda place: int(place[0]), reverse=True):
        if digest(place[:-1]) == place[-1]:
            return int(place[0]), place[1:-1]
    return None
