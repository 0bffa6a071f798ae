"""Saturation: where a non-linear layer hardly answers a small change of what it is given."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganprobe import Context, Run
from ganprobe_veto.route import Stop

FLAT = 0.01
"""A derivative below it, in absolute value, is as good as none."""


def saturated(context: Context, stops: tuple[Stop, ...], run: Run) -> NDArray[np.float64]:
    """(non-linear stop, sample) the share of values that are saturated there."""
    shares = []
    for stop in stops:
        if stop.is_non_linear:
            assert stop.site is not None
            assert stop.given is not None
            module = context.generator.module.get_submodule(stop.site.layer)
            shares.append(flat_share(module, run[stop.given]))
    return np.stack(shares) if shares else np.zeros((0, len(run.latents)))


def flat_share(module: nn.Module, given: Tensor) -> NDArray[np.float64]:
    """(n,) the share of each sample's values at which the layer's derivative is below 1 %.

    Args:
        module: does the same to each value alone.
        given: (n, ...) what it is given.
    """
    with torch.enable_grad():
        values = given.detach().clone().requires_grad_()
        made = module(values.clone())  # it may write into what it is given
        (derivative,) = torch.autograd.grad(made.sum(), values)
    share: NDArray[np.float64] = (derivative.abs() < FLAT).flatten(1).double().mean(1).cpu().numpy()
    return share
