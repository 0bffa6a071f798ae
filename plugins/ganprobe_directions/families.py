"""Families: directions that one method found in one space, with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Boundary, DirectionSet, Extent, Space
from ganprobe_directions.columns import Attribute
from ganprobe_directions.plan import Plan, Points

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """How much each direction of a family stands for.

    Args:
        values: (k,) as drawn.
        errors: (k,) the half length of the 95 % interval of each, or None.
        chance: (2, k) 95 % limits where nothing is special, or None.
        chance_label: what that is.
        unit: what the values are.
    """

    values: Floats
    errors: Floats | None
    chance: Floats | None
    chance_label: str
    unit: str


@dataclass(frozen=True, eq=False)
class AttributeBoundary:
    """The boundary of an attribute, and what of the samples it was fitted to.

    Args:
        limits: the largest value of the least, and the least of the most.
        is_high: (n,) which of the points that were fitted to have the most.
    """

    attribute: Attribute
    boundary: Boundary
    limits: tuple[float, float]
    is_high: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Family:
    """Directions that one method found.

    Args:
        name: of the file that holds them.
        title: as sentences and figures call them.
        set: the directions; the length of a step of 1 is their deviation.
        sentences: what is to be said of how they were found.
        boundaries: where they are of attributes: in the order of the first directions.
    """

    name: str
    title: str
    space: Space
    extent: Extent
    set: DirectionSet
    sentences: tuple[str, ...] = ()
    spectrum: Spectrum | None = None
    boundaries: tuple[AttributeBoundary, ...] = ()

    def __len__(self) -> int:
        return len(self.set)

    @property
    def lengths(self) -> Floats:
        """(k,) how far a step of 1 goes, in the space's unit."""
        assert self.set.deviations is not None  # filled in when the set was made
        return self.set.deviations

    def moves(self) -> Tensor:
        """(k, \\*shape) one step along each, on the probe's device and in its dtype."""
        scaled = self.set.vectors * self.lengths.reshape(-1, *[1] * (self.set.vectors.ndim - 1))
        probe = self.space.probe
        return torch.from_numpy(scaled).to(probe.device, probe.dtype)


def direction_set(
    plan: Plan,
    space: Space,
    vectors: Floats,
    names: tuple[str, ...],
    found: Mapping[str, Any],
) -> DirectionSet:
    """The set of these directions (k, numbers), with whom it belongs to and how it was found."""
    generator, params = plan.context.generator, plan.params
    means, deviations = Points.of(space, plan.spread_in).spread(vectors)
    known = {
        **found,
        "n_samples": len(plan.found_in),
        "seed": plan.context.seed,
        "found_on": None if params.found_on is None else str(params.found_on),
    }
    shaped = vectors.reshape(-1, *space.shape)
    return DirectionSet(shaped, names, space.name, deviations, means, generator.to_json(), known)


def file_name(method: str, space: str) -> str:
    """``pca-conv2``; what a file cannot be called is left out of a site's name."""
    return re.sub(r"[^\w.-]+", "-", f"{method}-{space}").strip("-.")
