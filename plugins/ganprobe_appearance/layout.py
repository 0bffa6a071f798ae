"""Layout of images: left against right, and where on them there is something."""

from __future__ import annotations

import torch
from torch import Tensor

from ganprobe_appearance.tones import FAINTEST


def symmetry(light: Tensor) -> Tensor:
    """Correlation (n,) of luminance (n, height, width) with its left-right mirror image."""
    height = light.amax(dim=(1, 2)) - light.amin(dim=(1, 2))
    centred = light - light.mean(dim=(1, 2), keepdim=True)
    common = (centred * centred.flip(2)).sum(dim=(1, 2))
    variation = centred.square().sum(dim=(1, 2)).clamp(min=FAINTEST**2)
    return torch.where(height > FAINTEST, common / variation, 1.0)


def spread(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre from the left, centre from the top, and size of what is on the background, each (n,).

    Squares of distances are taken, so that noise and texture, which are everywhere, hardly pull
    the centre to the middle: noise of a tenth of an object's contrast has a hundredth of its say.
    """
    weights = _distinctness(images)
    is_blank = weights.amax(dim=(1, 2)) < FAINTEST**2
    x, x_variance = _moments(weights.sum(dim=1))
    y, y_variance = _moments(weights.sum(dim=2))
    size = (6.0 * (x_variance + y_variance)).sqrt()  # evenly filled, side s: variances s² / 12
    return (
        torch.where(is_blank, 0.5, x),
        torch.where(is_blank, 0.5, y),
        torch.where(is_blank, 0.0, size),
    )


def _distinctness(images: Tensor) -> Tensor:
    """Squared distance (n, height, width) of each pixel from the median colour of the border."""
    rows, columns = images[..., [0, -1], :].flatten(2), images[..., [0, -1]].flatten(2)
    border = torch.cat([rows, columns], dim=2).sort(dim=2).values  # (n, channels, pixels)
    background = border[..., border.shape[2] // 2, None, None]
    return (images - background).square().mean(dim=1)


def _moments(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, (n,) each, of places 0 to 1 by weights (n, pixels); pixels have width."""
    n_pixels = weights.shape[1]
    places = (torch.arange(n_pixels, device=weights.device) + 0.5) / n_pixels
    shares = weights / weights.sum(dim=1, keepdim=True).clamp(min=FAINTEST**2)
    mean = (shares * places).sum(dim=1)
    variance = (shares * (places - mean[:, None]).square()).sum(dim=1)
    return mean, variance + 1.0 / (12 * n_pixels**2)
