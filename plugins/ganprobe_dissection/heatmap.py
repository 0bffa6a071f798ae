"""The figure of all IoUs: units in the order of their labels, by classes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ganprobe import sign
from ganprobe_dissection.labels import Labelled
from ganprobe_dissection.sentences import made
from ganprobe_dissection.study import Study

_MOST_NAMED = 48
_LEAST, _MOST, _ROW, _AROUND, _BESIDE = 3.0, 7.2, 0.16, 1.7, 1.6  # inches


def draw_heatmap(study: Study) -> Figure:
    """A panel for each site, a row for each unit that is not dead, a column for each class."""
    n_classes = len(study.classes)
    wide = min(4.6, max(2.2, 0.26 * n_classes + 0.9))
    n_rows = max(site.n_units for site in study.sites)
    tall = min(_MOST, max(_LEAST, _AROUND + _ROW * n_rows))
    size = (max(6.0, len(study.sites) * wide + _BESIDE), tall)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(study.sites), squeeze=False)[0]
    largest = max(float(site.dissection.iou.max(initial=0.0)) for site in study.sites) or 1.0
    norm = PowerNorm(0.5, 0.0, largest)
    drawn = [
        _draw_panel(axes, study, site, norm) for axes, site in zip(panels, study.sites, strict=True)
    ]
    bar = figure.colorbar(drawn[0], ax=list(panels), shrink=0.6, pad=0.02)
    bar.set_label("IoU (the scale is that of its square root)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle("IoU of every unit with every class", x=0.01, ha="left", fontsize=11)
    sign(figure, made(study))
    return figure


def _draw_panel(axes: Axes, study: Study, site: Labelled, norm: PowerNorm) -> AxesImage:
    order = _order(site)
    n_classes, n_labelled = len(study.classes), int(site.is_label.sum())
    values = site.dissection.iou[order] if order else np.zeros((1, n_classes))
    shown = axes.imshow(values, aspect="auto", cmap="magma", norm=norm, interpolation="nearest")
    if 0 < n_labelled < len(order):
        axes.axhline(n_labelled - 0.5, color="white", lw=1.2)
    axes.set_xticks(range(n_classes), study.classes, rotation=60, ha="right", fontsize=8,
                    rotation_mode="anchor", parse_math=False)  # fmt: skip
    axes.set_yticks([])
    _draw_strip(axes, study, site, order)
    n_dead = int(site.dissection.dead.sum())
    dead = f", {n_dead} dead ones left out" if n_dead else ""
    rest = " above the line" if 0 < n_labelled < len(order) else ""
    title = f"{site.dissection.site}: {n_labelled} of {site.n_units} units draw one{rest}{dead}"
    axes.set_title(title, loc="left", fontsize=9)
    return shown


def _draw_strip(axes: Axes, study: Study, site: Labelled, order: list[int]) -> None:
    """The label of each unit in its colour, left of its row, and numbers of units."""
    strip = axes.inset_axes((-0.065, 0.0, 0.045, 1.0))
    best = site.dissection.best_class
    colours = [
        to_rgb(study.colours[best[place]]) if site.is_label[place] else (1.0, 1.0, 1.0)
        for place in order
    ]
    if colours:
        strip.imshow(np.array(colours)[:, None], aspect="auto", interpolation="nearest")
    named = _named(site, order)
    strip.set_yticks(named, [str(site.dissection.units[order[row]]) for row in named], fontsize=7)
    strip.set_xticks([])
    strip.tick_params(axis="y", length=2)
    strip.spines[:].set_visible(False)
    strip.set_ylabel("unit", fontsize=8)


def _order(site: Labelled) -> list[int]:
    """Places of the units that live: labelled ones first, by class and then by IoU."""
    found = site.dissection
    order = np.lexsort((-found.best_iou, found.best_class, ~site.is_label))
    return [int(place) for place in order if not found.dead[place]]


def _named(site: Labelled, order: list[int]) -> list[int]:
    """Rows whose unit is named: all where they are few, else the best of each class."""
    if len(order) <= _MOST_NAMED:
        return list(range(len(order)))
    room, named = len(order) / _MOST_NAMED, list[int]()
    best = [int(site.dissection.best_class[place]) for place in order]
    for row, place in enumerate(order):
        is_first = site.is_label[place] and (row == 0 or best[row] != best[row - 1])
        if is_first and (not named or row - named[-1] >= room):
            named.append(row)
    return named
