"""The figure of cards: what a unit draws, and the images that drive it furthest."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ganprobe import sign
from ganprobe_dissection.cards import Card
from ganprobe_dissection.palette import EDGE, ink_on
from ganprobe_dissection.sentences import made, percent
from ganprobe_dissection.study import Study

_DIM = 0.48  # of the brightness, outside the active area
_LARGE = 192  # pixels: smaller images are repeated up to it, larger ones shrunk
_CELL, _GAP, _UNDER = 1.0, 0.07, 0.26  # this and what follows: inches
_LEFT, _EDGE, _TITLE, _FOOT = 2.0, 0.15, 0.86, 0.3


def draw_cards(study: Study) -> Figure:
    """A row for each unit: its label, then its top images, dimmed where it is not active."""
    n_columns = max(len(card.samples) for card in study.cards)
    height, width = study.cards[0].images.shape[2:]
    tall = _CELL * height / width
    body = (n_columns * (_CELL + _GAP), len(study.cards) * (tall + _UNDER))
    size = (max(6.8, _LEFT + body[0] + _EDGE), _TITLE + body[1] + _FOOT)
    figure = Figure(figsize=size)
    axes = figure.add_axes((_LEFT / size[0], _FOOT / size[1], body[0] / size[0], body[1] / size[1]))
    axes.set_xlim(0, body[0])
    axes.set_ylim(body[1], 0)
    axes.set_axis_off()
    for row, card in enumerate(study.cards):
        top = row * (tall + _UNDER)
        _describe(axes, study, card, top, tall)
        for rank in range(len(card.samples)):
            _draw_image(axes, study, card, rank, top, tall)
    figure.text(_EDGE / size[0], 1 - 0.12 / size[1], _title(study), fontsize=12, va="top")
    figure.text(_EDGE / size[0], 1 - 0.38 / size[1], _note(study), fontsize=8, va="top",
                color="0.3", linespacing=1.35)  # fmt: skip
    sign(figure, made(study))
    return figure


def _title(study: Study) -> str:
    sites = ", ".join(site.dissection.site for site in study.sites)
    if any(site.is_label.any() for site in study.sites):
        return f"What units of {sites} draw: the best of each class first"
    return f"Units of {sites} with the largest IoU; none counts as drawing a class"


def _note(study: Study) -> str:
    return (
        "The images that drive each unit furthest, bright and outlined where it is active. Under"
        " each: its largest value, and the sample.\nIoU with 95 % interval; elsewhere: with the"
        " masks of other samples; stable: resamples that keep the label; active: share of pixels."
    )


def _describe(axes: Axes, study: Study, card: Card, top: float, tall: float) -> None:
    site = study.sites[card.site]
    found, unit = site.dissection, card.unit
    place = int(found.best_class[unit])
    colour = study.colours[place]
    left, height = _EDGE - _LEFT, 0.21
    width = _LEFT - _EDGE - 0.12
    above = top + max(0.0, (tall - 1.0) / 2)
    axes.add_patch(Rectangle((left, above), width, height, facecolor=colour, edgecolor=EDGE,
                             lw=0.6, clip_on=False))  # fmt: skip
    axes.text(left + 0.06, above + height / 2, _short(study.classes[place]), fontsize=9,
              weight="bold", va="center", color=ink_on(colour), parse_math=False)  # fmt: skip
    coverage = found.coverage[unit, place] if found.coverage.ndim == 2 else found.coverage[unit]
    told = [
        f"IoU {found.best_iou[unit]:.3f} [{found.iou_low[unit]:.3f}, {found.iou_high[unit]:.3f}]",
        f"elsewhere {site.chance[unit]:.3f}" if site.has_chance else "one sample only",
        f"stable {percent(found.stability[unit])}, active {percent(coverage)}",
    ]
    axes.text(left, above + 0.36, f"{found.site}, unit {found.units[unit]}", fontsize=8.5,
              va="center", parse_math=False)  # fmt: skip
    axes.text(left, above + 0.47, "\n".join(told), fontsize=7.5, va="top", color="0.3",
              linespacing=1.4)  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:18]}…"


def _draw_image(axes: Axes, study: Study, card: Card, rank: int, top: float, tall: float) -> None:
    left = rank * (_CELL + _GAP)
    extent = (left, left + _CELL, top + tall, top)
    activation = card.maps[rank]
    image = shaded(card.images[rank], activation > card.level)
    smooth = "nearest" if image.shape[1] <= _LARGE else "antialiased"
    axes.imshow(image, extent=extent, aspect="auto", interpolation=smooth)
    if activation.min() <= card.level < activation.max():
        place = int(study.sites[card.site].dissection.best_class[card.unit])
        _outline(axes, activation, card.level, extent, study.colours[place])
    axes.add_patch(Rectangle((left, top), _CELL, tall, fill=False, edgecolor="0.75", lw=0.5))
    below = top + tall + 0.035
    value = study.sites[card.site].dissection.top_values[card.unit, rank]
    axes.text(left, below, f"{value:.3g}", fontsize=7, va="top", color="0.3")
    axes.text(left + _CELL, below, f"#{card.samples[rank]}", fontsize=6.5, va="top", ha="right",
              color="0.5")  # fmt: skip


def shaded(image: NDArray[np.float32], is_active: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(y, x, 3) of an image (channel, y, x) in [0, 1], darker where a unit is not active."""
    colours = np.moveaxis(image if len(image) == 3 else image[:1].repeat(3, axis=0), 0, 2)
    return np.asarray(colours.clip(0, 1) * np.where(is_active, 1.0, _DIM)[..., None], np.float32)


def _outline(
    axes: Axes, activation: NDArray[np.float64], level: float, extent: Any, colour: str
) -> None:
    """A line where the activation crosses the level, dark with the class's colour within."""
    for width, drawn in ((2.4, "black"), (1.2, colour if ink_on(colour) == "black" else "white")):
        axes.contour(activation, [level], origin="upper", extent=extent, colors=[drawn],
                     linewidths=width)  # fmt: skip
