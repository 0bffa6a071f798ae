"""Painted: the areas that somebody painted in a picture, the same for all images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, Segmenter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_MOST = 64
_SAME_PROPORTION = 0.02
_OPAQUE = 0.5


class Painted(Segmenter):
    """The areas of a picture, one for each of its colours; for images that all show one scene.

    A colour that CSS has a name for is called by that, others are hexadecimal, as ``#1f77b4``.
    Where the picture is transparent, there is no class. Each pixel of an image takes the colour
    under its centre.

    Args:
        path: of a picture of at most 64 colours, in the proportions of the images; PNG, without
            smoothing. None: the picture is still to be named.
    """

    name = "painted"
    summary = "the areas of a picture, each of another colour, the same for all images"
    argument = "FILE"
    classes: tuple[str, ...] = ()

    def __init__(self, path: Path | None = None) -> None:
        self._labels: NDArray[np.int64] | None = None
        if path is not None:
            self.name = f"painted:{path}"
            self._path = path
            self._labels, colours = _read(path)
            self.classes = tuple(map(_name, colours))
            self.class_colours = tuple(colours)

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        return Painted(Path(argument))

    def segment(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe_segmenters.labels import masks_of, resized

        if self._labels is None:
            raise ParameterError("segmenter 'painted' needs a picture; write painted:mask.png")
        height, width = images.shape[2:]
        _check_proportion(self._path, self._labels.shape, height, width)
        labels = resized(torch.from_numpy(self._labels)[None], (height, width))
        masks = masks_of(labels.to(images.device), len(self.classes))
        return masks.repeat(len(images), 1, 1, 1)


def _read(path: Path) -> tuple[NDArray[np.int64], list[str]]:
    """The number of the colour at each pixel (y, x), -1 where there is none; and the colours."""
    import numpy as np

    from ganprobe import read_pixels

    pixels = read_pixels(path)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    levels = np.round(pixels[..., :3] * 255).astype(np.int64)
    codes = levels @ np.array([1 << 16, 1 << 8, 1])  # (y, x)
    is_painted = pixels[..., 3] >= _OPAQUE if pixels.shape[2] == 4 else np.ones(codes.shape, bool)
    found, numbers = np.unique(codes[is_painted], return_inverse=True)
    if not 1 <= len(found) <= _MOST:
        raise ParameterError(_sentence(path, len(found)))
    labels = np.full(codes.shape, -1, np.int64)
    labels[is_painted] = numbers
    return labels, [f"#{code:06x}" for code in found]


def _sentence(path: Path, n_colours: int) -> str:
    if not n_colours:
        return f"the picture {path} is transparent everywhere; paint areas for segmenter 'painted'"
    return (
        f"the picture {path} has {n_colours:,} colours, and segmenter 'painted' takes at most"
        f" {_MOST}, one for each area; paint without smoothing and save it as PNG"
    )


def _name(colour: str) -> str:
    from matplotlib.colors import CSS4_COLORS

    named = {str(code).lower(): name for name, code in CSS4_COLORS.items()}
    return named.get(colour, colour)


def _check_proportion(path: Path, shape: tuple[int, ...], height: int, width: int) -> None:
    if abs(shape[1] * height / (shape[0] * width) - 1) > _SAME_PROPORTION:
        raise ParameterError(
            f"the picture {path} of segmenter 'painted' is {shape[1]} x {shape[0]} pixels (width x"
            f" height), and the images are {width} x {height}; cut it to that proportion"
        )
