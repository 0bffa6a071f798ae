"""The plan of a study: which methods in which space, which samples, which measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Latents, ParameterError, Space
from ganprobe_directions import DirectionsParams
from ganprobe_directions.columns import (
    Attribute,
    Columns,
    distinctly_named,
    read_attributes,
)

BATCH = 128
Floats = NDArray[np.float64]

_MOST_HELD = 2**26  # numbers of points that are kept between passes
_FEWEST_PRIOR, _MOST_PRIOR = 100, 1000  # samples that tell what is usual


@dataclass(frozen=True, eq=False)
class Plan:
    """What a study is asked to do.

    Args:
        bases: the samples that directions are shown and measured on.
        found_in: the samples that they are found in.
        prior: samples of the seed that are none of these: what is usual.
        attributes: those that get a boundary.
        kept: those that boundaries are to leave as they are, with boundaries of their own.
    """

    context: Context
    params: DirectionsParams
    space: Space
    methods: tuple[str, ...]
    columns: Columns
    attributes: tuple[Attribute, ...]
    kept: tuple[Attribute, ...]
    bases: Latents
    found_in: Latents
    prior: Latents

    @property
    def spread_in(self) -> Latents:
        """The samples that tell how far a deviation along a direction goes.

        Others than directions were found in, where the user did not say which: components stretch
        along the samples that they are of.
        """
        return self.prior if self.params.found_on is None else self.found_in


def make_plan(context: Context, params: DirectionsParams) -> Plan:
    """Resolve and check everything ahead of the work.

    Raises:
        ParameterError: parameters that do not fit together.
    """
    space = context.space(params.space)
    methods = _methods(params)
    given = read_attributes(context, params.attribute, "--attribute")
    kept = read_attributes(context, params.without, "--without")
    named = distinctly_named([*given, *(one for one in kept if not _is_among(one, given))])
    attributes, others = named[: len(given)], named[len(given) :]
    others += [one for one in attributes if _is_among(one, kept)]
    if params.measure:
        measures = [context.measure(name) for name in params.measure]
    else:
        measures = context.measures()
    columns = Columns.of([*measures, *(one.measure for one in named)])
    bases = context.sample(params.n_bases, fewest=1)
    found_in = _found_in(context, params)
    start = params.n_bases + params.n_samples
    n_prior = min(_MOST_PRIOR, max(_FEWEST_PRIOR, params.n_samples))
    prior = context.generator.sample(n_prior, seed=context.seed, start=start)
    named_all = (tuple(attributes), tuple(others))
    return Plan(context, params, space, methods, columns, *named_all, bases, found_in, prior)


def _methods(params: DirectionsParams) -> tuple[str, ...]:
    usual = "closed-form" if params.space == "z" else "pca"
    if params.attribute and not params.method:
        return ("boundary",)
    methods = tuple(dict.fromkeys(params.method)) or (usual,)
    if ("boundary" in methods) != bool(params.attribute):
        raise ParameterError(
            "--method boundary needs an --attribute, as digit-shape.thickness or digit=1"
            if "boundary" in methods
            else "--attribute is for --method boundary; give that too, or leave --method out"
        )
    if params.without and "boundary" not in methods:
        raise ParameterError("--without is for boundaries: give the --attribute that is wanted")
    if params.layer and "closed-form" not in methods:
        raise ParameterError("--layer is for --method closed-form; give that too")
    return methods


def _is_among(one: Attribute, others: list[Attribute]) -> bool:
    return one.label in [other.label for other in others]


def _found_in(context: Context, params: DirectionsParams) -> Latents:
    """Others than the bases, where it is not the user who says which."""
    chosen = params.found_on
    if chosen is not None and chosen.conditions:
        return context.latents(chosen, params.n_samples, skip=params.n_bases)
    if chosen is not None:
        return context.latents(chosen)[: params.n_samples]
    return context.generator.sample(params.n_samples, seed=context.seed, start=params.n_bases)


@dataclass(frozen=True, eq=False)
class Points:
    """Points of latents in a space, batch by batch, as often as they are asked for.

    Those that fit are kept from the first time on; more are made anew each time.
    """

    space: Space
    latents: Latents
    kept: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, space: Space, latents: Latents) -> Points:
        """Of these latents."""
        if space.n_numbers * len(latents) > _MOST_HELD:
            return cls(space, latents)
        return cls(space, latents, tuple(cls(space, latents)))

    def __iter__(self) -> Iterator[Tensor]:
        if self.kept:
            yield from self.kept
            return
        for batch in self.latents.split(BATCH):
            yield self.space.points(batch)

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch of points with the latents that it was made of."""
        for points, batch in zip(self, self.latents.split(BATCH), strict=True):
            yield points, batch.z

    def spread(self, directions: Floats) -> tuple[Floats, Floats]:
        """(k,) mean and (k,) standard deviation of the coordinates along directions (k, ...)."""
        flat = torch.from_numpy(directions.reshape(len(directions), -1).copy())
        along = torch.cat([points.flatten(1).double().cpu() @ flat.T for points in self])
        return along.mean(0).numpy(), along.std(0).numpy()
