"""Appearance: how an image looks, in numbers that need no classifier.

A few passes over the pixels: some 3 ms for an image of 256 x 256 in colour on one core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganprobe import Measure, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class Appearance(Measure):
    """How an image looks: tones, colours, and where on the image there is something.

    Images (n, channels, height, width) of any size, floats from black 0 to white 1. Three channels
    are red, green and blue; of any other number, luminance is the mean. The columns:

    - ``brightness``: mean luminance, 0 to 1.
    - ``contrast``: standard deviation of luminance, 0 to 0.5.
    - ``sharpness``: how steep the edges are, in shares of the image's range of luminance per
      pixel: 1 for hard steps, 1 / w for ramps w pixels wide, 0 without contrast, at most 1.42.
      Neither brightness nor contrast changes it. Grain counts as edges.
    - ``colourfulness``: 0 for grey, 15 for slightly, 33 moderately, 59 quite and 109 extremely
      colourful, by people's judgement.
    - ``symmetry``: correlation of the luminance with its left-right mirror image, -1 to 1; 1 for
      an image that is its own mirror image, as one without contrast is.
    - ``centre-x``, ``centre-y``: centre of what differs from the background, in shares of the width
      from the left and of the height from the top, 0 to 1; 0.5 where nothing differs.
    - ``size``: how far that spreads, as the side of a square that spreads as far, in shares of the
      image's side: 0 where nothing differs, 1 for what fills the image evenly, at most 1.74.

    What differs from the background counts by its squared distance, over all channels, from the
    median colour of the outermost pixels.

    Example:
        >>> import torch
        >>> square = torch.zeros(1, 1, 8, 8)
        >>> square[..., 2:6, 4:8] = 1.0
        >>> values = Appearance()(square)[0]
        >>> for column in ("brightness", "centre-x", "centre-y", "size"):
        ...     print(column, round(values[Appearance.columns.index(column)].item(), 3))
        brightness 0.25
        centre-x 0.75
        centre-y 0.5
        size 0.5

    Source: Hasler and Suesstrunk 2003, "Measuring colourfulness in natural images", section 6, for
    ``colourfulness``; ITU-R BT.601 for luminance, 0.299 R + 0.587 G + 0.114 B.
    """

    name = "appearance"
    summary = "brightness, contrast, sharpness, colourfulness, symmetry, place and size; any image"
    columns = (
        "brightness",
        "contrast",
        "sharpness",
        "colourfulness",
        "symmetry",
        "centre-x",
        "centre-y",
        "size",
    )

    def measure(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe import luminance
        from ganprobe_appearance.layout import spread, symmetry
        from ganprobe_appearance.tones import colourfulness, deviation, sharpness

        images = images.float()
        light = luminance(images)  # (n, height, width)
        values = [
            light.mean(dim=(1, 2)),
            deviation(light),
            sharpness(light),
            colourfulness(images),
            symmetry(light),
            *spread(images),
        ]
        return torch.stack(values, dim=1)  # (n, 8)


@hookimpl
def register_measures() -> list[Measure]:
    """``appearance``."""
    return [Appearance()]
