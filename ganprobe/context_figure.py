"""The figure of a context map: where a class can be inserted, on images and by what was there.

`matplotlib` is imported here: import this module where a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ganprobe.causal import ContextMap
from ganprobe.drawing import plain_axes, sign
from ganprobe.errors import ParameterError

__all__ = ["draw_context_map"]

_MOST_BARS = 14
_MOST_IMAGES = 6
_IMAGE = 1.35  # inches
_CMAP = "PuOr_r"
_OPAQUE = 0.9  # of the largest changes
_MOST_OF_SPAN = 1.0  # so far the axis of changes goes beyond the means
_BEHIND = 0.55  # how pale images are under a map
_PLAIN = "#9aa3ab"  # bars of what has no colour


def draw_context_map(
    found: ContextMap,
    images: NDArray[Any],
    *,
    made: str,
    class_colours: Sequence[str] | None = None,
    mark: int | None = None,
) -> Figure:
    """Example images with the map of each under it, the mean map, and bars by what was there.

    Args:
        images: (examples, channels, y, x) in [0, 1], of the first samples of the map, unedited;
            six at most are drawn.
        made: how it was made: generator, seed, n.
        class_colours: one for each of `found.classes`; None: bars are grey.
        mark: the number of a place that is framed in the mean map.

    Raises:
        ParameterError: there is no image, or there are more than samples.
    """
    n_shown = min(len(images), _MOST_IMAGES)
    if not 0 < n_shown <= len(found.change):
        raise ParameterError(
            f"a context map of {len(found.change)} samples is drawn with images of the first of"
            f" them, got {len(images)}"
        )
    n_bars = 1 + min(len(found.by_class), _MOST_BARS)
    tall = min(max(_IMAGE * found.places.image[0] / found.places.image[1], 0.5), 2.5)
    maps, bars = 2 * tall + 0.45, 0.24 * n_bars + 0.85
    width = max(8.6, 1.9 + _IMAGE * 1.1 * (n_shown + 1))
    figure = Figure(figsize=(width, 0.55 + maps + bars), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(maps, bars), squeeze=False)[:, 0]
    _draw_maps(above, found, images[:n_shown], mark)
    _draw_bars(below, found, class_colours)
    figure.suptitle(_title(found), x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def _title(found: ContextMap) -> str:
    units = f"{len(found.units)} unit{'s' if len(found.units) > 1 else ''} of {found.site}"
    return f"{found.class_name}: where can it go? {units} inserted at each place of each image"


def _draw_maps(part: SubFigure, found: ContextMap, images: NDArray[Any], mark: int | None) -> None:
    """Above the images, below what inserting at each place does to the class."""
    n = len(images)
    axes = part.subplots(2, n + 1, squeeze=False)
    limit = _limit(found.change[:n])
    for column in range(n):
        _picture(axes[0, column + 1], images[column])
        _picture(axes[1, column + 1], _pale(images[column]))
        _lay(axes[1, column + 1], found.change[column], found, limit)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0, 0.5, _told(found), fontsize=8, va="center", color="0.25",
                    transform=axes[0, 0].transAxes, linespacing=1.4)  # fmt: skip
    mean = found.change.mean(0)
    own = _limit(mean)
    _lay(axes[1, 0], mean, found, own)
    axes[1, 0].set_title(f"mean of n = {found.n_samples}", fontsize=8)
    _clear(axes[1, 0])
    if mark is not None:
        _frame(axes[1, 0], found, mark)
    _scale(part, axes[1, 0], own, "left")
    _scale(part, axes[1, n], limit, "right")


def _told(found: ContextMap) -> str:
    rows, columns = found.places.window
    window = f"{rows} x {columns} cell{'s' if rows * columns > 1 else ''}"
    return (
        f"Above: the first images.\nBelow: units set in a\nwindow of {window}\naround each place;"
        f"\ncolour: change of the\narea of {found.class_name}"
    )


def _lay(axes: Axes, change: NDArray[Any], found: ContextMap, limit: float) -> None:
    """A map over what is drawn, the more opaque the larger the change."""
    from matplotlib import colormaps

    height, width = found.places.image
    scaled = (change / limit).clip(-1, 1)
    colours = colormaps[_CMAP](0.5 + scaled / 2)  # (y, x, 4)
    colours[..., 3] = _OPAQUE * np.abs(scaled) ** 0.6
    axes.imshow(colours, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    axes.set_box_aspect(height / width)


def _scale(part: SubFigure, axes: Axes, limit: float, side: str) -> None:
    norm = Normalize(-100 * limit, 100 * limit)
    bar = part.colorbar(ScalarMappable(norm, _CMAP), ax=axes, location=side, shrink=0.9, pad=0.04)
    bar.set_label("change, points\n(% of the image)", fontsize=7)
    bar.ax.tick_params(labelsize=7)


def _limit(change: NDArray[Any]) -> float:
    """Of the colours: nearly the largest change."""
    return float(np.quantile(np.abs(change), 0.995)) or float(np.abs(change).max()) or 0.01


def _picture(axes: Axes, image: NDArray[Any]) -> None:
    height, width = image.shape[-2:]
    drawn = np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
    axes.imshow(drawn.clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest",
                extent=(0, width, height, 0), aspect="auto")  # fmt: skip
    axes.set_box_aspect(height / width)
    _clear(axes)


def _pale(image: NDArray[Any]) -> NDArray[Any]:
    grey = image.mean(0, keepdims=True)
    return np.asarray(_BEHIND + (1 - _BEHIND) * grey)


def _clear(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.7")
        spine.set_linewidth(0.5)


def _frame(axes: Axes, found: ContextMap, mark: int) -> None:
    left, top, right, bottom = found.places.boxes()[mark]
    axes.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, ec="black", lw=1.4)
    )


def _draw_bars(part: SubFigure, found: ContextMap, colours: Sequence[str] | None) -> None:
    """Left the change of area, right how often the class appeared, by what was there."""
    effects = (*found.by_class[:_MOST_BARS], found.anywhere)
    left, right = part.subplots(1, 2, sharey=True)
    rows = range(len(effects))
    shades = [_shade(one.there, found, colours) for one in effects]
    mean, low, high = (100 * np.array([getattr(one, name) for one in effects])
                       for name in ("mean", "low", "high"))  # fmt: skip
    left.barh(rows, mean, height=0.55, color=shades, ec="0.35", lw=0.6)
    left.hlines(rows, low, high, color="0.1", lw=1.2)
    left.axvline(0, color="0.4", lw=0.8)
    left.set_xlim(*_limits(mean, low, high))
    left.set_yticks(rows, [f"{one.there} ({one.n_cells:,})" for one in effects])
    left.invert_yaxis()
    left.set_xlabel(
        f"change of the area of {found.class_name}, points (% of the image)", fontsize=8
    )
    left.set_title(
        "by what was there (places); lines: 95 % intervals over samples",
        loc="left",
        fontsize=8,
        color="0.35",
    )
    took, below, over = (100 * np.array([getattr(one, name) for one in effects])
                         for name in ("took", "took_low", "took_high"))  # fmt: skip
    is_told = np.isfinite(took)
    right.barh(rows, np.where(is_told, took, 0), height=0.55, color=shades, ec="0.35", lw=0.6)
    right.hlines(rows, below.clip(0, 100), over.clip(0, 100), color="0.1", lw=1.2)
    for row in np.flatnonzero(~is_told):
        right.text(0.01, row, "it was there already", fontsize=7, va="center", color="0.4",
                   transform=right.get_yaxis_transform())  # fmt: skip
    right.set_xlim(0, max(5.0, min(100.0, 1.1 * float(np.nanmax([1.0, *took, *over])))))
    right.set_xlabel(f"% of places where {found.class_name} appeared", fontsize=8)
    least = f"{found.least_share:.0%} of a window that had none"
    right.set_title(f"appeared: on {least}", loc="left", fontsize=8, color="0.35")
    for axes in (left, right):
        plain_axes(axes)


def _limits(mean: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> tuple[float, float]:
    """Of an axis that holds 0 and all means, and intervals as long as they do not dwarf these."""
    span = float(np.ptp([*mean, 0.0])) or 1.0
    least, most = min(0.0, float(mean.min())), max(0.0, float(mean.max()))
    first = max(float(np.nanmin([least, *low])), least - _MOST_OF_SPAN * span)
    last = min(float(np.nanmax([most, *high])), most + _MOST_OF_SPAN * span)
    return first - 0.03 * span, last + 0.03 * span


def _shade(there: str, found: ContextMap, colours: Sequence[str] | None) -> str:
    if colours is None or there not in found.classes:
        return _PLAIN
    return colours[found.classes.index(there)]
