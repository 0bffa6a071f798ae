"""Layers of an archive that are the layers of ``torch.nn`` that they are called after.

A linear layer, a convolution or batch normalisation in an archive is one operation with its
settings. Where a layer of ``torch.nn`` with these settings gives the same to the last bit, it takes
the mirror's place, with the same parameters: then everything that goes by a layer's class, as other
normalisation modes, holds for archives too. What differs in any way stays a mirror.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganprobe.archives.mirror import Mirror

__all__ = ["with_torch_layers"]

_CONVOLUTIONS: dict[str, tuple[type[Any], int]] = {
    "Conv1d": (nn.Conv1d, 1),
    "Conv2d": (nn.Conv2d, 2),
    "Conv3d": (nn.Conv3d, 3),
    "ConvTranspose1d": (nn.ConvTranspose1d, 1),
    "ConvTranspose2d": (nn.ConvTranspose2d, 2),
    "ConvTranspose3d": (nn.ConvTranspose3d, 3),
}
_NORMALISATIONS: dict[str, tuple[type[Any], int]] = {
    "BatchNorm1d": (nn.BatchNorm1d, 0),
    "BatchNorm2d": (nn.BatchNorm2d, 2),
    "BatchNorm3d": (nn.BatchNorm3d, 3),
}
_SETTINGS = ("stride", "padding", "dilation", "groups", "output_padding")
_SIDE = 5


def with_torch_layers(module: nn.Module) -> None:
    """Put layers of ``torch.nn`` in the place of the mirrors that they equal."""
    made: dict[nn.Module, nn.Module] = {}
    for layer in list(module.modules()):
        for key, child in list(layer._modules.items()):
            if isinstance(child, Mirror) and child not in made:
                made[child] = _torch_layer(child)
            if child is not None:
                layer._modules[key] = made.get(child, child)


def _torch_layer(mirror: Mirror) -> nn.Module:
    """The layer that it is; itself where it is none, or has something of its own."""
    if mirror._modules or mirror._parameters.get("weight", 0) is None:
        return mirror
    for given in _inputs(mirror):
        layer = _of_one_operation(mirror, given)
        if layer is not None and _is_same(mirror, layer, given):
            _take_over(mirror, layer)
            return layer
    return mirror


def _inputs(mirror: Mirror) -> Iterator[Tensor]:
    """What it may take, going by its class's name and its weight."""
    kind = type(mirror).__name__
    weight, mean = mirror._parameters.get("weight"), mirror._buffers.get("running_mean")
    held = weight if weight is not None else mean
    if held is None:
        return
    if kind == "Linear" and held.ndim == 2:
        yield _some(held, (3, held.shape[1]))
    elif kind in _CONVOLUTIONS and held.ndim == _CONVOLUTIONS[kind][1] + 2:
        sides = [_SIDE + 4 * side for side in held.shape[2:]]
        yield _some(held, (2, held.shape["Transpose" not in kind], *sides))
        if "Transpose" not in kind and held.shape[1] == 1:  # each channel by itself
            yield _some(held, (2, held.shape[0], *sides))
    elif kind in _NORMALISATIONS and held.ndim == 1:
        yield _some(held, (3, len(held), *[_SIDE] * _NORMALISATIONS[kind][1]))


def _some(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    numbers = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=numbers, dtype=torch.float64).to(like.dtype)


class _Seen(TorchFunctionMode):
    """Keeps what each operation that gives a tensor is given, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        schema, given = getattr(func, "_schema", None), func(*args, **kwargs)
        if schema is not None and isinstance(given, Tensor):
            names = [one.name for one in schema.arguments]
            self.calls.append({**dict(zip(names, args, strict=False)), **kwargs})
        return given


def _of_one_operation(mirror: Mirror, given: Tensor) -> nn.Module | None:
    """A layer with the settings of the one operation that the mirror does; None if it is none."""
    found: list[dict[str, Any]] = []
    for method in mirror._programs:
        if not method.startswith("forward"):
            continue
        with torch.no_grad(), _Seen() as seen:
            try:
                mirror.invoke(method, (given,))
            except Exception:  # it takes something else than a layer of this name takes
                return None
        if len(seen.calls) != 1 or not _is_of(mirror, given, seen.calls[0]):
            return None
        found.append(seen.calls[0])
    return _layer(mirror, found[0]) if found else None


def _is_of(mirror: Mirror, given: Tensor, call: dict[str, Any]) -> bool:
    """Whether an operation is of what the layer was given and of what it holds."""
    held = {id(one) for one in (given, *mirror._parameters.values(), *mirror._buffers.values())}
    return all(id(one) in held for one in call.values() if isinstance(one, Tensor))


def _layer(mirror: Mirror, call: dict[str, Any]) -> nn.Module | None:
    kind, weight = type(mirror).__name__, mirror._parameters.get("weight")
    has_bias = mirror._parameters.get("bias") is not None
    if kind == "Linear" and weight is not None:
        return nn.Linear(weight.shape[1], weight.shape[0], bias=has_bias, device="meta")
    if kind in _CONVOLUTIONS and weight is not None:
        settings = {name: call[name] for name in _SETTINGS if name in call}
        sides = {name: one if isinstance(one, str) else tuple(one)
                 for name, one in settings.items() if isinstance(one, list | str)}  # fmt: skip
        groups = settings.get("groups", 1)
        n_in, n_out = weight.shape[1] * groups, weight.shape[0]
        if "Transpose" in kind:
            n_in, n_out = weight.shape[0], weight.shape[1] * groups
        else:
            sides.pop("output_padding", None)
        made: nn.Module = _CONVOLUTIONS[kind][0](
            n_in, n_out, tuple(weight.shape[2:]), groups=groups, bias=has_bias, device="meta",
            **sides,
        )  # fmt: skip
        return made
    if kind in _NORMALISATIONS and {"eps", "momentum"} <= call.keys():
        mean = mirror._buffers.get("running_mean")
        held = mean if mean is not None else weight
        assert held is not None
        normalisation: nn.Module = _NORMALISATIONS[kind][0](
            len(held), call["eps"], call["momentum"], affine=weight is not None,
            track_running_stats=mean is not None, device="meta",
        )  # fmt: skip
        return normalisation
    return None


def _is_same(mirror: Mirror, layer: nn.Module, given: Tensor) -> bool:
    """Whether both give the same, to the last bit."""
    layer._parameters.update({name: mirror._parameters.get(name) for name in layer._parameters})
    layer._buffers.update({name: mirror._buffers.get(name) for name in layer._buffers})
    layer.training = False
    names = {*layer._parameters, *layer._buffers}
    if not {*mirror._parameters, *mirror._buffers} <= names:
        return False
    with torch.no_grad():
        try:
            return torch.equal(mirror(given), layer(given))
        except RuntimeError:  # the settings mean something else to it
            return False


def _take_over(mirror: Mirror, layer: nn.Module) -> None:
    """What else the mirror holds, which other layers may read."""
    for name, value in mirror.__dict__.items():
        if not name.startswith("_") or name == "_whole":
            layer.__dict__.setdefault(name, value)
