"""Regions as people write them: a side, a box in shares of the image, or a mask in a picture.

An intervention takes what they become: weights in [0, 1] on a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import ParameterError

__all__ = ["read_region"]

_NAMED = {
    "left": (0.0, 0.0, 0.5, 1.0),
    "right": (0.5, 0.0, 1.0, 1.0),
    "top": (0.0, 0.0, 1.0, 0.5),
    "bottom": (0.0, 0.5, 1.0, 1.0),
    "centre": (0.25, 0.25, 0.75, 0.75),
}


def read_region(written: str, shape: Sequence[int]) -> Tensor:
    """The weights (y, x) in [0, 1] of a region, float32: those of a box on a grid of this shape.

    It is written ``left``, ``right``, ``top``, ``bottom``, ``centre``, ``LEFT,TOP,RIGHT,BOTTOM`` in
    shares of the image, as ``0,0,0.5,1``, or ``@mask.png``, white where it is meant.

    A cell that a box covers in part has that share for its weight. A mask keeps its resolution.

    Raises:
        ParameterError: it is no region, covers nothing, or its file cannot be read.

    Example:
        >>> read_region("left", (1, 3))
        tensor([[1.0000, 0.5000, 0.0000]])
    """
    weights = _read_mask(written[1:]) if written.startswith("@") else _read_box(written, shape)
    if not weights.max() > 0:
        raise ParameterError(f"--region {written} covers nothing: it is black everywhere")
    return torch.from_numpy(weights.astype(np.float32))


def _read_box(written: str, shape: Sequence[int]) -> NDArray[np.float64]:
    left, top, right, bottom = _NAMED.get(written.strip()) or _parse_box(written)
    return np.outer(_covered(top, bottom, shape[0]), _covered(left, right, shape[1]))


def _parse_box(written: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = map(float, written.split(","))
    except ValueError as error:
        raise ParameterError(
            f"--region {written!r} is no region; write {', '.join(_NAMED)}, a box"
            " LEFT,TOP,RIGHT,BOTTOM such as 0,0,0.5,1, or a mask as in @mask.png"
        ) from error
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ParameterError(
            f"--region {written!r}: a box is LEFT,TOP,RIGHT,BOTTOM in shares of the image from 0"
            " to 1, with LEFT below RIGHT and TOP below BOTTOM"
        )
    return left, top, right, bottom


def _covered(first: float, last: float, size: int) -> NDArray[np.float64]:
    """(size,) the share of each cell of a line that lies between two shares of its length."""
    edges = np.arange(size + 1) / size
    shares: NDArray[np.float64] = np.minimum(edges[1:], last) - np.maximum(edges[:-1], first)
    return (shares * size).clip(0.0, 1.0)


def _read_mask(path: str) -> NDArray[np.float64]:
    """(y, x) the grey values of an image, black 0 and white 1."""
    from matplotlib.image import imread

    try:
        pixels = np.asarray(imread(Path(path)))
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ParameterError(f"cannot read the mask {path} of --region: {reason}") from error
    whole = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1.0
    grey = pixels.astype(np.float64) / whole
    return grey if grey.ndim == 2 else np.asarray(grey[..., :3].mean(axis=2))
