"""Tones: how light the pixels of an image are."""

from __future__ import annotations

from torch import Tensor

__all__ = ["luminance"]

_RED_GREEN_BLUE = (0.299, 0.587, 0.114)


def luminance(images: Tensor) -> Tensor:
    """Luminance (n, height, width) of images (n, channels, height, width), both 0 to 1.

    Three channels are red, green and blue; of any other number it is the mean.

    Source: ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.

    Example:
        >>> import torch
        >>> luminance(torch.eye(3).view(3, 3, 1, 1)).flatten()
        tensor([0.2990, 0.5870, 0.1140])
    """
    if images.shape[1] != 3:
        return images.mean(dim=1)
    weights = images.new_tensor(_RED_GREEN_BLUE).view(3, 1, 1)
    return (images * weights).sum(dim=1)
