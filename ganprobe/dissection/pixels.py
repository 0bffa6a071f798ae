"""The pixels of upsampled maps that are above a level, without upsampling all of them.

Of a map only the patches are computed that have a corner above the level, some hundredths where
the level is that of one pixel in 200. It costs about 2 ns for each cell of the maps whose largest
cell is above the level, 30 ns for each patch with a corner above it, and 5 ns for each pixel of
those whose outermost pixels are, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.dissection.upsampling import Patches, Upsampling

__all__ = ["Pixels", "next_below", "pixels_above"]

_CHUNK = 2**15  # pixels that are computed at once: they stay in the cache
_ROUNDING = 2.0**-20  # of eight operations in float32

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of maps, in no order, all (n,).

    Args:
        maps: int64, in which map each is.
        places: int64, where in the image: y * width + x.
        values: float64, of the upsampled map.
    """

    maps: NDArray[np.int64]
    places: NDArray[np.int64]
    values: NDArray[np.float64]

    def chosen(self, which: NDArray[np.int64]) -> Pixels:
        """Some of them."""
        return Pixels(self.maps[which], self.places[which], self.values[which])

    def __len__(self) -> int:
        return len(self.maps)


def pixels_above(
    maps: NDArray[np.float32],
    level: NDArray[np.float64],
    upsampling: Upsampling,
    highest: NDArray[np.float32] | None = None,
) -> Pixels:
    """The pixels strictly above a level.

    Args:
        maps: (n, h, w), contiguous.
        level: (n,) of each map.
        highest: (n,) the largest cell of each map, where that is known.
    """
    cell_level = next_below(level)
    highest = maps.max(axis=(1, 2)) if highest is None else highest
    chosen = np.flatnonzero(highest > cell_level)
    some = maps if len(chosen) == len(maps) else maps[chosen]
    map_, patch = _patches_above(some, cell_level[chosen])
    reaching = _reaching(some, cell_level[chosen], upsampling.patches, map_, patch)
    map_, patch = map_[reaching], patch[reaching]
    size = max(1, _CHUNK // upsampling.patches.n_slots)
    parts = [
        _evaluated(some, level[chosen], upsampling.patches, map_[part], patch[part])
        for first in range(0, max(len(map_), 1), size)
        for part in [slice(first, first + size)]
    ]
    found, places, values = map(np.concatenate, zip(*parts, strict=True))
    return Pixels(chosen[found], places, values)


def next_below(level: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above: a float32 exceeds both or neither."""
    with np.errstate(over="ignore"):
        near = level.astype(np.float32)
    return np.where(near > level, np.nextafter(near, np.float32(-np.inf)), near)


def _patches_above(
    maps: NDArray[np.float32], level: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Map and number within it of the patches that have a corner above the map's level.

    Maps stand one behind the other in one row, with one empty column and row each, so that the
    neighbours of all cells are the same steps away.
    """
    n, h, w = maps.shape
    row = w + 1
    ahead = row + 1
    cells = np.zeros(ahead + n * (h + 1) * row, np.bool_)
    inner = cells[ahead:].reshape(n, h + 1, row)[:, :h, :w]
    inner[:] = (maps.reshape(n, h * w) > level[:, None]).reshape(n, h, w)
    pairs = cells[1:] | cells[:-1]
    found = np.flatnonzero(pairs[row:] | pairs[:-row])
    map_ = found // (row * (h + 1))
    return map_, found - map_ * (row * (h + 1))


def _reaching(
    maps: NDArray[np.float32],
    level: NDArray[np.float32],
    patches: Patches,
    map_: NDArray[np.int64],
    patch: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Which patches have a pixel above the level, and a few more that nearly have.

    Along a line across a patch values rise or fall, so that the largest is one of the four
    outermost pixels. They are computed in float32, with room for its rounding.
    """
    yx, y_right, below, below_right = patches.corners(maps, map_, patch)
    limit = level[map_]
    room = max(float(np.abs(corner).max(initial=0)) for corner in (yx, y_right, below, below_right))
    limit -= np.float32(room * _ROUNDING)
    y_right -= yx
    below_right -= below
    reaches = np.zeros(len(map_), np.bool_)
    for along_x in patches.outer_x:
        weight = along_x[patch]
        top, bottom = weight * y_right, weight * below_right
        top += yx
        bottom += below
        bottom -= top
        for along_y in patches.outer_y:
            value = along_y[patch]
            value *= bottom
            value += top
            reaches |= value > limit
    return np.flatnonzero(reaches)


def _evaluated(
    maps: NDArray[np.float32],
    level: NDArray[np.float64],
    patches: Patches,
    map_: NDArray[np.int64],
    patch: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Map, place and value of the pixels of patches that are above the level."""
    yx, y_right, below, below_right = (
        corner.astype(np.float64) for corner in patches.corners(maps, map_, patch)
    )
    along_x, along_y = (  # indexing would lay them out patch by patch
        np.take(weights, patch, axis=1) for weights in (patches.along_x, patches.along_y)
    )
    top = along_x * (y_right - yx)  # (pixels along x, patches)
    top += yx
    bottom = along_x * (below_right - below)
    bottom += below
    bottom -= top
    values = along_y[:, None] * bottom  # (pixels along y, along x, patches)
    values += top
    found = np.flatnonzero(values > level[map_])
    slot = found // max(len(map_), 1)
    which = found - slot * len(map_)
    places = patches.first_pixel[patch[which]] + patches.offsets[slot]
    return map_[which], places, values.reshape(-1)[found]
