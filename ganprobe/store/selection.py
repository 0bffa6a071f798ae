"""Which part of a dataset is asked for, and how it is put together from blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.errors import ParameterError
from ganprobe.store.extents import Extent
from ganprobe.store.reading import Part

__all__ = ["Rows", "Selection", "rows_of", "whole_numbers"]

Rows = range | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Selection:
    """Positions along each axis but the first; a slice where they lie together."""

    extent: Extent
    along: tuple[slice | Sequence[int], ...]

    @classmethod
    def of(
        cls,
        extent: Extent,
        dimensions: Sequence[str],
        units: Sequence[int] | None,
        region: tuple[slice, slice] | None,
    ) -> Selection:
        """What units and a region of a site mean for its axes.

        Raises:
            ParameterError: the site has no such units, or no such axes, or nothing is left.
        """
        wanted: dict[str, slice | Sequence[int]] = {}
        if units is not None:
            wanted["unit"] = units
        if region is not None:
            wanted["y"], wanted["x"] = region
        if missing := wanted.keys() - set(dimensions):
            raise ParameterError(
                f"this site has the axes {', '.join(dimensions)}: there is no {min(missing)} to"
                " choose from"
            )
        sizes = dict(zip(dimensions, extent.tiling.shape, strict=True))
        along = (
            _checked(wanted.get(name, slice(None)), sizes[name], name) for name in dimensions[1:]
        )
        return cls(extent, tuple(along))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one sample of it."""
        return tuple(len(positions) for positions in self._positions)

    @cached_property
    def part(self) -> Part:
        """The chunks that it needs."""
        axes = zip(self._positions, self.extent.tiling.chunk[1:], strict=True)
        chosen = tuple(
            sorted({position // size for position in positions}) for positions, size in axes
        )
        return Part(chosen, self.extent.tiling.grid[1:])

    def take(
        self, chunks: NDArray[np.uint8], kind: np.dtype[Any], rows: slice | NDArray[np.int64]
    ) -> NDArray[Any]:
        """Its values in some rows of a block, (rows, ...), as a view where that can be."""
        counts = [len(numbers) for numbers in self.part.chosen]
        tiling = self.extent.tiling
        values = chunks.view(kind).reshape(*counts, *tiling.chunk)  # (columns..., rows, parts...)
        n = len(counts)
        pairs = [axis for column in range(n) for axis in (column, n + 1 + column)]
        by_row = values.transpose(n, *pairs)[rows]  # (rows, columns, part, columns, part, ...)
        if self._is_whole:
            return by_row
        joined = by_row.reshape(len(by_row), *map(int.__mul__, counts, tiling.chunk[1:]))
        for axis, chosen in enumerate(self._within, start=1):
            joined = joined[(slice(None),) * axis + (chosen,)]
        return joined

    def place(
        self, out: NDArray[Any], rows: slice | NDArray[np.int64], values: NDArray[Any]
    ) -> None:
        """Put what `take` gave into rows of the outcome, (n, *shape)."""
        if self._is_whole:
            out = out.reshape(len(out), *values.shape[1:])  # splits axes: a view
        out[rows] = values

    @cached_property
    def _positions(self) -> list[Sequence[int]]:
        sizes = self.extent.tiling.shape[1:]
        return [
            range(size)[chosen] if isinstance(chosen, slice) else chosen
            for chosen, size in zip(self.along, sizes, strict=True)
        ]

    @cached_property
    def _is_whole(self) -> bool:
        """Whether it is all of every axis, without padding."""
        tiling = self.extent.tiling
        axes = zip(self._positions, tiling.shape[1:], tiling.chunk[1:], strict=True)
        return all(positions == range(size) and size % part == 0 for positions, size, part in axes)

    @cached_property
    def _within(self) -> list[slice | NDArray[np.int64]]:
        """Positions among those of the chosen chunks."""
        found: list[slice | NDArray[np.int64]] = []
        axes = zip(self._positions, self.extent.tiling.chunk[1:], self.part.chosen, strict=True)
        for positions, size, chosen in axes:
            place = {number: place for place, number in enumerate(chosen)}
            within = np.array([place[p // size] * size + p % size for p in positions], np.int64)
            steps = np.diff(within)
            if len(within) and (steps == 1).all():
                found.append(slice(int(within[0]), int(within[-1]) + 1))
            else:
                found.append(within)
        return found


def _checked(wanted: slice | Sequence[int], size: int, name: str) -> slice | Sequence[int]:
    if isinstance(wanted, slice):
        if wanted.step not in (None, 1) or not len(range(size)[wanted]):
            raise ParameterError(f"a part of {size} {name} is a slice without a step, got {wanted}")
        return wanted
    positions: list[int] = whole_numbers(wanted, f"a {name}").tolist()
    outside = [position for position in positions if not 0 <= position < size]
    if outside or not positions:
        raise ParameterError(f"{name}s are numbers from 0 to {size - 1}, got {outside or 'none'}")
    return positions


def whole_numbers(given: Sequence[int], what: str) -> NDArray[np.int64]:
    """As an array of one axis.

    Raises:
        ParameterError: they are no whole numbers.
    """
    numbers = np.asarray(given).reshape(-1)
    if numbers.dtype.kind not in "iu" and len(numbers):
        raise ParameterError(f"{what} is a whole number, got {given!r}")
    return numbers.astype(np.int64)


def rows_of(samples: slice | Sequence[int], n: int) -> Rows:
    """The rows that are meant, of `n`.

    Raises:
        ParameterError: there is no such row.
    """
    if isinstance(samples, slice):
        return range(n)[samples]
    rows = whole_numbers(samples, "a row")
    if len(rows) and (rows.min() < -n or rows.max() >= n):
        raise ParameterError(f"rows are from 0 to {n - 1}, got {rows.min()} to {rows.max()}")
    return rows % n if n else rows
