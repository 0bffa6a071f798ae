"""The figures: maps in a grid, or, where a unit is a single value, bars."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch.nn import functional

from ganprobe import COLOURS, plain_axes
from ganprobe_maps.canvas import LEFT, Canvas
from ganprobe_maps.grid import Grid
from ganprobe_maps.sheets import Sheet

MARK = COLOURS[4]
_BARS_PER_ROW, _BAR, _BAR_HEIGHT, _BAR_PITCH, _AXIS = 64, 22, 130, 185, 62


def draw_sheet(sheet: Sheet, made: str) -> Figure:
    """A sheet as its values say."""
    return draw_maps(sheet, made) if sheet.has_space else draw_bars(sheet, made)


def draw_maps(sheet: Sheet, made: str) -> Figure:
    """Every map in a grid, with its number, and the image and the scale beside it."""
    grid = Grid.of(len(sheet.units), sheet.maps.shape[1:])
    colormap = mpl.colormaps["RdBu_r" if sheet.colours.is_signed else "viridis"]
    canvas = Canvas(sheet, grid.size, made, colormap)
    width, height = grid.size
    axes = canvas.axes(LEFT, canvas.top, width, height)
    axes.set_axis_off()
    _draw_mosaic(axes, sheet, grid, colormap)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for number, unit in enumerate(sheet.units):
        _label(axes, grid, number, (str(unit), sheet.below[number]), unit in sheet.marked)
    marked = [number for number, unit in enumerate(sheet.units) if unit in sheet.marked]
    _frame(axes, grid, list(range(len(sheet.units))), "0.7", 0.4, 0)
    _frame(axes, grid, marked, MARK, 2.2, 2.5)
    return canvas.figure


def draw_bars(sheet: Sheet, made: str) -> Figure:
    """A bar for every unit, 64 to a row, on one axis of values."""
    n_rows = -(-len(sheet.units) // _BARS_PER_ROW)
    n_columns = min(len(sheet.units), _BARS_PER_ROW)
    width = max(600, n_columns * _BAR)
    canvas = Canvas(sheet, (_AXIS + width, n_rows * _BAR_PITCH + 10), made)
    for row in range(n_rows):
        axes = canvas.axes(LEFT + _AXIS, canvas.top + row * _BAR_PITCH, width, _BAR_HEIGHT)
        first = row * _BARS_PER_ROW
        _draw_row_of_bars(axes, sheet, slice(first, first + _BARS_PER_ROW))
        axes.set_xlim(-0.6, n_columns - 0.4)
    middle = canvas.top + ((n_rows - 1) * _BAR_PITCH + _BAR_HEIGHT) / 2
    label = "donor − source" if sheet.colours.is_signed else "activation"
    canvas.text(LEFT, middle, label, fontsize=8, rotation=90, ha="center", va="center")
    return canvas.figure


def enlarged(one: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    """A map (y, x) in (width, height) pixels: its values repeated, or, where larger, averaged."""
    width, height = size
    if height >= one.shape[0] and width >= one.shape[1]:
        return one.repeat(height // one.shape[0], axis=0).repeat(width // one.shape[1], axis=1)
    averaged = functional.adaptive_avg_pool2d(torch.from_numpy(one)[None], (height, width))
    return np.asarray(averaged[0].numpy())


def _draw_mosaic(axes: Axes, sheet: Sheet, grid: Grid, colormap: Colormap) -> None:
    """All maps as one image, in which every value is a whole number of pixels; NaN stays white."""
    width, height = grid.size
    mosaic = np.full((height, width), np.nan, np.float32)
    for number, one in enumerate(sheet.maps):
        left, top = grid.corner(number)
        mosaic[top : top + grid.cell[1], left : left + grid.cell[0]] = enlarged(one, grid.cell)
    axes.imshow(
        mosaic, cmap=colormap, vmin=sheet.colours.low, vmax=sheet.colours.high,
        interpolation="nearest", extent=(0, width, height, 0), aspect="auto",
    )  # fmt: skip


def _label(axes: Axes, grid: Grid, number: int, words: tuple[str, str], is_marked: bool) -> None:
    left, top = grid.corner(number)
    below = top + grid.cell[1] + 9
    weight = "bold" if is_marked else "normal"
    axes.text(left, below, words[0], fontsize=7, va="top", weight=weight)
    right = left + grid.cell[0]
    axes.text(right, below, words[1], fontsize=5.5, va="top", ha="right", color="0.45")


def _frame(
    axes: Axes, grid: Grid, numbers: list[int], colour: str, line: float, out: float
) -> None:
    """Frames around maps, so many pixels outside of them."""
    width, height = grid.cell
    frames = [
        Rectangle((left - out, top - out), width + 2 * out, height + 2 * out)
        for left, top in map(grid.corner, numbers)
    ]
    axes.add_collection(
        PatchCollection(frames, facecolor="none", edgecolor=colour, linewidth=line, clip_on=False)
    )


def _draw_row_of_bars(axes: Axes, sheet: Sheet, row: slice) -> None:
    units, heights = sheet.units[row], sheet.maps[row, 0, 0]
    colours = [MARK if unit in sheet.marked else COLOURS[0] for unit in units]
    axes.bar(range(len(units)), heights, width=0.8, color=colours)
    axes.axhline(0, color="0.3", lw=0.5)
    low, high = min(0.0, sheet.colours.low), max(0.0, sheet.colours.high)
    axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    axes.set_xticks(range(len(units)), [str(unit) for unit in units], rotation=90, fontsize=6)
    plain_axes(axes)
    axes.tick_params(axis="x", labelsize=6, length=0, pad=2)
    axes.tick_params(axis="y", labelsize=7)
