"""Courses: how far an edit has come at each stop, one number for each sample, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """One edit of some samples, along the route; NaN where the destination is no other place.

    Args:
        distance: (stop, sample) |h' - h|.
        progress: (stop, sample) <h' - h, hd - h> / |hd - h|².
        residual: (stop, sample) |(h' - h) - progress (hd - h)| / |hd - h|.
    """

    distance: Floats
    progress: Floats
    residual: Floats


def follow(
    base: Sequence[Tensor], destination: Sequence[Tensor], moved: Sequence[Tensor]
) -> Course:
    """The course of an edit, from what three runs (n, ...) have at each stop."""
    stops = [_at_stop(*tensors) for tensors in zip(base, destination, moved, strict=True)]
    distance, progress, residual = np.moveaxis(np.stack(stops), 1, 0)
    return Course(distance, progress, residual)


def distances(base: Sequence[Tensor], moved: Sequence[Tensor]) -> Floats:
    """(stop, sample) |h' - h|."""
    return np.stack([_norm(rows(b) - rows(a)) for a, b in zip(base, moved, strict=True)])


def norms(tensors: Sequence[Tensor]) -> Floats:
    """(stop, sample) |h|."""
    return np.stack([_norm(rows(tensor)) for tensor in tensors])


def rows(tensor: Tensor) -> Tensor:
    """(n, values) float64."""
    return tensor.flatten(1).double()


def _at_stop(base: Tensor, destination: Tensor, moved: Tensor) -> Floats:
    """(3, n): distance, progress, residual."""
    start = rows(base)
    change, whole = rows(moved) - start, rows(destination) - start
    square = whole.square().sum(1)
    rounding = torch.finfo(base.dtype).eps * start.norm(dim=1)
    square = torch.where(square.sqrt() > rounding, square, torch.nan)
    progress = (change * whole).sum(1) / square
    aside = (change - progress[:, None] * whole).norm(dim=1) / square.sqrt()
    return torch.stack([change.norm(dim=1), progress, aside]).cpu().numpy()


def _norm(values: Tensor) -> Floats:
    found: Floats = values.norm(dim=1).cpu().numpy()
    return found
