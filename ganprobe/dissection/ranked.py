"""The value of a rank of each unit, counted from the largest, out of values that come in pieces.

Of each unit only values above a bound are looked at, which rises: below it the value that is
sought cannot be, once so many larger ones were seen. `TopValues` keeps them and is exact; its
memory grows with the rank. `TopSketch` counts them into a `Sketch` and takes the same memory
whatever comes. Both can be merged.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ganprobe.statistics.order import keys_of, values_of
from ganprobe.statistics.sketch import SKETCH_BITS, Sketch

__all__ = ["Ranked", "TopSketch", "TopValues", "rank_of", "ranked_from_top"]

_HALF = 2 ** (SKETCH_BITS - 1)
_SMALLEST = 2.0**-133

Floats = NDArray[np.float64]


class Ranked(Protocol):
    """Either of the two ways.

    Attributes:
        bound: (units,) float64: values at or below it need not be given; it never falls.
    """

    bound: Floats

    def add(self, units: NDArray[np.int64], values: Floats) -> None:
        """Values of units, both (n,), of which those at or below the bounds are left out."""

    def levels(self, ranks: tuple[int, ...]) -> tuple[Floats, Floats]:
        """The values of ranks, and at most how far they are off, both (len(ranks), units)."""


def rank_of(share: float, n: int) -> int:
    """How many of n values are above the level that a share of them exceeds; at least one.

    Example:
        >>> rank_of(0.29, 100), rank_of(0.005, 7), rank_of(0.5, 1)
        (29, 1, 0)
    """
    return min(max(1, int(share * n * (1 + 1e-12))), n - 1)


class TopValues:
    """The largest values of each unit, as they are, behind the place for those that come.

    Args:
        n_units: how many units.
        rank: the largest that will be asked for.
        room: for how many more values of a unit there is place before they are sorted out.
    """

    def __init__(self, n_units: int, rank: int, room: int) -> None:
        self.bound = np.full(n_units, -np.inf)
        self._rank, self._filled = rank, np.zeros(n_units, np.int64)
        self._values = np.full((n_units, rank + 1 + room), -np.inf)

    @staticmethod
    def n_bytes(n_units: int, rank: int, room: int) -> int:
        """What it keeps."""
        return 8 * n_units * (rank + 1 + room)

    def add(self, units: NDArray[np.int64], values: Floats) -> None:
        counts = self._counts(units)
        if (self._filled + counts).max(initial=0) > self._room:
            self._sort_out()
            is_above = values > self.bound[units]
            units, values = units[is_above], values[is_above]
            counts = self._counts(units)
        if (self._filled + counts).max(initial=0) > self._room:
            half = len(units) // 2  # a piece larger than the room
            self.add(units[:half], values[:half])
            self.add(units[half:], values[half:])
            return
        column = self._filled[units] + places_among_equals(units, counts)
        self._values[units, column] = values
        self._filled += counts

    def merge(self, other: TopValues) -> None:
        """Take in what another kept; `other` is left as it is."""
        for first in range(0, other._values.shape[1], self._room):
            part = other._values[:, first : first + self._room]
            units, column = np.nonzero(part > np.maximum(self.bound, other.bound)[:, None])
            self.add(units, part[units, column])
        self.bound = np.maximum(self.bound, other.bound)

    def levels(self, ranks: tuple[int, ...]) -> tuple[Floats, Floats]:
        self._sort_out()
        found = np.repeat(self.bound[None], len(ranks), axis=0)
        smaller = [place for place, rank in enumerate(ranks) if rank < self._rank]
        if smaller:
            places = [self._rank - 1 - ranks[place] for place in smaller]
            ordered = np.partition(self._values[:, self._room :], places, axis=1)
            found[smaller] = np.maximum(ordered[:, places].T, self.bound)
        return found, np.zeros_like(found)

    @property
    def _room(self) -> int:
        return self._values.shape[1] - self._rank

    def _counts(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(units, minlength=len(self.bound))

    def _sort_out(self) -> None:
        """Keep the `rank` largest, and know that what is sought is not below the next one."""
        self._values.partition(self._room - 1, axis=1)
        np.maximum(self.bound, self._values[:, self._room - 1], out=self.bound)
        self._values[:, : self._room] = -np.inf
        self._filled[:] = 0


class TopSketch:
    """How many values of each unit lie in each bucket of a `Sketch`.

    Args:
        n_units: how many units.
        rank: the largest that will be asked for.
    """

    def __init__(self, n_units: int, rank: int) -> None:
        self.bound = np.full(n_units, -np.inf)
        self.sketch = Sketch.empty(n_units)
        self._rank = rank

    def add(self, units: NDArray[np.int64], values: Floats) -> None:
        if len(units):
            self.sketch = self.sketch.merged(_counted(units, values, len(self.bound)))
            self._rise()

    def merge(self, other: TopSketch) -> None:
        """Take in what another counted; `other` is left as it is."""
        self.sketch = self.sketch.merged(other.sketch)
        self.bound = np.maximum(self.bound, other.bound)
        self._rise()

    def levels(self, ranks: tuple[int, ...]) -> tuple[Floats, Floats]:
        low, high = self._around(ranks)
        middle = low / 2 + high / 2
        middle = np.where((np.abs(middle) < _SMALLEST) & (low <= 0) & (high >= 0), 0.0, middle)
        slack = 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        return middle, np.maximum(high - middle, middle - low) + slack

    def _rise(self) -> None:
        low, _ = self._around((self._rank,))
        np.maximum(self.bound, low[0], out=self.bound)
        last = (self.sketch.buckets << SKETCH_BITS) + 2**SKETCH_BITS
        above = values_of(last, torch.float32) > self.bound.min()  # the bounds of others are higher
        if not above.all():
            self.sketch = Sketch(self.sketch.buckets[above], self.sketch.counts[:, above], True)

    def _around(self, ranks: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Between which numbers the values lie; -infinity where so many were not seen."""
        n = self.sketch.counts.sum(axis=1)
        from_below = n[:, None] - 1 - np.asarray(ranks)
        low, high = self.sketch.around(np.maximum(from_below, 0))
        low = np.where(from_below < 0, -np.inf, low)
        return low.T, high.T


def _counted(units: NDArray[np.int64], values: Floats, n_units: int) -> Sketch:
    rounded = torch.from_numpy(values.astype(np.float32) + np.float32(0))  # -0 becomes 0
    buckets = keys_of(rounded).numpy() >> SKETCH_BITS
    is_filled = np.zeros(2**SKETCH_BITS, np.bool_)
    is_filled[buckets + _HALF] = True
    found = np.flatnonzero(is_filled)
    column = (is_filled.cumsum() - 1)[buckets + _HALF]
    counts = np.bincount(units * len(found) + column, minlength=n_units * len(found))
    return Sketch(found - _HALF, counts.reshape(n_units, len(found)), True)


def ranked_from_top(
    units: NDArray[np.int64], values: Floats, n_units: int, rank: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """The value of a rank of each unit, and whether there are so many; else -infinity.

    Args:
        units, values: (n,) in any order.
    """
    if n_units == 1:
        has = len(values) > rank
        place = len(values) - 1 - rank
        found = np.partition(values, place)[place] if has else -np.inf
        return np.array([found]), np.array([has])
    counts = np.bincount(units, minlength=n_units)
    padded = np.full((n_units, max(int(counts.max(initial=0)), rank + 1)), -np.inf)
    padded[units, places_among_equals(units, counts)] = values
    place = padded.shape[1] - 1 - rank
    padded.partition(place, axis=1)
    return padded[:, place].copy(), counts > rank


def places_among_equals(units: NDArray[np.int64], counts: NDArray[Any]) -> NDArray[np.int64]:
    """How many of the same unit stand before each (n,); `counts` (units,) is how many there are."""
    small = units.astype(np.uint16) if len(counts) < 2**16 else units  # sorted digit by digit
    order = np.argsort(small, kind="stable")
    first = np.cumsum(counts) - counts
    places = np.empty(len(units), np.int64)
    places[order] = np.arange(len(units)) - np.repeat(first, counts)
    return places
