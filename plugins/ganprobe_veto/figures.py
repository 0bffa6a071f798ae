"""The figure of the route: progress, survival and saturation at each stop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ganprobe import (
    COLOURS,
    CONTROL_COLOUR,
    control_band,
    plain_axes,
    sign,
)
from ganprobe_veto.damping import Damping, Loss, Mean, means_of_sets
from ganprobe_veto.trace import Trace
from ganprobe_veto.words import goal

_EDIT, _DAMPING, _BLEND = COLOURS[0], COLOURS[1], COLOURS[2]
_STATES = (("unedited", "0.35"), ("edited", _EDIT), ("destination", COLOURS[4]))
_FEW = 16  # stops whose names can be written in full size


def draw_route(trace: Trace, damping: Damping, *, title: str, made: str) -> Figure:
    """Progress, survival and saturation at each stop, in the order of the forward."""
    n = len(trace.stops)
    has_saturation = bool(trace.non_linear)
    heights = [3.2, 1.7, 1.5] if has_saturation else [3.2, 1.7]
    size = (min(22.0, max(7.5, 3.2 + 0.3 * n)), 2.4 + sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    _draw_progress(panels[0], trace, damping)
    _draw_survival(panels[1], damping)
    if has_saturation:
        _draw_saturation(panels[2], trace)
    for axes in panels:
        plain_axes(axes)
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        _mark(axes, damping)
    _name_stops(panels[-1], trace, damping)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def _draw_progress(axes: Axes, trace: Trace, damping: Damping) -> None:
    sets = means_of_sets(trace)
    low, high = control_band(sets)
    places = np.arange(len(trace.stops))
    told = f"random sets of {len(trace.edit.units)} units ({len(sets)} draws)"
    axes.fill_between(places, low, high, color=CONTROL_COLOUR, alpha=0.3, lw=0, label=told)
    _draw_line(axes, damping.blend, _BLEND, "blend of all units, equal norm", "s--")
    _draw_line(axes, damping.progress, _EDIT, "the edit (mean, 95 % interval)", "o-")
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_ylabel(f"progress to {goal(trace)}\n(0 nothing, 1 arrived)", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    if damping.worst is not None:
        _name_damping(axes, trace, damping, damping.worst)


def _name_damping(axes: Axes, trace: Trace, damping: Damping, worst: Loss) -> None:
    was, became = damping.progress[worst.before].mean, damping.progress[worst.place].mean
    stop = trace.stops[worst.place]
    kind = " (outside of any layer)" if stop.is_between else f" ({stop.kind})"
    axes.set_title(
        f"{stop.name}{kind} damps most: progress {was:.3f} to {became:.3f}",
        fontsize=9,
        color=_DAMPING,
        loc="left",
    )


def _draw_survival(axes: Axes, damping: Damping) -> None:
    axes.axhline(1, color=CONTROL_COLOUR, linewidth=1.2, label="random edits of equal norm")
    _draw_line(axes, damping.survival, _EDIT, "the edit", "o-")
    axes.set_ylabel("size of the change\n(random edits = 1)", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _draw_saturation(axes: Axes, trace: Trace) -> None:
    shares = trace.saturation.mean(2)  # (non-linear stop, state)
    width = 0.26
    for state, (name, colour) in enumerate(_STATES):
        places = np.array(trace.non_linear) + (state - 1) * width
        axes.bar(places, shares[:, state], width, color=colour, label=name)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("saturated values\n(derivative < 1 %)", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _draw_line(axes: Axes, means: Sequence[Mean], colour: str, label: str, style: str) -> None:
    places = np.arange(len(means))
    mean, low, high = np.array([(one.mean, one.low, one.high) for one in means]).T
    axes.plot(places, mean, style, color=colour, markersize=4, linewidth=1.5, label=label)
    axes.fill_between(places, low, high, color=colour, alpha=0.2, lw=0)


def _mark(axes: Axes, damping: Damping) -> None:
    """The stretch over which the edit is damped most."""
    if damping.worst is not None:
        span = damping.worst.before, damping.worst.place
        axes.axvspan(*span, color=_DAMPING, alpha=0.1, lw=0, zorder=0)


def _name_stops(axes: Axes, trace: Trace, damping: Damping) -> None:
    n = len(trace.stops)
    names = [f"{trace.names[0]} (edited)", *trace.names[1:]]
    small = 8.0 if n <= _FEW else 6.5
    axes.set_xticks(range(n), names, rotation=35 if n <= _FEW else 90, fontsize=small)
    for place, label in enumerate(axes.get_xticklabels()):
        label.set_horizontalalignment("right" if n <= _FEW else "center")
        label.set_rotation_mode("anchor" if n <= _FEW else "default")
        if damping.worst is not None and place == damping.worst.place:
            label.set(color=_DAMPING, weight="bold")
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_xlabel("layer output, in the order of the forward", fontsize=9)
