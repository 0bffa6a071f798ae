"""The maps of source and donor samples at one site, with their images.

Costs one forward of every sample; all maps are held in memory: samples x units x positions.
Source and donor are run apart, so that noise that the forward draws is the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Latents, ParameterError, SiteError, SiteTensor
from ganprobe_maps import MapsParams
from ganprobe_maps.statistics import MapStatistics

MOST_SHOWN = 4096
_BATCH = 8


@dataclass(frozen=True, eq=False)
class Recorded:
    """The maps of some samples.

    Args:
        labels: what each sample is called: "sample 5".
        values: (sample, unit, y, x); without space y and x are 1, in a line of tokens y is 1.
        images: (sample, channel, y, x) in [0, 1].
    """

    labels: tuple[str, ...]
    values: NDArray[np.floating]
    images: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SiteMaps:
    """What recording gave, for all units of the layer.

    Args:
        params: that were asked for.
        tensor: at the site.
        shown: numbers of the units that are drawn, ascending.
        marked: numbers of the units that get a frame, in the order of their set.
        source: the samples, and
        donor: those that they are compared with; None: there are none.
    """

    params: MapsParams
    tensor: SiteTensor
    shown: tuple[int, ...]
    marked: tuple[int, ...]
    source: Recorded
    donor: Recorded | None

    @cached_property
    def difference(self) -> NDArray[np.floating] | None:
        """(sample, unit, y, x) donor less source; None without a donor."""
        if self.donor is None:
            return None
        with np.errstate(invalid="ignore"):  # of infinities
            return np.asarray(self.donor.values - self.source.values)

    @cached_property
    def statistics(self) -> MapStatistics:
        """Of every sample and unit."""
        donor = None if self.donor is None else self.donor.values
        return MapStatistics.of(self.source.values, donor)

    @property
    def has_space(self) -> bool:
        """Whether a unit has more than one value."""
        return bool(self.tensor.spatial_shape)


def record_maps(context: Context, params: MapsParams) -> SiteMaps:
    """Run the samples, and keep their maps and images.

    Raises:
        UnknownNameError, SiteError: there is no such site, it is several, or cannot be drawn.
        ParameterError: no site was named, a unit that it does not have, more units than can be
            drawn, or samples that do not fit.
    """
    _check_flags(params)
    tensor, shown = _site(context, params)
    source = context.latents(params.source, params.n_samples)
    donor = None if params.donor is None else _donors(context, params, source)
    marked = () if params.units is None else params.units.units
    theirs = None if donor is None else _recorded(context, tensor, donor, "donor")
    return SiteMaps(
        params, tensor, shown, marked, _recorded(context, tensor, source, "source"), theirs
    )


def as_maps(activation: Tensor, tensor: SiteTensor) -> Tensor:
    """(n, units, y, x) of what stands at a site, in float32, or float64 where that is needed."""
    maps = activation.detach().movedim(tensor.unit_axis, 1)  # (n, units, ...)
    if maps.ndim == 2:
        maps = maps[:, :, None, None]
    elif maps.ndim == 3:
        side = isqrt(maps.shape[2])
        are_tokens = tensor.unit_axis == 2 and side * side == maps.shape[2]
        maps = maps.unflatten(2, (side, side) if are_tokens else (1, -1))
    is_short = maps.dtype in (torch.float16, torch.bfloat16, torch.float32)
    return maps.float() if is_short else maps.double()


def _check_flags(params: MapsParams) -> None:
    if params.only_units and params.units is None:
        raise ParameterError("--only-units draws the units of --units, and none were given")
    if params.order == "difference" and params.donor is None:
        raise ParameterError("--order difference needs a second sample; give --donor")


def _site(context: Context, params: MapsParams) -> tuple[SiteTensor, tuple[int, ...]]:
    """The tensor at the site, and which units of it are drawn."""
    table = context.probe.layers()
    written = str(params.site or (params.units.site if params.units is not None else ""))
    if not written:
        raise ParameterError(
            "no site was named; give --site, as `ganprobe layers` names it, or a set with its"
            " site: --units @set.json"
        )
    site, tensor = table.parse(written), table.resolve_one(written)
    _check_drawable(tensor)
    chosen = set(range(tensor.n_units) if site.units is None else site.units)
    if params.units is not None:
        table.resolve_one(params.units.at(str(site.whole)))  # refuses units that are not there
        chosen &= set(params.units.units) if params.only_units else chosen
    if not chosen:
        raise ParameterError(f"--only-units: none of the units {params.units} is among {site}")
    if len(chosen) > MOST_SHOWN:
        raise ParameterError(
            f"{tensor.site} has {len(chosen):,} units, and {MOST_SHOWN:,} can be drawn; name some,"
            f" as in --site {tensor.site}#0-255"
        )
    return tensor, tuple(sorted(chosen))


def _check_drawable(tensor: SiteTensor) -> None:
    if not tensor.shape:
        raise SiteError(f"{tensor.site} has no units: a sample of it is a single number")
    if not tensor.is_batched:
        raise SiteError(f"{tensor.site} has no batch axis, so that no maps of it are a sample's")
    if len(tensor.spatial_shape) > 2:
        raise SiteError(
            f"{tensor.site} has {len(tensor.spatial_shape)} axes of space, {tensor.spatial_shape},"
            " and sheets show two at most; choose a site of feature maps, tokens or plain units"
        )
    if "complex" in tensor.dtype:
        raise SiteError(f"{tensor.site} holds complex numbers, which have no one colour each")


def _donors(context: Context, params: MapsParams, source: Latents) -> Latents:
    """One for each source: others than the sources where both are chosen alike."""
    assert params.donor is not None
    if params.donor.n_samples == 1:
        one = context.latents(params.donor)
        donors = one.take([0] * len(source))
    else:
        skip = len(source) if params.donor == params.source else 0
        donors = context.latents(params.donor, len(source), skip=skip)
    for ours, theirs in zip(source.indices or (), donors.indices or (), strict=False):
        if ours == theirs:
            raise ParameterError(f"sample {ours} would be its own donor; choose another --donor")
    return donors


def _recorded(context: Context, tensor: SiteTensor, latents: Latents, role: str) -> Recorded:
    maps, images = [], []
    with context.progress(len(latents), f"{role} samples at {tensor.site}") as bar:
        for run in context.probe.runs(latents, record=[tensor.site], batch_size=_BATCH):
            maps.append(as_maps(run[tensor.site], tensor).cpu())
            images.append(context.generator.to_unit_range(run.images).float().cpu())
            bar.advance(len(run.latents))
    labels = _labels(latents, role)
    return Recorded(labels, torch.cat(maps).numpy(), torch.cat(images).numpy())


def _labels(latents: Latents, role: str) -> tuple[str, ...]:
    if latents.indices is not None:
        return tuple(f"sample {index}" for index in latents.indices)
    return tuple(f"{role} latent {row}" for row in range(len(latents)))
