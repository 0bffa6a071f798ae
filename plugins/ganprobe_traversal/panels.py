"""Panels: small curves of measures along a walk, each with a scale of its own.

The columns of a measure that are shares of a whole, as the probabilities of classes, share a panel;
other columns may have any unit and have one each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ganprobe import COLOURS, plain_axes
from ganprobe_traversal.mosaic import OUTSIDE_COLOUR
from ganprobe_traversal.ways import Floats

__all__ = ["Panel", "are_shares", "choose_panels", "draw_lines", "draw_panel", "shade_outside"]

_MOST_LINES = 5
_WHOLE = 1e-3
_STILL = 1e-9


@dataclass(frozen=True, eq=False)
class Panel:
    """One measure's curves on one scale.

    Args:
        columns: of the measure, the most changing first.
        values: (base, step, column) of these.
    """

    measure: str
    columns: tuple[str, ...]
    values: Floats

    @property
    def title(self) -> str:
        """``digit``, or ``appearance: contrast``."""
        return self.measure if len(self.columns) != 1 else f"{self.measure}: {self.columns[0]}"


def choose_panels(
    measures: dict[str, Floats], columns: dict[str, Sequence[str]], most: int
) -> list[Panel]:
    """Panels of the curves that move most, of each measure at least one while there is room.

    Args:
        measures: by name: (base, step, column).
        most: how many there may be.
    """
    found: list[tuple[float, Panel]] = []
    for name, values in measures.items():
        mean = values.mean(axis=0)  # (step, column)
        spread = values.std(axis=(0, 1))
        moves = np.where(spread > _STILL, np.ptp(mean, axis=0) / np.maximum(spread, _STILL), 0.0)
        order = np.argsort(-moves, kind="stable")
        if are_shares(values):
            order = np.argsort(-np.ptp(mean, axis=0), kind="stable")[:_MOST_LINES]
            names = tuple(columns[name][int(one)] for one in order)
            found.append((np.inf, Panel(name, names, values[:, :, order])))
            continue
        for rank, one in enumerate(order):
            panel = Panel(name, (columns[name][int(one)],), values[:, :, [one]])
            found.append((np.inf if rank == 0 else float(moves[one]), panel))
    best = sorted(range(len(found)), key=lambda place: -found[place][0])[:most]
    return [found[place][1] for place in sorted(best)]


def draw_panel(axes: Axes, panel: Panel, places: Sequence[float], *, is_wide: bool = False) -> None:
    """The mean over bases with its standard error."""
    for number, column in enumerate(panel.columns):
        colour = COLOURS[number % len(COLOURS)]
        _draw_mean(axes, panel.values[:, :, number], places, colour, column)
    plain_axes(axes)
    axes.set_title(panel.title, fontsize=8.5, loc="left")
    axes.margins(y=0.08)
    if len(panel.columns) > 1:
        legend: dict[str, Any] = {"loc": "best", "ncols": 2, "columnspacing": 1.0}
        if is_wide:
            legend = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.05)}
        axes.legend(fontsize=7, frameon=False, handlelength=1.2, **legend)


def draw_lines(axes: Axes, panel: Panel, places: Sequence[float], names: Sequence[str]) -> None:
    """A line for each row, of the first column; where names are given, with them."""
    for row, values in enumerate(panel.values[:, :, 0]):
        name = names[row] if row < min(len(names), len(COLOURS)) else None
        axes.plot(places, values, "-", color=COLOURS[row % len(COLOURS)], lw=1.2, label=name)
    plain_axes(axes)
    axes.set_title(panel.title, fontsize=8.5, loc="left")
    axes.margins(y=0.08)
    if names:
        axes.legend(fontsize=6.5, frameon=False, handlelength=1.2, ncols=2, columnspacing=1.0)


def shade_outside(axes: Axes, places: Sequence[float], is_outside: NDArray[np.bool_]) -> None:
    """A red ground where steps lie outside the prior."""
    edges = _edges(np.asarray(places, dtype=np.float64))
    for step in np.flatnonzero(is_outside):
        axes.axvspan(edges[step], edges[step + 1], color=OUTSIDE_COLOUR, alpha=0.09, lw=0)


def _draw_mean(axes: Axes, values: Floats, places: Sequence[float], colour: str, name: str) -> None:
    mean, marker = values.mean(axis=0), "o-" if len(places) <= 25 else "-"
    axes.plot(places, mean, marker, color=colour, markersize=3, lw=1.4, label=name)
    if len(values) > 1:
        error = values.std(axis=0, ddof=1) / len(values) ** 0.5
        axes.fill_between(places, mean - error, mean + error, color=colour, alpha=0.15, lw=0)


def are_shares(values: Floats) -> bool:
    """Whether the columns are shares of a whole."""
    if values.shape[2] < 2 or values.min() < -_WHOLE:
        return False
    return bool(np.abs(values.sum(axis=2) - 1).max() < _WHOLE)


def _edges(places: Floats) -> Floats:
    """Between the places, and as far beyond the ends."""
    middles = (places[1:] + places[:-1]) / 2
    first, last = 2 * places[0] - middles[0], 2 * places[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])
