"""Mosaics: many small images on one canvas, in rows and columns, with a place for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

__all__ = ["BASE_COLOUR", "OUTSIDE_COLOUR", "Mosaic", "as_colour", "shown_steps"]

BASE_COLOUR, OUTSIDE_COLOUR = "#d95f02", "#c00000"

_COARSE = 128  # images up to this wide show their pixels


def shown_steps(n_steps: int, most: int) -> list[int]:
    """Evenly spaced steps, the first and the last among them: all, or `most` of them."""
    places = np.linspace(0, n_steps - 1, min(n_steps, most)).round()
    return [int(place) for place in np.unique(places)]


def as_colour(images: NDArray[Any]) -> NDArray[Any]:
    """Images (..., channel, y, x) as (..., y, x, 3); of other than 3 channels the first is grey."""
    if images.shape[-3] != 3:
        images = np.repeat(images[..., :1, :, :], 3, axis=-3)
    return np.moveaxis(images, -3, -1)


@dataclass(frozen=True)
class Mosaic:
    """Where each image stands, in pixels of one image; y runs down.

    Args:
        lefts, tops: of the columns and rows.
        gap: between rows; half of it is free around everything.
    """

    cell_width: int
    cell_height: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    gap: int

    @classmethod
    def of(
        cls, shape: Sequence[int], n_rows: int, n_columns: int, *, has_base: bool, row_gap: int = 2
    ) -> Mosaic:
        """Of images (..., y, x); a base column stands apart from the steps at its right."""
        height, width = shape[-2:]
        gap = max(1, width // 14)
        apart = width + width // 2 if has_base else 0
        columns = [apart + step * (width + gap) for step in range(n_columns - has_base)]
        tops = tuple(row * (height + row_gap * gap) for row in range(n_rows))
        return cls(width, height, (*([0] if has_base else []), *columns), tops, gap)

    @property
    def width(self) -> int:
        return self.lefts[-1] + self.cell_width + 2 * self.gap

    @property
    def height(self) -> int:
        return self.tops[-1] + self.cell_height + 3 * self.gap

    @property
    def middles(self) -> list[float]:
        """Of the columns."""
        return [left + self.cell_width / 2 for left in self.lefts]

    @property
    def row_middles(self) -> list[float]:
        return [top + self.cell_height / 2 for top in self.tops]

    @property
    def span(self) -> tuple[float, float]:
        """Left and right end of everything."""
        return -self.gap, self.width - self.gap

    def draw(self, axes: Axes, images: NDArray[Any]) -> None:
        """Draw images (row, column, channel, y, x) in [0, 1]."""
        canvas = np.ones((self.tops[-1] + self.cell_height, self.lefts[-1] + self.cell_width, 3))
        for top, row in zip(self.tops, as_colour(images), strict=True):
            for left, image in zip(self.lefts, row, strict=True):
                canvas[top : top + self.cell_height, left : left + self.cell_width] = image
        axes.imshow(
            canvas.clip(0, 1),
            extent=(0, canvas.shape[1], canvas.shape[0], 0),
            interpolation="nearest" if self.cell_width <= _COARSE else "antialiased",
            aspect="auto",
        )
        axes.set_xlim(*self.span)
        axes.set_ylim(self.height - self.gap, -self.gap)
        axes.tick_params(length=0, labelsize=8)
        axes.spines[:].set_visible(False)

    def frame(self, axes: Axes, row: int, column: int, colour: str, width: float = 2.0) -> None:
        """A frame around one image."""
        place = self.lefts[column], self.tops[row]
        axes.add_patch(
            Rectangle(
                place,
                self.cell_width,
                self.cell_height,
                fill=False,
                edgecolor=colour,
                linewidth=width,
                clip_on=False,
            )
        )
