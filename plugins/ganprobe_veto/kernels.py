"""Silenced kernels: units whose convolution gets zero weights, while all that follows is kept.

A unit then is its bias everywhere, which the normalisation behind it turns into another level:
that is not the same as a unit at zero.
"""

from __future__ import annotations

import torch
from torch import nn

from ganprobe import Ablate, Context, Latents, ParameterError, Site, SiteTensor
from ganprobe_veto.route import order_of_sites

_KINDS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def silenced(
    context: Context, tensor: SiteTensor, latents: Latents
) -> tuple[Site, tuple[float, ...]]:
    """The layer that makes the units of a site, and their levels there without its weights.

    Raises:
        ParameterError: no layer makes them, each from one kernel.
    """
    site = _maker(context, tensor)
    bias = context.generator.module.get_submodule(site.layer).bias
    levels = [0.0] * tensor.n_units if not isinstance(bias, torch.Tensor) else bias.tolist()
    edit = Ablate(site, to=levels[:1], units=[0])
    base = context.probe.run(latents, record=[tensor.site], stop_early=True)[tensor.site]
    made = context.probe.run(latents, [edit], record=[tensor.site], stop_early=True)[tensor.site]
    differs = (made != base).movedim(tensor.unit_axis, 0).flatten(1).any(1)
    if not differs[:1].all() or differs[1:].any():
        raise _no_kernel(
            tensor, f"the kernel of unit 0 in {site} changes {int(differs.sum())} units there"
        )
    return site, tuple(levels)


def _maker(context: Context, tensor: SiteTensor) -> Site:
    """The last layer of weights, not after the site, that has as many units."""
    ordered = order_of_sites(context.probe, tensor.site)
    before = ordered[: 1 + [one.site for one in ordered].index(tensor.site)]
    module = context.generator.module
    found = [
        one.site
        for one in before
        if isinstance(module.get_submodule(one.site.layer), _KINDS)
        and one.n_units == tensor.n_units
        and one.site.port == "out"
    ]
    if not found:
        raise _no_kernel(tensor, f"no convolution before it has {tensor.n_units} units")
    return found[-1]


def _no_kernel(tensor: SiteTensor, reason: str) -> ParameterError:
    return ParameterError(
        f"--to kernel: the units of {tensor.site} are not those of one layer's kernels: {reason};"
        " give --to zero, mean or a number"
    )
