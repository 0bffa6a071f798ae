"""Kernels: a unit with the weights of its convolution at 0, without touching any weight.

A layer with the weights of a unit at 0 gives this unit's bias everywhere, whatever it is given.
So the unit is ablated at that layer's own output, to its bias; what comes after, normalisation
and activation, makes of it a constant that flows on. That the site is fed this way is tried out
on two samples and three units.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ganprobe.errors import ParameterError
from ganprobe.interventions import Ablate
from ganprobe.latents import Latents
from ganprobe.layers import Layer
from ganprobe.probe import Probe
from ganprobe.recordings import Recording
from ganprobe.sites import SiteTensor

__all__ = ["kernel_levels"]

_ROUNDING = 1e-5
_WAY_OUT = "ablate at another site, or to something else: zero, a mean, a number"


def kernel_levels(probe: Probe, tensor: SiteTensor) -> tuple[SiteTensor, Recording]:
    """The output of the layer that makes the units of a site, and what it is without weights.

    ``Ablate(output.site, units=..., to=levels)`` then is what zeroing the weights of these units
    would do, with bias, normalisation and activation as they are.

    Args:
        tensor: at the site, as ``probe.layers().resolve_one("conv3")`` finds it.

    Raises:
        ParameterError: there is no such layer, or its units are not those of the site.
    """
    output = _output_that_feeds(probe, tensor)
    levels = _without_weights(probe, output)
    _check_units_stay_apart(probe, Ablate(output.site, to=levels), tensor)
    return output, levels


def _output_that_feeds(probe: Probe, tensor: SiteTensor) -> SiteTensor:
    """The output of the last layer with weights, up to the site, that has as many units."""
    found = [
        output
        for layer in _up_to(probe, tensor)
        if isinstance(_module(probe, layer), _ConvNd | nn.Linear)
        for output in layer.tensors
        if output.site.port == "out" and layer.calls == 1 and output.n_units == tensor.n_units
    ]
    if not found:
        raise ParameterError(
            f"no convolution or linear layer ahead of {tensor.site} has its"
            f" {tensor.n_units} units; {_WAY_OUT}"
        )
    return found[-1]


def _up_to(probe: Probe, tensor: SiteTensor) -> Iterator[Layer]:
    """The layers that end ahead of the site; those within a layer follow what it is given."""
    name, is_input = tensor.site.layer, tensor.site.port == "in"
    for layer in probe.layers():
        is_within = layer.name == name or layer.name.startswith(f"{name}." if name else "")
        if not (is_input and is_within):
            yield layer
        if layer.name == name:
            return


def _module(probe: Probe, layer: Layer) -> nn.Module:
    return probe.generator.module.get_submodule(layer.name)


def _without_weights(probe: Probe, output: SiteTensor) -> Recording:
    """What the layer gives for nothing at all: its bias, or 0, as it takes it in."""
    name = output.site.layer
    given = f"{name}:in"
    run = probe.run(_two(probe), record=[given], stop_early=True)
    layer = probe.generator.module.get_submodule(name)
    with torch.no_grad():
        bias = layer(torch.zeros_like(run[given][:1]))
    return Recording({output.site: bias})


def _check_units_stay_apart(probe: Probe, edit: Ablate, tensor: SiteTensor) -> None:
    """Raise unless a unit at the layer reaches this unit of the site, and no other."""
    units = sorted({0, tensor.n_units // 2, tensor.n_units - 1})
    base = _at(probe, [], tensor)
    changes = [_change(_at(probe, [edit.for_units((unit,))], tensor), base) for unit in units]
    own = [float(change[unit]) for unit, change in zip(units, changes, strict=True)]
    others = [
        float(change.index_fill(0, torch.tensor([unit]), 0.0).max())
        for unit, change in zip(units, changes, strict=True)
    ]
    if max(own) == 0 or max(others) > _ROUNDING * float(base.abs().max()):
        what = "more units than its own" if max(others) > 0 else "nothing"
        raise ParameterError(
            f"a unit of {edit.site}, the layer that could feed {tensor.site}, changes"
            f" {what} there, so that its weights are not this unit's; {_WAY_OUT}"
        )


def _at(probe: Probe, edits: list[Ablate], tensor: SiteTensor) -> Tensor:
    """(units, values) at the site, of two samples."""
    run = probe.run(_two(probe), edits, record=[tensor.site], stop_early=True)
    return run[tensor.site].movedim(tensor.unit_axis, 0).flatten(1).cpu()


def _change(edited: Tensor, base: Tensor) -> Tensor:
    """(units,) the largest change of each."""
    return (edited - base).abs().amax(1)


def _two(probe: Probe) -> Latents:
    return probe.generator.sample(2, seed=0)
