"""The figure of what else a removal changes: every class's area, and what fills the hole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganprobe import (
    CONTROL_COLOUR,
    control_band,
    plain_axes,
    sign,
)
from ganprobe_dissection.fill import filled
from ganprobe_dissection.palette import class_colours
from ganprobe_dissection.question import Floats
from ganprobe_dissection.removal import Removal
from ganprobe_dissection.removal_figure import ORDER_WORDS

_MOST = 30  # bars of a panel


def draw_collateral(removal: Removal) -> Figure:
    """Left: how each class's area changes. Right: what stands where the class was."""
    question = removal.question
    places = _largest(np.abs(removal.collateral.mean))
    figure = Figure(figsize=(9.6, 1.9 + 0.3 * len(places)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_changes(left, removal, places)
    _draw_fill(right, removal)
    title = (
        f"{len(removal.chosen.units)} units of {question.class_name} at {question.site} removed"
        f" ({ORDER_WORDS[removal.chosen.order]}): what else changes"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sign(figure, question.made())
    return figure


def _draw_changes(axes: Axes, removal: Removal, places: Sequence[int]) -> None:
    found, rows = removal.collateral, range(len(places))
    low, high = (100 * limit[places] for limit in control_band(removal.control.changes[:, -1]))
    axes.barh(rows, high - low, left=low, height=0.84, color=CONTROL_COLOUR, alpha=0.25, lw=0)
    mean = 100 * found.mean[places]
    axes.barh(rows, mean, height=0.5, color=_colours(removal, places), ec="0.35", lw=0.6)
    axes.hlines(rows, 100 * found.low[places], 100 * found.high[places], color="0.1", lw=1.2)
    axes.axvline(0, color="0.4", lw=0.8)
    names = np.array(removal.question.segmenter.classes)[places]
    before = 100 * removal.base.mean(0)[places]
    labels = [f"{name} ({area:.1f} %)" for name, area in zip(names, before, strict=True)]
    axes.set_yticks(rows, labels)
    axes.invert_yaxis()
    axes.set_xlabel("change of its area, percentage points of the image", fontsize=9)
    n, n_draws = len(removal.base), len(removal.control.draws)
    axes.set_title(
        f"Every class's area (in brackets: before)\nlines: 95 % interval, n = {n}; grey: {n_draws}"
        " random sets",
        loc="left", fontsize=8, color="0.35",
    )  # fmt: skip
    plain_axes(axes)


def _draw_fill(axes: Axes, removal: Removal) -> None:
    names, share, low, high = filled(removal)
    if not len(share):
        axes.set_axis_off()
        axes.text(0, 0.9, f"Nothing of {removal.question.class_name} went away.", fontsize=9)
        return
    places = [place for place in _largest(share) if share[place] > 0]
    rows, kept = range(len(places)), np.array(places, int)
    axes.barh(
        rows, 100 * share[kept], height=0.5, color=_colours(removal, places), ec="0.35", lw=0.6
    )
    axes.hlines(rows, 100 * low[kept], 100 * high[kept], color="0.1", lw=1.2)
    axes.set_yticks(rows, [names[place] for place in places])
    axes.set_ylim(max(len(places), len(removal.question.segmenter.classes)) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("% of what went away", fontsize=9)
    gone = float(removal.gone.mean() / removal.area)
    axes.set_title(
        f"What is there now where {removal.question.class_name} was\n({gone:.0%} of its area went"
        " away)",
        loc="left", fontsize=8, color="0.35",
    )  # fmt: skip
    plain_axes(axes)


def _largest(values: Floats) -> list[int]:
    """The places of the largest values first, at most so many."""
    return [int(place) for place in np.argsort(-values, kind="stable")[:_MOST]]


def _colours(removal: Removal, places: Sequence[int]) -> list[str]:
    colours = (*class_colours(removal.question.segmenter), "#d0d4d8")
    return [colours[place] for place in places]
