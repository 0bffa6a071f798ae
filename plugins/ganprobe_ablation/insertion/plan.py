"""The plan: class, samples, units and levels of an insertion, resolved before it is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import (
    Context,
    DissectionSettings,
    Latents,
    ParameterError,
    Places,
    Run,
    Segmenter,
    SiteError,
    SiteTensor,
    dissect,
    insertion_levels,
)
from ganprobe_ablation.insertion import InsertionParams
from ganprobe_ablation.samples import Samples, split_samples

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InsertionPlan:
    """What is inserted, where, and what is looked for.

    Args:
        tensor: at the site.
        units: that are inserted, those with the largest IoU first where they were chosen.
        iou: (units of the site,) with the class; None where it was not needed.
        levels: (units of the site,) float64 that units become.
        draws: random sets of as many units, of all of the site.
    """

    context: Context
    params: InsertionParams
    segmenter: Segmenter
    samples: Samples
    tensor: SiteTensor
    units: tuple[int, ...]
    iou: Floats | None
    levels: Tensor
    draws: tuple[tuple[int, ...], ...]

    @property
    def site(self) -> str:
        """As it is written, without units."""
        return str(self.tensor.site)

    @property
    def name(self) -> str:
        """The class."""
        return self.params.class_name

    @cached_property
    def places(self) -> Places:
        """Where units are inserted."""
        shape = self.context.probe.image_shape
        return Places.over(self.tensor, shape, grid=self.grid, window=self.params.window)

    @property
    def grid(self) -> tuple[int, int]:
        """Places along y and x."""
        rows, columns = self.tensor.spatial_shape
        return min(rows, self.params.grid), min(columns, self.params.grid)

    @property
    def words(self) -> str:
        """What units become, as it ends a sentence: ``"at their means over door"``."""
        return {
            "class-mean": f"at their means over {self.name}",
            "quantile": f"at their {self.params.quantile:g} quantiles",
        }.get(self.params.level) or f"at {float(self.params.level):g}"

    def causal(self) -> dict[str, Any]:
        """What every causal test is told alike."""
        return {
            "grid": self.grid,
            "window": self.params.window,
            "seed": self.context.seed,
            "progress": self.context.progress,
        }


def make_insertion_plan(context: Context, params: InsertionParams) -> InsertionPlan:
    """Resolve all that was asked for.

    Raises:
        UnknownNameError, SiteError: there is no such segmenter, class or site.
        ParameterError: samples, units, level, place or window do not fit.
    """
    segmenter = context.segmenter(params.segmenter)
    segmenter.place_of(params.class_name)
    table = context.probe.layers()
    written = _written_site(params)
    tensor = table.resolve_one(written)
    if len(tensor.spatial_shape) != 2:
        raise SiteError(
            f"{tensor.site} has no axes y and x, so that nothing can be inserted at a place; take"
            " another site"
        )
    named = table.parse(written).units
    samples = split_samples(context, params)
    is_wanted = named is None or params.optimise
    iou = _iou(context, params, segmenter, tensor, samples.ranked) if is_wanted else None
    units = _largest(iou, params.n_units) if named is None and iou is not None else named
    assert units is not None
    levels = _levels(context, params, segmenter, tensor, samples.ranked)
    draws = _draw(tensor.n_units, len(units), params.n_draws, context.seed)
    return InsertionPlan(context, params, segmenter, samples, tensor, units, iou, levels, draws)


def _written_site(params: InsertionParams) -> str:
    if params.units is None:
        if params.site is None:
            raise ParameterError(
                "which site? Give --site, as in --site conv3, or a saved set with --units @set.json"
            )
        return str(params.site)
    if params.site is not None and params.site.units is not None:
        raise ParameterError(
            f"--site {params.site} names units, and so does --units {params.units.numbers}; leave"
            " out one of them"
        )
    return params.units.at(str(params.site or ""))


def _iou(
    context: Context,
    params: InsertionParams,
    segmenter: Segmenter,
    tensor: SiteTensor,
    latents: Latents,
) -> Floats:
    """(units of the site,) the IoU of each with the class."""

    def read(sites: Any, n_samples: int, *, images: bool = True) -> Iterator[Run]:
        return context.probe.runs(latents, record=sites)

    (found,) = dissect(
        context.probe,
        segmenter,
        [tensor.site],
        n_samples=len(latents),
        read=read,
        settings=DissectionSettings(n_top=0, n_resamples=1, seed=context.seed),
        progress=context.progress,
    )
    iou: Floats = found.iou[:, segmenter.place_of(params.class_name)]
    return np.nan_to_num(iou)


def _largest(iou: Floats, n_units: int) -> tuple[int, ...]:
    order = np.argsort(-iou, kind="stable")
    return tuple(int(unit) for unit in order[:n_units])


def _levels(
    context: Context,
    params: InsertionParams,
    segmenter: Segmenter,
    tensor: SiteTensor,
    latents: Latents,
) -> Tensor:
    """(units of the site,) that units become."""
    if params.level not in ("class-mean", "quantile"):
        return torch.full((tensor.n_units,), float(params.level), dtype=torch.float64)
    return insertion_levels(
        context.probe,
        tensor.site,
        latents,
        segmenter=segmenter,
        class_name=params.class_name,
        kind="quantile" if params.level == "quantile" else "class-mean",
        quantile=params.quantile,
        progress=context.progress,
    )


def _draw(n_units: int, size: int, n_draws: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Random sets of units, draw by draw from the seed."""
    draws = [
        np.random.default_rng((seed, 3, number)).permutation(n_units) for number in range(n_draws)
    ]
    return tuple(tuple(int(unit) for unit in draw[:size]) for draw in draws)
