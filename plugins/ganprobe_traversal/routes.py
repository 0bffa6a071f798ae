"""Routes: the points of walks that are not along one dimension; nothing is generated here.

Between samples points lie straight, or along the sphere; random walks begin at samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import (
    Context,
    Extent,
    Latents,
    Measure,
    ParameterError,
    Space,
    lerp,
    slerp,
)
from ganprobe_traversal import TraversalParams
from ganprobe_traversal.plan import (
    chosen_measures,
    extent_of,
    refuse_batch_statistics,
    sample_names,
    spoken_generator,
)
from ganprobe_traversal.random_walks import from_normal, random_walk, to_normal
from ganprobe_traversal.ways import Floats

__all__ = ["Route", "plan_route"]

_FRESH_FROM = 1_000_000  # samples that random walks are made of: others than anybody looks at
_WAVES = 8
_USUAL_THROUGH = 4

Between = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Route:
    """Points to go through, in rows of equally many steps.

    Args:
        names: of each row: ``sample 0``, or ``sample 0 to sample 3``.
        points: (row, step, \\*shape) of the space.
        latents: (row,) what goes beside points of a site: those that the row begins at.
        positions: (step,) shares of the way between two samples, or numbers of steps.
        is_outside: (row, step) whether a point lies where the prior's hardly ever do.
        norms: (row, step) Euclidean.
        is_spherical: between samples it goes along the sphere; else straight.
    """

    context: Context
    params: TraversalParams
    space: Space
    extent: Extent
    names: tuple[str, ...]
    points: Tensor
    latents: Latents
    positions: Floats
    is_outside: NDArray[np.bool_]
    norms: Floats
    is_spherical: bool
    measures: tuple[Measure, ...]

    @property
    def is_chained(self) -> bool:
        """Whether each row begins where the one before ends."""
        return self.params.walk != "random"

    @property
    def is_closed(self) -> bool:
        """Whether the last row ends where the first begins."""
        return self.params.walk == "loop"

    @property
    def how(self) -> str:
        """The way in words: ``random walk``, ``slerp (along the sphere)``."""
        if not self.is_chained:
            return "random walk"
        return f"{self.params.walk} ({'along the sphere' if self.is_spherical else 'straight'})"

    @property
    def made(self) -> str:
        """Generator, space, way and seed, in a line."""
        n = f"n = {len(self.names)} {'leg' if self.is_chained else 'walk'}"
        many = "s" if len(self.names) > 1 else ""
        where = f"{self.how} in {self.space.name}"
        name = spoken_generator(self.context)
        return f"{name}, {where}, seed {self.context.seed}, {n}{many}"


def plan_route(context: Context, params: TraversalParams) -> Route:
    """Decide and check all that a random walk, or one between samples, takes.

    Raises:
        ParameterError: parameters that are of walks along dimensions, or too few samples.
        ShapeError: there is no way along the sphere between two samples.
        UnknownNameError, SiteError: there is no such site or measure.
    """
    refuse_batch_statistics(context)
    _refuse_what_is_of_dimensions(params)
    space = context.space(params.space)
    extent = extent_of(context, space)
    is_random = params.walk == "random"
    latents = context.sample(params.rows, fewest=1) if is_random else _through(context, params)
    points, is_spherical = space.points(latents), _is_spherical(params, space, context)
    if is_random:
        names, positions = sample_names(latents, len(latents)), np.arange(float(params.steps))
        rows, begins = _random_walks(context, space, extent, points, params.steps), latents
    else:
        names, rows = _legs(points, sample_names(latents, len(latents)), params, is_spherical)
        positions, begins = np.linspace(0.0, 1.0, params.steps), latents[: len(names)]
    return Route(
        context=context,
        params=params,
        space=space,
        extent=extent,
        names=tuple(names),
        points=rows,
        latents=begins,
        positions=positions,
        is_outside=extent.is_outside(rows.flatten(0, 1)).reshape(rows.shape[:2]),
        norms=rows.flatten(2).double().norm(dim=2).cpu().numpy(),
        is_spherical=is_spherical,
        measures=chosen_measures(context, params.measure),
    )


def _random_walks(
    context: Context, space: Space, extent: Extent, points: Tensor, n_steps: int
) -> Tensor:
    """(row, step, \\*shape) one walk from each point."""
    mean = extent.mean.to(points.device)
    walks = []
    for row, start in enumerate(points):
        fresh = context.generator.sample(
            2 * _WAVES, seed=context.seed, start=_FRESH_FROM + row * 2 * _WAVES
        )
        if extent.prior is not None:
            begin, others = (to_normal(one, extent.prior) for one in (start, space.points(fresh)))
            walk = random_walk(begin, others, n_steps, context.seed + row)
            walk = from_normal(walk, extent.prior)
        else:
            others = space.points(fresh).double() - mean
            walk = mean + random_walk(start.double() - mean, others, n_steps, context.seed + row)
        walk = walk.to(start)
        walk[0] = start
        walks.append(walk)
    return torch.stack(walks)


def _legs(
    points: Tensor, names: list[str], params: TraversalParams, is_spherical: bool
) -> tuple[list[str], Tensor]:
    """The names and points (leg, step, \\*shape) from each sample to the next."""
    n = len(points)
    pairs = [(one, one + 1) for one in range(n - 1)]
    if params.walk == "loop":
        pairs.append((n - 1, 0))
    between: Between = slerp if is_spherical else lerp
    shares = torch.linspace(0.0, 1.0, params.steps, dtype=torch.float64)
    rows = [between(points[first], points[last], shares) for first, last in pairs]
    return [f"{names[first]} to {names[last]}" for first, last in pairs], torch.stack(rows)


def _is_spherical(params: TraversalParams, space: Space, context: Context) -> bool:
    """Of a loop: in latents that are normal, where a straight way leads out of the prior."""
    if params.walk != "loop":
        return params.walk == "slerp"
    return space.is_latent and context.generator.latent_space.distribution == "normal"


def _through(context: Context, params: TraversalParams) -> Latents:
    if not params.through:
        return context.sample(_USUAL_THROUGH, fewest=2)
    parts = [context.latents(choice) for choice in params.through]
    if sum(map(len, parts)) < 2:
        raise ParameterError(
            f"--walk {params.walk} goes from one sample to the next, and"
            f" {str(params.through[0])!r} is one; name two or more, as --through 0,3 or two times"
            " --through"
        )
    known = [index for part in parts for index in part.indices or ()]
    z = torch.cat([part.z for part in parts])
    is_drawn = len(known) == len(z)
    parts = [context.generator.labelled(part) for part in parts]
    labels = [part.labels for part in parts if part.labels is not None]
    return Latents(
        z,
        context.seed if is_drawn else None,
        tuple(known) if is_drawn else None,
        torch.cat(labels) if labels else None,
    )


def _refuse_what_is_of_dimensions(params: TraversalParams) -> None:
    given = {
        "--dims": params.dims,
        "--direction": params.direction,
        "--low": params.low,
        "--high": params.high,
    }
    for flag, value in given.items():
        if value is not None:
            raise ParameterError(
                f"{flag} is for walks along dimensions, not for --walk {params.walk}; leave one of"
                " the two out"
            )
    if params.walk == "random" and params.through:
        raise ParameterError(
            "--through is for --walk lerp, slerp or loop; a random walk begins at --latents"
        )
