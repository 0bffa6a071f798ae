"""Units without the weights of their convolution, against weights that are really zeroed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import Ablate, Generator, ParameterError, Probe, kernel_levels, load
from subjects import probe_of


def with_zeroed_weights(module: nn.Module, layer: str, units: list[int]) -> nn.Module:
    """A copy in which these units of a layer have no weights."""
    copied = copy.deepcopy(module)
    found = copied.get_submodule(layer)
    axis = 1 if isinstance(found, nn.ConvTranspose2d) else 0
    with torch.no_grad():
        found.get_parameter("weight").index_fill_(axis, torch.tensor(units), 0.0)
    return copied


@pytest.mark.parametrize("mode", ["eval", "sample"])
@pytest.mark.parametrize("site", ["conv2", "conv2.act", "conv3.norm", "conv3.conv"])
def test_they_are_as_with_weights_that_were_zeroed(site: str, mode: Any) -> None:
    probe = Probe(load("digits", normalisation=mode))
    layer = f"{site.split('.')[0]}.conv"
    output, levels = kernel_levels(probe, probe.layers().resolve_one(site))
    assert str(output.site) == layer
    units = torch.randperm(output.n_units)[:7].tolist()
    z = probe.generator.sample(3, seed=1).z
    edited = probe.run(z, Ablate(output.site, units=units, to=levels)).images
    with torch.no_grad():
        expected = with_zeroed_weights(probe.generator.module, layer, units)(z)
    assert torch.allclose(edited, expected, atol=1e-5)
    at_zero = probe.run(z, Ablate(output.site, units=units)).images
    is_normalised = mode == "sample"  # a constant is nothing to a norm that goes by the map's own
    assert torch.allclose(edited, at_zero, atol=1e-5) == is_normalised


def test_no_weight_is_touched_and_no_hook_stays() -> None:
    probe = Probe(load("digits"))
    before = probe.generator.weights_sha256()
    kernel_levels(probe, probe.layers().resolve_one("conv3"))
    assert probe.generator.weights_sha256() == before
    assert not any(layer._forward_hooks for layer in probe.generator.module.modules())


def test_a_layer_without_bias_leaves_nothing() -> None:
    probe = probe_of(
        nn.Sequential(nn.Linear(5, 8), nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 3, 1, bias=False))
    )
    _, levels = kernel_levels(probe, probe.layers().resolve_one("2"))
    assert not levels["2"].any()


class Mixing(nn.Module):
    """Every unit that it returns is the sum of all that it is given."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.sum(1, keepdim=True).expand_as(maps)


def test_units_that_no_layer_makes_one_by_one_are_refused() -> None:
    mixed = probe_of(nn.Sequential(nn.Linear(5, 8), nn.Unflatten(1, (2, 2, 2)),
                                   nn.Conv2d(2, 3, 1), Mixing()))  # fmt: skip
    with pytest.raises(ParameterError, match="changes more units than its own there"):
        kernel_levels(mixed, mixed.layers().resolve_one("3"))
    lone = Probe(Generator.from_module(nn.Unflatten(1, (2, 2, 2)).eval(), latent=8))
    with pytest.raises(ParameterError, match="no convolution or linear layer ahead of :out has"):
        kernel_levels(lone, lone.layers().resolve_one(":out"))
