"""The figures of all ways: their ranking, and one page with a row of images for each."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganprobe import COLOURS, plain_axes, sign
from ganprobe_traversal.mosaic import BASE_COLOUR, OUTSIDE_COLOUR, Mosaic, shown_steps
from ganprobe_traversal.plan import sample_names
from ganprobe_traversal.walk import Walks

__all__ = ["draw_page", "draw_ranking", "standard_errors"]

_SHOWN_BARS = 48
_SHOWN_ROWS = 120
_MOST_COLUMNS = 11
_LABEL, _BAR, _APART, _TOP, _FOOT = 0.72, 1.05, 0.35, 1.05, 0.45  # inches
_CELLS = ((12, 0.62, 1), (24, 0.48, 1), (60, 0.42, 2), (_SHOWN_ROWS, 0.42, 3))
_UNITS = "RMS, % of black to white"


def standard_errors(walks: Walks) -> list[float | None]:
    """Of the mean effects, over base samples; None where there is only one."""
    by_base = walks.effects.mean(axis=2)  # (way, base)
    n = by_base.shape[1]
    if n < 2:
        return [None] * len(by_base)
    return [float(error) for error in by_base.std(axis=1, ddof=1) / n**0.5]


def draw_ranking(walks: Walks) -> Figure:
    """Bars of the mean effect of each way, strongest first, a dot for each base sample."""
    plan, order = walks.plan, walks.ranking[:_SHOWN_BARS]
    by_base = 100 * walks.effects.mean(axis=2)[order]  # (way, base)
    heights = 100 * walks.mean_effects[order]
    errors = 100 * np.array([error or 0.0 for error in standard_errors(walks)])[order]
    places = np.arange(len(order))
    figure = Figure(figsize=(max(5.5, 1.6 + 0.32 * len(order)), 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(
        places, heights, color=COLOURS[0], alpha=0.85, width=0.72, label="mean ± standard error"
    )
    axes.errorbar(places, heights, errors, fmt="none", ecolor="black", capsize=2.5)
    axes.plot(
        np.repeat(places, by_base.shape[1]), by_base.ravel(), ".",
        color="black", alpha=0.35, markersize=3.5, label="one base sample",
    )  # fmt: skip
    axes.set_xticks(places, [str(plan.ways.keys[way]) for way in order])
    turned = len(order) > 24 or isinstance(plan.ways.keys[0], str)
    axes.tick_params(axis="x", rotation=90 if turned else 0)
    axes.margins(x=0.01)
    axes.set_xlabel(f"{_what(walks)}, strongest first")
    axes.set_ylabel(f"change of the image\n({_UNITS})")
    hidden = len(walks.effects) - len(order)
    shown = f", {len(order)} strongest of {len(walks.effects)}" if hidden else ""
    axes.set_title(f"What each {_what(walks)} changes{shown}", loc="left", fontsize=11)
    axes.set_ylim(0, 1.18 * float(by_base.max()) or 1.0)
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    plain_axes(axes)
    sign(figure, f"{plan.made}; {_walked(walks)}")
    return figure


def draw_page(walks: Walks) -> Figure:
    """One base sample walked along every way, strongest first, with the effect beside each row."""
    order = walks.ranking[:_SHOWN_ROWS]
    cell, n_blocks = next((size, n) for most, size, n in _CELLS if len(order) <= most)
    n_rows = math.ceil(len(order) / n_blocks)
    columns = shown_steps(len(walks.plan.steps), _MOST_COLUMNS)
    mosaic = Mosaic.of(walks.pages.shape, n_rows, len(columns), has_base=False, row_gap=1)
    inch = cell / mosaic.cell_width
    block = _LABEL + mosaic.width * inch + _BAR + _APART
    size = max(n_blocks * block + 0.2, 6.4), _TOP + mosaic.height * inch + _FOOT
    figure = Figure(figsize=size)
    for number in range(n_blocks):
        rows = order[number * n_rows : (number + 1) * n_rows]
        if rows:
            left = number * block + _LABEL
            _draw_block(figure, walks, rows, columns, (left, inch, cell))
    _head(figure, walks, len(order), cell)
    few = "" if len(columns) == len(walks.plan.steps) else f"; {len(columns)} of the steps shown"
    sign(figure, f"{walks.plan.made}; {_walked(walks)}{few}; bars: mean over all base samples")
    return figure


def _draw_block(
    figure: Figure,
    walks: Walks,
    rows: list[int],
    columns: list[int],
    place: tuple[float, float, float],
) -> None:
    """Rows of images with their bars; `place` is left, inches for each pixel, and of a cell."""
    left, inch, _ = place
    plan = walks.plan
    mosaic = Mosaic.of(walks.pages.shape, len(rows), len(columns), has_base=False, row_gap=1)
    width, height = mosaic.width * inch, mosaic.height * inch
    grid = _axes(figure, left, _TOP, width, height)
    mosaic.draw(grid, walks.pages[rows][:, columns] / 255)
    is_outside = plan.is_outside[rows, 0][:, columns]
    for row, column in zip(*np.nonzero(is_outside), strict=True):
        mosaic.frame(grid, int(row), int(column), OUTSIDE_COLOUR, 0.9)
    grid.set_yticks(mosaic.row_middles, [str(plan.ways.keys[way]) for way in rows])
    grid.set_xticks(mosaic.middles, [f"{plan.steps[step]:.3g}" for step in columns])
    grid.xaxis.tick_top()
    grid.tick_params(labelsize=6.5 if inch * mosaic.cell_width < 0.45 else 8, pad=1)
    for label, outside in zip(grid.get_xticklabels(), np.all(is_outside, axis=0), strict=True):
        label.set_color(OUTSIDE_COLOUR if outside else "black")
    bars = _axes(figure, left + width + 0.06, _TOP, _BAR, height)
    _draw_bars(bars, walks, rows, mosaic)


def _draw_bars(axes: Axes, walks: Walks, rows: list[int], mosaic: Mosaic) -> None:
    effects = 100 * walks.mean_effects
    axes.barh(mosaic.row_middles, effects[rows], height=0.55 * mosaic.cell_height,
              color=COLOURS[0], alpha=0.85)  # fmt: skip
    axes.set_ylim(mosaic.height - mosaic.gap, -mosaic.gap)
    axes.set_xlim(0, 1.45 * float(effects.max()) or 1.0)
    for middle, effect in zip(mosaic.row_middles, effects[rows], strict=True):
        axes.text(effect, middle, f" {effect:.1f}", va="center", fontsize=6.5)
    axes.set_yticks([])
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("change, %", fontsize=7.5, pad=4)


def _head(figure: Figure, walks: Walks, n_shown: int, cell: float) -> None:
    """The title, and the base that all rows begin at."""
    width, height = figure.get_size_inches()
    n = len(walks.effects)
    which = f"{n_shown} strongest of {n} {_what(walks)}s" if n_shown < n else _all(walks, n)
    name = sample_names(walks.plan.latents, 1)[0]
    size = max(cell, 0.5)
    shape = walks.page_base.shape
    base = _axes(figure, 0.12, 0.14, size, size * shape[1] / shape[2])
    alone = Mosaic.of(shape, 1, 1, has_base=False)
    alone.draw(base, walks.page_base[None, None] / 255)
    base.set_xticks([])
    base.set_yticks([])
    alone.frame(base, 0, 0, BASE_COLOUR)
    left = (0.24 + size) / width
    figure.text(left, 1 - 0.16 / height, f"{which}, walked from {name} (framed)", fontsize=11,
                va="top", parse_math=False)  # fmt: skip
    red = "; red: outside the prior" if walks.plan.is_outside[:, 0].any() else ""
    steps = "values" if walks.plan.ways.is_absolute else "steps, in standard deviations"
    note = f"strongest first; over the columns: {steps}{red}\nbars: change of the image ({_UNITS})"
    figure.text(left, 1 - 0.4 / height, note, fontsize=8, va="top", color="#444444",
                parse_math=False)  # fmt: skip


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    whole = figure.get_size_inches()
    bottom = whole[1] - top - height
    return figure.add_axes(
        (left / whole[0], bottom / whole[1], width / whole[0], height / whole[1])
    )


def _all(walks: Walks, n: int) -> str:
    return f"The {_what(walks)}" if n == 1 else f"All {n} {_what(walks)}s"


def _what(walks: Walks) -> str:
    """``latent dimension``, ``dimension of conv2`` or ``direction``."""
    plan = walks.plan
    if isinstance(plan.ways.keys[0], str):
        return "direction"
    return "latent dimension" if plan.space.is_latent else f"{plan.space.name} dimension"


def _walked(walks: Walks) -> str:
    steps = walks.plan.steps
    unit = "" if walks.plan.ways.is_absolute else " standard deviations"
    return f"walks from {steps[0]:g} to {steps[-1]:g}{unit}"
