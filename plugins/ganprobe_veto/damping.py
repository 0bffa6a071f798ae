"""The damping layer: the one over which the mean progress of an edit falls most.

A layer is compared with what it was given, so that a branch beside it does not count; what lies
between layers counts to the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ganprobe import mean_interval
from ganprobe_veto.courses import Floats
from ganprobe_veto.trace import Trace

LEAST_FALL = 1e-3
"""Of progress: a smaller one may be rounding."""

LEAST_SHARE = 0.05
"""Of the progress that was there: less is lost to no veto, however certain it is."""


@dataclass(frozen=True)
class Mean:
    """A mean over samples with its 95 % interval; NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As ``0.128 [0.102, 0.153]``."""
        limits = "" if np.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.mean:.3f}{limits}"


@dataclass(frozen=True)
class Loss:
    """What happens to an edit over one layer.

    Args:
        place: of the stop behind it.
        before: of the stop that it is compared with.
        fall: of the progress, over the same samples.
        survival: by how much survival changes: below 0, random edits pass the layer better.
        kept: the share of its progress that is left.
        blend_kept: the same of the blend; both NaN where there was no progress to keep.
        kept_more: the first less the second, by the delta method.
    """

    place: int
    before: int
    fall: Mean
    survival: Mean
    kept: float
    blend_kept: float
    kept_more: Mean


@dataclass(frozen=True, eq=False)
class Damping:
    """What is left of an edit at each stop, and where it is lost.

    Args:
        progress, survival, blend: of each stop.
        falls: of each stop, from what it is compared with; None for the first.
        worst: the largest fall whose interval lies above 0; None: there is none, or none of a
            twentieth of the progress that was there and of 0.001.
    """

    progress: list[Mean]
    survival: list[Mean]
    blend: list[Mean]
    falls: list[Mean | None]
    worst: Loss | None


def find_damping(trace: Trace, *, seed: int, n_resamples: int) -> Damping:
    """Where the edit is damped most, with bootstrap intervals over samples."""
    summary = partial(mean_of, seed=seed, n_resamples=n_resamples)
    later = {
        place: summary(trace.progress[stop.before] - trace.progress[place])
        for place, stop in enumerate(trace.stops)
        if place
    }
    certain = [
        place for place, fall in later.items() if fall.low > 0 and _matters(trace, place, fall)
    ]
    worst = max(certain, key=lambda place: later[place].mean, default=None)
    return Damping(
        progress=[summary(row) for row in trace.progress],
        survival=[summary(row) for row in trace.survival],
        blend=[summary(row) for row in trace.blend_progress],
        falls=[None, *later.values()],
        worst=None if worst is None else _loss(trace, worst, later[worst], summary),
    )


def _matters(trace: Trace, place: int, fall: Mean) -> bool:
    """Whether a fall is large enough to speak of."""
    there = float(np.nanmean(trace.progress[trace.stops[place].before]))
    return fall.mean >= max(LEAST_FALL, LEAST_SHARE * there)


def _loss(trace: Trace, place: int, fall: Mean, summary: Callable[[Floats], Mean]) -> Loss:
    before = trace.stops[place].before
    survival = summary(trace.survival[place] - trace.survival[before])
    rows = np.stack([
        trace.progress[before], trace.progress[place],
        trace.blend_progress[before], trace.blend_progress[place],
    ])  # fmt: skip
    known = rows[:, np.isfinite(rows).all(0)]
    kept, about_kept = _share_kept(*known[:2])
    blend_kept, about_blend = _share_kept(*known[2:])
    kept_more = summary(kept - blend_kept + about_kept - about_blend)
    return Loss(place, before, fall, survival, kept, blend_kept, kept_more)


def _share_kept(before: Floats, after: Floats) -> tuple[float, Floats]:
    """The ratio of two means, and how each sample moves it; NaN where nothing was there."""
    whole = float(before.mean()) if len(before) else 0.0
    if whole <= 0:
        return float("nan"), np.full_like(before, np.nan)
    kept = float(after.mean()) / whole
    return kept, (after - kept * before) / whole


def mean_of(values: Floats, *, seed: int, n_resamples: int) -> Mean:
    """The mean (sample,) over the samples that have a value."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Mean(np.nan, np.nan, np.nan, 0)
    mean, low, high = mean_interval(known, seed=seed, n_resamples=n_resamples)
    return Mean(float(mean[0]), float(low[0]), float(high[0]), len(known))


def means_of_sets(trace: Trace) -> Floats:
    """(draw, stop) the mean progress of each random set, over the samples that have one."""
    known = np.isfinite(trace.sets_progress)
    total = np.where(known, trace.sets_progress, 0.0).sum(2)
    means: Floats = total / np.maximum(known.sum(2), 1)
    return means
