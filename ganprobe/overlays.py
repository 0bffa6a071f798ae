"""Overlays: areas marked on an image, so that one sees where a unit is active or a class lies.

An area is marked by a line along its inner edge, by a tint, or by both. Images are enlarged by a
whole factor first, so that the line is thin and every pixel stays what it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from ganprobe.errors import ParameterError

__all__ = ["mark_area"]

_WIDE = 256  # pixels, about, of an image that is marked
_LINE = 64  # a line is this part of the image wide


def mark_area(
    image: NDArray[Any],
    area: NDArray[Any],
    colour: str,
    *,
    tint: float = 0.0,
    line: bool = True,
) -> NDArray[np.float32]:
    """An image with an area marked on it, in colour, enlarged to 256 pixels or more.

    What it gives can be given to it again, to mark a second area.

    Args:
        image: (channels, y, x) or (y, x) in [0, 1], grey or of three colours.
        area: (y, x) bool, of the image's size or a whole number of times smaller.
        colour: of the mark, as matplotlib has them.
        tint: how much of the colour is laid over the area, from 0 to 1.
        line: draw a line along the edge, inside the area.

    Returns:
        (3, Y, X) float32 in [0, 1].

    Raises:
        ParameterError: the area does not fit the image.

    Example:
        >>> import numpy as np
        >>> area = np.zeros((64, 64), bool)
        >>> area[16:32, 16:32] = True
        >>> marked = mark_area(np.zeros((64, 64)), area, "#ffffff")
        >>> marked.shape, float(marked[0, 64, 64]), float(marked[0, 96, 96])
        ((3, 256, 256), 1.0, 0.0)
    """
    plain = _enlarged(_in_colour(image), max(1, round(_WIDE / image.shape[-1])))
    inside = _fitted(np.asarray(area, dtype=bool), plain)
    ink = np.array(to_rgb(colour), dtype=np.float32)[:, None]
    marked = plain.copy()
    marked[:, inside] = (1 - tint) * marked[:, inside] + tint * ink
    if line:
        marked[:, _edge(inside, max(1, plain.shape[2] // _LINE))] = ink
    return marked


def _in_colour(image: NDArray[Any]) -> NDArray[np.float32]:
    """(3, y, x) in [0, 1]."""
    held = np.asarray(image, dtype=np.float32).clip(0.0, 1.0)
    shaped = held if held.ndim == 3 else held[None]
    return shaped if len(shaped) == 3 else np.repeat(shaped[:1], 3, axis=0)


def _enlarged(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """Every pixel as a square of so many."""
    return image.repeat(factor, axis=-2).repeat(factor, axis=-1)


def _fitted(area: NDArray[np.bool_], image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The area at the size of the enlarged image."""
    factor, left_over = divmod(image.shape[2], area.shape[-1])
    if area.ndim != 2 or left_over or area.shape[0] * factor != image.shape[1]:
        raise ParameterError(
            f"an area {area.shape} cannot be marked on an image that is drawn as"
            f" {image.shape[1:]}; give one of the image's own size (y, x)"
        )
    return _enlarged(area, factor)


def _edge(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The outermost pixels of an area; what lies at the image's border is outermost too."""
    core = np.pad(inside, width)
    for _ in range(width):
        shrunk = core.copy()
        for axis in (0, 1):
            for step in (1, -1):
                shrunk &= np.roll(core, step, axis)
        core = shrunk
    return inside & ~core[width:-width, width:-width]
