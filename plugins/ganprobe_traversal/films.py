"""Films: walks as animations, that begin anew without a jump."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe import Animation, frames_of
from ganprobe_traversal import TraversalParams
from ganprobe_traversal.mosaic import as_colour

__all__ = ["film_of", "there_and_back"]

_ABREAST = 8
_BAR, _EDGE = 6, 3  # pixels
_RED = np.array([192, 0, 0], np.uint8)
_GREY, _BLACK = 210, 40


def film_of(
    images: NDArray[np.float32],
    is_outside: NDArray[np.bool_],
    caption: str,
    params: TraversalParams,
    *,
    is_closed: bool = False,
) -> Animation:
    """Walks side by side; a bar tells how far they are, red where they are outside the prior.

    Args:
        images: (row, step, channel, y, x) in [0, 1].
        is_outside: (row, step); such an image has a red frame.
        is_closed: the first step follows on the last; else they go there and back.
    """
    n_rows, n_steps = is_outside.shape
    framed = _framed(images, is_outside)  # (row, step, 3, y, x)
    frames = frames_of(framed, n_rows=math.ceil(n_rows / _ABREAST), gap=1)
    barred = np.concatenate([frames, _bars(frames, is_outside)], axis=1)
    order = list(range(n_steps)) if is_closed else there_and_back(n_steps)
    return Animation(barred[order], caption, params.animate, params.fps)


def there_and_back(n_steps: int) -> list[int]:
    """0, 1, ..., n - 1, ..., 1: neither end stands twice, also when it begins anew."""
    return [*range(n_steps), *range(n_steps - 2, 0, -1)]


def _framed(images: NDArray[np.float32], is_outside: NDArray[np.bool_]) -> NDArray[Any]:
    """The images with white around them, or red."""
    edge = max(1, images.shape[-1] // 28)
    pad = ((0, 0), (0, 0), (edge, edge), (edge, edge), (0, 0))
    colour = np.pad(as_colour(images), pad, constant_values=1.0)
    red = np.zeros(colour.shape[2:4], dtype=np.bool_)
    red[:edge], red[-edge:], red[:, :edge], red[:, -edge:] = True, True, True, True
    colour[is_outside[:, :, None, None] & red] = _RED / 255
    return np.moveaxis(colour, -1, 2)


def _bars(frames: NDArray[np.uint8], is_outside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A bar under each frame, with a mark where it stands."""
    n_steps, _, width, _ = frames.shape
    bars = np.full((n_steps, _BAR + 2 * _EDGE, width, 3), 255, np.uint8)
    place = np.arange(width) * n_steps // width  # the step of each pixel
    line = np.full((width, 3), _GREY, np.uint8)
    line[np.any(is_outside, axis=0)[place]] = _RED
    bars[:, _EDGE : _EDGE + _BAR] = line
    for step in range(n_steps):
        here = np.flatnonzero(place == step)
        middle = (step + 0.5) * width / n_steps
        left, right = (here[0], here[-1] + 1) if len(here) else (int(middle), int(middle) + 1)
        bars[step, _EDGE - 2 : _EDGE + _BAR + 2, left : max(right, left + 4)] = _BLACK
    return bars
