"""Folding: a transposed convolution as a matrix product gives what the layer gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ganprobe.replay.folding import Folding, _Folded


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    data=st.data(),
)
def test_folding_gives_what_the_layer_gives(
    kernel: int,
    stride: int,
    dilation: int,
    channels: int,
    size: tuple[int, int],
    data: st.DataObject,
) -> None:
    more = data.draw(st.integers(0, stride - 1), "output padding")
    padding = data.draw(st.integers(0, dilation * (kernel - 1) // 2), "padding")
    has_bias = data.draw(st.booleans(), "bias")
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(
        5, channels, kernel, stride, padding, more, bias=has_bias, dilation=dilation
    ).double()
    maps = torch.randn(3, 5, *size, dtype=torch.float64)
    for given_maps in (maps, maps.to(memory_format=torch.channels_last)):
        with torch.no_grad():
            assert torch.allclose(_Folded(layer)(given_maps), layer(given_maps), atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, groups=2),
        nn.ConvTranspose2d(4, 4, 3, dilation=2, output_padding=1),
        nn.ConvTranspose2d(4, 64, 3),
        nn.Conv2d(4, 1, 3),
        nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(4, 1, 3)),
    ],
)
def test_other_layers_are_left_to_themselves(layer: nn.Module) -> None:
    assert not Folding([layer])._layers
