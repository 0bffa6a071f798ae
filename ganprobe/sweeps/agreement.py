"""Agreement: whether two ways to the same images give the same, to rounding."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["difference", "tolerance"]

_ROUNDING_ERRORS = 200
_MOST = 0.05


def difference(images: Tensor, expected: Tensor) -> float:
    """The largest difference, over the largest value expected; infinite where only one is finite.

    Example:
        >>> difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        0.5
    """
    if images.shape != expected.shape:
        return float("inf")
    if not expected.is_floating_point():
        images, expected = images.double(), expected.double()
    apart = torch.where(_is_same(images, expected), 0.0, (images - expected).abs())
    scale = torch.where(expected.isfinite(), expected, 0.0).abs().max()
    largest = float(apart.nan_to_num(nan=float("inf")).max())
    return largest / max(float(scale), torch.finfo(expected.dtype).tiny)


def tolerance(images: Tensor) -> float:
    """The difference that rounding may make: a batch is summed in another order than one sample.

    Two hundred times the rounding of the dtype, on CUDA, where convolutions may use it, that of
    TensorFloat-32; nothing for whole numbers.
    """
    if not images.is_floating_point():
        return 0.0
    rounding = torch.finfo(images.dtype).eps
    if images.is_cuda and images.dtype == torch.float32 and torch.backends.cudnn.allow_tf32:
        rounding = 2.0**-11
    return min(_ROUNDING_ERRORS * rounding, _MOST)


def _is_same(images: Tensor, expected: Tensor) -> Tensor:
    return (images == expected) | (images.isnan() & expected.isnan())
