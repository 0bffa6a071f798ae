"""The figure of trends: which way changes which measure, and to which side."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ganprobe import sign
from ganprobe_traversal.trends import SIGNIFICANT, Trends
from ganprobe_traversal.walk import Walks

__all__ = ["draw_trends"]

_MOST_WAYS, _MOST_COLUMNS = 40, 60
_REACH = 2.0  # deviations that have the full colour
_WRITTEN = 0.05  # the least that is written
_SQUARE = 0.4  # inches


def draw_trends(walks: Walks, trends: Trends) -> Figure | None:
    """A square for each way and column of a measure; None where no change has a scale.

    Its colour is the change in standard deviations of all images, written where it is found.
    """
    columns = [one for one in range(trends.shape[1]) if not np.isnan(trends.sizes[:, one]).all()]
    if not columns:
        return None
    shown = sorted(sorted(columns, key=lambda one: -np.nanmax(np.abs(trends.sizes[:, one])))
                   [:_MOST_COLUMNS])  # fmt: skip
    rows = walks.ranking[:_MOST_WAYS]
    sizes = trends.sizes[np.ix_(rows, shown)]
    is_found = (trends.by_way(trends.changes.q) < SIGNIFICANT)[np.ix_(rows, shown)]
    size = 2.6 + _SQUARE * len(shown), 2.6 + _SQUARE * 0.7 * len(rows)
    figure = Figure(figsize=(max(size[0], 6.2), max(size[1], 3.4)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(sizes, cmap="RdBu_r", vmin=-_REACH, vmax=_REACH, aspect="auto")
    for row, column in zip(*np.nonzero(is_found & (np.abs(sizes) >= _WRITTEN)), strict=True):
        value = sizes[row, column]
        colour = "white" if abs(value) > 0.65 * _REACH else "black"
        axes.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=6.5,
                  color=colour)  # fmt: skip
    names = [": ".join(trends.columns[column]) for column in shown]
    axes.set_xticks(range(len(shown)), names, rotation=90, fontsize=7.5)
    axes.set_yticks(range(len(rows)), [str(walks.plan.ways.keys[way]) for way in rows], fontsize=8)
    axes.set_ylabel("strongest first")
    steps = [f"{walks.plan.steps[end]:g}" for end in trends.ends]
    axes.set_title(
        f"What measures gain from {steps[0]} to {steps[1]}\n"
        f"numbers: q < {SIGNIFICANT:g} over all of it",
        loc="left",
        fontsize=10,
    )
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("change, in standard\ndeviations over images", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
    sign(figure, walks.plan.made)
    return figure
