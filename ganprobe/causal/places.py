"""Places: the cells of a grid over the image, and the window of a site's grid around each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.indices import check_count
from ganprobe.sites import SiteTensor

__all__ = ["Places"]

Size = tuple[int, int]
"""Along y and along x."""

_FINEST = 16
"""Cells along an axis that a map has at most, unless more are asked for."""
_WINDOW = 3 / 16
"""Of an axis, the width of a window: a door of a house that fills half of the image."""


@dataclass(frozen=True)
class Places:
    """Where units are set, and where the image is read: one place for each cell of a grid.

    Units are set in the `window` of whole cells of the site around the middle of a place, less
    what would lie outside; the image is read in the pixels under that window. The place's own
    cell tells what was there.

    Args:
        grid: places along y and x.
        site: the sizes of the site's grid; (1, 1) where it has no axes y and x.
        image: height and width.
        window: cells of the site along y and x.
        is_spatial: whether the site has axes y and x; without them there is one place, everywhere.

    Example:
        >>> places = Places((2, 2), (4, 4), (8, 8), (2, 2))
        >>> places.masks()[1].int().tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    """

    grid: Size
    site: Size
    image: Size
    window: Size
    is_spatial: bool = True

    @classmethod
    def over(
        cls,
        tensor: SiteTensor,
        image_shape: Sequence[int],
        *,
        grid: Size | int | None = None,
        window: Size | int | None = None,
    ) -> Places:
        """The places of a site.

        Args:
            image_shape: (channels, height, width).
            grid: places along y and x; None: the site's own cells, at most 16 along an axis.
            window: cells of the site along y and x; None: 3/16 of each axis, at least one.

        Raises:
            ParameterError: a grid finer than the site, or a window larger than it; either of them
                for a site without axes y and x.
        """
        height, width = image_shape[-2:]
        if len(tensor.spatial_shape) != 2:
            if grid is not None or window is not None:
                raise ParameterError(
                    f"{tensor.site.whole} has no axes y and x, so that it has no places; leave out"
                    " grid and window, or take another site"
                )
            return cls((1, 1), (1, 1), (height, width), (1, 1), is_spatial=False)
        sizes = tensor.spatial_shape[0], tensor.spatial_shape[1]
        usual = min(sizes[0], _FINEST), min(sizes[1], _FINEST)
        chosen = _pair(grid, usual, sizes, "a grid of places")
        wide = max(1, round(sizes[0] * _WINDOW)), max(1, round(sizes[1] * _WINDOW))
        return cls(chosen, sizes, (height, width), _pair(window, wide, sizes, "a window"))

    def __len__(self) -> int:
        return self.grid[0] * self.grid[1]

    def masks(self) -> Tensor:
        """(places, y, x) bool on the site's grid: where units are set; places row by row."""
        rows = _masks(self._windows(0), self.site[0])  # (grid y, y)
        columns = _masks(self._windows(1), self.site[1])
        both = rows[:, None, :, None] & columns[None, :, None, :]  # (grid y, grid x, y, x)
        return both.flatten(0, 1)

    def window_weights(self) -> tuple[Tensor, Tensor]:
        """(grid y, height) and (grid x, width): the share of each line that a window covers."""
        return self._weights(0, self._windows(0)), self._weights(1, self._windows(1))

    def cell_weights(self) -> tuple[Tensor, Tensor]:
        """The same of the places' own cells, which share no pixel and leave none out."""
        return self._cell_weights(0), self._cell_weights(1)

    def shares(self) -> Tensor:
        """(places,) float64: the share of the image under each window."""
        rows, columns = self.window_weights()
        area = torch.outer(rows.sum(1), columns.sum(1)).flatten()
        return area / (self.image[0] * self.image[1])

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right and bottom of each window, in pixels."""
        tall, wide = self.image[0] / self.site[0], self.image[1] / self.site[1]
        return [
            (columns.start * wide, rows.start * tall, columns.stop * wide, rows.stop * tall)
            for rows in self._windows(0)
            for columns in self._windows(1)
        ]

    def at(self, x: float, y: float) -> int:
        """The place that holds a point of the image, given in shares of its width and height.

        Raises:
            ParameterError: the point is outside the image.
        """
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ParameterError(
                f"a point is two shares of the image from 0 to 1, as in 0.5,0.6; got {x:g},{y:g}"
            )
        row = min(int(y * self.grid[0]), self.grid[0] - 1)
        return row * self.grid[1] + min(int(x * self.grid[1]), self.grid[1] - 1)

    def _windows(self, axis: int) -> list[range]:
        """For each place along an axis, the cells of the site that are set."""
        n, size, wide = self.grid[axis], self.site[axis], self.window[axis]
        firsts = [int(((2 * place + 1) * size - n * wide + n) // (2 * n)) for place in range(n)]
        return [range(max(first, 0), min(first + wide, size)) for first in firsts]

    def _weights(self, axis: int, windows: Sequence[range]) -> Tensor:
        scale = self.image[axis] / self.site[axis]
        ends = [(cells.start * scale, cells.stop * scale) for cells in windows]
        return _covered(ends, self.image[axis])

    def _cell_weights(self, axis: int) -> Tensor:
        n, size = self.grid[axis], self.image[axis]
        return _covered([(cell * size / n, (cell + 1) * size / n) for cell in range(n)], size)


def _masks(windows: Sequence[range], size: int) -> Tensor:
    masks = torch.zeros(len(windows), size, dtype=torch.bool)
    for row, cells in enumerate(windows):
        masks[row, cells.start : cells.stop] = True
    return masks


def _covered(ends: Sequence[tuple[float, float]], size: int) -> Tensor:
    """(ranges, size) float64: the share of each unit of a line between the ends of each range."""
    limits = torch.tensor(ends, dtype=torch.float64)
    first = torch.arange(size, dtype=torch.float64)
    below = torch.maximum(limits[:, :1], first)
    above = torch.minimum(limits[:, 1:], first + 1)
    return (above - below).clamp(min=0.0)


def _pair(given: Size | int | None, usual: Size, most: Size, what: str) -> Size:
    if given is None:
        return usual
    pair = (given, given) if isinstance(given, int) else tuple(given)
    if len(pair) != 2:
        raise ParameterError(f"{what} is one number or two, along y and x; got {given!r}")
    sizes = check_count(pair[0], what), check_count(pair[1], what)
    if sizes[0] > most[0] or sizes[1] > most[1]:
        raise ParameterError(
            f"{what} of {sizes[0]} x {sizes[1]} is larger than the site's {most[0]} x {most[1]}"
            " cells; give a smaller one"
        )
    return sizes
