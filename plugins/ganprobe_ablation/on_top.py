"""On top: an ablation with a swap of units of the same site after it, in four conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganprobe import Intervention, Latents, PairedEffects, Swap, mean_interval
from ganprobe_ablation.plan import Floats, Plan

CONDITIONS = ("nothing", "ablated", "swapped", "ablated, then swapped")

COMPARISONS = {
    "ablated - nothing": (-1, 1, 0, 0),
    "swapped - nothing": (-1, 0, 1, 0),
    "both - nothing": (-1, 0, 0, 1),
    "both - ablated": (0, -1, 0, 1),
    "both - swapped": (0, 0, -1, 1),
    "both - ablated - swapped + nothing": (1, -1, -1, 1),
}
"""How each paired effect is made of the four conditions."""


@dataclass(frozen=True, eq=False)
class OnTop:
    """What ablating some units and swapping others gave.

    Args:
        ablated, swapped: the units of each. One that is in both is swapped.
        values: (condition, sample) the measure.
        mean, low, high: (condition,) over samples, with the limits of its 95 % interval.
        effects: of each comparison.
    """

    ablated: tuple[int, ...]
    swapped: tuple[int, ...]
    values: Floats
    mean: Floats
    low: Floats
    high: Floats
    effects: PairedEffects


def swap_on_top(plan: Plan, ablated: Sequence[int]) -> OnTop | None:
    """Measure the four conditions; None where no swap was asked for."""
    if plan.donors is None:
        return None
    values, _ = plan.values(plan.samples.measured, edits_of(plan, ablated, plan.donors))
    n_resamples = plan.params.n_resamples
    mean, low, high = mean_interval(values, seed=plan.context.seed, n_resamples=n_resamples)
    effects = plan.effects(np.array(list(COMPARISONS.values())) @ values)
    return OnTop(tuple(ablated), plan.swapped, values, mean, low, high, effects)


def edits_of(
    plan: Plan, ablated: Sequence[int], donors: Latents
) -> tuple[tuple[Intervention, ...], ...]:
    """What is done in each condition; the swap comes last, and so wins."""
    ablate = plan.target.template.for_units(tuple(ablated))
    swap = Swap(plan.target.tensor.site, donor=donors, units=plan.swapped)
    return ((), (ablate,), (swap,), (ablate, swap))
