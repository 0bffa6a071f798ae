"""Targets: the images that latents are looked for, the generator's own and given ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganprobe import Context, FileImage, Latents, ParameterError, read_images
from ganprobe_inversion import InversionParams

KINDS = ("own", "real")


@dataclass(frozen=True, eq=False)
class Targets:
    """The images, own ones first.

    Args:
        names: of each: its sample, or its file without the suffix, each once.
        images: (n, channels, height, width) in [0, 1], on the probe's device and in its dtype.
        own: the latents of the own ones; None where there is none.
        files: the given ones.
    """

    names: tuple[str, ...]
    images: Tensor
    own: Latents | None
    files: tuple[FileImage, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_own(self) -> int:
        """How many of them are the generator's own."""
        return len(self) - len(self.files)

    def rows(self, kind: str) -> slice:
        """Where those of a kind are, ``"own"`` or ``"real"``."""
        return slice(0, self.n_own) if kind == "own" else slice(self.n_own, len(self))

    def kinds(self) -> list[str]:
        """Those of which there are images."""
        return [kind for kind in KINDS if len(self.images[self.rows(kind)])]


def make_targets(context: Context, params: InversionParams) -> Targets:
    """The own images of the first samples, and the given ones.

    Raises:
        ParameterError: there is no image at all, or a file cannot be used.
    """
    if not params.n_own and not params.images:
        raise ParameterError(
            "there is no image to find latents for: give one with --images my.png, or --n-own 16"
            " for the generator's own"
        )
    files = read_images(
        params.images, context.probe.image_shape, invert_colours=params.invert_colours
    )
    own = context.sample(params.n_own, fewest=1) if params.n_own else None
    names = [*_sample_names(own), *distinct([file.name for file in files])]
    images = [_given(context, files)] if files else []
    if own is not None:
        images.insert(0, _own_images(context, own))
    return Targets(tuple(names), torch.cat(images), own, tuple(files))


def distinct(names: Sequence[str]) -> list[str]:
    """Names of which each stands once: what is the same is numbered from 2 on."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in range(2, len(names) + 2))
        found.append(name if name not in found else next(n for n in numbered if n not in found))
    return found


def _sample_names(own: Latents | None) -> list[str]:
    if own is None:
        return []
    if own.indices is None:
        return [f"latent {place}" for place in range(len(own))]
    return [f"sample {index}" for index in own.indices]


def _own_images(context: Context, own: Latents) -> Tensor:
    batches = [context.probe.images(batch) for batch in own.split(64)]
    return context.generator.to_unit_range(torch.cat(batches))


def _given(context: Context, files: Sequence[FileImage]) -> Tensor:
    values = torch.from_numpy(np.stack([file.values for file in files]))
    return values.to(context.device, context.probe.dtype)
