"""What is left of an area: its mean with units ablated over its mean without.

The interval is that of a ratio of means: of the differences from the ratio, over the mean base
(Cochran 1977, chapter 6), so that a sample without the class does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ganprobe import AreaMeasure, mean_interval
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
    edited, whole = base + changes, base.mean()
    ratio = edited.mean(1) / whole
    differences = edited - ratio[:, None] * base
    seed, n_resamples = plan.context.seed, plan.params.n_resamples
    _, low, high = mean_interval(differences, seed=seed, n_resamples=n_resamples)
    return Left(ratio, np.asarray(ratio + low / whole), np.asarray(ratio + high / whole))
