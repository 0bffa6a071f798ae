"""The figure of the average causal effect: of the units, of optimised ones, of random sets."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ganprobe import COLOURS, CONTROL_COLOUR, control_band, plain_axes, sign
from ganprobe_ablation.axes import BAND, entitle
from ganprobe_ablation.insertion.sentences import made_insertion, window_words
from ganprobe_ablation.insertion.study import InsertionStudy
from ganprobe_ablation.sentences import band_words


def draw_average(study: InsertionStudy) -> Figure:
    """Dots with intervals, and a tick for each random set."""
    plan, found, random = study.plan, study.average, study.random_effects
    names = [f"the {len(plan.units)} units", "optimised ones"][: study.n_chosen]
    figure = Figure(figsize=(7.2, 1.95 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="0.6", lw=0.8)
    low, high = (float(limit) for limit in control_band(random))
    axes.axvspan(low, high, color=CONTROL_COLOUR, alpha=BAND, lw=0,
                 label=f"random sets: {band_words(len(random))}")  # fmt: skip
    last = len(names)
    axes.plot(random, np.full(len(random), last), "|", ms=12, mew=1.1, color=CONTROL_COLOUR)
    for row, _ in enumerate(names):
        effects = found.effects
        axes.hlines(row, effects.low[row], effects.high[row], color=COLOURS[0], lw=2)
        label = "mean over samples, 95 % interval" if row == 0 else None
        axes.plot(effects.mean[row], row, "o", ms=6, color=COLOURS[0], label=label)
    axes.set_yticks(range(last + 1), [*names, "random sets"], fontsize=9)
    axes.set_ylim(last + 0.6, -0.6)
    n_places = found.drawn.shape[1]
    each = f"{n_places} random place{'s' if n_places > 1 else ''} each"
    axes.set_xlabel(
        f"average causal effect: share of the window that is {plan.name}, units at\n"
        f"their levels less units at 0 (n = {found.n_samples} samples, {each})",
        fontsize=9,
    )
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2,
                borderaxespad=0.1)  # fmt: skip
    plain_axes(axes)
    entitle(
        figure, f"Units of {plan.site} in a window of {window_words(plan)}: effect on {plan.name}"
    )
    sign(figure, made_insertion(plan))
    return figure
