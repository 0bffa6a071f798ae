"""Finding the shape of a generator's latents, by trying the likely ones.

Each likely shape costs one forward of two samples. A shape is used only where exactly one gives
images; else the user is asked, with what was tried.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.errors import UsageError
from ganprobe.latents import LatentSpace
from ganprobe.loading.image_finding import images_in
from ganprobe.loading.trial import Called
from ganprobe.nested import pick

__all__ = ["FoundLatent", "find_latent", "likely_shapes"]

Shape = tuple[int, ...]

_SIZE_NAMES = (
    *("z_dim", "dim_z", "zdim", "nz", "n_z", "z_size", "noise_dim", "code_dim", "z_channels"),
    *("latent_dim", "latent_dims", "latent_size", "n_latent", "latent_channels", "style_dim"),
    *("input_dim", "in_dim", "embedding_dim", "hidden_dim"),
)
_SHAPE_NAMES = ("latent_shape", "z_shape")
_FIRST_LAYERS = 4
_LARGEST = 1 << 20


@dataclass(frozen=True)
class FoundLatent:
    """A latent shape and how it was found, in a sentence."""

    shape: Shape
    note: str


def find_latent(called: Called) -> FoundLatent:
    """The only likely shape with which the module gives images.

    Raises:
        UsageError: none does, or several; says what was tried, and how to give it.
    """
    tried = likely_shapes(called.module)
    working = {shape: images for shape in tried if (images := _images(called, shape)) is not None}
    distinct = _distinct(working)
    if len(distinct) != 1:
        raise _question(called, tried, list(distinct))
    (shape,) = distinct
    spoken = _times(shape)
    failed = [_times(one) for one in tried if one not in working]
    also = f"; {', '.join(failed)} did not" if failed else ""
    return FoundLatent(
        shape,
        f"the latents' shape was found out: {spoken}, by {tried[shape]}, gives images{also}",
    )


def likely_shapes(module: nn.Module) -> dict[Shape, str]:
    """Shapes that latents may have, each with the reason why.

    Example:
        >>> likely_shapes(nn.Sequential(nn.ConvTranspose2d(100, 8, 4)))
        {(100, 1, 1): "layer '0' (ConvTranspose2d)"}
    """
    found: dict[Shape, str] = {}
    for shape, reason in (*_by_layers(module), *_by_attributes(module)):
        found.setdefault(shape, reason)
    return found


def _by_layers(module: nn.Module) -> Iterator[tuple[Shape, str]]:
    """By the layers that stand first: they need not run first, so several are looked at."""
    held = ((name, layer, _first_size(layer)) for name, layer in module.named_modules())
    sized = ((name, layer, size) for name, layer, size in held if size is not None)
    for name, layer, size in islice(sized, _FIRST_LAYERS):
        if size:
            yield size, f"layer {name!r} ({type(layer).__name__})"


def _first_size(layer: nn.Module) -> Shape | None:
    """What a layer with weights takes: () where that does not tell; None: it has no weights."""
    if isinstance(layer, nn.Linear):
        return (layer.in_features,)
    if isinstance(layer, nn.ConvTranspose2d):
        return (layer.in_channels, 1, 1)
    weight = layer._parameters.get("weight")
    if weight is None:
        return None
    is_matrix = weight.ndim == 2 and not isinstance(layer, nn.Embedding)
    return (weight.shape[1],) if is_matrix else ()


def _by_attributes(module: nn.Module) -> Iterator[tuple[Shape, str]]:
    """By what generators commonly call it, on themselves or their configuration."""
    inner = [one for one in module.children() if len(list(module.children())) == 1]
    for holder in (module, *inner):
        for where in (holder, _held(holder, "config")):
            yield from _by_attributes_of(where)


def _by_attributes_of(holder: object) -> Iterator[tuple[Shape, str]]:
    for name in (*_SIZE_NAMES, *_SHAPE_NAMES):
        value = _held(holder, name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST:
            yield (value,), f"its {name}"
            yield (value, 1, 1), f"its {name}"
        elif _is_shape(value) and name in _SHAPE_NAMES:
            yield tuple(value), f"its {name}"


def _held(holder: object, name: str) -> Any:
    """An entry or attribute as it lies there: no code of the holder runs, which might warn."""
    if isinstance(holder, Mapping):
        return holder.get(name)
    return inspect.getattr_static(holder, name, None)


def _is_shape(value: Any) -> bool:
    is_sequence = isinstance(value, tuple | list) and 0 < len(value) <= 4
    return is_sequence and all(isinstance(n, int) and 0 < n <= _LARGEST for n in value)


def _images(called: Called, shape: Shape) -> Tensor | None:
    """The images that come of latents of this shape, or None where there are none."""
    try:
        returned = called.returned(LatentSpace(shape))
    except Exception:  # the wrong shape fails in as many ways as there are layers
        return None
    found = images_in(returned)
    return pick(returned, found[0].path) if found else None


def _distinct(working: Mapping[Shape, Tensor]) -> dict[Shape, Tensor]:
    """Without those that are another with a trailing 1 x 1, and give the same images."""
    return {
        shape: images
        for shape, images in working.items()
        if not (
            shape[-2:] == (1, 1) and shape[:-2] in working and _agree(images, working[shape[:-2]])
        )
    }


def _agree(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _question(called: Called, tried: Mapping[Shape, str], working: list[Shape]) -> UsageError:
    ask = "say which with --latent, as --latent 512 or --latent 4x8x8"
    if working:
        found = " and ".join(_times(shape) for shape in working)
        return UsageError(
            f"{called.name} gives images of latents of more than one shape: {found}; {ask}"
        )
    if not tried:
        return UsageError(
            f"the latents' shape of {called.name} cannot be told from its layers{_first(called)};"
            f" {ask}"
        )
    listed = ", ".join(f"{_times(shape)} ({reason})" for shape, reason in tried.items())
    fault = called.fault(LatentSpace(next(iter(tried)))) or "what came out was no images"
    return UsageError(
        f"{called.name} gives no images of latents of the likely shapes: {listed}; {ask} (with the"
        f" first of them: {fault})"
    )


def _first(called: Called) -> str:
    for name, layer in called.module.named_modules():
        if isinstance(layer, nn.Conv2d):
            return f": the first is {name!r}, which takes {layer.in_channels} channels of any size"
    return ""


def _times(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))
