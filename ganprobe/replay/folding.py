"""Transposed convolutions to few channels, as they are fast: a matrix product that is folded.

The last layer of most convolutional generators turns many channels into one or three, which
libraries for deep learning on a CPU do at a sixth to a half of the speed of a matrix product of
the same numbers. In a replay, such a layer is timed both ways when it first runs, and goes on the
faster one. The outcome is the same to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ganprobe.engine import Gate, has_hooks

__all__ = ["Folding"]

_MOST_CHANNELS = 8
_N_TIMED = 2


class Folding:
    """The layers of a replay that may be folded, and what is known of their speed.

    Args:
        layers: all that are computed in the replay and nothing but computed.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self._layers = [layer for layer in layers if _can_be_folded(layer)]
        self._is_faster: dict[tuple[nn.Module, tuple[int, ...]], bool] = {}

    def calls(self, gate: Gate) -> list[tuple[nn.Module, Callable[..., Any]]]:
        """What is to be called in the place of which layer while the gate is open.

        A layer with a hook on it is left to itself.
        """
        return [(layer, self._call(layer, gate)) for layer in self._layers if not has_hooks(layer)]

    def _call(self, layer: nn.Module, gate: Gate) -> Callable[..., Any]:
        assert isinstance(layer, nn.ConvTranspose2d)

        def call(*args: Any, **kwargs: Any) -> Any:
            is_plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
            if get_ident() != gate.thread or not is_plain or not _is_usual(args[0]):
                return layer._call_impl(*args, **kwargs)
            return self._faster(layer, args[0])

        return call

    def _faster(self, layer: nn.ConvTranspose2d, maps: Tensor) -> Tensor:
        key = (layer, maps.stride()[1:])
        if key not in self._is_faster:
            folded, native = (_seconds(way, maps) for way in (_Folded(layer), layer._call_impl))
            self._is_faster[key] = folded < native
        return _Folded(layer)(maps) if self._is_faster[key] else layer._call_impl(maps)


class _Folded:
    """A transposed convolution as a matrix product."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        self._layer = layer

    def __call__(self, maps: Tensor) -> Tensor:
        layer = self._layer
        weight = layer.weight.flatten(1).t()  # (out * kernel, in)
        if maps.is_contiguous():
            columns = weight @ maps.flatten(2)  # (n, out * kernel, cells)
        else:  # channels last: their rows are there already
            columns = (maps.permute(0, 2, 3, 1).flatten(1, 2) @ weight.t()).transpose(1, 2)
        size: Any = [
            (cells - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
            for cells, stride, padding, dilation, kernel, more in zip(
                maps.shape[2:],
                layer.stride,
                layer.padding,
                layer.dilation,
                layer.kernel_size,
                layer.output_padding,
                strict=True,
            )
        ]
        how: Any = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        folded = functional.fold(columns, size, *how)
        return folded if layer.bias is None else folded.add_(layer.bias[:, None, None])


def _can_be_folded(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.ConvTranspose2d
        and "forward" not in vars(layer)
        and layer.out_channels <= _MOST_CHANNELS
        and layer.groups == 1
        and all(more < step for more, step in zip(layer.output_padding, layer.stride, strict=True))
        and layer.weight.device.type == "cpu"
    )


def _is_usual(maps: Tensor) -> bool:
    return maps.ndim == 4 and maps.is_floating_point() and len(maps) > 0


def _seconds(way: Callable[[Tensor], Tensor], maps: Tensor) -> float:
    way(maps)
    best = float("inf")
    for _ in range(_N_TIMED):
        began = time.process_time()
        way(maps)
        best = min(best, time.process_time() - began)
    return best
