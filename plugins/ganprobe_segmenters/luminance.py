"""Luminance: which parts of an image are dark, and which are bright."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, Segmenter
from ganprobe_segmenters.numbers import read_whole

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 50
_WORDS = {
    2: ("dark", "bright"),
    3: ("dark", "medium", "bright"),
    5: ("very dark", "dark", "medium", "bright", "very bright"),
}


class Luminance(Segmenter):
    """Bands of luminance (ITU-R BT.601), all of the same width from black to white.

    A pixel on the border of two bands is in the brighter one. Two, three and five bands have names,
    as ``very dark``; others are called by what they hold, as ``25-50 %``.

    Args:
        n_bands: 2 to 50; None: five.

    Example:
        >>> import torch
        >>> grey = torch.tensor([0.1, 0.5, 0.9]).view(1, 1, 1, 3)
        >>> Luminance(3)(grey)[0, :, 0].int().tolist()
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """

    name = "luminance"
    summary = "bands from dark to bright, of equal width"
    argument = "BANDS"

    def __init__(self, n_bands: int | None = None) -> None:
        self.n_bands = 5 if n_bands is None else n_bands
        if n_bands is not None:
            self.name = f"luminance:{n_bands}"
        if not 2 <= self.n_bands <= _MOST:
            raise ParameterError(_sentence(str(n_bands)))
        self.classes = _WORDS.get(self.n_bands) or _shares(self.n_bands)
        greys = (round(255 * band / (self.n_bands - 1)) for band in range(self.n_bands))
        self.class_colours = tuple(f"#{grey:02x}{grey:02x}{grey:02x}" for grey in greys)

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        n_bands = read_whole(argument)
        if n_bands is None:
            raise ParameterError(_sentence(argument))
        return Luminance(n_bands)

    def segment(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe import luminance

        light = luminance(images.float())[:, None]  # (n, 1, height, width)
        borders = torch.arange(1, self.n_bands, device=images.device) / self.n_bands
        above = light >= borders[:, None, None]  # (n, bands - 1, height, width)
        at_least = torch.cat([~light.isnan(), above], dim=1)
        below = torch.cat([~above, torch.ones_like(at_least[:, :1])], dim=1)
        return at_least & below


def _shares(n_bands: int) -> tuple[str, ...]:
    borders = [round(100 * band / n_bands) for band in range(n_bands + 1)]
    return tuple(f"{low}-{high} %" for low, high in pairwise(borders))


def _sentence(given: str) -> str:
    return (
        f"segmenter 'luminance' has 2 to {_MOST} bands, got {given!r}; write luminance:5, or"
        " luminance alone"
    )
