"""Targets: which units are ablated, where, and to what, resolved before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe import (
    Ablate,
    Context,
    Latents,
    ParameterError,
    Recording,
    SiteError,
    SiteTensor,
    kernel_levels,
    read_region,
)
from ganprobe_ablation import AblationParams


@dataclass(frozen=True, eq=False)
class Target:
    """What is ablated, and how.

    Args:
        tensor: at the site.
        units: that are tried.
        template: the ablation of all units of the site; `for_units` gives that of some.
        words: how, as it ends a sentence: ``"set to 0"``.
    """

    tensor: SiteTensor
    units: tuple[int, ...]
    template: Ablate
    words: str

    @property
    def site(self) -> str:
        """As it is written, without units."""
        return str(self.tensor.site)


def resolve_target(context: Context, params: AblationParams, ranked: Latents) -> Target:
    """Resolve site, units, level and region.

    Args:
        ranked: the samples that a unit's mean is taken over.

    Raises:
        UnknownNameError, SiteError: there is no such site, it is several, or has no units.
        ParameterError: no site, or a unit, level or region that does not fit it.
    """
    written = _written_site(params)
    table = context.probe.layers()
    tensor = table.resolve_one(written)
    if not tensor.shape or not tensor.is_batched:
        raise SiteError(f"{tensor.site} holds no units for each sample; ablate another site")
    _check_order(params, table.parse(written).units)
    edited, level = _level(context, params, tensor, ranked)
    template = Ablate(
        edited.site, to=level, region=_region(params, edited), strength=params.strength
    )
    units = table.parse(written).units or tuple(range(tensor.n_units))
    return Target(tensor, units, template, _words(params, edited))


def _written_site(params: AblationParams) -> str:
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


def _check_order(params: AblationParams, units: tuple[int, ...] | None) -> None:
    if params.order == "given" and units is None:
        raise ParameterError(
            "--order given: no order was given; name units in it, as in --units 7,3 or a saved set"
            " --units @set.json"
        )


def _level(
    context: Context, params: AblationParams, tensor: SiteTensor, ranked: Latents
) -> tuple[SiteTensor, float | Recording]:
    """Where units are ablated, and to what."""
    if params.to == "kernel":
        return kernel_levels(context.probe, tensor)
    if params.to == "mean":
        return tensor, Recording({tensor.site: _means(context, tensor, ranked)})
    return tensor, 0.0 if params.to == "zero" else float(params.to)


def _means(context: Context, tensor: SiteTensor, ranked: Latents) -> Tensor:
    """(1, ...) a sample at the site in which each unit is its mean over samples and space."""
    total = torch.zeros(tensor.n_units, dtype=torch.float64)
    for run in context.probe.runs(ranked, record=[tensor.site], stop_early=True):
        by_unit = run[tensor.site].movedim(tensor.unit_axis, 0).flatten(1)  # (units, values)
        total += by_unit.cpu().double().sum(1)
    n_positions = torch.Size(tensor.spatial_shape).numel()
    shape = [1] * tensor.rank
    shape[tensor.unit_axis] = -1
    mean = (total / (len(ranked) * n_positions)).view(shape)
    return mean.to(context.device, context.probe.dtype).expand(1, *tensor.shape)


def _region(params: AblationParams, tensor: SiteTensor) -> Tensor | None:
    if params.region is None:
        return None
    if len(tensor.spatial_shape) != 2:
        raise ParameterError(
            f"--region {params.region}: {tensor.site} has no axes y and x, as its units are"
            f" {tensor.spatial_shape}; leave out --region, or ablate another site"
        )
    return read_region(params.region, tensor.spatial_shape)


def _words(params: AblationParams, edited: SiteTensor) -> str:
    levels = {
        "zero": "set to 0",
        "mean": "set to the mean of other samples",
        "kernel": f"with the weights of {edited.site} at 0",
    }
    words = levels.get(params.to) or f"set to {float(params.to):g}"
    if params.region is not None:
        words += f" in the region {params.region}"
    return words if params.strength == 1 else f"{words}, at strength {params.strength:g}"


def resolve_swapped(params: AblationParams, target: Target) -> tuple[int, ...]:
    """The units that are swapped on top; none where no swap was asked for.

    Raises:
        ParameterError: a unit that the site does not have, or units without a donor, or the other
            way round.
    """
    if (params.swap_units is None) != (params.donor is None):
        given, missing = ("--donor", "--swap-units")[:: 1 if params.swap_units is None else -1]
        raise ParameterError(
            f"{given} was given without {missing}: a swap on top of the ablation takes both, as in"
            " --swap-units 0-19 --donor digit=3"
        )
    if params.swap_units is None:
        return ()
    units, n_units = params.swap_units.units, target.tensor.n_units
    params.swap_units.at(target.site)
    if max(units) >= n_units:
        raise ParameterError(
            f"--swap-units: no unit {max(units)} at {target.site}: it has {n_units}, numbered"
            f" 0-{n_units - 1}"
        )
    return units
