"""What the figures of numbers have in common."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from ganprobe import COLOURS
from ganprobe_ablation.plan import Floats

STRATEGY_COLOURS = {"rank": COLOURS[0], "greedy": COLOURS[4]}
BAND = 0.18
"""Opacity of bands."""

_CHARACTERS = 10.5  # of a title, in an inch
_MOST_OF_SPAN = 3.0  # so far an axis goes beyond the means


def entitle(figure: Figure, title: str) -> None:
    """Write a title over a figure, in as many lines as it takes."""
    n_characters = int(figure.get_size_inches()[0] * _CHARACTERS)
    figure.suptitle(textwrap.fill(title, n_characters), x=0.01, ha="left", fontsize=11)


def axis_limits(mean: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """Of an axis that holds 0 and all means, and intervals as long as they do not dwarf these."""
    span = float(np.ptp([*mean, 0.0])) or 1.0
    least, most = min(float(mean.min()), 0.0), max(float(mean.max()), 0.0)
    left = min(least, max(float(low.min()), least - _MOST_OF_SPAN * span))
    right = max(most, min(float(high.max()), most + _MOST_OF_SPAN * span))
    edge = 0.04 * (right - left or span)
    return left - edge, right + edge
