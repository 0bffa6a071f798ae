"""Drawing: grids of images with words around them, and what all figures have in common.

Differences of images are drawn from blue (darker) over white to red (brighter). `matplotlib` is
imported here: import this module where a figure is drawn, not where a plugin is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["COLOURS", "CONTROL_COLOUR", "ImageCell", "draw_image_grid", "plain_axes", "sign"]

COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8e5ea2", "#e08e0b", "#138086")
"""Of lines and bars, told apart also in grey."""

CONTROL_COLOUR = "#8a8f94"
"""Of what an effect is compared with: random sets, random edits."""

_COARSE = 128  # images up to this wide show their pixels
_CELL = 0.98
_GAP, _BELOW_LINE, _EDGE, _TITLE, _FOOT = 0.12, 0.155, 0.15, 0.62, 0.34
_CHARACTER = 0.075  # inches of a row's label


@dataclass(frozen=True, eq=False)
class ImageCell:
    """An image of a grid.

    Args:
        image: (channel, y, x) or (y, x) in [0, 1], grey or of three colours; a difference in
            [-1, 1].
        below: what is written under it; two lines at most.
        frame: the colour of a frame around it; None: there is none.
        is_difference: it is one of two images.
        is_strong: what is written under it is bold.
    """

    image: NDArray[Any]
    below: str = ""
    frame: str | None = None
    is_difference: bool = False
    is_strong: bool = False


def draw_image_grid(
    rows: Sequence[Sequence[ImageCell | None]],
    *,
    title: str,
    made: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    note: str = "",
    cell: float = _CELL,
) -> Figure:
    """A grid of images, with words under each, at the left of each row and over each column.

    Args:
        rows: of cells; None leaves a place empty.
        title: what it shows, in a sentence or less.
        note: how to read it, in small letters under the title.
        made: how it was made: generator, seed, n.
        row_labels, column_labels: one for each, or none; lines within them are kept.
        cell: the width of an image, in inches.
    """
    n_columns = max(map(len, rows))
    shape = next(one.image.shape for row in rows for one in row if one is not None)
    tall = cell * shape[-2] / shape[-1]
    below = [_n_lines([one.below for one in row if one is not None]) for row in rows]
    heights = [tall + lines * _BELOW_LINE + _GAP for lines in below]
    left = _EDGE + _CHARACTER * max((len(line) for text in row_labels for line in text.split("\n")),
                                    default=0)  # fmt: skip
    above = _TITLE + 0.16 * (note.count("\n") + bool(note)) + 0.16 * _n_lines(column_labels)
    needed = max(len(title) * 0.088, *(len(line) * 0.062 for line in (*note.split("\n"), made)))
    width = max(left + n_columns * (cell + _GAP) + _EDGE, needed + 2 * _EDGE)
    height = above + sum(heights) + _FOOT
    figure = Figure(figsize=(width, height))
    figure.text(_EDGE / width, 1 - 0.12 / height, title, fontsize=11, va="top")
    figure.text(_EDGE / width, 1 - 0.36 / height, note, fontsize=8, va="top", color="0.35")
    top = height - above
    for number, row in enumerate(rows):
        for column, one in enumerate(row):
            if one is None:
                continue
            corner = left + column * (cell + _GAP)
            box = (corner / width, (top - tall) / height, cell / width, tall / height)
            axes = figure.add_axes(box)
            _draw_cell(axes, one)
            if number == 0 and column < len(column_labels):
                axes.set_title(column_labels[column], fontsize=8, pad=4)
        if number < len(row_labels):
            middle = (top - tall / 2) / height
            figure.text((left - 0.08) / width, middle, row_labels[number], fontsize=8.5,
                        ha="right", va="center", linespacing=1.3)  # fmt: skip
        top -= heights[number]
    sign(figure, made)
    return figure


def plain_axes(axes: Axes) -> None:
    """Small ticks, and no lines above and at the right."""
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def sign(figure: Figure, made: str) -> None:
    """A small line at the foot that says how the figure was made."""
    escaped = made.replace("$", r"\$")
    place = {} if figure.get_layout_engine() else {"y": 0.08 / figure.get_size_inches()[1]}
    figure.supxlabel(escaped, fontsize=7, color="#666666", x=0.99, ha="right", **place)


def _draw_cell(axes: Axes, one: ImageCell) -> None:
    image = one.image if one.image.ndim == 2 else _drawable(one.image)
    if one.is_difference:
        drawn = image if image.ndim == 2 else image.mean(axis=2)
        how: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    else:
        drawn, how = image, {"cmap": "gray", "vmin": 0, "vmax": 1}
    smooth = "nearest" if drawn.shape[1] <= _COARSE else "antialiased"
    axes.imshow(drawn, interpolation=smooth, aspect="auto", **how)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(one.frame or "0.75")
        spine.set_linewidth(2.2 if one.frame else 0.5)
    weight = "bold" if one.is_strong else "normal"
    axes.set_xlabel(one.below, fontsize=7.5, labelpad=3, weight=weight, linespacing=1.15)


def _drawable(image: NDArray[Any]) -> NDArray[Any]:
    """(y, x, 3) for colour, (y, x) for anything else."""
    return np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]


def _n_lines(texts: Sequence[str]) -> int:
    return max((text.count("\n") + 1 for text in texts if text), default=0)
