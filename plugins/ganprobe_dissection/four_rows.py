"""The four-row figure: generated, identified, removed, inserted, on the same latents.

Source: GAN Dissection, Bau et al. 2019 (arXiv 1811.10597), figure 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ganprobe import COLOURS, ImageCell, draw_image_grid, mark_area
from ganprobe_dissection.causes import Cause
from ganprobe_dissection.palette import class_colours, ink_on
from ganprobe_dissection.removal_figure import ORDER_WORDS
from ganprobe_dissection.shown import Picture

UNITS_COLOUR = "#ff2bd6"
"""Of the outline of where units are active: a colour that pictures of places hardly have."""

PLACE_COLOUR = COLOURS[4]
_TINT = 0.55


def draw_four_rows(cause: Cause) -> Figure:
    """Rows: as generated; the class and its units; the units removed; the units inserted."""
    question, shown = cause.question, cause.shown
    name, columns = question.class_name, range(len(shown.rows))
    box, above = _box(cause), [_identified(cause, column) for column in columns]
    rows = [
        [_cell(shown.before, column) for column in columns],
        above,
        [_cell(shown.removed, column) for column in columns],
        [_cell(shown.inserted, column, box) for column in columns],
    ]
    return draw_image_grid(
        rows,
        title=f"Units of {name} at {question.site}: generated, identified, removed, inserted",
        note=f"The first measured samples with at least half the mean area of {name}, then those"
        f" with the most.\nUnder each image: the area of {name}, in % of the image; in the second"
        " row the IoU of the two areas in this image.",
        made=question.made(),
        row_labels=_labels(cause),
        column_labels=[] if shown.numbers is None else [f"sample {n}" for n in shown.numbers],
        cell=1.15,
    )


def _cell(picture: Picture, column: int, box: NDArray[np.bool_] | None = None) -> ImageCell:
    image: NDArray[Any] = picture.images[column]
    if box is not None:
        image = mark_area(image, box, PLACE_COLOUR)
    return ImageCell(image, f"{picture.areas[column]:.1%}")


def _identified(cause: Cause, column: int) -> ImageCell:
    """The class tinted, and the outline of where its units are active."""
    shown, question = cause.shown, cause.question
    mask, active = shown.before.masks[column], shown.active[column]
    colour = class_colours(question.segmenter)[question.column]
    grey = np.repeat(shown.before.images[column].mean(0, keepdims=True), 3, axis=0)
    pale = 0.45 * grey + (0.5 if ink_on(colour) == "white" else 0.05)
    marked = mark_area(pale, mask, colour, tint=_TINT, line=False)
    either = (mask | active).sum()
    overlap = (mask & active).sum() / either if either else 0.0
    return ImageCell(mark_area(marked, active, UNITS_COLOUR), f"IoU {overlap:.2f}")


def _box(cause: Cause) -> NDArray[np.bool_]:
    """(y, x) the pixels of the place where units are inserted."""
    height, width = cause.insertion.places.image
    left, top, right, bottom = (round(edge) for edge in cause.insertion.box)
    box = np.zeros((height, width), bool)
    box[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return box


def _labels(cause: Cause) -> list[str]:
    question, removal = cause.question, cause.removal
    name, own, n = question.class_name, len(question.own_units), len(removal.base)
    curve = removal.chosen
    x, y = cause.insertion.middle
    chosen = "best" if cause.insertion.is_best else "given"
    return [
        f"Generated\n{question.context.generator.name}",
        f"Identified\n{name} (tinted) and where\n{_counted(own, 'unit')} of {question.site}"
        f"\n{'is' if own == 1 else 'are'} active (outlined)",
        f"Removed\n{_counted(len(curve.units), 'unit')} at 0 ({ORDER_WORDS[curve.order]})\n{name}:"
        f" {curve.share[-1]:.0%} left\n[{curve.low[-1]:.0%}, {curve.high[-1]:.0%}], n = {n}",
        f"Inserted\nthe same at ({x:.2f}, {y:.2f}),\nthe {chosen}"
        f" place (framed)\n{name}: {_points(cause)}, n = {n}",
    ]


def _points(cause: Cause) -> str:
    """The change of the class's area, in percentage points of the image."""
    effects, column = cause.insertion.effects, cause.question.column
    mean, low, high = (100 * one[column] for one in (effects.mean, effects.low, effects.high))
    return f"{mean:+.2f} points\n[{low:+.2f}, {high:+.2f}]"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
