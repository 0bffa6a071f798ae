"""What is left of an area: its mean with units ablated over its mean without."""

from __future__ import annotations

from dataclasses import dataclass

from ganprobe import AreaMeasure, ratio_of_means
from ganprobe_ablation.plan import Floats, Plan


@dataclass(frozen=True, eq=False)
class Left:
    """The share that is left at each size of a curve, each (sizes,), 1 where nothing changed.

    Args:
        low, high: limits of its 95 % interval.
    """

    mean: Floats
    low: Floats
    high: Floats


def is_area(plan: Plan, base: Floats) -> bool:
    """Whether the measure is an area, of which some is there."""
    return isinstance(plan.measure, AreaMeasure) and bool(base.mean() > 0)


def share_left(plan: Plan, base: Floats, changes: Floats) -> Left:
    """Of the unedited area (n,) and its changes (sizes, n)."""
    seed, n_resamples = plan.context.seed, plan.params.n_resamples
    return Left(*ratio_of_means(base + changes, base, seed=seed, n_resamples=n_resamples))
