"""A question: a class at a site, its units in order, and the samples that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ganprobe import (
    Ablate,
    AreaMeasure,
    Context,
    Dissection,
    Intervention,
    Latents,
    ParameterError,
    Segmenter,
    Site,
    SiteTensor,
)
from ganprobe_dissection import DissectionParams
from ganprobe_dissection.labels import Labelled, file_names
from ganprobe_dissection.plan import Plan

Floats = NDArray[np.float64]

ALL = "all"
"""What stands for every class."""


@dataclass(frozen=True, eq=False)
class Question:
    """What the units of a class at a site cause.

    Args:
        labelled: the units of the site, dissected on samples before all of these.
        class_name: as the segmenter has it.
        choosing: samples that units and places are chosen on.
        measured: samples that effects are measured on.
    """

    plan: Plan
    labelled: Labelled
    class_name: str
    choosing: Latents
    measured: Latents

    @property
    def context(self) -> Context:
        """Generator and seed."""
        return self.plan.context

    @property
    def params(self) -> DissectionParams:
        """What was asked for."""
        return self.plan.params

    @property
    def segmenter(self) -> Segmenter:
        """Of the classes."""
        return self.plan.segmenter

    @property
    def dissection(self) -> Dissection:
        """Of the site."""
        return self.labelled.dissection

    @property
    def name(self) -> str:
        """Of the question in names of files and dimensions: ``"conv3-tree"``."""
        return f"{self.labelled.name}-{file_names(self.segmenter.classes)[self.class_name]}"

    @cached_property
    def tensor(self) -> SiteTensor:
        """At the site, all units of it."""
        return self.context.probe.layers().resolve_one(Site.parse(self.dissection.site).whole)

    @property
    def site(self) -> str:
        """As it is written, without units."""
        return str(self.tensor.site)

    @cached_property
    def column(self) -> int:
        """The place of the class among the segmenter's."""
        return self.segmenter.place_of(self.class_name)

    @cached_property
    def measure(self) -> AreaMeasure:
        """The share of the image that each class covers."""
        return AreaMeasure(self.segmenter)

    @cached_property
    def ranking(self) -> tuple[int, ...]:
        """All units that were dissected, those of the largest IoU with the class first."""
        return self.dissection.ranking(self.class_name)

    @property
    def n_units(self) -> int:
        """How many units a curve ends with."""
        return min(self.params.n_units, len(self.ranking))

    @property
    def units(self) -> tuple[int, ...]:
        """The units that are removed and inserted as the class's."""
        return self.ranking[: self.n_units]

    @cached_property
    def own_units(self) -> tuple[int, ...]:
        """Those of them that count as drawing the class; the first if there is none."""
        numbers = self.dissection.units
        own = {numbers[place] for place in self.labelled.places(self.column)}
        return tuple(unit for unit in self.units if unit in own) or self.units[:1]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Of the sets that are removed: few steps, closer together where they are small."""
        return curve_sizes(self.n_units)

    def removal(self, units: Sequence[int]) -> Ablate:
        """These units at zero, everywhere."""
        return Ablate(self.site, units=tuple(units))

    def areas(
        self, latents: Latents, variants: Sequence[Sequence[Intervention]]
    ) -> tuple[Floats, str]:
        """(variants, n, classes) the area of each class, in shares of the image; and how."""
        sweep = self.context.probe.sweep(
            latents, variants, self.measure, progress=self.context.progress
        )
        return sweep.values.cpu().double().numpy(), str(sweep.how).splitlines()[0]

    def made(self) -> str:
        """How it was made, for the foot of a figure."""
        params, seed = self.params, self.context.seed
        return (
            f"{self.context.generator.name}, {self.site}, segmenter {self.segmenter.name}, seed"
            f" {seed}, dissected on {self.dissection.n_samples}, chosen on {params.n_choosing},"
            f" measured on {params.n_causal} other samples"
        )


def make_questions(plan: Plan, sites: Sequence[Labelled]) -> tuple[Question, ...]:
    """The questions that were asked: each class at each site.

    Raises:
        UnknownNameError: the segmenter has no such class.
        ParameterError: a class that none of the samples shows.
    """
    params, generator, seed = plan.params, plan.context.generator, plan.context.seed
    if not params.causal:
        return ()
    first, n_choosing = params.n_samples, params.n_choosing
    choosing = generator.sample(n_choosing, seed=seed, start=first)
    measured = generator.sample(params.n_causal, seed=seed, start=first + n_choosing)
    names = _asked(plan, measured)
    return tuple(Question(plan, site, name, choosing, measured) for site in sites for name in names)


def _asked(plan: Plan, measured: Latents) -> tuple[str, ...]:
    """The classes that were asked for, each once, and shown by the samples."""
    segmenter, names = plan.segmenter, tuple(dict.fromkeys(plan.params.causal))
    places = [segmenter.place_of(name) for name in names if name != ALL]
    shown = _areas(plan.context, segmenter, measured) > 0
    for place in places:
        if not shown[place]:
            raise ParameterError(
                f"--causal {segmenter.classes[place]}: none of {len(measured)} samples shows it, so"
                f" that there is nothing to remove; name one of {_listed(segmenter, shown)}, or"
                " measure more samples with --n-causal"
            )
    if ALL in names:
        places = np.flatnonzero(shown).tolist()
    return tuple(segmenter.classes[place] for place in places)


def _areas(context: Context, segmenter: Segmenter, latents: Latents) -> Floats:
    """(classes,) the mean area of each class, nothing edited."""
    measure, total = AreaMeasure(segmenter), np.zeros(len(segmenter.classes))
    for run in context.probe.runs(latents):
        images = context.generator.to_unit_range(run.images)
        total += measure(images).sum(0).cpu().double().numpy()
    return total / len(latents)


def _listed(segmenter: Segmenter, shown: NDArray[np.bool_]) -> str:
    names = [name for name, is_shown in zip(segmenter.classes, shown, strict=True) if is_shown]
    return ", ".join(names) or "no class: the segmenter finds none in these images"


def curve_sizes(n_units: int) -> tuple[int, ...]:
    """1, 2, 3, 4, 6, 8, 12, 16, 24, ... up to a number, which is the last.

    Example:
        >>> curve_sizes(20)
        (1, 2, 3, 4, 6, 8, 12, 16, 20)
    """
    halves = [2**power * base for power in range(n_units.bit_length()) for base in (2, 3)]
    return tuple(sorted({1, n_units, *(size for size in halves if size < n_units)}))
