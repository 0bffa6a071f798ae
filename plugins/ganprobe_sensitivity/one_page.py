"""The answer on one page: how much each element changes, where, how it looks, what it goes with."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ganprobe import COLOURS, CONTROL_COLOUR, plain_axes, sign
from ganprobe_sensitivity.heat import Heat, draw_heat, told_columns
from ganprobe_sensitivity.sentences import best_words, made, step_words
from ganprobe_sensitivity.study import SIGNIFICANT, Study, band

_ROW, _IMAGE = 0.56, 0.5  # this and what follows: inches
_LABEL, _BARS, _GAP, _EDGE, _FOOT = 1.95, 2.3, 0.28, 0.18, 0.62
_HEAT_CELL = 0.34
_TITLE, _HEADING = 0.72, 0.36
_LETTER = 0.052  # height of one of a column's name, as it is rotated
_MOST_COLUMNS = 18
_COARSE = 128
_NOTE_LETTERS = 13.2  # of the note in an inch
_ABOVE, _WITHIN = COLOURS[0], "#a9bfd0"


@dataclass(frozen=True)
class _Page:
    """Where things are, in inches from the left and from the top."""

    figure: Figure
    top: float
    n_rows: int

    def axes(self, left: float, width: float, *, top: float | None = None,
             height: float | None = None) -> Axes:  # fmt: skip
        """Axes over all rows, or of a given place."""
        wide, tall = self.figure.get_size_inches()
        top = self.top if top is None else top
        height = self.n_rows * _ROW if height is None else height
        return self.figure.add_axes(
            (left / wide, 1 - (top + height) / tall, width / wide, height / tall)
        )

    def write(self, left: float, top: float, text: str, **how: object) -> None:
        wide, tall = self.figure.get_size_inches()
        self.figure.text(left / wide, 1 - top / tall, text, parse_math=False, **how)  # type: ignore[arg-type]

    def row(self, place: int) -> float:
        """The top of an image in a row."""
        return self.top + place * _ROW + (_ROW - _IMAGE) / 2


def draw_one_page(study: Study) -> Figure:
    """A row for each of the strongest elements."""
    heat = told_columns(study, _MOST_COLUMNS)
    n_strips = study.images.shape[1]
    tall, wide = study.images.shape[-2:]
    image = _IMAGE * min(2.5, wide / tall)
    strips = n_strips * (3 * image + _GAP)
    lefts = np.cumsum([_EDGE, _LABEL, _BARS + _GAP, image + _GAP, strips])
    n_columns = len(heat.columns) if heat else 0
    width = max(lefts[-1] + n_columns * _HEAT_CELL + _EDGE + (0.9 if heat else 0), 8.2)
    longest = max((len(name) for name in heat.columns), default=0) if heat else 0
    top = _TITLE + max(_HEADING, 0.1 + _LETTER * longest)
    n_rows = len(study.shown)
    figure = Figure(figsize=(float(width), top + n_rows * _ROW + _FOOT))
    page = _Page(figure, top, n_rows)
    _write_title(page, study, heat)
    _draw_labels(page, study)
    _draw_bars(page.axes(float(lefts[1]), _BARS), study)
    _draw_maps(page, study, float(lefts[2]), image)
    _draw_strips(page, study, float(lefts[3]), image)
    if heat is not None:
        axes = page.axes(float(lefts[4]), n_columns * _HEAT_CELL)
        draw_heat(axes, heat, study, study.shown)
        _name_columns(axes, heat)
    sign(figure, made(study))
    return figure


def _write_title(page: _Page, study: Study, heat: Heat | None) -> None:
    plan = study.plan
    n, n_shown = len(plan.axes), len(study.shown)
    which = f"the {n_shown} strongest of {n} elements" if n_shown < n else f"all {n} elements"
    name = plan.context.generator.name
    title = f"What each element of {plan.space.name} does to the images of {name}"
    page.write(_EDGE, 0.1, f"{title}: {which}", fontsize=12, va="top")
    n_letters = int(page.figure.get_size_inches()[0] * _NOTE_LETTERS)
    note = textwrap.fill(_note(study, heat), n_letters)
    page.write(_EDGE, 0.34, note, fontsize=8, va="top", color="0.35", linespacing=1.25)


def _note(study: Study, heat: Heat | None) -> str:
    note = "Strongest first; dark bars: more than random directions of the same length."
    if study.associated is None:
        return note
    n_columns = len(study.plan.columns)
    if heat is None:
        none = f"None has to do with any of {n_columns} columns of measures"
        return f"{note} {none} (q < {SIGNIFICANT:g})."
    some = f" ({len(heat.columns)} of {n_columns} columns)" if heat.n_left else ""
    links = study.links
    if links is not None and links.is_moved:
        told = (
            "what a move by one s.d. changes of what measures tell of the image, in s.d. of these"
        )
        return f"{note} Right: {told}{some}, coloured where q < {SIGNIFICANT:g} over all of them."
    return (
        f"{note} Right: correlation with what measures tell of the image{some}, coloured where"
        f" q < {SIGNIFICANT:g} over all of them; ~ where they depend without being correlated."
    )


def _draw_labels(page: _Page, study: Study) -> None:
    for row, place in enumerate(study.shown):
        middle = page.top + (row + 0.5) * _ROW
        words = best_words(study, place)
        page.write(_EDGE + _LABEL - 0.12, middle - (0.07 if words else 0),
                   study.plan.names[place], fontsize=9.5, weight="bold", ha="right",
                   va="center")  # fmt: skip
        if words:
            page.write(_EDGE + _LABEL - 0.12, middle + 0.1, words, fontsize=7, ha="right",
                       va="center", color="0.3")  # fmt: skip


def _draw_bars(axes: Axes, study: Study) -> None:
    mean, low, high = study.sizes(study.main)
    rows = np.arange(len(study.shown))
    chosen = study.shown
    below, above = band(study.main)
    axes.axvspan(below, above, color=CONTROL_COLOUR, alpha=0.28, lw=0)
    colours = [_ABOVE if study.is_above[place] else _WITHIN for place in chosen]
    axes.barh(rows, mean[chosen], height=0.46, color=colours)
    for row, place in enumerate(chosen):
        if np.isfinite(low[place]):
            axes.plot([low[place], high[place]], [row, row], color="black", lw=1.1)
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    axes.set_yticks([])
    reach = np.nanmax([*high[chosen], *mean[chosen], above])
    axes.set_xlim(0, 1.04 * float(reach) or 1.0)
    axes.set_xlabel("change of the image (RMS,\n% of black to white)", fontsize=8)
    axes.set_title(f"{step_words(study)}\ngrey: random directions", fontsize=8, loc="left", pad=4)
    plain_axes(axes)


def _draw_maps(page: _Page, study: Study, left: float, image: float) -> None:
    maps = study.main.elements.where[study.shown]
    top = float(maps.max()) or 1.0
    for row, one in enumerate(maps):
        axes = page.axes(left, image, top=page.row(row), height=_IMAGE)
        axes.imshow(one / top, cmap="magma", vmin=0, vmax=1, aspect="auto",
                    interpolation="nearest")  # fmt: skip
        _bare(axes)
    page.write(left + image / 2, page.top - 0.06, "where", fontsize=8, ha="center", va="bottom")
    foot = page.top + page.n_rows * _ROW + 0.05
    page.write(left + image / 2, foot, f"white:\n{100 * top:.2g} %", fontsize=6.5, ha="center",
               va="top", color="0.35")  # fmt: skip


def _draw_strips(page: _Page, study: Study, left: float, image: float) -> None:
    reach = study.plan.reach
    names = study.plan.base.indices or range(len(study.plan.base))
    for strip in range(study.images.shape[1]):
        start = left + strip * (3 * image + _GAP)
        for step in range(3):
            for row in range(page.n_rows):
                axes = page.axes(start + step * image, image, top=page.row(row), height=_IMAGE)
                _show(axes, study.images[row, strip, step].numpy())
            word = ("-{:.2g}", "0", "+{:.2g}")[step].format(reach).replace("-", "−")
            page.write(start + (step + 0.5) * image, page.top - 0.06, word, fontsize=8,
                       ha="center", va="bottom")  # fmt: skip
        page.write(start + 1.5 * image, page.top - 0.21, f"sample {names[strip]}, at (s.d.)",
                   fontsize=7.5, ha="center", va="bottom")  # fmt: skip


def _name_columns(axes: Axes, heat: Heat) -> None:
    axes.set_xticks(range(len(heat.columns)), heat.columns, rotation=55, ha="left",
                    rotation_mode="anchor", fontsize=7.5)  # fmt: skip
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=1)
    axes.set_yticks([])


def _show(axes: Axes, image: NDArray[np.float32]) -> None:
    drawn = np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
    smooth = "nearest" if drawn.shape[1] <= _COARSE else "antialiased"
    axes.imshow(drawn, cmap="gray", vmin=0, vmax=1, interpolation=smooth, aspect="auto")
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("white")
    axes.spines[:].set_linewidth(0.8)
