"""Edges: where an image changes, and which way that runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ganprobe import Measure, Segmenter
from ganprobe_segmenters.numbers import read_per_cent

if TYPE_CHECKING:
    from torch import Tensor

_STEEPEST = 10.0
_TILT = math.tan(math.pi / 8)  # halfway between an axis and a diagonal


class Edges(Segmenter):
    """Edges and what is flat; and of the edges, those that run across, up and down, or aslant.

    An edge is where the image changes by more than the threshold from one pixel to the next, by
    Sobel's operator, in the channel that changes most. Every edge is horizontal, vertical or
    diagonal as well: within 22.5 degrees of that. A hard step from black to white is 50 % on
    either side of it.

    Args:
        threshold: per cent of the way from black to white, per pixel; None: 10.

    Source: Sobel's 3 x 3 operator, divided by 8; the steepest channel as in Dalal and Triggs 2005,
    "Histograms of oriented gradients", section 6.2.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 1, 5, 4)
        >>> halves[..., 2:] = 1.0
        >>> masks = Edges()(halves)[0]
        >>> masks[Edges.classes.index("vertical"), 0].tolist()
        [False, True, True, False]
    """

    name = "edges"
    summary = "flat and edge; horizontal, vertical and diagonal edges"
    argument = "PER-CENT"
    classes = ("flat", "edge", "horizontal", "vertical", "diagonal")
    class_colours = ("#d9d9d9", "#222222", "#1f77b4", "#d62728", "#2ca02c")

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = (_STEEPEST if threshold is None else threshold) / 100
        if threshold is not None:
            self.name = f"edges:{threshold:g}"

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        return Edges(read_per_cent(argument, "edges", "the threshold"))

    def segment(self, images: Tensor) -> Tensor:
        import torch

        across, down = _gradient(images.float())  # (n, height, width)
        is_edge = torch.hypot(across, down) > self.threshold
        is_horizontal = is_edge & (across.abs() <= _TILT * down.abs())
        is_vertical = is_edge & (down.abs() <= _TILT * across.abs())
        is_diagonal = is_edge & ~is_horizontal & ~is_vertical
        return torch.stack([~is_edge, is_edge, is_horizontal, is_vertical, is_diagonal], dim=1)


def _gradient(images: Tensor) -> tuple[Tensor, Tensor]:
    """Slope across and slope down (n, height, width), each of the channel that is steepest."""
    from torch.nn import functional

    framed = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across, down = framed.diff(dim=3), framed.diff(dim=2)
    across = _smoothed(across[..., 1:] + across[..., :-1], dim=2) / 8
    down = _smoothed(down[:, :, 1:] + down[:, :, :-1], dim=3) / 8
    steepest = (across.square() + down.square()).argmax(dim=1, keepdim=True)
    return across.gather(1, steepest).squeeze(1), down.gather(1, steepest).squeeze(1)


def _smoothed(values: Tensor, dim: int) -> Tensor:
    """Weighted 1, 2, 1 along a dimension, which becomes two shorter."""
    n = values.shape[dim] - 2
    first, middle, last = (values.narrow(dim, start, n) for start in range(3))
    return first + 2 * middle + last
