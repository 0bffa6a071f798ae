"""The plan: elements, base samples, random directions and measures, before anything is moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Latents, Measure, Space
from ganprobe_sensitivity import SensitivityParams

Floats = NDArray[np.float64]

_EXTENT_SAMPLES = 1000  # of the prior, for the deviations of a site's units
_SHOWN_DEVIATIONS = 2.0
_RESAMPLES_EACH, _MOST_RESAMPLES = 40, 50_000


@dataclass(frozen=True)
class Column:
    """One number that a measure tells of an image."""

    measure: Measure
    place: int

    @property
    def name(self) -> str:
        """As it is written: ``digit=1``, or the measure's name where it has one column."""
        if len(self.measure.columns) == 1:
            return self.measure.name
        return f"{self.measure.name}={self.measure.columns[self.place]}"


@dataclass(frozen=True, eq=False)
class Plan:
    """What is moved, from where, how far, and what is measured.

    Args:
        axes: the elements, as axes of the space.
        base: samples that are moved, and
        points: (n, \\*shape) where they are in the space.
        means, deviations: (n_axes,) of each element over the prior.
        random: (draw, n_axes) of length 1: how many deviations each axis moves.
    """

    context: Context
    params: SensitivityParams
    space: Space
    axes: tuple[int, ...]
    base: Latents
    points: Tensor
    means: Tensor
    deviations: Tensor
    random: Tensor
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Of the elements."""
        return [self.space.axis_name(axis) for axis in self.axes]

    @property
    def n_resamples(self) -> int:
        """Enough to find one in twenty of all elements with all columns, or one element."""
        n_tested = max(len(self.axes), len(self.axes) * len(self.columns) // 20)
        enough = min(_RESAMPLES_EACH * n_tested, _MOST_RESAMPLES)
        return max(self.params.n_resamples, enough)

    @cached_property
    def weights(self) -> Tensor:
        """(element, n_axes): one deviation of each element, none of the others."""
        unit = torch.eye(self.space.n_axes, dtype=torch.float64)[list(self.axes)]
        return unit * self.deviations

    @cached_property
    def random_weights(self) -> Tensor:
        """(draw, n_axes): as far as one deviation of an element, in a random direction."""
        return self.random * self.deviations

    def directions(self, weights: Tensor) -> Tensor:
        """(k, \\*shape) of the space."""
        points = self.points
        return self.space.along(weights).to(points.device, points.dtype)

    @cached_property
    def standing(self) -> Tensor:
        """(n, n_axes) float64: how many deviations each base sample is from the middle."""
        return self.standardised(self.space.coordinates(self.points))

    def standardised(self, coordinates: Tensor) -> Tensor:
        """Coordinates (n, n_axes) in deviations from the middle; 0 where an axis never varies."""
        deviations = torch.where(self.deviations > 0, self.deviations, 1.0)
        return (coordinates.double().cpu() - self.means) / deviations

    def steps(self, unit: Tensor) -> Tensor:
        """(k, n) the step along directions of `unit` (k, n_axes): toward the middle."""
        ahead = self.standing @ unit.T.double()  # (n, k)
        return torch.where(ahead.T > 0, -self.params.step, self.params.step)

    def unit(self) -> Tensor:
        """(element, n_axes): of length 1, in deviations."""
        return torch.eye(self.space.n_axes, dtype=torch.float64)[list(self.axes)]

    @property
    def reach(self) -> float:
        """How many deviations strips of images go to either side: 2, or the prior's bound."""
        space = self.context.generator.latent_space
        if not self.space.is_latent:
            return _SHOWN_DEVIATIONS
        return min(_SHOWN_DEVIATIONS, space.bound / space.deviation)


def make_plan(context: Context, params: SensitivityParams) -> Plan:
    """Resolve all that was asked for.

    Raises:
        UnknownNameError: there is no such site, measure or column.
        ParameterError: the space or an element is not there; ``--latents`` names no sample.
    """
    columns = _columns(context, params.measure)
    space = context.space(params.space)
    axes = space.check_axes(params.dims)
    base = context.sample(params.n_samples, fewest=1)
    means, deviations = _scale(context, space)
    drawn = np.random.default_rng((context.seed, 5)).normal(
        size=(params.n_directions, space.n_axes)
    )
    random = torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
    points = space.points(base)
    return Plan(context, params, space, axes, base, points, means, deviations, random, columns)


def _columns(context: Context, written: tuple[str, ...]) -> tuple[Column, ...]:
    """All columns of the measures that were named, in that order, each once."""
    if not written:
        return tuple(Column(one, place) for one in context.measures() for place in _places(one))
    columns: dict[str, Column] = {}
    for text in written:
        if "=" in text:
            chosen = [Column(*context.column(text))]
        else:
            measure = context.measure(text.strip())
            chosen = [Column(measure, place) for place in _places(measure)]
        columns |= {column.name: column for column in chosen}
    return tuple(columns.values())


def _places(measure: Measure) -> range:
    return range(len(measure.columns))


def _scale(context: Context, space: Space) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each axis; exact for latents."""
    if space.is_latent:
        one = torch.ones(space.n_axes, dtype=torch.float64)
        return 0 * one, context.generator.latent_space.deviation * one
    extent = space.extent(context.generator.sample(_EXTENT_SAMPLES, seed=context.seed))
    return extent.coordinates.mean(0), extent.deviations
