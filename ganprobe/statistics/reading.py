"""Statistics of all batches of a site, read once, or as often as exact answers take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.statistics.accumulator import UnitStatistics
from ganprobe.statistics.batches import UnitBatch
from ganprobe.statistics.counts import Counts
from ganprobe.statistics.limits import Limits, ends_within
from ganprobe.statistics.quantiles import Quantiles, interpolated, ranks_around
from ganprobe.statistics.selection import select
from ganprobe.statistics.settings import StatisticsSettings
from ganprobe.statistics.sketch import Sketch
from ganprobe.statistics.summary import UnitSummary
from ganprobe.statistics.tables import tabulate

__all__ = ["Batches", "summarize", "summarize_twice"]

Batches = Iterable[tuple[Tensor, Sequence[int] | NDArray[Any]]]
"""Pairs of activations (n, n_units, *space) and the n indices of their samples."""


def summarize(batches: Batches, settings: StatisticsSettings | None = None) -> UnitSummary:
    """Statistics of the units of one site, from one pass over its batches.

    Raises:
        ShapeError: there is no batch, or their shapes do not fit.
        ParameterError: see `UnitStatistics`.

    Example:
        >>> import torch
        >>> summarize([(torch.tensor([[1.0], [3.0]]), [0, 1])]).mean.tolist()
        [2.0]
    """
    return _accumulated(batches, settings).result()


def summarize_twice(
    read: Callable[[], Batches], settings: StatisticsSettings | None = None
) -> UnitSummary:
    """The same, with every quantile exact and a tolerance around each unit's own ends.

    Where the values fit the memory and no such tolerance is asked for, one pass is enough, and
    no other is made. Else one pass counts what is near the ends, and one or more (`selection`:
    one where memory allows) find the quantiles, in memory that does not grow with the samples.

    Args:
        read: gives the batches from the beginning, the same each time; called 1 to 18 times.
        settings: what is wanted; the memory is also that of each later pass.

    Example:
        >>> import torch
        >>> batches = [(torch.arange(5.0)[:, None], range(5))]
        >>> few = StatisticsSettings(memory=0, quantiles=(0.3,))
        >>> summarize_twice(lambda: batches, few).quantiles.values.tolist()
        [[1.2]]
    """
    wanted = settings or StatisticsSettings()
    is_around_own = wanted.bounds is None and wanted.tolerance > 0
    first = _accumulated(read(), replace(wanted, tolerance=0) if is_around_own else wanted)
    summary = first.result()
    if first.sketch is not None:
        summary = replace(summary, quantiles=_selected(read, summary, first.sketch, wanted))
    return _with_own_ends(read, summary, wanted) if is_around_own else summary


def _accumulated(batches: Batches, settings: StatisticsSettings | None) -> UnitStatistics:
    statistics = UnitStatistics(settings)
    for activations, samples in batches:
        statistics.add(activations, samples)
    return statistics


def _selected(
    read: Callable[[], Batches], summary: UnitSummary, sketch: Sketch, wanted: StatisticsSettings
) -> Quantiles:
    n = summary.n_values.astype(np.float64)
    below, above, weight = ranks_around(wanted.quantiles, n)
    ranks = np.concatenate([below, above], axis=1)
    found = np.where(ranks == 0, summary.minimum[:, None], summary.maximum[:, None])
    is_known = (ranks == 0) | (ranks == np.maximum(n - 1, 0)[:, None])
    if len(columns := np.flatnonzero(~is_known.all(0))):
        again = partial(_viewed, read, wanted)
        found[:, columns] = select(again, ranks[:, columns], sketch=sketch, memory=wanted.memory)
    low, high = np.split(found, 2, axis=1)
    values = interpolated(low, high, weight)
    values = np.where(n[:, None] > 0, values, np.nan)
    return Quantiles(wanted.quantiles, values, np.zeros_like(values), "exact")


def _with_own_ends(
    read: Callable[[], Batches], summary: UnitSummary, wanted: StatisticsSettings
) -> UnitSummary:
    limits = Limits(0.0, ends_within(summary.minimum, summary.maximum, wanted.tolerance))
    counts = Counts.empty(summary.n_units)
    for batch in _viewed(read, wanted):
        table = tabulate(batch, shift=np.zeros(summary.n_units), limits=limits)
        counts = counts.merged(Counts.of(table, batch.n_positions))
    n = np.where(summary.n_values > 0, summary.n_values, np.nan)
    low, high = counts.n_low / n, counts.n_high / n
    both = np.where(summary.is_constant, high, low + high)
    return replace(summary, share_low=low, share_high=high, share_saturated=both, settings=wanted)


def _viewed(read: Callable[[], Batches], settings: StatisticsSettings) -> Iterator[UnitBatch]:
    for activations, samples in read():
        yield UnitBatch.of(activations, samples, settings.unit_axis)
