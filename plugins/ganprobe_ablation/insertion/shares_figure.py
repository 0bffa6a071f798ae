"""The figure of an optimisation: the share of each unit beside its IoU, and the way there."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganprobe import COLOURS, CONTROL_COLOUR, OptimisedUnits, plain_axes, sign
from ganprobe_ablation.axes import entitle
from ganprobe_ablation.insertion.sentences import made_insertion
from ganprobe_ablation.insertion.study import InsertionStudy

_NAMED = 8


def draw_shares(study: InsertionStudy) -> Figure:
    """Left share against IoU, a dot for each unit; right the effect over the steps."""
    plan, found = study.plan, study.optimised
    assert found is not None
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    _draw_units(left, study, found)
    _draw_steps(right, plan.name, found)
    entitle(
        figure,
        f"How far each unit of {plan.site} is to be moved for the largest effect on {plan.name}",
    )
    sign(figure, made_insertion(plan))
    return figure


def _draw_units(axes: Axes, study: InsertionStudy, found: OptimisedUnits) -> None:
    iou = study.plan.iou
    assert iou is not None
    own, chosen = iou[list(found.units)], set(study.optimised_units)
    is_chosen = np.array([unit in chosen for unit in found.units])
    largest = float(own.max())
    if largest > 0:
        axes.plot([0, largest], [0, 1], "--", color=CONTROL_COLOUR, lw=1.2, zorder=0,
                  label="where shares began")  # fmt: skip
    for mask, colour, label in (
        (~is_chosen, CONTROL_COLOUR, "other units"),
        (is_chosen, COLOURS[0], f"the {len(chosen)} largest shares"),
    ):
        axes.plot(own[mask], found.alpha[mask], "o", ms=4.5, color=colour, alpha=0.85, label=label)
    for unit in found.top(min(_NAMED, len(found.units))):
        row = found.units.index(unit)
        axes.annotate(str(unit), (own[row], found.alpha[row]), fontsize=7, color="0.25",
                      textcoords="offset points", xytext=(4, 3))  # fmt: skip
    axes.set_ylim(-0.04, 1.08)
    axes.set_xlabel(f"IoU of the unit with {study.plan.name}")
    axes.set_ylabel("share of the way to its level (1: all)")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    plain_axes(axes)


def _draw_steps(axes: Axes, name: str, found: OptimisedUnits) -> None:
    steps = np.arange(1, len(found.effect) + 1)
    axes.plot(steps, found.effect, color=CONTROL_COLOUR, lw=0.8, label="each step's samples")
    width = max(1, len(steps) // 10)
    if width > 1:
        smooth = np.convolve(found.effect, np.ones(width) / width, mode="valid")
        axes.plot(
            steps[width - 1 :], smooth, color=COLOURS[0], lw=2, label=f"mean of {width} steps"
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"step of Adam (rate {found.rate:g}, penalty {found.penalty:g})")
    axes.set_ylabel(f"average causal effect on {name}\n(share of the window)")
    axes.legend(frameon=False, fontsize=8)
    plain_axes(axes)
