"""The edit as a plan: at which site, of which units, to what; made for all units, it is whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ganprobe import (
    Ablate,
    Context,
    Intervention,
    Latents,
    ParameterError,
    Patch,
    Run,
    Site,
    SiteError,
    SiteTensor,
    Swap,
    kernel_levels,
    read_region,
)
from ganprobe_veto import VetoParams

_USUAL_SHARE = 0.16
_RANDOM_UNITS, _RANDOM_SETS = 1, 2  # streams of the seed


@dataclass(frozen=True, eq=False)
class Edit:
    """What is done at a site, to some units or to all.

    Args:
        tensor: at the site.
        units: that are edited.
        levels: (unit,) what each unit of the site becomes; None: what the donor has.
        made_at: where the units are forced to their levels: the site, or a layer before it.
        words: what is done, with a place for which units: ``"swap of {} with the donor's"``.
        are_random: the units were drawn.
    """

    tensor: SiteTensor
    units: tuple[int, ...]
    levels: tuple[float, ...] | None
    made_at: Site
    region: Tensor | None
    strength: float
    words: str
    are_random: bool

    @property
    def site(self) -> Site:
        """The site, with all its units."""
        return self.tensor.site

    def __str__(self) -> str:
        """As ``swap of 20 of 128 random units of conv2 with the donor's at strength 0.5``."""
        drawn = "random " if self.are_random else ""
        units = f"{len(self.units)} of {self.tensor.n_units} {drawn}units of {self.site}"
        strength = "" if self.strength == 1 else f" at strength {self.strength:g}"
        region = "" if self.region is None else ", in a region,"
        return f"{self.words.format(units)}{region}{strength}"

    @property
    def is_swap(self) -> bool:
        """Whether the units are a donor's."""
        return self.levels is None

    def of(self, units: Sequence[int], donor: Run | None) -> Intervention:
        """The edit of these units, in its region and with its strength."""
        region, strength = self.region, self.strength
        if self.levels is None:
            assert donor is not None
            return Swap(self.made_at, donor=donor, units=units, region=region, strength=strength)
        levels = [self.levels[unit] for unit in units]
        return Ablate(self.made_at, to=levels, units=units, region=region, strength=strength)

    def whole(self, donor: Run | None) -> Intervention:
        """The destination: all units, everywhere, at full strength."""
        if self.levels is None:
            assert donor is not None
            return Swap(self.made_at, donor=donor)
        return Ablate(self.made_at, to=list(self.levels), units=range(self.tensor.n_units))

    def put(self, values: Tensor) -> Intervention:
        """Values (n, ...) in place of the activation at the site."""
        return Patch(self.site, values=values)

    def random_sets(self, n_draws: int, seed: int) -> list[tuple[int, ...]]:
        """Random sets of as many units."""
        n, size = self.tensor.n_units, len(self.units)
        draws = [np.random.default_rng((seed, _RANDOM_SETS, draw)) for draw in range(n_draws)]
        return [tuple(draw.permutation(n)[:size].tolist()) for draw in draws]


def plan_edit(context: Context, params: VetoParams, source: Latents) -> Edit:
    """The edit that the parameters stand for.

    Raises:
        UnknownNameError, SiteError: there is no such site, it is several, or it has no units.
        ParameterError: parameters that exclude each other, or do not fit the site.
    """
    if context.generator.normalisation == "batch":
        raise ParameterError(
            f"generator {context.generator.name!r} is in normalisation 'batch', where samples of a"
            " batch change each other; take 'eval', or 'sample' for each sample's own statistics"
        )
    if params.donor is not None and params.to is not None:
        raise ParameterError(
            f"--donor {params.donor} asks for a swap and --to {params.to} for an ablation; leave"
            " one of them out"
        )
    tensor, units = _site_and_units(context, params)
    size = context.probe.image_shape[-2:]
    region = None if params.region is None else read_region(params.region, size)
    levels, made_at, words = _levels(context, params, tensor, source)
    are_random = units is None
    drawn = units or _draw_units(params.n_units, tensor, context.seed)
    return Edit(tensor, drawn, levels, made_at, region, params.strength, words, are_random)


def _site_and_units(
    context: Context, params: VetoParams
) -> tuple[SiteTensor, tuple[int, ...] | None]:
    """The one tensor of the site, and the units that were named."""
    site = str(params.site or "")
    written = site if params.units is None else params.units.at(site)
    if not written:
        raise ParameterError("--site is needed: the layer whose units are edited, as in conv2")
    table = context.probe.layers()
    tensor, units = table.resolve_one(written), table.parse(written).units
    if not (tensor.shape and tensor.is_batched):
        raise SiteError(f"{tensor.site} has no units or no samples, so that none can be edited")
    if units is not None and params.n_units is not None:
        raise ParameterError(
            f"--n-units {params.n_units} draws random units, and {written} names them; leave one"
            " of them out"
        )
    return tensor, units


def _draw_units(n_units: int | None, tensor: SiteTensor, seed: int) -> tuple[int, ...]:
    n = max(1, round(_USUAL_SHARE * tensor.n_units)) if n_units is None else n_units
    if n > tensor.n_units:
        raise ParameterError(
            f"--n-units {n} is more than {tensor.site} has: {tensor.n_units} units"
        )
    drawn = np.random.default_rng((seed, _RANDOM_UNITS)).permutation(tensor.n_units)[:n]
    return tuple(sorted(drawn.tolist()))


def _levels(
    context: Context, params: VetoParams, tensor: SiteTensor, source: Latents
) -> tuple[tuple[float, ...] | None, Site, str]:
    """What the units become, where they are forced to it, and words for it."""
    if params.donor is not None:
        return None, tensor.site, "swap of {} with the donor's"
    to = "zero" if params.to is None else params.to.strip()
    if to == "kernel":
        output, made = kernel_levels(context.probe, tensor)
        biases = made[output.site][0].movedim(output.unit_axis - 1, 0).flatten(1)[:, 0]
        words = f"silencing of the kernels of {{}} in {output.site}"
        return tuple(biases.tolist()), output.site, words
    if to == "mean":
        means = _unit_means(context, tensor, source, params.batch_size)
        return means, tensor.site, "ablation of {} to the mean"
    level = _number(to)
    return (level,) * tensor.n_units, tensor.site, f"ablation of {{}} to {level:g}"


def _number(to: str) -> float:
    try:
        level = 0.0 if to == "zero" else float(to)
    except ValueError:
        level = math.nan
    if not math.isfinite(level):
        raise ParameterError(f"--to: {to!r} is no level; write zero, mean, a number, or kernel")
    return level


def _unit_means(
    context: Context, tensor: SiteTensor, source: Latents, batch_size: int
) -> tuple[float, ...]:
    """The mean of each unit over all samples and positions, unedited."""
    runs = context.probe.runs(source, record=[tensor.site], batch_size=batch_size, stop_early=True)
    axes = tuple(axis for axis in range(1, tensor.rank) if axis != tensor.unit_axis)
    rows = [run[tensor.site].double().mean(axes) if axes else run[tensor.site] for run in runs]
    means = sum(row.double().sum(0) for row in rows) / len(source)
    assert isinstance(means, Tensor)
    return tuple(means.tolist())
