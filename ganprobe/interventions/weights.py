"""How much of an outcome is taken, and where: strength times region, on the site's grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe.errors import ShapeError
from ganprobe.interventions.shapes import Held, along_units
from ganprobe.sites import SiteTensor

__all__ = ["Weight"]

_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class _Grid:
    """A region on one grid: its weights there, and the same as booleans where they are."""

    key: tuple[object, ...]
    weights: Tensor
    mask: Tensor | None


class Weight:
    """The share a of each value that is taken from an outcome, the rest staying as it is."""

    def __init__(
        self, strength: Held | None, region: Tensor | None, tensor: SiteTensor, number: float
    ) -> None:
        self._strength = strength
        self._region, self._tensor = region, tensor
        self._number = number
        self._grid = _Grid((), torch.empty(0), None)

    @classmethod
    def of(
        cls,
        strength: float | tuple[float, ...] | Tensor,
        region: Tensor | None,
        tensor: SiteTensor,
    ) -> Weight | None:
        """None where everything is taken, everywhere.

        Raises:
            ShapeError: region or strengths do not fit the tensor.
        """
        is_full = isinstance(strength, float) and strength == 1.0
        if region is None and is_full:
            return None
        if region is not None:
            _check_axes(region, tensor)
        held = None if is_full else along_units(strength, tensor, "strengths")
        number = strength if isinstance(strength, float) else 0.0
        return cls(held, region, tensor, number)

    def blend(self, activation: Tensor, outcome: Tensor) -> Tensor:
        """(1 - a) * activation + a * outcome; exactly one of the two where a is 0 or 1.

        Raises:
            ShapeError: the region has another number of samples than the activation.
        """
        weight: Tensor | None = None
        if self._region is not None:
            grid = self._on_grid_of(activation, self._region)
            if grid.mask is not None and self._strength is None:
                return torch.where(grid.mask, outcome, activation)
            weight = grid.weights
        if self._strength is not None:
            strength = self._strength.like(activation)
            weight = strength if weight is None else strength * weight
        assert weight is not None
        if activation.is_complex():
            blended = activation + weight * (outcome - activation)
        else:
            blended = torch.lerp(activation, outcome.expand_as(activation), weight)
        if weight.requires_grad or (not weight.ndim and 0.0 < self._number < 1.0):
            return blended
        return torch.where(weight == 0, activation, torch.where(weight == 1, outcome, blended))

    def _on_grid_of(self, activation: Tensor, region: Tensor) -> _Grid:
        axes = [axis for axis in range(1, activation.ndim) if axis != self._tensor.unit_axis]
        shape = tuple(activation.shape[axis] for axis in axes)
        if region.ndim > len(shape) and len(region) != len(activation):
            raise ShapeError(
                f"{len(region)} regions were given for {len(activation)} samples at"
                f" {self._tensor.site}; give one for each, or one without a batch axis"
            )
        key = (shape, activation.device, activation.dtype)
        if self._grid.key != key or region.requires_grad:
            self._grid = self._make_grid(key, region, shape, activation)
        return self._grid

    def _make_grid(
        self, key: tuple[object, ...], region: Tensor, shape: tuple[int, ...], activation: Tensor
    ) -> _Grid:
        resized = _resized(region, shape).unsqueeze(self._tensor.unit_axis)
        if not region.requires_grad:
            resized = _snapped(resized)
        is_hard = not region.requires_grad and bool(((resized == 0) | (resized == 1)).all())
        mask = resized.bool().to(activation.device) if is_hard else None
        return _Grid(key, resized.to(activation.device, activation.dtype), mask)


def _check_axes(region: Tensor, tensor: SiteTensor) -> None:
    shape = tensor.spatial_shape
    if not shape:
        raise ShapeError(f"{tensor.site.whole} has no space for a region; leave out region=...")
    if region.ndim not in (len(shape), len(shape) + 1):
        raise ShapeError(
            f"a region at {tensor.site.whole} has {len(shape)} axes, as its {shape}, or one more"
            f" for the samples, got {tuple(region.shape)}"
        )


def _resized(region: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The mean of the region over the area of each cell of a grid, (1 or n, ...)."""
    masks = region[None] if region.ndim == len(shape) else region
    for axis, size in enumerate(shape, start=1):
        if masks.shape[axis] != size:
            shares = _shares(masks.shape[axis], size).to(masks.device, masks.dtype)
            masks = torch.movedim(torch.tensordot(masks, shares, dims=([axis], [1])), -1, axis)
    return masks


def _snapped(weights: Tensor) -> Tensor:
    """The same, where a sum of shares that rounding left beside 0 or 1 is just that."""
    whole = weights.round()
    return torch.where((weights - whole).abs() < _ROUNDING, whole, weights)


def _shares(n: int, size: int) -> Tensor:
    """(size, n): which share of each of `size` cells each of `n` pieces of a line covers."""
    cells = torch.arange(size + 1, dtype=torch.float64) / size
    pieces = torch.arange(n + 1, dtype=torch.float64) / n
    first = torch.maximum(cells[:-1, None], pieces[None, :-1])
    last = torch.minimum(cells[1:, None], pieces[None, 1:])
    return (last - first).clamp(min=0.0) * size
