"""The figure of what place alone explains: IoU with the own masks against those of others."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ganprobe import plain_axes, sign
from ganprobe_dissection.labels import Labelled
from ganprobe_dissection.palette import EDGE
from ganprobe_dissection.sentences import STABLE, made, percent
from ganprobe_dissection.study import Study

_MOST_ACROSS, _MOST_CLASSES = 3, 24
_PANEL, _BESIDE = 3.3, 1.5  # inches
_CHARACTERS = 11  # of a title, in an inch


def draw_place(study: Study) -> Figure:
    """A panel for each site, a point for each unit that lives."""
    n_across = min(len(study.sites), _MOST_ACROSS)
    n_down = -(-len(study.sites) // n_across)
    size = (max(6.4, n_across * _PANEL + _BESIDE), 0.9 + n_down * 3.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_down, n_across, squeeze=False, sharex=True, sharey=True)
    for number, axes in enumerate(panels.flat):
        if number < len(study.sites):
            _draw_panel(axes, study, study.sites[number])
        else:
            axes.set_axis_off()
    n = study.sites[0].elsewhere.n_samples
    figure.supylabel("IoU of the unit's best class, 95 % interval", fontsize=9)
    figure.legend(handles=_legend(study), loc="outside right center", frameon=False, fontsize=8)
    title = (
        "What a unit draws, or only where: on the dashed line, masks of other images fit as well as"
        f" its own (n = {n} samples)"
    )
    n_characters = int(size[0] * _CHARACTERS)
    figure.suptitle(textwrap.fill(title, n_characters), x=0.01, ha="left", fontsize=10)
    sign(figure, made(study))
    return figure


def _draw_panel(axes: Axes, study: Study, site: Labelled) -> None:
    found, chance = site.dissection, site.chance
    has_class = found.best_class >= 0
    furthest = 1.15 * max(0.01, *(float(np.nanmax(one.chance, initial=0)) for one in study.sites))
    axes.plot([0, furthest], [0, furthest], "--", color="0.4", lw=1, zorder=0)
    axes.set_xlim(-0.02 * furthest, furthest)
    axes.axhline(study.plan.params.least_iou, color="0.75", lw=0.8, zorder=0)
    for place in np.flatnonzero(has_class):
        is_label = bool(site.is_label[place])
        colour = study.colours[found.best_class[place]] if is_label else "0.8"
        is_sure = not is_label or found.stability[place] >= STABLE
        low, high = found.iou_low[place], found.iou_high[place]
        axes.vlines(chance[place], low, high, color=EDGE, lw=0.5, alpha=0.6, zorder=1)
        axes.plot(chance[place], found.best_iou[place], "o" if is_sure else "D",
                  ms=5.5 if is_label else 3, mfc=colour, mec=EDGE if is_label else "0.7", mew=0.6,
                  zorder=3 if is_label else 2)  # fmt: skip
    n_labelled = int(site.is_label.sum())
    axes.set_title(
        f"{found.site}: {n_labelled} of {site.n_units} units, {int(site.is_placed.sum())} by place"
        " alone", loc="left", fontsize=8.5,
    )  # fmt: skip
    axes.set_xlabel("IoU with the masks of other samples", fontsize=8)
    plain_axes(axes)


def _legend(study: Study) -> list[Line2D]:
    counts = np.sum([site.counts() for site in study.sites], axis=0)
    shown = [place for place in np.argsort(-counts, kind="stable") if counts[place]]

    def point(label: str, **how: object) -> Line2D:
        style = {"marker": "o", "ms": 6, "mec": EDGE, "mew": 0.6, "ls": ""} | how
        return Line2D([], [], label=label, **style)  # type: ignore[arg-type]

    limit = f"IoU up to {study.plan.params.least_iou:g}"
    return [
        *(point(study.classes[place], mfc=study.colours[place]) for place in shown[:_MOST_CLASSES]),
        point(limit, mfc="0.8", mec="0.7", ms=4),
        point(f"label in < {percent(STABLE)}\nof resamples", mfc="white", marker="D"),
    ]
