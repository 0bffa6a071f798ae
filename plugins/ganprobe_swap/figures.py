"""The figures: curves of all strategies, transfer between pairs, and which units are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from ganprobe import COLOURS, CONTROL_COLOUR, control_band, plain_axes, sign
from ganprobe_swap.experiment import Experiment
from ganprobe_swap.objectives import Objective
from ganprobe_swap.pairs import counted
from ganprobe_swap.searching import Found
from ganprobe_swap.verdicts import Rate

_STYLES = {
    "given": "-",
    "greedy": "-",
    "rank": "--",
    "joint": "-.",
    "integrated": ":",
    "gradient": ":",
}
_ORDER = ("greedy", "rank", "joint", "integrated", "gradient", "given")
_SHOWN_UNITS = 40


def draw_curves(done: Experiment, *, title: str, made: str) -> Figure:
    """The objective against the number of units, and under it how often it succeeded."""
    n_rows = 1 if done.judge is None else 2
    n_columns = len(done.objectives)
    size = (max(6.4, 4.4 * n_columns + 0.6), 3.5 * n_rows + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)
    for column, objective in enumerate(done.objectives):
        _draw_paths(axes[0][column], done, objective)
        if done.judge is not None:
            _draw_rates(axes[1][column], done, objective)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5)
    sign(figure, made)
    return figure


def draw_transfer(
    rows: Sequence[tuple[str, Sequence[Rate]]], kinds: Sequence[str], *, title: str, made: str
) -> Figure:
    """A row for each set, a column for each kind of pairs; how often it did what it should."""
    values = np.array([[rate.value for rate in rates] for _, rates in rows])
    size = (4.6 + 1.75 * len(kinds), 1.6 + 0.52 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, (_, rates) in enumerate(rows):
        for column, rate in enumerate(rates):
            text = f"{100 * rate.value:.0f} %\n[{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
            colour = "white" if rate.value > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=colour)
    axes.set_xticks(range(len(kinds)), [kind.replace(" into ", "\ninto ") for kind in kinds])
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.tick_params(length=0, labelsize=8.5)
    axes.set_xlabel("tested on (pairs that no search saw, where there are such)")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(shown, ax=axes, format=PercentFormatter(1), fraction=0.05)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sign(figure, made)
    return figure


def draw_units(done: Experiment, own: Sequence[Found], *, title: str, made: str) -> Figure:
    """How many pairs chose each unit, and how much the sets of two pairs share."""
    figure = Figure(figsize=(11, 2.9 * len(own) + 0.5), layout="constrained")
    axes = figure.subplots(len(own), 2, squeeze=False, width_ratios=[3, 2])
    for (left, right), found in zip(axes, own, strict=True):
        _draw_choices(left, done, found)
        _draw_overlaps(right, done, found)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5)
    sign(figure, made)
    return figure


def overlaps(units: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many units each two of some sets (set, pick) share, each two once."""
    sets = [set(one.tolist()) for one in units]
    shared = [len(first & second) for place, first in enumerate(sets) for second in sets[:place]]
    return np.array(shared, np.int64)


def _draw_paths(axes: Axes, done: Experiment, objective: Objective) -> None:
    picks = np.arange(done.n_units + 1)
    mine = [one for one in done.found if one.objective is objective]
    draws = done.random.paths[objective.name]  # (draw, pick)
    base = float(np.mean(mine[0].base)) if mine else None
    low, high = control_band(draws)
    axes.fill_between(picks[1:], low, high, color=CONTROL_COLOUR, alpha=0.25, lw=0,
                      label=f"random, {len(draws)} draws")  # fmt: skip
    axes.plot(picks[1:], draws.mean(0), color=CONTROL_COLOUR, lw=1.2)
    for one in mine:
        path = np.concatenate([[one.base.mean()], one.paths.mean(0)])
        axes.plot(picks, path, **_line(one))
    if base is not None:
        axes.axhline(base, color="0.6", lw=0.8, ls=(0, (1, 2)), zorder=0)
    axes.set_ylabel(objective.label, fontsize=8.5)
    goal = "higher is better" if objective.maximise else "lower is better"
    axes.set_title(f"driven: {objective.name} ({goal})", loc="left", fontsize=9.5)
    if done.judge is None:
        axes.set_xlabel(_units_label(done), fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=7.5, loc="best")


def _draw_rates(axes: Axes, done: Experiment, objective: Objective) -> None:
    wants, n_sizes = objective.wants, len(done.sizes)
    draws = _rates_of_draws(done, wants)
    low, high = control_band(draws)
    axes.fill_between(done.sizes, low, high, color=CONTROL_COLOUR, alpha=0.25, lw=0)
    axes.plot(done.sizes, draws.mean(0), color=CONTROL_COLOUR, lw=1.2)
    for one in done.found:
        if one.objective is not objective:
            continue
        verdicts = done.curves[one.name]
        own = [verdicts.of_sets(slice(place, place + 1)).rate(wants) for place in range(n_sizes)]
        line = _line(one)
        axes.plot(done.sizes, [rate.value for rate in own], **line)
        last = own[-1]
        reach = [[last.value - last.low], [last.high - last.value]]
        axes.errorbar(done.sizes[-1], last.value, reach, color=line["color"], capsize=2.5, lw=1)
    becomes = "shows what its donor shows" if wants == "donor" else "still shows what it did"
    axes.set_ylabel(
        f"edited image {becomes}\n(share of {counted(len(done.pairs))}, 95 % intervals)",
        fontsize=8.5,
    )
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(_units_label(done), fontsize=8.5)
    plain_axes(axes)


def _draw_choices(axes: Axes, done: Experiment, found: Found) -> None:
    counts = np.bincount(found.units.ravel(), minlength=done.tensor.n_units)
    order = np.argsort(-counts, kind="stable")[:_SHOWN_UNITS]
    n_pairs, chance = len(found.units), done.n_units / done.n_among
    axes.bar(range(len(order)), counts[order] / n_pairs, color=COLOURS[0], width=0.75)
    axes.axhline(chance, color=CONTROL_COLOUR, lw=1.2, ls="--", label=f"by chance ({chance:.0%})")
    axes.set_xticks(range(len(order)), [str(unit) for unit in order], rotation=90, fontsize=6.5)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"unit of {done.site}, most often chosen first", fontsize=8.5)
    axes.set_ylabel("pairs that chose it", fontsize=8.5)
    axes.set_title(f"{found.objective.name}, {found.strategy}: {n_pairs} pairs, each with a set of"
                   f" {done.n_units}", loc="left", fontsize=9.5)  # fmt: skip
    axes.margins(x=0.01)
    plain_axes(axes)
    axes.tick_params(axis="x", labelsize=6.5)
    axes.legend(frameon=False, fontsize=7.5, loc="upper right")


def _draw_overlaps(axes: Axes, done: Experiment, found: Found) -> None:
    shared = overlaps(found.units)
    chance = done.chance
    bins = np.arange(done.n_units + 2) - 0.5
    axes.hist(shared, bins=bins.tolist(), color=COLOURS[0], rwidth=0.85)
    axes.axvline(chance, color=CONTROL_COLOUR, lw=1.2, ls="--", label=f"by chance: {chance:.1f}")
    axes.axvline(float(shared.mean()), color=COLOURS[1], lw=1.2, label=f"mean: {shared.mean():.1f}")
    axes.set_xlabel(f"units that two pairs' sets of {done.n_units} share", fontsize=8.5)
    axes.set_ylabel("how many twos of pairs", fontsize=8.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Is it the same units for every pair?", loc="left", fontsize=9.5)
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=7.5, loc="upper right")


def _rates_of_draws(done: Experiment, wants: str) -> NDArray[np.float64]:
    """(draw, size) the share of pairs in which a random set of that size succeeded."""
    random = done.curves["random"]
    hits = random.called == (random.donor if wants == "donor" else random.source)
    rates: NDArray[np.float64] = hits.reshape(-1, len(done.sizes), hits.shape[1]).mean(2)
    return rates


def _line(found: Found) -> dict[str, Any]:
    place = _ORDER.index(found.strategy)
    label = found.strategy + ("" if found.strategy in ("greedy", "rank") else ", one set for all")
    return {
        "color": COLOURS[place % len(COLOURS)],
        "ls": _STYLES[found.strategy],
        "lw": 1.8,
        "label": label,
    }


def _units_label(done: Experiment) -> str:
    return f"units swapped, of the {done.tensor.n_units} of {done.site}"
