"""Interpolation between points of a space: straight, or along the sphere.

A straight line between two normal latents runs through points of smaller norm than the prior's:
at its middle by the square root of 2 for many dimensions. The way along the sphere does not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganprobe.errors import ShapeError

__all__ = ["lerp", "renormalised", "slerp"]

_PARALLEL = 1e-6  # radians within which straight and along the sphere are the same


def lerp(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Points on the straight line from `start` (share 0) to `end` (share 1).

    Args:
        start, end: (\\*shape) of one point each.
        shares: (steps,); beyond [0, 1] the line goes on.

    Returns:
        (steps, \\*shape); shares of 0 and 1 give the two points to the last bit.

    Raises:
        ShapeError: the two have different shapes.

    Example:
        >>> lerp(torch.zeros(2), torch.ones(2), torch.tensor([0.0, 0.25]))
        tensor([[0.0000, 0.0000],
                [0.2500, 0.2500]])
    """
    _check_shapes(start, end)
    along = _column(shares, start)
    return _with_ends((1 - along) * start + along * end, start, end, along)


def slerp(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Points on the way along the sphere from `start` to `end`, at even angles.

    The angle is that between the two, seen from 0; the norm goes evenly from the one's to the
    other's. Where the two have the same direction, this is the straight line.

    Args:
        start, end: (\\*shape) of one point each.
        shares: (steps,); beyond [0, 1] the way goes on around.

    Returns:
        (steps, \\*shape); shares of 0 and 1 give the two points to the last bit.

    Raises:
        ShapeError: the two have different shapes, or are exact opposites, or one of them is 0:
            then there is no one way.

    Source: Shoemake 1985, section 3.3; for latents White 2016 (arXiv 1609.04468), section 2.1.

    Example:
        >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5]))
        tensor([[0.7071, 0.7071]])
    """
    _check_shapes(start, end)
    ends = torch.stack([start.flatten(), end.flatten()]).double()
    norms = ends.norm(dim=1)
    if not (norms > 0).all():
        raise ShapeError("there is no way along the sphere from or to a point that is all 0")
    first, last = ends / norms[:, None]
    angle = 2 * torch.atan2((first - last).norm(), (first + last).norm())
    if torch.pi - angle < _PARALLEL:
        raise ShapeError("there is no one way along the sphere between opposite points")
    if angle < _PARALLEL:
        return lerp(start, end, shares)
    along = shares.reshape(-1, 1).to(ends)
    mixed = torch.sin((1 - along) * angle) * first + torch.sin(along * angle) * last
    points = mixed / torch.sin(angle) * ((1 - along) * norms[0] + along * norms[1])
    shaped = points.to(start.dtype).reshape(-1, *start.shape)
    return _with_ends(shaped, start, end, _column(shares, start))


def renormalised(points: Tensor, norm: float | Tensor) -> Tensor:
    """The points (n, \\*shape) with this Euclidean norm each; a point that is all 0 stays.

    Example:
        >>> renormalised(torch.tensor([[3.0, 4.0]]), 10.0)
        tensor([[6., 8.]])
    """
    flat = points.flatten(1)
    own = flat.norm(dim=1, keepdim=True)
    scaled = flat / torch.where(own > 0, own, 1.0) * norm
    return scaled.reshape(points.shape)


def _column(shares: Tensor, point: Tensor) -> Tensor:
    return shares.reshape(-1, *[1] * point.ndim).to(point)


def _with_ends(points: Tensor, start: Tensor, end: Tensor, along: Tensor) -> Tensor:
    """The points, with those at shares 0 and 1 as they were given."""
    exact = torch.where(along == 0, start, points)
    return torch.where(along == 1, end, exact)


def _check_shapes(start: Tensor, end: Tensor) -> None:
    if start.shape != end.shape:
        raise ShapeError(
            f"points of one space are of one shape, got {tuple(start.shape)} and {tuple(end.shape)}"
        )
