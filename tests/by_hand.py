"""What each intervention does, written out with loops, independent of the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganprobe import Ablate, Apply, Intervention, Patch, Recording, Scale, Shift, Site, Swap

__all__ = ["KINDS", "Case", "Place", "blend", "cell_means"]


@dataclass(frozen=True)
class Case:
    """An intervention, and what it makes of an activation at full strength, unit by unit."""

    intervention: Intervention
    outcome: Callable[[Tensor], Tensor]


def blend(
    activation: Tensor,
    outcome: Tensor,
    *,
    axis: int,
    units: list[int],
    strength: float = 1.0,
    region: Tensor | None = None,
) -> Tensor:
    """(1 - a) x + a y, one unit and one sample at a time."""
    edited = activation.clone()
    for unit in units:
        for sample in range(len(activation)):
            here = activation[sample].select(axis - 1, unit)
            there = outcome[sample].select(axis - 1, unit)
            weight = torch.full_like(here, strength)
            if region is not None:
                weight = weight * cell_means(region.to(here.dtype), tuple(here.shape))
            edited[sample].select(axis - 1, unit).copy_((1 - weight) * here + weight * there)
    return edited


def cell_means(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The mean of a mask over each cell of a grid, where one size divides the other."""
    means = mask
    for axis, size in enumerate(shape):
        n = means.shape[axis]
        if n >= size:
            assert n % size == 0
            pieces = [piece.mean(axis, keepdim=True) for piece in means.chunk(size, axis)]
            means = torch.cat(pieces, axis)
        else:
            assert size % n == 0
            means = means.repeat_interleave(size // n, axis)
    return means


def along(values: Tensor, activation: Tensor, axis: int, units: list[int]) -> Tensor:
    """One value for each unit, everywhere in the shape of the activation; 0 for other units."""
    spread = torch.zeros_like(activation)
    for value, unit in zip(values, units, strict=True):
        spread.select(axis, unit).fill_(float(value))
    return spread


def whole(values: Tensor, shape: torch.Size, axis: int, units: list[int]) -> Tensor:
    """Values of the chosen units in their place in the whole activation."""
    spread = torch.zeros(shape, dtype=values.dtype)
    for position, unit in enumerate(units):
        spread.select(axis, unit).copy_(values.select(axis, position))
    return spread


@dataclass(frozen=True)
class Place:
    """Where an intervention is made: a site, its shape with the batch, and units on an axis.

    Args:
        more: region and strength, as the interventions take them.
    """

    site: Site
    shape: torch.Size
    axis: int
    units: list[int]
    more: dict[str, Any]

    def spread(self, values: Tensor, activation: Tensor) -> Tensor:
        """One value for each unit, everywhere in the shape of the activation."""
        return along(values, activation, self.axis, self.units)


Make = Callable[[Place], Case]


def _ablate(at: Place) -> Case:
    return Case(Ablate(at.site, units=at.units, **at.more), torch.zeros_like)


def _ablate_levels(at: Place) -> Case:
    levels = torch.randn(len(at.units), dtype=torch.float64)
    edit = Ablate(at.site, to=levels.tolist(), units=at.units, **at.more)
    return Case(edit, lambda x: at.spread(levels, x))


def _ablate_mean(at: Place) -> Case:
    def means(x: Tensor) -> Tensor:
        return at.spread(torch.stack([x.select(at.axis, unit).mean() for unit in at.units]), x)

    return Case(Ablate(at.site, to="mean", units=at.units, **at.more), means)


def _ablate_recorded(at: Place) -> Case:
    before = torch.randn((7, *at.shape[1:]), dtype=torch.float64)
    means = torch.stack([before.select(at.axis, unit).mean() for unit in at.units])
    edit = Ablate(at.site, to=Recording({at.site: before}), units=at.units, **at.more)
    return Case(edit, lambda x: at.spread(means, x))


def _scale(at: Place) -> Case:
    factors = torch.randn(len(at.units), dtype=torch.float64)
    edit = Scale(at.site, by=factors.tolist(), units=at.units, **at.more)
    return Case(edit, lambda x: x * at.spread(factors, x))


def _shift(at: Place) -> Case:
    direction = torch.randn(len(at.units), dtype=torch.float64)
    edit = Shift(at.site, direction=direction, amount=1.5, units=at.units, **at.more)
    return Case(edit, lambda x: x + 1.5 * at.spread(direction, x))


def _shift_maps(at: Place) -> Case:
    direction = torch.randn(at.shape[1:], dtype=torch.float64)
    edit = Shift(at.site, direction=direction, amount=-0.5, units=at.units, **at.more)
    return Case(edit, lambda x: x - 0.5 * direction.expand_as(x))


def _patch(at: Place) -> Case:
    values = torch.randn(at.shape, dtype=torch.float64)
    return Case(Patch(at.site, values=values, units=at.units, **at.more), lambda x: values)


def _patch_sample(at: Place) -> Case:
    own = [1, *at.shape[1:]]
    own[at.axis] = len(at.units)
    values = torch.randn(own, dtype=torch.float64)
    edit = Patch(at.site, values=values[0], units=at.units, **at.more)
    return Case(edit, lambda x: whole(values.expand(len(x), *own[1:]), x.shape, at.axis, at.units))


def _swap(at: Place) -> Case:
    donor = torch.randn(at.shape, dtype=torch.float64)
    edit = Swap(at.site, donor=Recording({at.site: donor}), units=at.units, **at.more)
    return Case(edit, lambda x: donor)


def _exchange(at: Place) -> Case:
    order = torch.randperm(at.shape[0])
    edit = Swap(at.site, donor=order.tolist(), units=at.units, **at.more)
    return Case(edit, lambda x: x[order])


def _apply(at: Place) -> Case:
    return Case(Apply(at.site, function=torch.tanh, units=at.units, **at.more), torch.tanh)


KINDS: dict[str, Make] = {
    "ablate to zero": _ablate,
    "ablate to a level for each unit": _ablate_levels,
    "ablate to the batch's mean": _ablate_mean,
    "ablate to a recording's mean": _ablate_recorded,
    "scale": _scale,
    "shift along units": _shift,
    "shift along maps": _shift_maps,
    "patch each sample": _patch,
    "patch all samples alike": _patch_sample,
    "swap with a recording": _swap,
    "swap within the batch": _exchange,
    "apply": _apply,
}
"""Every intervention: from a place to a case with random values."""
