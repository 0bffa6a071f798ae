"""The figures: the images that drive units furthest, and an overview of all units."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from ganprobe_units.behaviour import Behaviour
from ganprobe_units.images import TopImages

_BAR, _LINE, _DEAD, _SHOWN = "#6baed6", "#08306b", "#c00000", "#d95f02"
_WARM = np.array([1.0, 0.42, 0.0])
_MOST_OPAQUE = 0.8
_OUTLINE = "#ffd9b3"
_N_NAMED = 3
# Inches.
_CELL, _GAP, _UNDER = 0.92, 0.08, 0.24
_LEFT, _RIGHT, _TITLE, _FOOT = 1.55, 1.15, 0.85, 0.35


def draw_top(behaviour: Behaviour, top: TopImages, *, title: str, made: str) -> Figure:
    """A row for each unit: what it does, then its top images with its activation over them."""
    n_rows, n_columns = top.scores.shape
    tall = _CELL * top.images.shape[3] / top.images.shape[4]
    width, height = n_columns * (_CELL + _GAP), n_rows * (tall + _UNDER)
    size = (max(7.2, _LEFT + width + _RIGHT), _TITLE + height + _FOOT)
    figure = Figure(figsize=size)
    axes = figure.add_axes((_LEFT / size[0], _FOOT / size[1], width / size[0], height / size[1]))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    for row, position in enumerate(top.shown):
        above = row * (tall + _UNDER)
        _describe(axes, behaviour, position, above + tall / 2)
        for rank in range(n_columns):
            _draw_cell(axes, behaviour, top, (row, rank), above, tall)
    left = 0.2 / size[0]
    figure.text(left, 1 - 0.12 / size[1], title, fontsize=12, va="top")
    figure.text(left, 1 - 0.4 / size[1], _legend(behaviour), fontsize=8, va="top", color="0.3")
    if top.maps is not None:
        _draw_scale(figure, behaviour, _LEFT + width + 0.15, size)
    _sign(figure, made)
    return figure


def draw_overview(behaviour: Behaviour, *, title: str, made: str) -> Figure:
    """Which units are alive, which are selective, which vary."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplot_mosaic(
        [["active", "active"], ["selective", "spread"]], height_ratios=[2, 3]
    )
    _draw_active(axes["active"], behaviour)
    _draw_selective(axes["selective"], behaviour)
    _draw_spread(axes["spread"], behaviour)
    for panel in axes.values():
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    _sign(figure, made)
    return figure


def overlaid(
    image: NDArray[np.float32], opacity: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """(y, x, 3): an image (channel, y, x) with a warm colour over it, opaque where it is 1."""
    colours = np.moveaxis(image if len(image) == 3 else image[:1].repeat(3, axis=0), 0, 2)
    if opacity is None:
        return colours
    share = _MOST_OPAQUE * opacity[:, :, None]
    return np.asarray((1 - share) * colours + share * _WARM, np.float32)


def opacity_of(behaviour: Behaviour, top: TopImages, row: int, rank: int) -> NDArray[np.float32]:
    """(y, x) from 0 at the threshold and below to 1 at the unit's largest value in any sample."""
    assert top.maps is not None
    low, high = behaviour.params.threshold, behaviour.values.maximum[top.shown[row]]
    if not high > low:
        return np.zeros_like(top.maps[row, rank])
    share = (top.maps[row, rank] - low) / (high - low)
    return np.asarray(np.nan_to_num(share).clip(0, 1), np.float32)


def _draw_cell(
    axes: Axes,
    behaviour: Behaviour,
    top: TopImages,
    place: tuple[int, int],
    above: float,
    tall: float,
) -> None:
    row, rank = place
    sample = behaviour.scores.top_samples[top.shown[row], rank]
    left = rank * (_CELL + _GAP)
    if sample < 0:
        axes.text(left + _CELL / 2, above + tall / 2, "no finite\nvalue", fontsize=7, ha="center")
        return
    image = top.images[row, rank]
    opacity = None if top.maps is None else opacity_of(behaviour, top, row, rank)
    extent = (left, left + _CELL, above + tall, above)
    axes.imshow(overlaid(image, opacity), extent=extent, aspect="auto")
    if opacity is not None and opacity.min() < 0.5 < opacity.max():
        axes.contour(opacity, [0.5], origin="upper", extent=extent, colors=_OUTLINE, linewidths=0.8)
    score = behaviour.scores.top_scores[top.shown[row], rank]
    below = above + tall + 0.03
    axes.text(left, below, _three_digits(score), fontsize=7.5, va="top")
    axes.text(left + _CELL, below, f"#{sample}", fontsize=6.5, va="top", ha="right", color="0.5")


def _describe(axes: Axes, behaviour: Behaviour, position: int, middle: float) -> None:
    values = behaviour.values
    told = [
        f"{_three_digits(values.mean[position])} ± {_three_digits(values.std[position])}",
        f"{100 * values.share_active[position]:.3g} % active",
        _note(behaviour, position),
    ]
    axes.text(
        -0.15, middle - 0.26, f"unit {behaviour.units[position]}", fontsize=10, weight="bold",
        ha="right", va="center",
    )  # fmt: skip
    axes.text(
        -0.15, middle + 0.12, "\n".join(told), fontsize=7.5, ha="right", va="center",
        color="0.3", linespacing=1.4,
    )  # fmt: skip


def _note(behaviour: Behaviour, position: int) -> str:
    if behaviour.values.is_constant[position]:
        return "constant"
    if behaviour.values.is_dead[position]:
        return "dead"
    selectivity = behaviour.selectivity[position]
    return f"selectivity {selectivity:.1f}" if np.isfinite(selectivity) else "all scores equal"


def _legend(behaviour: Behaviour) -> str:
    return (
        "Under each image: its score, the unit's largest value in it, and which sample it is. Left:"
        " mean ± standard deviation of all\nvalues, the share of them above"
        f" {behaviour.params.threshold:g}, and how many standard deviations the scores shown lie"
        " above the mean one."
    )


def _draw_scale(
    figure: Figure, behaviour: Behaviour, left: float, size: tuple[float, float]
) -> None:
    """A bar of the colours over mid-grey, and where the outline is."""
    height = min(2.4, size[1] - _TITLE - _FOOT - _UNDER)
    bottom = size[1] - _TITLE - height
    axes = figure.add_axes((left / size[0], bottom / size[1], 0.14 / size[0], height / size[1]))
    grey = np.full(3, 0.5)
    steps = np.linspace(0, _MOST_OPAQUE, 64)[:, None]
    ramp = LinearSegmentedColormap.from_list("over grey", (1 - steps) * grey + steps * _WARM)
    axes.imshow(np.linspace(0, 1, 256)[:, None], cmap=ramp, origin="lower", aspect="auto",
                extent=(0, 1, 0, 1))  # fmt: skip
    axes.axhline(0.5, color=_OUTLINE, lw=1)
    axes.set_xticks([])
    low = f"{behaviour.params.threshold:g} or less"
    axes.set_yticks([0, 0.5, 1], [low, "outline: half", "unit's largest"], fontsize=7)
    axes.yaxis.tick_right()
    axes.tick_params(length=2)
    axes.set_title("activation", fontsize=8, loc="left", pad=9)


def _draw_active(axes: Axes, behaviour: Behaviour) -> None:
    values = behaviour.values
    share = np.where(values.n_values > 0, 100 * values.share_active, 0.0)
    order = np.argsort(share, kind="stable")
    edges = np.arange(len(order) + 1) - 0.5
    axes.stairs(share[order], edges, fill=True, color=_BAR, label="of all values")
    in_samples = 100 * behaviour.scores.share_active[order]
    axes.plot(in_samples, "_", color=_LINE, ms=4, clip_on=False, label="of samples, anywhere")
    dead = np.flatnonzero(values.is_dead[order])
    if len(dead):
        axes.plot(
            dead, np.full(len(dead), 0.02), "^", color=_DEAD, ms=5, clip_on=False,
            transform=axes.get_xaxis_transform(), label="dead",
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("units, sorted by the share of their values")
    axes.set_ylabel(f"share above {behaviour.params.threshold:g}")
    n_dead, n_constant = int(values.is_dead.sum()), int(values.is_constant.sum())
    alive = f"Which are alive: {n_dead} of {values.n_units} dead, {n_constant} constant"
    axes.set_title(alive, loc="left", fontsize=10)


def _draw_selective(axes: Axes, behaviour: Behaviour) -> None:
    share, height = 100 * behaviour.values.share_active, behaviour.selectivity
    axes.plot(share, height, ".", color=_LINE, ms=6, alpha=0.6, mew=0)
    shown = list(behaviour.shown)
    axes.plot(share[shown], height[shown], ".", color=_SHOWN, ms=7, mew=0, label="images are shown")
    _name(axes, share, height, behaviour.units)
    axes.margins(0.08)
    axes.xaxis.set_major_formatter(PercentFormatter())
    axes.set_xlabel(f"share of values above {behaviour.params.threshold:g}")
    axes.set_ylabel("selectivity (standard deviations)")
    axes.set_title(
        f"Which are selective: top {behaviour.params.top} scores above the mean score",
        loc="left", fontsize=10,
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="best")


def _draw_spread(axes: Axes, behaviour: Behaviour) -> None:
    std = behaviour.values.std
    axes.plot(behaviour.values.mean, std, ".", color=_LINE, ms=6, alpha=0.6, mew=0)
    _name(axes, behaviour.values.mean, std, behaviour.units)
    axes.set_xlabel("mean")
    axes.set_ylabel("standard deviation")
    axes.margins(0.08)
    axes.set_title("Which vary most", loc="left", fontsize=10)


def _name(
    axes: Axes, across: NDArray[np.float64], up: NDArray[np.float64], units: tuple[int, ...]
) -> None:
    """Write the numbers of the highest few beside them."""
    order = np.argsort(-np.nan_to_num(up, nan=-np.inf), kind="stable")[:_N_NAMED]
    for position in order:
        if np.isfinite(up[position]) and up[position] > 0:
            axes.annotate(
                str(units[position]), (across[position], up[position]), xytext=(4, 2),
                textcoords="offset points", fontsize=7, color="0.3",
            )  # fmt: skip


def _three_digits(value: float) -> str:
    """5.50 and 100, not 5.5 and 100."""
    return f"{value + 0.0:#.3g}".removesuffix(".")  # + 0.0 makes a plain 0 of -0.0


def _sign(figure: Figure, made: str) -> None:
    """A small line at the foot that says how the figure was made."""
    escaped = made.replace("$", r"\$")
    place = {} if figure.get_layout_engine() else {"y": 0.08 / figure.get_size_inches()[1]}
    figure.supxlabel(escaped, fontsize=7, color="#666666", x=0.99, ha="right", **place)
