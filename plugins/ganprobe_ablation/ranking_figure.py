"""The figure of single units: all of them, and the first and last of the ranking in detail."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ganprobe import COLOURS, CONTROL_COLOUR, plain_axes, sign
from ganprobe_ablation.axes import BAND, axis_limits, entitle
from ganprobe_ablation.plan import Floats
from ganprobe_ablation.sentences import SIGNIFICANT, made
from ganprobe_ablation.study import Study

_SHOWN, _LAST_SHOWN = 30, 6
_FOUND, _NOT_FOUND = COLOURS[1], "#5c6166"
_ROW = 0.185  # inches


def draw_ranking(study: Study) -> Figure:
    """All units as ticks; below them the first of the ranking, and the last, with intervals."""
    shown = shown_places(len(study.ranking.units))
    tall = _ROW * (len(shown) + (len(shown) < len(study.ranking.units)))
    by_likeness = study.plan.params.order == "likeness"
    figure = Figure(figsize=(9.4 if by_likeness else 7.6, 2.3 + tall), layout="constrained")
    panels = figure.subplot_mosaic(
        "A.;SL" if by_likeness else "A;S",
        height_ratios=[0.55, tall + 0.3],
        width_ratios=[3, 1] if by_likeness else None,
    )
    panels["A"].sharex(panels["S"])
    _draw_all(panels["A"], study)
    _draw_shown(panels["S"], study, shown)
    if by_likeness:
        _draw_likeness(panels["L"], study, shown)
    target = study.plan.target
    title = f"Each unit of {target.site}, alone {target.words}: change of {study.plan.name}"
    entitle(figure, title)
    sign(figure, made(study))
    return figure


def shown_places(n_units: int) -> list[int]:
    """Positions in the ranking that get a row."""
    if n_units <= _SHOWN:
        return list(range(n_units))
    return [*range(_SHOWN - _LAST_SHOWN), *range(n_units - _LAST_SHOWN, n_units)]


def _rows(shown: list[int]) -> list[int]:
    """The height of each row, with a gap where positions are left out."""
    return [row + (place > row) for row, place in enumerate(shown)]


def _draw_all(axes: Axes, study: Study) -> None:
    means, is_found = study.effects.mean, study.effects.q < SIGNIFICANT
    _draw_band(axes, means)
    for chosen, colour in ((~is_found, _NOT_FOUND), (is_found, _FOUND)):
        axes.plot(means[chosen], np.zeros(int(chosen.sum())), "|", ms=17, mew=1.1, color=colour,
                  alpha=0.75)  # fmt: skip
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], [f"all {len(means)} units"])
    axes.tick_params(labelsize=8, labelbottom=False, left=False, bottom=False)
    axes.spines[:].set_visible(False)


def _draw_shown(axes: Axes, study: Study, shown: list[int]) -> None:
    effects, rows = study.effects, _rows(shown)
    limits = axis_limits(effects.mean, effects.low[shown], effects.high[shown])
    axes.set_xlim(*limits)
    _draw_band(axes, effects.mean)
    axes.axvline(0, color="0.6", lw=0.8)
    for row, place in zip(rows, shown, strict=True):
        _draw_interval(axes, study, place, row, limits)
    axes.set_yticks(rows, [f"{study.ranking.units[place]}" for place in shown])
    n_between = len(effects) - len(shown)
    if n_between:
        axes.text(1.0, rows[-_LAST_SHOWN] - 1, f"{n_between} units between", fontsize=7,
                  color="0.4", ha="right", va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_ylim(rows[-1] + 0.7, -0.7)
    axes.set_xlabel(f"change of {study.plan.name} (mean over n = {effects.n} samples)")
    axes.set_ylabel(_order(study))
    axes.legend(handles=_handles(study), frameon=False, fontsize=8, loc="lower left",
                bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.1)  # fmt: skip
    plain_axes(axes)


def _draw_interval(
    axes: Axes, study: Study, place: int, row: int, limits: tuple[float, float]
) -> None:
    """One unit, with an arrow where its interval goes on beyond the axis."""
    effects, (left, right) = study.effects, limits
    low, high = effects.low[place], effects.high[place]
    colour = _FOUND if effects.q[place] < SIGNIFICANT else _NOT_FOUND
    axes.plot([low, high], [row, row], color=colour, lw=1.4)
    axes.plot(effects.mean[place], row, "o", ms=4, color=colour)
    if low < left:
        axes.plot(left, row, "<", ms=6, color=colour, clip_on=False)
    if high > right:
        axes.plot(right, row, ">", ms=6, color=colour, clip_on=False)


def _order(study: Study) -> str:
    if study.plan.params.order == "likeness":
        return "unit, its map most like the image first"
    if study.plan.params.order == "given":
        return "unit, in the order given"
    strongest = "lowering" if study.plan.params.direction == "lower" else "raising"
    return f"unit, strongest {strongest} first (on other samples)"


def _handles(study: Study) -> list[Line2D | Patch]:
    n_found = int((study.effects.q < SIGNIFICANT).sum())
    n_not, n = len(study.effects) - n_found, len(study.effects)
    labels = {
        _FOUND: f"mean, 95 % interval: q < {SIGNIFICANT:g} ({n_found})",
        _NOT_FOUND: f"q ≥ {SIGNIFICANT:g} ({n_not})",
    }
    dots = [
        Line2D([], [], marker="o", ms=4, color=colour, label=label)
        for colour, label in labels.items()
    ]
    return [*dots, Patch(color=CONTROL_COLOUR, alpha=BAND, label=f"95 % of all {n} units")]


def _draw_band(axes: Axes, means: Floats) -> None:
    low, high = np.quantile(means, [0.025, 0.975])
    axes.axvspan(low, high, color=CONTROL_COLOUR, alpha=BAND, lw=0)


def _draw_likeness(axes: Axes, study: Study, shown: list[int]) -> None:
    rows = _rows(shown)
    axes.barh(rows, study.ranking.by[shown], height=0.6, color=COLOURS[0])
    axes.set_ylim(rows[-1] + 0.7, -0.7)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_xlabel("likeness: mean |r|\nof map and image")
    plain_axes(axes)
