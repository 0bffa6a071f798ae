"""Contributions: what each layer itself makes of a step of one unit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ganprobe.sweeps.contributions import contributions

IN, OUT = 3, 2


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    """A linear, convolution or transposed convolution layer of any shape, in float64."""
    torch.manual_seed(draw(st.integers(0, 100)))
    kinds: list[Any] = [nn.Conv1d, nn.Conv2d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d]
    kind = draw(st.sampled_from([*kinds, nn.ConvTranspose2d, nn.ConvTranspose2d, nn.Linear]))
    size = draw(st.integers(1, 2))
    if kind is nn.Linear:
        return nn.Linear(IN * size, OUT).double()
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2))
    padding: Any = draw(st.integers(0, kernel // 2))
    options: dict[str, Any] = {"dilation": dilation, "stride": stride}
    if issubclass(kind, nn.ConvTranspose1d | nn.ConvTranspose2d):
        options["output_padding"] = draw(st.integers(0, max(stride, dilation) - 1))
    else:
        options["padding_mode"] = draw(st.sampled_from(["zeros", "circular", "replicate"]))
        if stride == 1 and draw(st.booleans()):
            padding = "same"
    return kind(IN * size, OUT, kernel, padding=padding, **options).double()  # type: ignore[no-any-return]


def by_the_layer(layer: nn.Module, steps: Tensor, units: list[int], size: int) -> Tensor:
    """The layer with the step, less the layer without."""
    axis = -1 if isinstance(layer, nn.Linear) else 1
    rank = steps.ndim - 2
    made = []
    for step, unit in zip(steps, units, strict=True):  # step: (n, size, ...)
        shape = [step.shape[0], IN * size, *step.shape[2:]]
        base = torch.randn(shape, dtype=torch.float64)
        moved = base.clone()
        moved[:, unit * size : (unit + 1) * size] += step
        if axis == -1 and rank > 1:
            base, moved = base.movedim(1, -1), moved.movedim(1, -1)
        made.append(layer(moved) - layer(base))
    return torch.stack(made)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(max_examples=150)
@given(layer=layers(), n=st.integers(1, 2), data=st.data())
def test_a_contribution_is_what_the_layer_makes_of_a_step(
    layer: nn.Module, n: int, data: st.DataObject
) -> None:
    units = data.draw(st.lists(st.integers(0, IN - 1), min_size=1, max_size=4))
    if isinstance(layer, nn.Linear):
        size, cells = layer.in_features // IN, data.draw(st.sampled_from([[], [5]]))
    else:
        assert isinstance(layer.in_channels, int)
        assert isinstance(layer.kernel_size, tuple)
        size, cells = layer.in_channels // IN, [8 + axis for axis in range(len(layer.kernel_size))]
    steps = torch.randn(len(units), n, size, *cells, dtype=torch.float64)
    with torch.no_grad():
        made = contributions(layer, steps, torch.tensor(units))
        expected = by_the_layer(layer, steps, units, size)
    assert made.shape == expected.shape
    assert torch.allclose(made, expected, atol=1e-11)
