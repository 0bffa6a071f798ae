"""The figure of a removal: what is left of a class, unit by unit, beside random sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganprobe import COLOURS, CONTROL_COLOUR, control_band, plain_axes, sign
from ganprobe_dissection.question import Floats
from ganprobe_dissection.removal import GREEDY, IOU, Curve, Removal

ORDER_COLOURS = {IOU: COLOURS[0], GREEDY: COLOURS[1]}
ORDER_WORDS = {IOU: "IoU order", GREEDY: "greedy order"}

_RIBBON = 0.18
_APART = 0.055  # of the axis, between labels at the end of lines
FULL_BAND = 39  # draws of a 95 % band


def draw_removal(removal: Removal) -> Figure:
    """What is left of the class against how many units are removed."""
    question = removal.question
    figure = Figure(figsize=(8.0, 4.9), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, question.n_units], [100, 100], color="0.7", lw=0.8)
    ends = [_draw_control(axes, removal), *(_draw(axes, removal, one) for one in removal.curves)]
    axes.set_xlim(0, question.n_units * 1.25 + 0.5)
    axes.set_ylim(0, max(108.0, *(1.04 * one for one in _tops(removal))))
    _label_ends(axes, question.n_units, ends)
    axes.set_xlabel(f"units of {question.site} removed together, of {question.tensor.n_units}")
    axes.set_ylabel(f"area of {question.class_name} that is left, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= question.n_units])
    plain_axes(axes)
    _second_scale(axes, removal)
    n, n_draws = len(removal.base), len(removal.control.draws)
    told = f"100 % is {removal.area:.2%} of the image. Ribbons: 95 % interval over n = {n} samples."
    told += f"\nGrey: {band_words(n_draws)}, and their mean."
    axes.set_title(told, loc="left", fontsize=8, color="0.35")
    title = f"Removing the units of {question.class_name} at {question.site}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sign(figure, question.made())
    return figure


def band_words(n_draws: int) -> str:
    """What the band of random sets is."""
    if n_draws < FULL_BAND:
        return f"least to most that {n_draws} random sets of equal size leave"
    return f"what 95 % of {n_draws} random sets of equal size leave"


def _draw(axes: Axes, removal: Removal, curve: Curve) -> tuple[float, str, str]:
    """One order; its last value, its label and its colour."""
    sizes, colour = [0, *removal.question.sizes], ORDER_COLOURS[curve.order]
    low, high = (100 * np.array([1.0, *limit]) for limit in (curve.low, curve.high))
    axes.fill_between(sizes, low, high, color=colour, alpha=_RIBBON, lw=0)
    axes.plot(sizes, 100 * np.array([1.0, *curve.share]), "o-", ms=3.5, lw=1.7, color=colour)
    return 100 * float(curve.share[-1]), ORDER_WORDS[curve.order], colour


def _draw_control(axes: Axes, removal: Removal) -> tuple[float, str, str]:
    sizes, shares = [0, *removal.question.sizes], _control(removal)
    low, high = control_band(shares)
    axes.fill_between(sizes, 100 * low, 100 * high, color=CONTROL_COLOUR, alpha=0.25, lw=0)
    axes.plot(sizes, 100 * shares.mean(0), "--", color=CONTROL_COLOUR, lw=1.4)
    return 100 * float(shares[:, -1].mean()), "random units", CONTROL_COLOUR


def _control(removal: Removal) -> Floats:
    """(draw, 1 + sizes) what random sets leave, beginning with no unit."""
    shares = removal.control.shares(removal.question.column)
    return np.concatenate([np.ones((len(shares), 1)), shares], axis=1)


def _tops(removal: Removal) -> list[float]:
    """The highest points that are to be seen, in per cent."""
    means = [100 * float(curve.share.max()) for curve in removal.curves]
    highs = [min(100 * float(np.nanmax([0.0, *curve.high])), 250.0) for curve in removal.curves]
    return [*means, *highs, min(100 * float(control_band(_control(removal))[1].max()), 250.0)]


def _label_ends(axes: Axes, n_units: int, ends: Sequence[tuple[float, str, str]]) -> None:
    """Words at the end of each line, so far apart that they can be read."""
    top = axes.get_ylim()[1]
    least = 0.02 * top
    for value, words, colour in sorted(ends):
        height = max(value, least)
        axes.text(1.02 * n_units, height, f"{words}: {value:.0f} %", color=colour, fontsize=9,
                  va="center")  # fmt: skip
        least = height + _APART * top


def _second_scale(axes: Axes, removal: Removal) -> None:
    """The same in per cent of the image."""
    other = axes.twinx()
    bottom, top = axes.get_ylim()
    other.set_ylim(bottom * removal.area, top * removal.area)
    other.set_ylabel(f"area of {removal.question.class_name}, % of the image")
    other.tick_params(labelsize=8)
    other.spines[["top", "right"]].set_visible(False)
