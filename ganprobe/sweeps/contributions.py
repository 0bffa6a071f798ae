"""Contributions: what a linear layer makes of steps of single units, all in one pass.

A convolution of each unit by itself is a grouped convolution, which libraries for a CPU do at a
few per cent of their speed. As a batch of matrix products, weights times the places that the
kernel sees, it takes little more than it takes to write the outcome.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LINEAR", "contributions"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

LINEAR = (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)
"""The layers that are sums over the units of their input."""

_MAPS = 4


def contributions(layer: nn.Module, steps: Tensor, units: Tensor) -> Tensor:
    """What one of `LINEAR`, without its bias, makes of steps of single units.

    Args:
        steps: (terms, n, values of a unit, ...).
        units: (terms,), which unit each is a step of.

    Returns:
        (terms, n, ...) as the layer returns it.
    """
    size = steps.shape[2]
    if isinstance(layer, nn.Linear):
        return _of_linear(layer.weight.detach(), steps, units)
    if isinstance(layer, _TRANSPOSED):
        by_unit = layer.weight.detach().unflatten(0, (-1, size))[units]  # (terms, size, out, ...)
        if steps.ndim == _MAPS + 1:
            return _of_transposed_maps(layer, steps, by_unit)
        return _in_groups(layer, steps, by_unit.flatten(0, 1))
    assert isinstance(layer, _CONVOLUTIONS)
    by_unit = layer.weight.detach().unflatten(1, (-1, size)).movedim(1, 0)[units]
    if steps.ndim == _MAPS + 1 and not isinstance(layer.padding, str):
        return _of_maps(layer, steps, by_unit)  # by_unit: (terms, out, size, ...)
    return _in_groups(layer, steps, by_unit.flatten(0, 1))


def _of_linear(weight: Tensor, steps: Tensor, units: Tensor) -> Tensor:
    size = steps.shape[2]
    by_unit = weight.unflatten(1, (-1, size)).movedim(1, 0)[units]  # (terms, out, size)
    flat = steps.movedim(2, -1).flatten(1, -2)  # (terms, n * tokens, size)
    returned = torch.bmm(flat, by_unit.transpose(1, 2))
    return returned.view(*steps.shape[:2], *steps.shape[3:], -1)


def _of_maps(layer: Any, steps: Tensor, by_unit: Tensor) -> Tensor:
    padding, maps = layer.padding, steps.flatten(0, 1)  # (terms * n, size, y, x)
    if layer.padding_mode != "zeros":
        edges = layer._reversed_padding_repeated_twice
        maps, padding = functional.pad(maps, edges, mode=layer.padding_mode), (0, 0)
    sizes = [
        (cells + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for cells, pad, dilation, kernel, stride in zip(
            maps.shape[2:], padding, layer.dilation, layer.kernel_size, layer.stride, strict=True
        )
    ]
    seen = functional.unfold(maps, layer.kernel_size, layer.dilation, padding, layer.stride)
    return _products(by_unit, seen, sizes, steps)


def _of_transposed_maps(layer: Any, steps: Tensor, by_unit: Tensor) -> Tensor:
    """A transposed convolution is one of what is given with zeros between, the kernel turned."""
    maps = steps.flatten(0, 1)  # (terms * n, size, y, x)
    (down, across), (height, width) = layer.stride, maps.shape[2:]
    apart = maps.new_zeros(*maps.shape[:2], (height - 1) * down + 1, (width - 1) * across + 1)
    apart[..., ::down, ::across] = maps
    edges: list[int] = []
    for axis in (1, 0):  # from the last
        edge = layer.dilation[axis] * (layer.kernel_size[axis] - 1) - layer.padding[axis]
        edges += [edge, edge + layer.output_padding[axis]]
    padded = functional.pad(apart, edges)
    sizes = [
        cells - dilation * (kernel - 1)
        for cells, dilation, kernel in zip(
            padded.shape[2:], layer.dilation, layer.kernel_size, strict=True
        )
    ]
    seen = functional.unfold(padded, layer.kernel_size, layer.dilation)
    return _products(by_unit.flip(-1, -2).transpose(1, 2), seen, sizes, steps)


def _products(by_unit: Tensor, seen: Tensor, sizes: list[int], steps: Tensor) -> Tensor:
    """Weights (terms, out, size, ...) times what the kernel sees at each cell."""
    rows = seen.unflatten(0, steps.shape[:2])  # (terms, n, size * kernel, cells)
    made = torch.matmul(by_unit.flatten(2)[:, None], rows)  # (terms, n, out, cells)
    return made.view(*made.shape[:3], *sizes)


def _in_groups(layer: Any, steps: Tensor, weight: Tensor) -> Tensor:
    """As a grouped convolution: in one or three dimensions."""
    n_terms, rank = len(steps), steps.ndim - 4
    given = steps.movedim(0, 1).flatten(1, 2)  # (n, terms * size, ...)
    if isinstance(layer, _TRANSPOSED):
        ways: Any = (
            functional.conv_transpose1d,
            functional.conv_transpose2d,
            functional.conv_transpose3d,
        )
        how = (layer.stride, layer.padding, layer.output_padding, n_terms, layer.dilation)
        returned = ways[rank](given, weight, None, *how)
    else:
        ways = (functional.conv1d, functional.conv2d, functional.conv3d)
        padding: Any = layer.padding
        if layer.padding_mode != "zeros":
            edges = layer._reversed_padding_repeated_twice
            given, padding = functional.pad(given, edges, mode=layer.padding_mode), (0,)
        returned = ways[rank](given, weight, None, layer.stride, padding, layer.dilation, n_terms)
    return torch.movedim(returned.unflatten(1, (n_terms, -1)), 1, 0)
