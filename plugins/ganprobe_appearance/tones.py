"""Tones of images: luminance, how steeply it changes, and how colourful they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FAINTEST = 1e-5  # smaller differences between pixels, which are 0 to 1, are rounding


def deviation(values: Tensor) -> Tensor:
    """Standard deviation (...) of values (..., height, width) over the image."""
    return (values - values.mean(dim=(-2, -1), keepdim=True)).square().mean(dim=(-2, -1)).sqrt()


def sharpness(light: Tensor) -> Tensor:
    """Mean slope of luminance (n, height, width) over its range, (n,), per pixel.

    Slopes count by their square, so that it is the edges which speak: flat parts have no say, and
    an average of several images, with more but fainter edges, is less sharp than each of them.
    """
    steepness = _slopes(light)
    squares = steepness.square()
    total = squares.sum(dim=(1, 2)).clamp(min=FAINTEST**2)
    typical = (squares * steepness).sum(dim=(1, 2)) / total
    height = light.amax(dim=(1, 2)) - light.amin(dim=(1, 2))
    return torch.where(height > FAINTEST, typical / height.clamp(min=FAINTEST), 0.0)


def colourfulness(images: Tensor) -> Tensor:
    """How colourful images (n, channels, height, width) are, (n,); 0 for other than 3 channels.

    Source: Hasler and Suesstrunk 2003, metric M3, for values from 0 to 255.
    """
    if images.shape[1] != 3:
        return images.new_zeros(len(images))
    red, green, blue = (255.0 * images).unbind(dim=1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue], dim=1)  # (n, 2, h, w)
    deviations, means = deviation(opponents), opponents.mean(dim=(2, 3))  # (n, 2) each
    return torch.hypot(*deviations.unbind(1)) + 0.3 * torch.hypot(*means.unbind(1))


def _slopes(light: Tensor) -> Tensor:
    """Slopes (n, height + 1, width + 1) at the corners where four pixels meet.

    From the four differences around each corner: the same for mirrored and turned images.
    """
    framed = functional.pad(light.unsqueeze(1), (1, 1, 1, 1), mode="replicate").squeeze(1)
    across = framed.diff(dim=2).square()
    down = framed.diff(dim=1).square()
    four = across[:, 1:] + across[:, :-1] + down[:, :, 1:] + down[:, :, :-1]
    return (four / 2).sqrt()
