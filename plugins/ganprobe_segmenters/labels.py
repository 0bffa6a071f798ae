"""Labels: the number of a class at each pixel, and the masks that they stand for."""

from __future__ import annotations

import torch
from torch import Tensor


def masks_of(labels: Tensor, n_classes: int) -> Tensor:
    """Masks (n, classes, height, width) bool of labels (n, height, width); others are in none."""
    classes = torch.arange(n_classes, device=labels.device, dtype=labels.dtype)
    return labels[:, None] == classes[:, None, None]


def resized(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (..., height, width) in another size: each pixel has that under its centre."""
    rows, columns = (
        _under_centres(n_there, n_wanted, labels.device)
        for n_there, n_wanted in zip(labels.shape[-2:], size, strict=True)
    )
    return labels[..., rows, :][..., columns]


def _under_centres(n_there: int, n_wanted: int, device: torch.device) -> Tensor:
    # In whole numbers, so that no rounding moves a centre across an edge.
    return (2 * torch.arange(n_wanted, device=device) + 1) * n_there // (2 * n_wanted)
