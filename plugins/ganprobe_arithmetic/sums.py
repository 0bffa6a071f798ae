"""Sums: the points that a formula makes of groups' means in a space, and their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe import (
    Context,
    DirectionSet,
    Extent,
    Latents,
    ParameterError,
    ShapeError,
    Space,
    renormalised,
)
from ganprobe_arithmetic.formula import Formula
from ganprobe_arithmetic.groups import Group

_EXEMPLARS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Sums:
    """A formula in one space, ready to be made of any groups of the same names.

    Args:
        directions: that the formula may name; None: there are none.
        extent: of the space, for the norm and for what lies outside.
        norm: ``"none"``, or ``"prior"``: the result is brought to the prior's mean norm.
    """

    formula: Formula
    space: Space
    directions: DirectionSet | None
    extent: Extent
    norm: str

    @classmethod
    def of(
        cls,
        context: Context,
        formula: Formula,
        space: str,
        *,
        directions: DirectionSet | None,
        norm: str,
        n_typical: int,
    ) -> Sums:
        """Check that the formula's directions are of this space, and look how far it reaches.

        Raises:
            ParameterError: the directions are of another space.
            ShapeError: they have another shape.
        """
        named = {term.name for term in formula.terms}
        used = directions if directions and named & set(directions.names) else None
        there = context.space(space)
        if used is not None and used.space != space:
            raise ParameterError(
                f"the directions {', '.join(used.names)} are of {used.space}, and the sum is made"
                f" in {space}; give --space {used.space}"
            )
        if used is not None and used.vectors.shape[1:] != there.shape:
            raise ShapeError(
                f"the directions are {used.vectors.shape[1:]}, and points of {space} are"
                f" {there.shape}; they are of another generator"
            )
        extent = there.extent(context.generator.sample(n_typical, seed=context.seed))
        return cls(formula, there, used, extent, norm)

    @property
    def unit_of_noise(self) -> float:
        """1 in z; at a site the standard deviation of its numbers, root mean square over them."""
        if self.space.is_latent:
            return 1.0
        scatter = self.extent.norms.square().mean() - self.extent.mean.square().sum()
        return float((scatter / self.space.n_numbers).clamp(min=0).sqrt())

    def batches(
        self, groups: Mapping[str, Group], n_draws: int
    ) -> Iterator[tuple[Tensor, Latents]]:
        """The results of all draws, some draws at a time: points, and the latents beside them.

        What lies beside a site comes from the same sum, made in z.
        """
        n_exemplars = next(iter(groups.values())).draws.shape[1]
        step = max(1, _EXEMPLARS_AT_ONCE // n_exemplars)
        for first in range(0, n_draws, step):
            some = {
                name: group.of_draws(first, min(first + step, n_draws))
                for name, group in groups.items()
            }
            yield self._sum(some, n_exemplars)

    def _sum(self, exemplars: Mapping[str, Latents], n_exemplars: int) -> tuple[Tensor, Latents]:
        beside = _beside(self.formula, exemplars, n_exemplars)
        means = {
            name: mean_points(self.space, latents, n_exemplars)
            for name, latents in exemplars.items()
        }
        return self.added(means), beside

    def added(self, means: Mapping[str, Tensor]) -> Tensor:
        """(draw, \\*shape): the formula of the groups' means (draw, \\*shape), in its own norm."""
        like = next(iter(means.values()))
        total = torch.zeros_like(like)
        for term in self.formula.terms:
            summand = means[term.name] if term.name in means else self._direction(term.name, like)
            total = total + term.times * summand
        return self.in_norm(total)

    def in_norm(self, points: Tensor) -> Tensor:
        """Points in the norm that results have: as they are, or the prior's mean norm."""
        return renormalised(points, self.extent.typical_norm) if self.norm == "prior" else points

    def _direction(self, name: str, like: Tensor) -> Tensor:
        """One standard deviation along a direction, (1, \\*shape)."""
        assert self.directions is not None  # a formula's names were checked
        one = self.directions.select([name])
        return torch.from_numpy(one.vectors * one.deviations[0]).to(like)


def mean_points(space: Space, exemplars: Latents, n_exemplars: int) -> Tensor:
    """(draw, \\*shape): the mean point of each draw's exemplars, which stand in a row."""
    points = space.points(exemplars)
    return points.reshape(-1, n_exemplars, *space.shape).mean(1)


def _beside(formula: Formula, exemplars: Mapping[str, Latents], n_exemplars: int) -> Latents:
    """The same sum of the groups in z, without directions."""
    total: Tensor | None = None
    for term in formula.terms:
        if term.name in exemplars:
            z = exemplars[term.name].z
            mean = z.reshape(-1, n_exemplars, *z.shape[1:]).mean(1)
            total = term.times * mean if total is None else total + term.times * mean
    assert total is not None  # a formula without a group was refused
    return Latents(total)
