"""Drawing: grids of images with words around them, and what all figures have in common.

Differences of images are drawn from blue (darker) over white to red (brighter). `matplotlib` is
imported here: import this module where a figure is drawn, not where a plugin is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from ganprobe.errors import ParameterError

__all__ = ["COLOURS", "CONTROL_COLOUR", "ImageCell", "draw_image_grid", "plain_axes", "sign"]

COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8e5ea2", "#e08e0b", "#138086")
"""Of lines and bars, told apart also in grey."""

CONTROL_COLOUR = "#8a8f94"
"""Of what an effect is compared with: random sets, random edits."""

_COARSE = 128  # images up to this wide show their pixels
_CELL = 0.98  # this and what follows: inches
_GAP, _EDGE, _TITLE, _FOOT = 0.12, 0.15, 0.62, 0.34
_BELOW_LINE, _LABEL_LINE, _TITLE_LINE, _NOTE_LINE = 0.155, 0.16, 0.18, 0.16
_BESIDE = 0.08
_ROUNDED_UP = 1.03  # letters are drawn in whole pixels
_TITLE_SIZE, _NOTE_SIZE, _LABEL_SIZE, _BELOW_SIZE, _MADE_SIZE = 11, 8, 8.5, 7.5, 7  # points


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

    Raises:
        ParameterError: there is no image in it.
    """
    if not any(one is not None for row in rows for one in row):
        raise ParameterError("a grid without an image cannot be drawn; give it one cell or more")
    plan = _plan(rows, row_labels, column_labels, cell)
    above = _TITLE + title.count("\n") * _TITLE_LINE + _n_lines([note]) * _NOTE_LINE
    width = max(plan.width, 2 * _EDGE + _width_of_words(title, note, made))
    sheet = _Sheet(Figure(figsize=(width, above + plan.height + _FOOT)), above)
    sheet.write(_EDGE, 0.12 - above, title, fontsize=_TITLE_SIZE, va="top")
    under_title = 0.36 + title.count("\n") * _TITLE_LINE - above
    sheet.write(_EDGE, under_title, note, fontsize=_NOTE_SIZE, va="top", color="0.35")
    _draw_cells(sheet, plan, rows)
    _label(sheet, plan, row_labels, column_labels)
    sign(sheet.figure, made)
    return sheet.figure


@dataclass(frozen=True)
class _Plan:
    """Where the images of a grid are, in inches from the left and from under the title.

    Args:
        lefts, tops: of the images of each column, of each row.
        cell, tall: the width and height of an image.
        label_heights: of each row's label; 0 where there is none.
    """

    lefts: Sequence[float]
    tops: Sequence[float]
    cell: float
    tall: float
    label_heights: Sequence[float]
    width: float
    height: float


def _plan(
    rows: Sequence[Sequence[ImageCell | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    cell: float,
) -> _Plan:
    cells = [one for row in rows for one in row if one is not None]
    words = max(_width_of_captions(cells), _width(column_labels, _NOTE_SIZE))
    slot = max(cell, words)  # neighbours' words do not run into each other
    beside = _width(row_labels, _LABEL_SIZE)
    first = _EDGE + (beside + _BESIDE if beside else 0.0) + (slot - cell) / 2
    lefts = [first + column * (slot + _GAP) for column in range(max(map(len, rows)))]
    tall = cell * cells[0].image.shape[-2] / cells[0].image.shape[-1]
    labels = [_n_lines([*row_labels[row : row + 1]]) * _LABEL_LINE for row in range(len(rows))]
    below = [_n_lines([one.below for one in row if one]) * _BELOW_LINE for row in rows]
    heights = [max(tall + under, label) + _GAP for under, label in zip(below, labels, strict=True)]
    tops = list(accumulate(heights, initial=_n_lines(column_labels) * _LABEL_LINE))
    width = lefts[-1] + (cell + slot) / 2 + _GAP + _EDGE
    return _Plan(lefts, tops[:-1], cell, tall, labels, width, tops[-1])


@dataclass(frozen=True, eq=False)
class _Sheet:
    """A figure on which places are given in inches, counted from `above` under its upper edge."""

    figure: Figure
    above: float

    def place(self, left: float, top: float) -> tuple[float, float]:
        """The same place in fractions of the figure, as matplotlib counts."""
        width, height = self.figure.get_size_inches()
        return left / width, 1 - (self.above + top) / height

    def write(self, left: float, top: float, text: str, **how: Any) -> None:
        """Write as it stands: a dollar is a dollar."""
        self.figure.text(*self.place(left, top), text, parse_math=False, **how)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        x, y = self.place(left, top + height)
        right, upper = self.place(left + width, top)
        return self.figure.add_axes((x, y, right - x, upper - y))


def _draw_cells(sheet: _Sheet, plan: _Plan, rows: Sequence[Sequence[ImageCell | None]]) -> None:
    for top, row in zip(plan.tops, rows, strict=True):
        for left, one in zip(plan.lefts, row, strict=False):  # a row may be shorter
            if one is not None:
                _draw_cell(sheet.axes(left, top, plan.cell, plan.tall), one)


def _label(
    sheet: _Sheet, plan: _Plan, row_labels: Sequence[str], column_labels: Sequence[str]
) -> None:
    beside = _EDGE + _width(row_labels, _LABEL_SIZE)
    for top, height, text in zip(plan.tops, plan.label_heights, row_labels, strict=False):
        middle = top + max(plan.tall, height) / 2
        sheet.write(beside, middle, text, fontsize=_LABEL_SIZE, ha="right", va="center",
                    linespacing=1.3)  # fmt: skip
    for left, text in zip(plan.lefts, column_labels, strict=False):
        place = left + plan.cell / 2, plan.tops[0] - 0.055
        sheet.write(*place, text, fontsize=_NOTE_SIZE, ha="center", va="baseline")


def _width_of_words(title: str, note: str, made: str) -> float:
    widths = (_width([title], _TITLE_SIZE), _width([note], _NOTE_SIZE), _width([made], _MADE_SIZE))
    return max(widths)


def _width_of_captions(cells: Sequence[ImageCell]) -> float:
    strong = [one.below for one in cells if one.is_strong]
    others = [one.below for one in cells if not one.is_strong]
    return max(_width(strong, _BELOW_SIZE, "bold"), _width(others, _BELOW_SIZE))


def _width(texts: Sequence[str], size: float, weight: str = "normal") -> float:
    """How wide the widest line is, in inches."""
    font = FontProperties(size=size, weight=weight)
    lines = {line for text in texts for line in text.split("\n")}
    widths = [text_to_path.get_text_width_height_descent(line, font, False)[0] for line in lines]
    return float(max(widths, default=0.0)) / 72 * _ROUNDED_UP


def plain_axes(axes: Axes) -> None:
    """Small ticks, and no lines above and at the right."""
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def sign(figure: Figure, made: str) -> None:
    """A small line at the foot that says how the figure was made."""
    escaped = made.replace("$", r"\$")
    place = {} if figure.get_layout_engine() else {"y": 0.08 / figure.get_size_inches()[1]}
    figure.supxlabel(escaped, fontsize=_MADE_SIZE, color="#666666", x=0.99, ha="right", **place)


def _draw_cell(axes: Axes, one: ImageCell) -> None:
    image = one.image if one.image.ndim == 2 else _drawable(one.image)
    if one.is_difference:
        drawn = image if image.ndim == 2 else image.mean(axis=2)
        how: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    else:
        drawn, how = image.clip(0, 1), {"cmap": "gray", "vmin": 0, "vmax": 1}
    smooth = "nearest" if drawn.shape[1] <= _COARSE else "antialiased"
    axes.imshow(drawn, interpolation=smooth, aspect="auto", **how)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(one.frame or "0.75")
        spine.set_linewidth(2.2 if one.frame else 0.5)
    weight = "bold" if one.is_strong else "normal"
    axes.set_xlabel(one.below, fontsize=_BELOW_SIZE, labelpad=3, weight=weight, linespacing=1.15,
                    parse_math=False)  # fmt: skip


def _drawable(image: NDArray[Any]) -> NDArray[Any]:
    """(y, x, 3) for colour, (y, x) for anything else."""
    return np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]


def _n_lines(texts: Sequence[str]) -> int:
    return max((text.count("\n") + 1 for text in texts if text), default=0)
