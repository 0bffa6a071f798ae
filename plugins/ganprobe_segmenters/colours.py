"""Colours: which parts of an image are red, blue, grey."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, Segmenter

if TYPE_CHECKING:
    from torch import Tensor

_SHADES = {
    "black": ("#000000",),
    "grey": ("#929591", "#d8dcd6", "#363737"),
    "white": ("#ffffff",),
    "red": ("#e50000", "#ff474c", "#840000"),
    "orange": ("#f97306", "#fdaa48", "#c65102"),
    "yellow": ("#ffff14", "#fffe7a", "#d5b60a"),
    "green": ("#15b01a", "#96f97b", "#033500"),
    "blue": ("#0343df", "#95d0fc", "#00035b"),
    "purple": ("#7e1e9c", "#bf77f6", "#35063e"),
    "pink": ("#ff81c0", "#ffd1df", "#cb416b"),
    "brown": ("#653700", "#ad8150", "#341c02"),
}
"""Each basic colour, then light and dark."""


class Colours(Segmenter):
    """The colour that each pixel has: of a palette, the nearest in CIELAB.

    Without a palette, the eleven basic colours. Of most there is also what is called light and
    dark, so that a pale sky is blue and not grey. The classes are the same for all images; nothing
    is fitted. Images of one channel are grey.

    Args:
        palette: names of colours that matplotlib knows, or hexadecimal, as ``#ff0000`` or
            ``ff0000``; None: the basic colours.

    Source: Berlin and Kay 1969, "Basic color terms", for the eleven; the colour survey of xkcd
    (Munroe 2010, 222,500 people) for what their names, and light and dark, stand for.

    Example:
        >>> import torch
        >>> pixels = torch.tensor([[0.9, 0.1, 0.1], [0.6, 0.8, 1.0]]).T.view(1, 3, 1, 2)
        >>> masks = Colours()(pixels)
        >>> [Colours().classes[place] for place in masks[0, :, 0].int().argmax(dim=0)]
        ['red', 'blue']
    """

    name = "colours"
    summary = "the eleven basic colours, or those of a palette; the nearest in CIELAB"
    argument = "COLOUR,COLOUR,..."

    def __init__(self, palette: tuple[str, ...] | None = None) -> None:
        if palette is None:
            shades = list(_SHADES.items())
        else:
            shades = [(colour, (_hexadecimal(colour),)) for colour in palette]
            self.name = f"colours:{','.join(palette)}"
            _check_palette(palette, shades)
        self.classes = tuple(name for name, _ in shades)
        self.class_colours = tuple(own[0] for _, own in shades)
        self._shades = [(place, shade) for place, (_, own) in enumerate(shades) for shade in own]

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        return Colours(tuple(colour.strip() for colour in argument.split(",")))

    def segment(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe_segmenters.lab import lab
        from ganprobe_segmenters.labels import masks_of

        seen = lab(_in_colour(images.float()))  # (n, 3, height, width)
        colours = lab(torch.stack([seen.new_tensor(_channels(shade)) for _, shade in self._shades]))
        nearest = seen.new_full((len(seen), *seen.shape[2:]), torch.inf)
        labels = torch.full_like(nearest, -1, dtype=torch.int16)
        for (place, _), colour in zip(self._shades, colours, strict=True):
            distance = (seen - colour[:, None, None]).square().sum(dim=1)
            is_nearer = distance < nearest  # so that the first of several is taken
            nearest = torch.where(is_nearer, distance, nearest)
            labels.masked_fill_(is_nearer, place)
        return masks_of(labels, len(self.classes))


def _in_colour(images: Tensor) -> Tensor:
    if images.shape[1] not in (1, 3):
        raise ParameterError(
            f"segmenter 'colours' takes images of 1 or 3 channels, got {images.shape[1]}"
        )
    return images.expand(-1, 3, -1, -1)


def _channels(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def _hexadecimal(colour: str) -> str:
    """As ``#rrggbb``, without what it says of transparency."""
    from matplotlib.colors import is_color_like, to_hex

    for written in (f"#{colour}", colour):
        if is_color_like(written) and not _means_something_else(written):
            return to_hex(written)
    raise ParameterError(
        f"{colour!r} is no colour for segmenter 'colours'; write names or hexadecimal, as in"
        " colours:red,skyblue,00ff00"
    )


def _means_something_else(written: str) -> bool:
    """Whether matplotlib takes it for a level of grey, as ``0.5``, or for nothing, as ``none``."""
    return written.lower() == "none" or written[:1] in (*"0123456789.+-",)


def _check_palette(palette: tuple[str, ...], shades: list[tuple[str, tuple[str, ...]]]) -> None:
    colours = [own[0] for _, own in shades]
    if len(palette) < 2:
        raise ParameterError(
            f"segmenter 'colours' needs two colours or more, got {','.join(palette)!r}; write"
            " colours:red,blue"
        )
    for written, colour in zip(palette, colours, strict=True):
        if colours.count(colour) > 1:
            raise ParameterError(
                f"segmenter 'colours' is given {written!r} ({colour}) twice; name each colour once"
            )
