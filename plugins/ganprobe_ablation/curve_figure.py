"""The figure of growing sets of units, beside random sets of equal size."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganprobe import CONTROL_COLOUR, control_band, plain_axes, sign
from ganprobe_ablation.axes import BAND, STRATEGY_COLOURS, axis_limits, entitle
from ganprobe_ablation.sentences import band_words, made
from ganprobe_ablation.study import Curve, Study

_MARKERS = {"rank": "o", "greedy": "s"}


def draw_curve(study: Study) -> Figure:
    """The effect of the first 1, 2, ... units of each strategy, beside random sets."""
    plan = study.plan
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color="0.6", lw=0.8)
    _draw_random(axes, study)
    for curve in study.curves:
        _draw_strategy(axes, study, curve)
    axes.set_ylim(*_limits(study))
    axes.set_xlabel(f"units of {plan.target.site} ablated together")
    axes.set_ylabel(f"change of {plan.name} (mean over n = {len(study.base)} samples)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.legend(frameon=False, fontsize=8)
    told = f"{plan.name} is {study.base.mean():.3g} with nothing ablated.\n"
    told += f"{plan.measure.name}: {plan.measure.summary}"
    axes.set_title(told, loc="left", fontsize=8, color="0.35")
    plain_axes(axes)
    if study.is_area:
        _add_share_left(axes, study)
    title = f"Units of {plan.target.site}, together {plan.target.words}: change of {plan.name}"
    entitle(figure, title)
    sign(figure, made(study))
    return figure


def _draw_random(axes: Axes, study: Study) -> None:
    sizes: list[float] = list(range(1, study.plan.n_top + 1))
    drawn = study.random_effects
    if len(sizes) == 1:  # a band needs a width
        sizes, drawn = [0.8, 1.2], drawn.repeat(2, axis=1)
    label = f"random units: {band_words(len(drawn))}"
    axes.fill_between(sizes, *control_band(drawn), color=CONTROL_COLOUR, alpha=0.25, lw=0,
                      label=label)  # fmt: skip
    axes.plot(sizes, drawn.mean(0), "--", color=CONTROL_COLOUR, lw=1.4,
              label="random units: mean")  # fmt: skip


def _draw_strategy(axes: Axes, study: Study, curve: Curve) -> None:
    sizes, found = range(1, len(curve.units) + 1), curve.effects
    colour, marker = STRATEGY_COLOURS[curve.strategy], _MARKERS[curve.strategy]
    orders = {"likeness": "rank by likeness", "given": "in the order given"}
    is_rank = curve.strategy == "rank"
    name = orders.get(study.plan.params.order, "rank") if is_rank else curve.strategy
    label = f"{name}: mean, 95 % interval"
    axes.fill_between(sizes, found.low, found.high, color=colour, alpha=BAND, lw=0)
    if len(sizes) == 1:  # of which a band shows nothing
        axes.vlines(sizes, found.low, found.high, color=colour, lw=1.4)
    axes.plot(sizes, found.mean, marker=marker, ms=3.5, lw=1.6, color=colour, label=label)


def _add_share_left(axes: Axes, study: Study) -> None:
    """At the right, the same as a share of the area that is left."""
    base = float(study.base.mean())
    both = (lambda change: 100 * (1 + change / base), lambda left: base * (left / 100 - 1))
    right = axes.secondary_yaxis("right", functions=both)
    right.set_ylabel("area that is left, %")
    right.tick_params(labelsize=8)


def _limits(study: Study) -> tuple[float, float]:
    effects = [curve.effects for curve in study.curves]
    means = [*control_band(study.random_effects), *(one.mean for one in effects)]
    return axis_limits(
        np.concatenate(means),
        np.concatenate([one.low for one in effects]),
        np.concatenate([one.high for one in effects]),
    )
