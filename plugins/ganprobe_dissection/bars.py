"""The figure of how many units draw each class, a panel for each site."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ganprobe import plain_axes, sign
from ganprobe_dissection.labels import Labelled
from ganprobe_dissection.palette import EDGE
from ganprobe_dissection.sentences import made
from ganprobe_dissection.study import Study

_MOST_CLASSES = 30
_MOST_ACROSS = 4
_PANEL, _ROW, _BESIDE, _AROUND = 2.6, 0.27, 1.1, 1.55  # inches


def draw_bars(study: Study) -> Figure:
    """Bars in the classes' colours, the classes in one order in all panels."""
    shown = _shown(study)
    n_across = min(len(study.sites), _MOST_ACROSS)
    n_down = -(-len(study.sites) // n_across)
    size = (max(6.4, _BESIDE + n_across * _PANEL), n_down * (_AROUND + len(shown) * _ROW))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_down, n_across, squeeze=False, sharey=True)
    most = max(1, *(int(site.counts().max(initial=0)) for site in study.sites))
    for number, axes in enumerate(panels.flat):
        if number >= len(study.sites):
            axes.set_axis_off()
            continue
        _draw_panel(axes, study, study.sites[number], shown, most)
    for row in panels:
        row[0].set_yticks(range(len(shown)), [_label(study, place) for place in shown])
    n_left = sum(1 for site in study.sites for place, count in enumerate(site.counts())
                 if count and place not in shown)  # fmt: skip
    left = f"\n{len(study.classes) - len(shown)} classes with fewer units are not shown." * (
        n_left > 0
    )
    figure.suptitle(
        f"Units that draw each class (IoU > {study.plan.params.least_iou:g}){left}",
        x=0.01, ha="left", fontsize=11,
    )  # fmt: skip
    sign(figure, made(study))
    return figure


def _shown(study: Study) -> list[int]:
    """Places of the classes, most units first; those without any in their own order behind."""
    total = np.sum([site.counts() for site in study.sites], axis=0)
    return [int(place) for place in np.argsort(-total, kind="stable")[:_MOST_CLASSES]]


def _label(study: Study, place: int) -> str:
    name = study.classes[place]
    return name if len(name) <= 22 else f"{name[:20]}…"


def _draw_panel(axes: Axes, study: Study, site: Labelled, shown: list[int], most: int) -> None:
    counts: NDArray[np.int64] = site.counts()[shown]
    rows = range(len(shown))
    colours = [study.colours[place] for place in shown]
    edges = [0.7 if count else 0.0 for count in counts]
    axes.barh(rows, counts, color=colours, edgecolor=EDGE, linewidth=edges, height=0.74)
    reach = site.ceiling()[shown] > study.plan.params.least_iou
    for row, count in zip(rows, counts.tolist(), strict=True):
        told = str(count) if count or reach[row] else "0  out of reach"
        axes.text(count + 0.015 * most, row, told, va="center", fontsize=8,
                  color="black" if count else "0.6")  # fmt: skip
    axes.set_xlim(0, 1.14 * most)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
    axes.set_xlabel("units", fontsize=8)
    axes.set_title(_told(site), loc="left", fontsize=8.5, linespacing=1.4)
    plain_axes(axes)
    axes.tick_params(axis="y", length=0)


def _told(site: Labelled) -> str:
    n_labelled, n_dead = int(site.is_label.sum()), int(site.dissection.dead.sum())
    n_classes = int((site.counts() > 0).sum())
    of = "class" if n_classes == 1 else "classes"
    return (
        f"{site.dissection.site}: {n_labelled} of {site.n_units} units, {n_classes} {of}\n"
        f"{site.n_units - n_labelled - n_dead} draw none, {n_dead} dead"
    )
