"""How the units of one site behave over many samples, from one pass in constant memory.

Two sets of statistics are kept: of all values, over samples and positions, and of scores, one for
each sample and unit, the largest value over space. Costs one forward of every sample, or one
reading of its activations where a store holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import (
    Context,
    ParameterError,
    Site,
    SiteError,
    SiteTensor,
    StatisticsSettings,
    UnitStatistics,
    UnitSummary,
)
from ganprobe_units import UnitsParams


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What watching gave; arrays have an entry for each unit, in the order of `units`.

    Args:
        params: that were asked for.
        tensor: at the site.
        site: the one tensor that was watched, and which units of it.
        units: their numbers in the layer.
        shown: positions in `units` of those that are shown, in order.
        values: statistics of all values.
        scores: statistics of each sample's largest value, with the top samples.
    """

    params: UnitsParams
    tensor: SiteTensor
    site: Site
    units: tuple[int, ...]
    shown: tuple[int, ...]
    values: UnitSummary
    scores: UnitSummary

    @property
    def selectivity(self) -> NDArray[np.float64]:
        """(unit,) the mean top score less the mean score, in standard deviations of the scores.

        NaN where all scores are equal.
        """
        return selectivity(self.scores)


def watch_units(context: Context, params: UnitsParams) -> Behaviour:
    """Watch every unit of the site over all samples, and choose those that are shown.

    Raises:
        UnknownNameError, SiteError: there is no such site, it is several, or it has no units.
        ParameterError: a unit that the site does not have, or fewer samples than top images.
        StoreError: the activation store that was given does not hold what is needed.
    """
    if params.n_samples < params.top:
        raise ParameterError(
            f"--top {params.top} needs as many samples, got --n-samples {params.n_samples}"
        )
    tensor, site = _watched(context, params.site)
    units = tuple(range(tensor.n_units)) if site.units is None else site.units
    asked_for = None
    if params.units is not None:
        params.units.at(str(site.whole))  # of no other site
        asked_for = _positions(params.units.units, units, site)
    values = UnitStatistics(StatisticsSettings(unit_axis=1, k=0, threshold=params.threshold))
    scores = UnitStatistics(
        StatisticsSettings(unit_axis=1, k=params.top, threshold=params.threshold, quantiles=())
    )
    runs = context.activations([site], params.n_samples, batch_size=params.batch_size)
    with context.progress(params.n_samples, f"samples at {site}") as bar:
        for run in runs:
            by_unit = as_rows(run[site], tensor.unit_axis)
            samples = run.latents.indices or ()
            values.add(by_unit, samples)
            scores.add(score_samples(by_unit), samples)
            bar.advance(len(samples))
    found = scores.result()
    shown = _most_selective(found, params.n_shown) if asked_for is None else asked_for
    return Behaviour(params, tensor, site, units, shown, values.result(), found)


def as_rows(activation: Tensor, unit_axis: int) -> Tensor:
    """(n, units, positions) of an activation (n, ..., units, ...); whole numbers as float64."""
    rows = activation.movedim(unit_axis, 1)
    rows = rows.flatten(2) if rows.ndim > 2 else rows.unsqueeze(2)
    is_whole = not (rows.is_floating_point() or rows.is_complex())
    return rows.double() if is_whole else rows


def score_samples(rows: Tensor) -> Tensor:
    """(n, units) the largest finite value of each row; -infinity where there is none."""
    scores = rows.amax(2)
    if scores.isfinite().all():
        return scores
    return rows.masked_fill(~rows.isfinite(), -torch.inf).amax(2)


def selectivity(scores: UnitSummary) -> NDArray[np.float64]:
    """(unit,) how far the mean top score is above the mean score, in standard deviations."""
    reached = scores.top_scores.mean(axis=1) - scores.mean
    return np.where(scores.std > 0, reached / np.where(scores.std > 0, scores.std, 1.0), np.nan)


def _watched(context: Context, written: Site) -> tuple[SiteTensor, Site]:
    """The one tensor that a site stands for, and the site as it is recorded."""
    table = context.probe.layers()
    tensor = table.resolve_one(written)
    if not tensor.shape:
        raise SiteError(f"{tensor.site} has no units: a sample of it is a single number")
    if not tensor.is_batched:
        raise SiteError(f"{tensor.site} has no batch axis, so that it has no samples to compare")
    return tensor, replace(tensor.site, units=table.parse(written).units)


def _positions(wanted: Sequence[int], units: Sequence[int], site: Site) -> tuple[int, ...]:
    missing = [unit for unit in wanted if unit not in units]
    if missing:
        there = f"numbered 0-{len(units) - 1}" if site.units is None else "no others"
        raise ParameterError(
            f"--units: no unit {missing[0]} at {site}: it has {len(units)}, {there}"
        )
    return tuple(units.index(unit) for unit in wanted)


def _most_selective(scores: UnitSummary, n: int) -> tuple[int, ...]:
    """Positions, ties to the lowest; units with equal scores only where there is no other."""
    found = selectivity(scores)
    order = np.argsort(-np.nan_to_num(found, nan=-np.inf), kind="stable")[:n]
    telling = [int(position) for position in order if np.isfinite(found[position])]
    return tuple(telling or map(int, order))
