"""The figures of a tour: its images in rows, and the measures' curves along it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganprobe import sign
from ganprobe_traversal.mosaic import BASE_COLOUR, OUTSIDE_COLOUR, Mosaic, shown_steps
from ganprobe_traversal.panels import Panel, choose_panels, draw_lines, draw_panel, shade_outside
from ganprobe_traversal.sheet import Sheet
from ganprobe_traversal.tour import Tour

__all__ = ["draw_curves", "draw_tour"]

_MOST_COLUMNS, _MOST_ROWS, _MOST_PANELS = 13, 16, 9
_CELL, _WIDEST = 0.95, 11.0  # inches


def draw_tour(tour: Tour, description: str) -> Figure:
    """A row for each walk or leg, a column for each step."""
    route = tour.route
    columns = shown_steps(len(route.positions), _MOST_COLUMNS)
    images = tour.images[:_MOST_ROWS][:, columns]
    mosaic = Mosaic.of(images.shape, len(images), len(columns), has_base=False)
    width = mosaic.width * min(_CELL / mosaic.cell_width, _WIDEST / mosaic.width)
    sheet = Sheet.of(width, width * mosaic.height / mosaic.width, 0)
    axes = sheet.top()
    mosaic.draw(axes, images)
    is_outside = route.is_outside[: len(images)][:, columns]
    for row in range(len(images)):
        for end in [0, len(columns) - 1] if route.is_chained else [0]:
            mosaic.frame(axes, row, end, BASE_COLOUR)
        for column in np.flatnonzero(is_outside[row]):
            mosaic.frame(axes, row, int(column), OUTSIDE_COLOUR, 1.4)
    axes.set_yticks(mosaic.row_middles, [_broken(name) for name in route.names[: len(images)]])
    _label_columns(axes, tour, columns, mosaic, bool(is_outside.any()))
    sheet.entitle(_title(tour), description)
    few = "" if len(columns) == len(route.positions) else f"; {len(columns)} steps"
    rows = "" if len(images) == len(route.names) else f"; first {len(images)}"
    shown = f"{few}{rows} shown" if few or rows else ""
    sign(sheet.figure, f"{route.made}, {len(route.positions)} steps each{shown}")
    return sheet.figure


def draw_curves(tour: Tour) -> Figure | None:
    """What each measure does along the tour; None where none was followed."""
    panels = _panels(tour)
    if not panels:
        return None
    route, abreast = tour.route, min(len(panels), 3)
    n_rows = -(-len(panels) // abreast)
    figure = Figure(figsize=(1.2 + 3.4 * abreast, 1.0 + 1.9 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, abreast, squeeze=False)
    places = _places(tour)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        if route.is_chained:
            draw_panel(axes, panels[number], places)
            _mark_samples(axes, tour)
            shade_outside(axes, places, _outside(tour))
        else:
            draw_lines(axes, panels[number], places, route.names if number == 0 else ())
            axes.set_xlabel("step", fontsize=8)
    red = "; red: outside the prior" if route.is_chained and route.is_outside.any() else ""
    lines = "" if route.is_chained else "; a line for each walk"
    figure.suptitle(f"Measures along the {route.how}{lines}{red}", x=0.01, ha="left", fontsize=11)
    sign(figure, route.made)
    return figure


def _panels(tour: Tour) -> list[Panel]:
    columns: dict[str, Sequence[str]] = {one.name: one.columns for one in tour.route.measures}
    joined = {name: one.reshape(1, -1, one.shape[2]) for name, one in tour.measures.items()}
    panels = choose_panels(joined, columns, _MOST_PANELS)
    if tour.route.is_chained:  # one curve through all legs
        return panels
    shape = tour.route.is_outside.shape  # of a panel's columns one: each walk has a line
    return [
        Panel(one.measure, one.columns[:1], one.values[:, :, :1].reshape(*shape, 1))
        for one in panels
    ]


def _places(tour: Tour) -> list[float]:
    positions = tour.route.positions
    if not tour.route.is_chained:
        return [float(step) for step in positions]
    return [leg + float(share) for leg in range(len(tour.route.names)) for share in positions]


def _outside(tour: Tour) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return tour.route.is_outside.ravel()


def _mark_samples(axes: Axes, tour: Tour) -> None:
    """The samples that it goes through, as ticks."""
    names = tour.route.names
    samples = [name.split(" to ")[0] for name in names] + [names[-1].split(" to ")[1]]
    step = -(-len(samples) // 9)
    ticks = list(range(0, len(samples), step))
    axes.set_xticks(ticks, [samples[one].split()[-1] for one in ticks])
    axes.set_xlabel(f"{samples[0].split()[0]}s on the way", fontsize=8)
    for tick in range(len(samples)):
        axes.axvline(tick, color="0.85", lw=0.7, zorder=0)


def _label_columns(
    axes: Axes, tour: Tour, columns: list[int], mosaic: Mosaic, is_any_outside: bool
) -> None:
    route = tour.route
    labels = [f"{route.positions[column]:.3g}" for column in columns]
    axes.set_xticks(mosaic.middles, labels)
    axes.xaxis.tick_top()
    what = "share of the way" if route.is_chained else "step"
    red = " (red: outside the prior)" if is_any_outside else ""
    axes.set_xlabel(f"{what}{red}", fontsize=9)
    axes.xaxis.set_label_position("top")


def _title(tour: Tour) -> str:
    route = tour.route
    where = "" if route.space.is_latent else f" at {route.space.name}"
    if not route.is_chained:
        return f"Random walks{where}: each step changes the image by" \
               f" {100 * tour.changes.mean():.1f} % of black to white"  # fmt: skip
    way = "along the sphere" if route.is_spherical else "straight"
    return f"{'A loop' if route.is_closed else 'The way'} through the samples, {way}{where}"


def _broken(name: str) -> str:
    return name.replace(" to ", "\nto ")
