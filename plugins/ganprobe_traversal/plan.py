"""The plan of a traversal along dimensions or directions: all that is decided before the walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Extent, Latents, Measure, ParameterError, Space
from ganprobe_traversal import TraversalParams
from ganprobe_traversal.ways import AxisWays, DirectionWays, Floats, Ways, steps_outside

__all__ = [
    "Plan",
    "chosen_measures",
    "extent_of",
    "plan_walks",
    "refuse_batch_statistics",
    "sample_names",
    "spoken_generator",
]

_EXTENT_SAMPLES = 1000
_USUAL_DEVIATIONS = 3.0


@dataclass(frozen=True, eq=False)
class Plan:
    """Which bases are walked along which ways, in which steps.

    Args:
        latents: (base,) of the base samples.
        points: (base, \\*shape) of the space, on the probe's device.
        steps: (step,) values of a coordinate of z, or else standard deviations from the base.
        is_outside: (way, base, step) which of them leave the prior.
        measures: that are followed.
    """

    context: Context
    params: TraversalParams
    space: Space
    ways: Ways
    latents: Latents
    points: Tensor
    steps: Floats
    is_outside: NDArray[np.bool_]
    measures: tuple[Measure, ...]

    @property
    def n_bases(self) -> int:
        """How many base samples there are."""
        return len(self.latents)

    @property
    def made(self) -> str:
        """Generator, samples and seed, in a line."""
        n = f"n = {self.n_bases} base sample{'s' if self.n_bases > 1 else ''}"
        return f"{spoken_generator(self.context)}, seed {self.context.seed}, {n}"


def plan_walks(context: Context, params: TraversalParams) -> Plan:
    """Decide and check all that a traversal along dimensions or directions takes.

    Raises:
        ParameterError: there is no such dimension, directions that do not fit the space, a range
            that runs down, or parameters that exclude each other.
        UnknownNameError, SiteError: there is no such site or measure.
    """
    refuse_batch_statistics(context)
    if params.through:
        raise ParameterError(
            "--through is for --walk lerp, slerp or loop; leave it out, or add one"
        )
    space = context.space(_space_name(params))
    extent = extent_of(context, space)
    ways = _ways(params, space, extent)
    latents = context.sample(params.bases, fewest=1)
    points = space.points(latents)
    steps = _steps(params, ways, extent)
    return Plan(
        context=context,
        params=params,
        space=space,
        ways=ways,
        latents=latents,
        points=points,
        steps=steps,
        is_outside=steps_outside(ways, points, steps, extent),
        measures=chosen_measures(context, params.measure),
    )


def extent_of(context: Context, space: Space) -> Extent:
    """Where the prior's samples lie in the space."""
    return space.extent(context.generator.sample(_EXTENT_SAMPLES, seed=context.seed))


def chosen_measures(context: Context, names: Sequence[str]) -> tuple[Measure, ...]:
    """Those of these names; for no name every one that takes the generator's images.

    Raises:
        UnknownNameError: there is no measure of a name.
        PluginError: it does not take the images.
    """
    if tuple(names) == ("none",):
        return ()
    if not names:
        return tuple(context.measures())
    return tuple(context.measure(name) for name in dict.fromkeys(names))


def refuse_batch_statistics(context: Context) -> None:
    """Raise `ParameterError` where the steps of a walk would change each other's images."""
    if context.generator.normalisation == "batch":
        raise ParameterError(
            "with --normalisation batch the steps of a walk change each other's images; take"
            " --normalisation sample, or eval"
        )


def spoken_generator(context: Context) -> str:
    """Its name, with its normalisation where that is unusual."""
    generator = context.generator
    mode = "" if generator.normalisation == "eval" else f", normalisation {generator.normalisation}"
    return f"{generator.name}{mode}"


def sample_names(latents: Latents, n: int) -> list[str]:
    """``sample 3`` of the first n, or ``latent 3`` where they are not drawn from the prior."""
    if latents.indices is None:
        return [f"latent {place}" for place in range(min(n, len(latents)))]
    return [f"sample {index}" for index in latents.indices[:n]]


def _space_name(params: TraversalParams) -> str:
    found = params.direction
    if found is None:
        return params.space
    if params.dims is not None:
        raise ParameterError("--dims and --direction exclude each other; leave one of them out")
    if params.space not in ("z", found.space):
        raise ParameterError(
            f"the directions are of {found.space}, not of --space {params.space}; leave --space out"
        )
    return found.space


def _ways(params: TraversalParams, space: Space, extent: Extent) -> Ways:
    if params.direction is not None:
        return DirectionWays(space, params.direction)
    return AxisWays(space, extent, space.check_axes(params.dims))


def _steps(params: TraversalParams, ways: Ways, extent: Extent) -> Floats:
    usual = (-_USUAL_DEVIATIONS, _USUAL_DEVIATIONS)
    if ways.is_absolute and extent.prior is not None:
        usual = extent.prior.usual_range
    low = usual[0] if params.low is None else params.low
    high = usual[1] if params.high is None else params.high
    if low >= high:
        raise ParameterError(f"--low must be below --high, got {low:g} and {high:g}")
    return np.linspace(low, high, params.steps)
