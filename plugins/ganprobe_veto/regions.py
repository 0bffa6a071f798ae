"""Regions as people write them: a side, a box in shares of the image, or a picture of a mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganprobe import ParameterError

BOXES = {
    "left": (0.0, 0.0, 0.5, 1.0),
    "right": (0.5, 0.0, 1.0, 1.0),
    "top": (0.0, 0.0, 1.0, 0.5),
    "bottom": (0.0, 0.5, 1.0, 1.0),
    "centre": (0.25, 0.25, 0.75, 0.75),
}


def read_region(text: str, size: Sequence[int]) -> Tensor:
    """(y, x) float32 in [0, 1], at the size of the image: which share of each pixel is meant.

    Raises:
        ParameterError: it is no region, or the picture cannot be read.

    Example:
        >>> read_region("left", (1, 4))
        tensor([[1., 1., 0., 0.]])
    """
    if text.startswith("@"):
        return _read_mask(text[1:])
    left, top, right, bottom = BOXES.get(text.strip()) or _read_box(text)
    across = _covered(left, right, size[1])
    return torch.outer(_covered(top, bottom, size[0]), across)


def _covered(first: float, last: float, n: int) -> Tensor:
    """(n,) which share of each of n pieces of [0, 1] lies between two places."""
    edges = torch.linspace(0, 1, n + 1, dtype=torch.float64).clamp(first, last)
    return (edges.diff() * n).clamp(0, 1).float()


def _read_box(text: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError:
        left, top, right, bottom = 0.0, 0.0, 0.0, 0.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ParameterError(
            f"--region: {text!r} is no region; write {', '.join(BOXES)}, a box"
            " LEFT,TOP,RIGHT,BOTTOM in shares of the image as in 0,0,0.5,1, or @mask.png"
        )
    return left, top, right, bottom


def _read_mask(path: str) -> Tensor:
    from matplotlib.image import imread

    try:
        picture = torch.as_tensor(imread(path).copy())
    except (OSError, SyntaxError) as error:
        raise ParameterError(f"--region: cannot read the mask {path}: {error}") from error
    shades = picture if picture.is_floating_point() else picture / 255  # only PNG comes in [0, 1]
    grey = shades if shades.ndim == 2 else shades[..., : min(3, shades.shape[2])].mean(2)
    return grey.float().clamp(0, 1)
