"""Options: what is said about a generator when it is loaded, beside where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ganprobe.weight_files import Trust

if TYPE_CHECKING:
    from ganprobe.latents import LatentSpace
    from ganprobe.nested import Path as NestedPath
    from ganprobe.normalisation import Normalisation

__all__ = ["LoadOptions"]


@dataclass(frozen=True)
class LoadOptions:
    """What a user gives; each overrides what a description file says.

    Args:
        weights: a checkpoint.
        weights_key: the entry of it that is meant, where it holds several.
        arguments: of the factory.
        factory: ``package.module:name`` or ``file.py:name``, for what names none itself.
        part: of what the factory returns: attributes or keys, with dots between.
        method: that makes images, where it is not forward.
        latent: its shape, or the whole space.
        image_range: the values of black and white.
        image_shape: (channels, height, width), where images come flat.
        output: where the images are in what the module returns.
        unit_axes: by site or pattern.
        normalisation: of batch normalisation; None: as described, else ``"eval"``.
        code: the folder of the code that an NVIDIA pickle needs.
        trust: whether files may run code that could not be looked into.
    """

    weights: Path | None = None
    weights_key: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    factory: str | None = None
    part: str | None = None
    method: str | None = None
    latent: tuple[int, ...] | LatentSpace | None = None
    image_range: tuple[float, float] | None = None
    image_shape: tuple[int, int, int] | None = None
    output: NestedPath | None = None
    unit_axes: Mapping[str, int] | None = None
    normalisation: Normalisation | None = None
    code: Path | None = None
    trust: Trust = field(default_factory=Trust)
