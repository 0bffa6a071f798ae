"""Bilinear upsampling as `F.interpolate` does it (``align_corners=False``), pixel by pixel.

A pixel lies between four neighbouring cells of the grid, its corners; at the border some of them
are one and the same. All pixels between the same corners are a patch, and none of them exceeds
the largest corner: values are ``a + w * (b - a)`` in float64, first along x, then along y, which
gives a itself where a == b. Whoever computes a pixel here, in whichever order, gets the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["AxisRecipe", "Patches", "Upsampling"]


@dataclass(frozen=True, eq=False)
class AxisRecipe:
    """Along one axis: between which cells each pixel lies, and which pixels a patch has.

    Args:
        n_cells: of the grid.
        n_pixels: of the image.
    """

    n_cells: int
    n_pixels: int

    @cached_property
    def low(self) -> NDArray[np.int64]:
        """(n_pixels,) the cell before each pixel."""
        return np.maximum(self._patch - 1, 0)

    @cached_property
    def high(self) -> NDArray[np.int64]:
        """(n_pixels,) the cell behind it; the same at the border."""
        return np.minimum(self._patch, self.n_cells - 1)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """(n_pixels,) of the cell behind, in [0, 1)."""
        return (self._numerator % (2 * self.n_pixels)) / (2 * self.n_pixels)

    @cached_property
    def corners(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The cells before and behind each patch, both (n_cells + 1,)."""
        patches = np.arange(self.n_cells + 1)
        return np.maximum(patches - 1, 0), np.minimum(patches, self.n_cells - 1)

    @cached_property
    def first_pixel(self) -> NDArray[np.int64]:
        """(n_cells + 1,) of each patch."""
        return np.searchsorted(self._patch, np.arange(self.n_cells + 1))

    @cached_property
    def patch_weights(self) -> NDArray[np.float64]:
        """(most pixels of a patch, n_cells + 1); NaN where a patch has fewer pixels."""
        counts = np.bincount(self._patch, minlength=self.n_cells + 1)
        slots = np.arange(counts.max())[:, None]
        pixels = np.minimum(self.first_pixel + slots, self.n_pixels - 1)
        return np.where(slots < counts, self.weight[pixels], np.nan)

    @cached_property
    def outer_weights(self) -> NDArray[np.float64]:
        """(2, n_cells + 1): of the first and the last pixel of each patch; NaN without one."""
        counts = np.bincount(self._patch, minlength=self.n_cells + 1)
        last = np.maximum(counts - 1, 0)
        return np.stack([self.patch_weights[0], self.patch_weights[last, np.arange(len(last))]])

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """(n_pixels, n_cells): the weight of each cell in each pixel."""
        made = np.zeros((self.n_pixels, self.n_cells))
        pixels = np.arange(self.n_pixels)
        np.add.at(made, (pixels, self.low), 1 - self.weight)
        np.add.at(made, (pixels, self.high), self.weight)
        return made

    @cached_property
    def _numerator(self) -> NDArray[np.int64]:
        """The place of each pixel in cells, over 2 * n_pixels: exact in whole numbers."""
        return (2 * np.arange(self.n_pixels) + 1) * self.n_cells - self.n_pixels

    @cached_property
    def _patch(self) -> NDArray[np.int64]:
        return self._numerator // (2 * self.n_pixels) + 1


@dataclass(frozen=True, eq=False)
class Upsampling:
    """From a grid (height, width) to the size of an image, of any ratio, also below 1."""

    grid: tuple[int, int]
    size: tuple[int, int]

    @cached_property
    def y(self) -> AxisRecipe:
        """Along the height."""
        return AxisRecipe(self.grid[0], self.size[0])

    @cached_property
    def x(self) -> AxisRecipe:
        """Along the width."""
        return AxisRecipe(self.grid[1], self.size[1])

    @property
    def n_pixels(self) -> int:
        """Of one image."""
        return self.size[0] * self.size[1]

    @property
    def n_cells(self) -> int:
        """Of one map."""
        return self.grid[0] * self.grid[1]

    def by_pixel(self, maps: Tensor) -> Tensor:
        """Every pixel of maps (units, h, w): (height * width, units) float64.

        Rows of all units are taken together, which is several times faster than to gather along
        the last axis.
        """
        n_units = len(maps)
        columns = maps.double().permute(2, 1, 0).reshape(self.grid[1], -1)  # (w, h * units)
        wide = _between(columns, self.x).reshape(-1, self.grid[0], n_units)  # (width, h, units)
        rows = wide.transpose(0, 1).reshape(self.grid[0], -1)  # (h, width * units)
        return _between(rows, self.y).reshape(-1, n_units)

    def gathered(self, masks: Tensor) -> Tensor:
        """Masks (..., height, width) to weights (..., h, w): the transpose of upsampling.

        The sum of an upsampled map over a mask is the sum of the map times these weights.
        """
        y, x = (torch.from_numpy(axis.matrix).to(masks) for axis in (self.y, self.x))
        return y.mT @ masks @ x

    @cached_property
    def patches(self) -> Patches:
        """Those of a map."""
        return Patches(self)


class Patches:
    """The patches of a map, numbered row by row, (height + 1) * (width + 1) of its grid.

    Attributes:
        along_y, along_x: (most pixels of a patch along it, patches) float64, the weight of each
            pixel; NaN where a patch has fewer.
        outer_y, outer_x: (2, patches) float32, of the first and the last pixel.
        first_pixel: (patches,) its place in the image.
        offsets: (pixels along y * along x,) from there to the others.
    """

    def __init__(self, upsampling: Upsampling) -> None:
        y, x = upsampling.y, upsampling.x
        rows, columns = (axis.ravel() for axis in np.indices((y.n_cells + 1, x.n_cells + 1)))
        self._n_cells = upsampling.n_cells
        (top, bottom), (left, right) = y.corners, x.corners
        above, below = top[rows] * x.n_cells, bottom[rows] * x.n_cells
        left, right = left[columns], right[columns]
        self._corners = above + left, above + right, below + left, below + right
        self.along_y, self.along_x = y.patch_weights[:, rows], x.patch_weights[:, columns]
        self.outer_y = y.outer_weights[:, rows].astype(np.float32)
        self.outer_x = x.outer_weights[:, columns].astype(np.float32)
        self.first_pixel = y.first_pixel[rows] * x.n_pixels + x.first_pixel[columns]
        slots = np.indices((len(self.along_y), len(self.along_x)))
        self.offsets = (slots[0] * x.n_pixels + slots[1]).ravel()

    @property
    def n_slots(self) -> int:
        """The most pixels of a patch."""
        return len(self.offsets)

    def corners(
        self, maps: NDArray[np.float32], map_: NDArray[np.int64], patch: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], ...]:
        """The cells above left, above right, below left and below right of patches (n,)."""
        cells, start = maps.reshape(-1), map_ * self._n_cells
        return tuple(cells[start + corner[patch]] for corner in self._corners)


def _between(rows: Tensor, axis: AxisRecipe) -> Tensor:
    """From one row for each cell to one for each pixel."""
    low, high, weight = (
        torch.from_numpy(values).to(rows.device) for values in (axis.low, axis.high, axis.weight)
    )
    before = rows.index_select(0, low)
    return (rows.index_select(0, high) - before).mul_(weight[:, None]).add_(before)
