"""The figure of strips: a block for each direction, with a row for each sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ganprobe import COLOURS, sign
from ganprobe_directions.families import Family
from ganprobe_directions.plan import Plan
from ganprobe_directions.strips import Strips

OUTSIDE, BASE = "#c00000", COLOURS[4]

_CELL = 0.5  # inches, of an image's width; what follows too
_BLOCKS = 2  # side by side
_LEFT, _RIGHT, _BETWEEN, _ABOVE, _TITLE, _FOOT = 0.75, 0.2, 0.85, 0.52, 0.5, 0.3
_BELOW = 0.16  # of the values under each image
_COARSE = 128  # images up to this wide show their pixels


@dataclass(frozen=True)
class _Mosaic:
    """Where each image of a block stands, in pixels of one image; y runs down."""

    wide: int
    tall: int
    gap: int
    under: float
    n_rows: int
    n_steps: int

    @property
    def width(self) -> float:
        return self.n_steps * (self.wide + self.gap) - self.gap

    @property
    def height(self) -> float:
        return self.n_rows * (self.tall + self.gap + self.under) - self.gap

    def corner(self, row: int, step: int) -> tuple[float, float]:
        """The left and the upper edge of an image."""
        return step * (self.wide + self.gap), row * (self.tall + self.gap + self.under)


def draw_strips(plan: Plan, family: Family, strips: Strips, made: str) -> Figure:
    """A block for each direction: a row for each sample, a column for each step."""
    n, n_rows, n_steps, _, tall, wide = strips.images.shape
    gap = max(1, wide // 12)
    under = 0.0 if strips.values is None else _BELOW / _CELL * wide
    mosaic = _Mosaic(wide, tall, gap, under, n_rows, n_steps)
    inch = _CELL / wide
    block = (mosaic.width * inch, mosaic.height * inch)
    n_across = min(_BLOCKS, n)
    n_down = -(-n // n_across)
    width = _LEFT + n_across * block[0] + (n_across - 1) * _BETWEEN + _RIGHT
    height = _TITLE + n_down * (block[1] + _ABOVE) + _FOOT
    figure = Figure(figsize=(max(6.0, width), height))
    for place in range(n):
        down, across = divmod(place, n_across)
        left = _LEFT + across * (block[0] + _BETWEEN)
        bottom = height - _TITLE - (down + 1) * (block[1] + _ABOVE)
        size = figure.get_size_inches()
        axes = figure.add_axes(
            (left / size[0], bottom / size[1], block[0] / size[0], block[1] / size[1])
        )
        _draw_block(axes, plan, strips, place, mosaic)
        axes.set_title(_heading(family, strips, place), loc="left", fontsize=9, pad=5)
    _entitle(figure, family, strips)
    sign(figure, made)
    return figure


def _draw_block(axes: Axes, plan: Plan, strips: Strips, place: int, mosaic: _Mosaic) -> None:
    smooth = "nearest" if mosaic.wide <= _COARSE else "antialiased"
    for row in range(mosaic.n_rows):
        for step in range(mosaic.n_steps):
            left, top = mosaic.corner(row, step)
            axes.imshow(
                _drawable(strips.images[place, row, step]), cmap="gray", vmin=0, vmax=1,
                extent=(left, left + mosaic.wide, top + mosaic.tall, top),
                interpolation=smooth, aspect="auto",
            )  # fmt: skip
            _frame(axes, strips, place, row, step, mosaic)
            if strips.values is not None:
                axes.text(left + mosaic.wide / 2, top + mosaic.tall + 0.1 * mosaic.under,
                          _short(strips.values[place, row, step]), fontsize=6.5, ha="center",
                          va="top")  # fmt: skip
    axes.set_xlim(-mosaic.gap, mosaic.width + mosaic.gap)
    axes.set_ylim(mosaic.height + mosaic.gap, -mosaic.gap)
    middles = [mosaic.corner(0, step)[0] + mosaic.wide / 2 for step in range(mosaic.n_steps)]
    axes.set_xticks(middles, [f"{step:+g}" if step else "base" for step in strips.steps])
    axes.xaxis.tick_top()
    rows = [mosaic.corner(row, 0)[1] + mosaic.tall / 2 for row in range(mosaic.n_rows)]
    axes.set_yticks(rows, [sample_label(plan, row) for row in range(mosaic.n_rows)])
    axes.tick_params(length=0, labelsize=7, pad=1)
    axes.spines[:].set_visible(False)


def _frame(axes: Axes, strips: Strips, place: int, row: int, step: int, mosaic: _Mosaic) -> None:
    is_base, is_outside = not strips.steps[step], strips.is_outside[place, row, step]
    if is_base or is_outside:
        corner = mosaic.corner(row, step)
        colour = BASE if is_base else OUTSIDE
        axes.add_patch(
            Rectangle(corner, mosaic.wide, mosaic.tall, fill=False, edgecolor=colour, lw=1.8,
                      clip_on=False, zorder=3)
        )  # fmt: skip


def sample_label(plan: Plan, row: int) -> str:
    """Which sample a row is of."""
    indices = plan.bases.indices
    return f"latent {row}" if indices is None else f"sample {indices[row]}"


def _short(value: float) -> str:
    """In few characters, with the same decimals for numbers of like size."""
    return (
        f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.4g}"
        if abs(value) > 999
        else f"{value:.1f}"
    )


def _heading(family: Family, strips: Strips, place: int) -> str:
    name = family.set.names[place]
    if strips.labels:
        return f"{name}  (below: {strips.labels[place]})"
    return name if family.spectrum is None else f"{name}  {family.spectrum.values[place]:.1f} %"


def _entitle(figure: Figure, family: Family, strips: Strips) -> None:
    height = figure.get_size_inches()[1]
    figure.text(0.12 / figure.get_size_inches()[0], 1 - 0.1 / height,
                f"Along the directions of {family.title}", fontsize=11, va="top")  # fmt: skip
    note = "Columns: standard deviations of the samples along the direction."
    if family.spectrum is not None:
        note += f" Beside a name: {family.spectrum.unit.removesuffix(' (%)')}."
    figure.text(0.12 / figure.get_size_inches()[0], 1 - 0.34 / height, note, fontsize=8, va="top",
                color="0.35")  # fmt: skip
    handles = [Line2D([], [], color=BASE, lw=2, label="the sample itself")]
    if strips.is_outside.any():
        handles.append(Line2D([], [], color=OUTSIDE, lw=2, label="where samples hardly ever are"))
    figure.legend(handles=handles, loc="upper right", frameon=False, fontsize=8,
                  bbox_to_anchor=(1.0, 1.0), borderaxespad=0.3)  # fmt: skip


def _drawable(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x, 3) for colour, (y, x) for anything else."""
    return np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
