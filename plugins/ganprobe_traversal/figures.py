"""The figures: the ranking of all dimensions, and the walk along one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ganprobe_traversal.walk import Walks

_BASE_COLOUR = "#d95f02"
_BAR_COLOUR = "#4c78a8"
_OUTSIDE_COLOUR = "#c00000"
_LINE_COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8e5ea2", "#66757f")
_COARSE = 128  # images up to this wide show their pixels
_SHOWN_BARS = 48
_SHOWN_LINES = 5
_LEFT, _RIGHT, _TITLE, _FOOT, _BETWEEN, _CURVES_HEIGHT = 1.0, 0.6, 1.1, 0.75, 0.6, 1.6  # inches


def draw_ranking(walks: Walks, errors: list[float], made: str) -> Figure:
    """Bars of the mean effect of each dimension, strongest first, a dot for each base sample."""
    order = walks.ranking[:_SHOWN_BARS]
    by_base = 100 * walks.effects.mean(axis=2)[order]  # (dim, base)
    heights = 100 * walks.mean_effects[order]
    places = np.arange(len(order))
    figure = Figure(figsize=(max(5.5, 1.6 + 0.32 * len(order)), 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(places, heights, color=_BAR_COLOUR, width=0.72, label="mean ± standard error")
    axes.errorbar(
        places, heights, 100 * np.array(errors)[order], fmt="none", ecolor="black", capsize=2.5
    )
    axes.plot(
        np.repeat(places, by_base.shape[1]),
        by_base.ravel(),
        ".",
        color="black",
        alpha=0.35,
        markersize=3.5,
        label="one base sample",
    )
    axes.set_xticks(places, [str(walks.dims[position]) for position in order])
    axes.tick_params(axis="x", labelsize=8, rotation=90 if len(order) > 24 else 0)
    axes.margins(x=0.01)
    axes.set_xlabel("latent dimension, strongest first")
    axes.set_ylabel("change of the image\n(RMS, % of black to white)")
    hidden = len(walks.dims) - len(order)
    shown = f", {len(order)} strongest of {len(walks.dims)}" if hidden else ""
    axes.set_title(f"What each latent dimension changes{shown}", loc="left", fontsize=11)
    axes.set_ylim(0, 1.18 * float(by_base.max()) or 1.0)
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    _sign(figure, f"{made}; walks from {walks.values[0]:g} to {walks.values[-1]:g}")
    return figure


def draw_walk(walks: Walks, slot: int, description: str, made: str) -> Figure:
    """The images of one dimension: a row for each base, a column for each step; then measures.

    The curves of the measures stand under the columns that they belong to.
    """
    mosaic = _Mosaic.of(walks.images[slot])
    width = mosaic.width * min(0.95 / mosaic.cell_width, 11.0 / mosaic.width)  # inches
    grid_height = width * mosaic.height / mosaic.width
    panel_heights = [grid_height, *[_CURVES_HEIGHT] * len(walks.measures)]
    total = _TITLE + sum(panel_heights) + _BETWEEN * len(walks.measures) + _FOOT
    figure = Figure(figsize=(_LEFT + width + _RIGHT, total))
    position = walks.dims.index(walks.shown[slot])
    top = total - _TITLE
    panels: list[Axes] = []
    for height in panel_heights:
        box = (_LEFT, top - height, width, height)
        panels.append(figure.add_axes(_relative(box, figure)))
        top -= height + _BETWEEN
    _draw_grid(panels[0], walks, slot, mosaic)
    for panel, name in zip(panels[1:], walks.measures, strict=True):
        _draw_curves(panel, walks, position, name, mosaic)
    rank = walks.ranking.index(position) + 1
    title = (
        f"Latent dimension {walks.shown[slot]}: rank {rank} of {len(walks.dims)}, changes the"
        f" image by {100 * walks.mean_effects[position]:.1f} % of black to white"
    )
    left = _LEFT / (_LEFT + width + _RIGHT)
    figure.text(left, 1 - 0.12 / total, title, fontsize=11, va="top")
    figure.text(left, 1 - 0.36 / total, description, fontsize=9, va="top", color="#444444")
    _sign(figure, f"{made}; first {len(mosaic.tops)} shown", height=0.1 / total)
    return figure


@dataclass(frozen=True)
class _Mosaic:
    """Where each image of a grid stands, in pixels of one image; y runs down."""

    cell_width: int
    cell_height: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    gap: int

    @classmethod
    def of(cls, images: NDArray[np.float32]) -> _Mosaic:
        n_rows, n_columns, _, height, width = images.shape
        gap = max(2, width // 14)
        steps = (width + width // 2 + step * (width + gap) for step in range(n_columns - 1))
        tops = tuple(row * (height + 2 * gap) for row in range(n_rows))
        return cls(width, height, (0, *steps), tops, gap)

    @property
    def width(self) -> int:
        return self.lefts[-1] + self.cell_width + 2 * self.gap

    @property
    def height(self) -> int:
        return self.tops[-1] + self.cell_height + 3 * self.gap

    @property
    def middles(self) -> list[float]:
        """Of the columns; the base's first."""
        return [left + self.cell_width / 2 for left in self.lefts]

    @property
    def span(self) -> tuple[float, float]:
        """Left and right end of everything."""
        return -self.gap, self.width - self.gap


def _relative(
    box: tuple[float, float, float, float], figure: Figure
) -> tuple[float, float, float, float]:
    """Left, bottom, width and height in inches, as shares of the figure."""
    width, height = figure.get_size_inches()
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _draw_grid(axes: Axes, walks: Walks, slot: int, mosaic: _Mosaic) -> None:
    images = walks.images[slot]
    for top, row in zip(mosaic.tops, images, strict=True):
        for left, image in zip(mosaic.lefts, row, strict=True):
            right, bottom = left + mosaic.cell_width, top + mosaic.cell_height
            axes.imshow(
                _drawable(image),
                cmap="gray",
                vmin=0,
                vmax=1,
                extent=(left, right, bottom, top),
                interpolation="nearest" if mosaic.cell_width <= _COARSE else "antialiased",
                aspect="auto",
            )
        axes.add_patch(_frame(0, top, mosaic.cell_width, mosaic.cell_height))
    axes.set_xlim(*mosaic.span)
    axes.set_ylim(mosaic.height - mosaic.gap, -mosaic.gap)
    _label_columns(axes, walks, walks.shown[slot], mosaic)
    own = walks.base_values[walks.dims.index(walks.shown[slot]), : len(mosaic.tops)]
    names = [f"sample {row}\n{value:+.2f}" for row, value in enumerate(own)]
    axes.set_yticks([top + mosaic.cell_height / 2 for top in mosaic.tops], names)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    _mark_own_values(axes, walks, own, mosaic)


def _label_columns(axes: Axes, walks: Walks, dim: int, mosaic: _Mosaic) -> None:
    axes.set_xticks(mosaic.middles, ["base", *(f"{value:.3g}" for value in walks.values)])
    axes.xaxis.tick_top()
    labels = axes.get_xticklabels()
    labels[0].set_color(_BASE_COLOUR)
    for label, is_outside in zip(labels[1:], walks.is_outside, strict=True):
        if is_outside:
            label.set_color(_OUTSIDE_COLOUR)
    note = " (red: outside the prior)" if walks.is_outside.any() else ""
    axes.set_xlabel(f"value of z[{dim}]{note}", fontsize=9)
    axes.xaxis.set_label_position("top")


def _mark_own_values(axes: Axes, walks: Walks, own: NDArray[np.float64], mosaic: _Mosaic) -> None:
    """A triangle under each row, where the base's own value lies between the steps."""
    inside = (own >= walks.values[0]) & (own <= walks.values[-1])
    places = np.interp(own, walks.values, mosaic.middles[1:])
    heights = np.array(mosaic.tops) + mosaic.cell_height + mosaic.gap
    axes.plot(places[inside], heights[inside], "^", color=_BASE_COLOUR, markersize=4, clip_on=False)


def _draw_curves(axes: Axes, walks: Walks, position: int, name: str, mosaic: _Mosaic) -> None:
    """Mean of a measure's most changing columns along the walk, with its standard error."""
    values = walks.measures[name][position, :, 1:]  # (base, step, column)
    means = values.mean(axis=0)
    errors = values.std(axis=0) / max(1, len(values) - 1) ** 0.5
    order = np.argsort(-np.ptp(means, axis=0), kind="stable")[:_SHOWN_LINES]
    places = mosaic.middles[1:]
    for colour, column in zip(_LINE_COLOURS, order, strict=False):
        line, error = means[:, column], errors[:, column]
        label = walks.columns[name][int(column)]
        axes.plot(places, line, "o-", color=colour, markersize=3, label=label)
        axes.fill_between(places, line - error, line + error, color=colour, alpha=0.15, lw=0)
    axes.set_xlim(*mosaic.span)
    axes.set_xticks(places, [f"{value:.3g}" for value in walks.values])
    axes.set_xlabel(f"value of z[{walks.dims[position]}]", fontsize=9)
    axes.set_ylabel(f"{name}\n(mean ± s.e., n = {len(values)})", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if len(order) > 1:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.05))


def _drawable(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x, 3) for colour, (y, x) for anything else."""
    return np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]


def _frame(left: float, top: float, width: float, height: float) -> Rectangle:
    return Rectangle(
        (left, top), width, height, fill=False, edgecolor=_BASE_COLOUR, linewidth=2, clip_on=False
    )


def _sign(figure: Figure, made: str, *, height: float | None = None) -> None:
    """A small line at the foot that says how the figure was made."""
    place = {} if height is None else {"y": height}
    escaped = made.replace("$", r"\$")
    figure.supxlabel(escaped, fontsize=7, color="#666666", x=0.99, ha="right", **place)
