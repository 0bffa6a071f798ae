"""Ways: the dimensions or directions of a space that points are walked along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import DirectionSet, Extent, ParameterError, Space

__all__ = ["AxisWays", "DirectionWays", "Floats", "Ways", "steps_outside"]

Floats = NDArray[np.float64]

_USUAL_DEVIATIONS = 3.0
_ROUNDING = 1e-6


class Ways(Protocol):
    """Several ways through one space, each a coordinate that a point moves along.

    Attributes:
        keys: the number of each dimension, or the name of each direction.
        is_absolute: a step is the coordinate's value; else it is how many standard deviations
            the point is moved from its base, so that step 0 is the base.
        deviations: (way,) of the prior's coordinates, in the space's unit.
    """

    @property
    def keys(self) -> tuple[int, ...] | tuple[str, ...]: ...

    @property
    def is_absolute(self) -> bool: ...

    @property
    def deviations(self) -> Floats: ...

    def title(self, way: int) -> str:
        """Of a figure: ``Latent dimension 3``."""

    def short(self, way: int) -> str:
        """In a sentence: ``Dimension 3``."""

    def axis(self, way: int) -> str:
        """What the steps are, under an axis."""

    def coordinates(self, points: Tensor) -> Tensor:
        """(n, ways) where points (n, \\*shape) stand along each way."""

    def move(self, points: Tensor, ways: Tensor, steps: Tensor) -> Tensor:
        """Points (n, \\*shape) moved, each along its way (n,) by or to its step (n,)."""

    def usual(self, way: int) -> tuple[float, float]:
        """The coordinates that the prior usually has."""


@dataclass(frozen=True, eq=False)
class AxisWays:
    """Dimensions of a space: numbers of z or w, units of a site.

    A unit moves by the same everywhere in its map.
    """

    space: Space
    extent: Extent
    keys: tuple[int, ...]

    @property
    def is_absolute(self) -> bool:
        return self.space.is_latent

    @property
    def deviations(self) -> Floats:
        chosen: Floats = self.extent.deviations.numpy()[list(self.keys)]
        return chosen

    def title(self, way: int) -> str:
        if self.space.is_latent:
            return f"Latent dimension {self.keys[way]}"
        return f"Dimension {self.space.axis_name(self.keys[way])}"

    def short(self, way: int) -> str:
        name = self.keys[way] if self.space.is_latent else self.space.axis_name(self.keys[way])
        return f"Dimension {name}"

    def axis(self, way: int) -> str:
        name = self.space.axis_name(self.keys[way])
        if self.is_absolute:
            return f"value of {name}"
        return f"change of {name} in standard deviations of {self.deviations[way]:.3g}"

    def coordinates(self, points: Tensor) -> Tensor:
        return self.space.coordinates(points)[:, list(self.keys)]

    def move(self, points: Tensor, ways: Tensor, steps: Tensor) -> Tensor:
        moved, rows = points.clone(), torch.arange(len(points), device=points.device)
        axes = torch.tensor(self.keys, device=points.device)[ways]
        if self.is_absolute:
            moved.view(len(points), -1)[rows, axes] = steps.to(points)
            return moved
        scales = torch.from_numpy(self.deviations).to(points.device)[ways]
        amounts = (steps * scales).to(points)  # (n,)
        by_axis = moved.flatten(1)  # a view: numbers of w are its axes
        if self.space.unit_axis is not None:
            by_axis = moved.movedim(self.space.unit_axis + 1, 1)  # (n, axes, ...)
        by_axis[rows, axes] += amounts.view(-1, *[1] * (by_axis.ndim - 2))
        return moved

    def usual(self, way: int) -> tuple[float, float]:
        return self.extent.usual_range(self.keys[way])


@dataclass(frozen=True, eq=False)
class DirectionWays:
    """Saved directions: a step of 1 is a standard deviation of the samples along one.

    Raises:
        ParameterError: they do not fit the space.
    """

    space: Space
    found: DirectionSet

    is_absolute = False

    def __post_init__(self) -> None:
        if self.found.vectors.shape[1:] != self.space.shape:
            raise ParameterError(
                f"the directions {', '.join(self.found.names[:3])} are"
                f" {self.found.vectors.shape[1:]} each, but a point of {self.space.name} of this"
                f" generator is {self.space.shape}; take directions that were found on it"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        return self.found.names

    @property
    def deviations(self) -> Floats:
        assert self.found.deviations is not None  # filled in when the set was made
        return self.found.deviations

    def title(self, way: int) -> str:
        return f"Direction {self.keys[way]} of {self.space.name}"

    def short(self, way: int) -> str:
        return f"Direction {self.keys[way]}"

    def axis(self, way: int) -> str:
        return f"step along {self.keys[way]} in standard deviations of {self.deviations[way]:.3g}"

    def coordinates(self, points: Tensor) -> Tensor:
        vectors = torch.from_numpy(self.found.vectors).to(points.device)
        return points.double().flatten(1) @ vectors.flatten(1).T

    def move(self, points: Tensor, ways: Tensor, steps: Tensor) -> Tensor:
        vectors = torch.from_numpy(self.found.vectors).to(points.device)[ways]
        scales = torch.from_numpy(self.deviations).to(points.device)[ways]
        amounts = (steps * scales).view(-1, *[1] * (points.ndim - 1))
        return points + (amounts * vectors).to(points)

    def usual(self, way: int) -> tuple[float, float]:
        assert self.found.means is not None  # filled in when the set was made
        reach = _USUAL_DEVIATIONS * float(self.deviations[way])
        return float(self.found.means[way]) - reach, float(self.found.means[way]) + reach


def steps_outside(ways: Ways, bases: Tensor, steps: Floats, extent: Extent) -> NDArray[np.bool_]:
    """(way, base, step) which steps leave the prior.

    That is: a coordinate beyond its usual range; or, of latents with a bound, a number beyond it.
    """
    own = ways.coordinates(bases).double().cpu().numpy().T  # (way, base)
    usual = np.array([ways.usual(way) for way in range(len(ways.keys))])  # (way, 2)
    slack = _ROUNDING * np.abs(usual).max(axis=1)[:, None, None]
    if ways.is_absolute:
        reached = np.broadcast_to(steps, (*own.shape, len(steps)))
    else:
        reached = own[:, :, None] + steps * ways.deviations[:, None, None]
    low, high = usual[:, :1, None] - slack, usual[:, 1:, None] + slack
    outside: NDArray[np.bool_] = (reached < low) | (reached > high)
    if extent.prior is not None and np.isfinite(extent.prior.bound) and not ways.is_absolute:
        outside |= _beyond_the_bound(ways, bases, steps, extent)
    return outside


def _beyond_the_bound(
    ways: Ways, bases: Tensor, steps: Floats, extent: Extent
) -> NDArray[np.bool_]:
    found = np.zeros((len(ways.keys), len(bases), len(steps)), dtype=np.bool_)
    repeated = bases.repeat_interleave(len(steps), dim=0)
    taken = torch.from_numpy(steps).repeat(len(bases)).to(bases.device)
    for way in range(len(ways.keys)):
        chosen = torch.full((len(repeated),), way, device=bases.device)
        points = ways.move(repeated, chosen, taken)
        found[way] = extent.is_outside(points).reshape(found.shape[1:])
    return found
