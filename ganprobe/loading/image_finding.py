"""Finding where images are in what a module returns, and of what shape, from two samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganprobe.errors import UsageError
from ganprobe.loading.trial import N_SAMPLES
from ganprobe.nested import Path, pick, tensors_in

__all__ = ["FoundImages", "find_images", "images_in"]

Shape = tuple[int, int, int]

_SMALLEST = 4  # pixels; what is smaller is taken for something else than an image


@dataclass(frozen=True)
class FoundImages:
    """Where images are in what a module returned.

    Args:
        path: to them.
        shape: (channels, height, width), where they come flat.
        note: what was found out rather than given.
    """

    path: Path
    shape: Shape | None = None
    note: str = ""


def images_in(returned: Any, *, channels_last: bool = False) -> list[FoundImages]:
    """Where images of 1, 3 or 4 channels are, or, if nowhere, square grey ones that come flat."""
    held = [
        (path, tensor)
        for path, tensor in tensors_in(returned)
        if tensor.ndim and len(tensor) == N_SAMPLES
    ]
    images = [FoundImages(path) for path, one in held if _are_images(one, channels_last)]
    return images or list(_flat_images(held))


def find_images(
    returned: Any,
    name: str,
    *,
    output: Path | None = None,
    shape: Shape | None = None,
    channels_last: bool = False,
) -> FoundImages:
    """Where the images of a generator are.

    Args:
        output, shape, channels_last: what was said about them.

    Raises:
        UsageError: there are none, or several tensors may be meant; lists the tensors.
    """
    if output is None and not isinstance(returned, Tensor):
        found = images_in(returned, channels_last=channels_last)
        if len(found) != 1:
            raise _which(returned, name, [one.path for one in found])
        output, note = found[0].path, f"the images were found at {_written(found[0].path)}"
    else:
        output, note = output or (), ""
    images = _at(returned, output, name)
    if images.ndim == 4:
        _refuse_channels_last(images, name, channels_last)
        return FoundImages(output, shape, note)
    if shape is None:
        shape = _shape_of_flat(images, name)
        times = "x".join(map(str, shape))
        note = "; ".join(
            filter(
                None,
                [
                    note,
                    f"flat images of {shape[1]} x {shape[2]} = "
                    f"{images.shape[1]} values were taken for {times}, grey",
                ],
            )
        )
    return FoundImages(output, shape, note)


def _at(returned: Any, output: Path, name: str) -> Tensor:
    try:
        found = pick(returned, output)
    except LookupError as error:
        raise UsageError(f"{name}: there is {error} among its outputs") from error
    if not isinstance(found, Tensor):
        raise _which(returned, name, [])
    return found


def _which(returned: Any, name: str, likely: list[Path]) -> UsageError:
    held = [f"{_written(path)} {tuple(one.shape)}" for path, one in tensors_in(returned)]
    if not held:
        return UsageError(
            f"{name} returned a {type(returned).__name__} without tensors, so that there are no"
            " images in it; where another method makes them: method = ... under [generator] in"
            " ganprobe.toml"
        )
    what = "which of its outputs are images" if likely else "where the images are"
    return UsageError(
        f"{what} of {name} is not clear; say output = ... under [images] in ganprobe.toml; for"
        f" {N_SAMPLES} latents there are: {', '.join(held)}"
    )


def _refuse_channels_last(images: Tensor, name: str, channels_last: bool) -> None:
    if not channels_last and images.shape[1] > 4 >= images.shape[-1]:
        raise UsageError(
            f"{name} returned {tuple(images.shape)} for {N_SAMPLES} latents, which looks like"
            " channels last; say channels_last = true under [images] in ganprobe.toml"
        )


def _shape_of_flat(images: Tensor, name: str) -> Shape:
    found = next(_flat_images([((), images)]), None)
    if found is not None and found.shape is not None:
        return found.shape
    n = images.shape[-1] if images.ndim == 2 else 0
    side = math.isqrt(n // 3)
    guess = f", as 3x{side}x{side}" if n and 3 * side * side == n else ""
    raise UsageError(
        f"{name} returned {tuple(images.shape)} for {N_SAMPLES} latents, and images are"
        f" (n, channels, height, width); where these are images that come flat, say"
        f" --image-shape{guess or ' 1x28x28'.replace(' ', ', as ')}, or where others are: output ="
        " ... under [images] in ganprobe.toml"
    )


def _are_images(tensor: Tensor, channels_last: bool) -> bool:
    if tensor.ndim != 4:
        return False
    channels, *size = tensor.shape[1:] if not channels_last else tensor.movedim(-1, 1).shape[1:]
    return channels in (1, 3, 4) and min(size) >= _SMALLEST


def _flat_images(held: list[tuple[Path, Tensor]]) -> Iterator[FoundImages]:
    for path, tensor in held:
        side = math.isqrt(tensor.shape[-1])
        if tensor.ndim == 2 and side >= _SMALLEST and side * side == tensor.shape[-1]:
            yield FoundImages(path, (1, side, side))


def _written(path: Path) -> str:
    """A path as it is written in TOML."""
    keys = [str(key) if isinstance(key, int) else f'"{key}"' for key in path]
    return f"[{', '.join(keys)}]"
