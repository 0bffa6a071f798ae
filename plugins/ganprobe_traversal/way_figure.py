"""The figure of one way: a row for each base, a column for each step, and measures' curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganprobe import sign
from ganprobe_traversal.mosaic import BASE_COLOUR, OUTSIDE_COLOUR, Mosaic, shown_steps
from ganprobe_traversal.panels import Panel, choose_panels, draw_panel, shade_outside
from ganprobe_traversal.plan import sample_names
from ganprobe_traversal.sheet import Sheet
from ganprobe_traversal.walk import Walks

__all__ = ["draw_way"]

_MOST_COLUMNS, _MOST_PANELS = 15, 9
_CELL, _WIDEST = 0.95, 11.0  # inches


def draw_way(walks: Walks, slot: int, description: str) -> Figure:
    """The images of one way, the bases at the left; the measures' curves under the columns."""
    plan, way, images = walks.plan, walks.shown[slot], walks.images[slot]
    columns = shown_steps(len(plan.steps), _MOST_COLUMNS)
    mosaic = Mosaic.of(images.shape, len(images), 1 + len(columns), has_base=True)
    width = mosaic.width * min(_CELL / mosaic.cell_width, _WIDEST / mosaic.width)
    panels = panels_of(walks, way)
    sheet = Sheet.of(width, width * mosaic.height / mosaic.width, len(panels))
    _draw_grid(sheet.top(), walks, slot, columns, mosaic)
    middles = np.interp(np.arange(len(plan.steps)), columns, mosaic.middles[1:])
    for number, panel in enumerate(panels):
        axes = sheet.panel(number)
        is_wide = len(panels) == 1
        _draw_curves(axes, walks, way, panel, middles.tolist() if is_wide else None)
        if is_wide:
            axes.set_xlim(*mosaic.span)
    rank = walks.ranking.index(way) + 1
    sheet.entitle(
        f"{plan.ways.title(way)}: rank {rank} of {len(plan.ways.keys)}, changes the image by"
        f" {100 * walks.mean_effects[way]:.1f} % of black to white",
        description,
    )
    few = "" if len(columns) == len(plan.steps) else f", {len(columns)} of {len(plan.steps)} steps"
    band = "; curves: mean ± standard error" if panels else ""
    first = f"; first {len(images)} shown" if len(images) < plan.n_bases else ""
    sign(sheet.figure, f"{plan.made}{first}{few}{band}")
    return sheet.figure


def panels_of(walks: Walks, way: int) -> list[Panel]:
    """The curves that are shown of a way."""
    columns: dict[str, Sequence[str]] = {one.name: one.columns for one in walks.plan.measures}
    curves = {name: values[way, :, 1:] for name, values in walks.measures.items()}
    return choose_panels(curves, columns, _MOST_PANELS)


def _draw_grid(axes: Axes, walks: Walks, slot: int, columns: list[int], mosaic: Mosaic) -> None:
    plan, way = walks.plan, walks.shown[slot]
    images = walks.images[slot][:, [0, *(1 + step for step in columns)]]
    mosaic.draw(axes, images)
    is_outside = plan.is_outside[way][:, columns]  # (base, column)
    for row in range(len(images)):
        mosaic.frame(axes, row, 0, BASE_COLOUR)
        for column in np.flatnonzero(is_outside[row]):
            mosaic.frame(axes, row, 1 + int(column), OUTSIDE_COLOUR, 1.2)
    labels = [f"{plan.steps[step]:.3g}" for step in columns]
    axes.set_xticks(mosaic.middles, ["base", *labels])
    axes.xaxis.tick_top()
    axes.get_xticklabels()[0].set_color(BASE_COLOUR)
    for label, outside in zip(axes.get_xticklabels()[1:], is_outside.all(axis=0), strict=True):
        label.set_color(OUTSIDE_COLOUR if outside else "black")
    note = " (red: outside the prior)" if is_outside[: len(images)].any() else ""
    axes.set_xlabel(f"{plan.ways.axis(way)}{note}", fontsize=9)
    axes.xaxis.set_label_position("top")
    _label_rows(axes, walks, way, columns, mosaic)


def _label_rows(axes: Axes, walks: Walks, way: int, columns: list[int], mosaic: Mosaic) -> None:
    """The bases' names; where steps are values, their own ones with a triangle under each row."""
    plan = walks.plan
    names = sample_names(plan.latents, len(mosaic.tops))
    if plan.ways.is_absolute:
        own = plan.ways.coordinates(plan.points[: len(names)])[:, way].double().cpu().numpy()
        names = [f"{name}\n{value:+.2f}" for name, value in zip(names, own, strict=True)]
        steps = plan.steps[columns]
        inside = (own >= steps[0]) & (own <= steps[-1])
        places = np.interp(own, steps, mosaic.middles[1:])
        heights = np.array(mosaic.tops) + mosaic.cell_height + mosaic.gap
        axes.plot(places[inside], heights[inside], "^", color=BASE_COLOUR, ms=4, clip_on=False)
    axes.set_yticks(mosaic.row_middles, names)


def _draw_curves(
    axes: Axes, walks: Walks, way: int, panel: Panel, places: list[float] | None
) -> None:
    plan = walks.plan
    at = plan.steps.tolist() if places is None else places
    draw_panel(axes, panel, at, is_wide=places is not None)
    shade_outside(axes, at, plan.is_outside[way].mean(axis=0) > 0.5)
    if places is not None:
        chosen = shown_steps(len(at), _MOST_COLUMNS)
        axes.set_xticks([at[one] for one in chosen], [f"{plan.steps[one]:.3g}" for one in chosen])
    axes.set_xlabel(plan.ways.axis(way) if places is not None else _short_axis(walks, way),
                    fontsize=8)  # fmt: skip


def _short_axis(walks: Walks, way: int) -> str:
    ways = walks.plan.ways
    return ways.axis(way) if ways.is_absolute else "step, standard deviations"
