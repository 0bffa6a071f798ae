"""Insertion: the units of a class are put in, at each place and at one.

A map of where the class can go is made on the choosing samples: an image for each of them and
place. At one place, given or the best of that map, the measured samples tell how much of the class
appears and what it takes the place of; at random places, how much the units cause on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganprobe import (
    Ablate,
    CausalEffects,
    ContextMap,
    OptimisedUnits,
    PairedEffects,
    ParameterError,
    Places,
    average_causal_effects,
    context_map,
    optimise_units,
    paired_effects,
)
from ganprobe_dissection.question import Floats, Question

_N_PLACES = 4  # random ones of each sample, for the average effect


@dataclass(frozen=True, eq=False)
class Insertion:
    """What inserting the units of a class does.

    Args:
        units: that are inserted.
        levels: (units of the site,) that units are set to.
        context: on the choosing samples: where can it go?
        place: the number of the place where units were inserted.
        is_best: it was chosen by the map, not given.
        base, areas: (n, classes) before and after, of the measured samples.
        effects: over classes, change of their areas.
        average: the average causal effect of the units, and then of the optimised ones.
        optimised: None: they were not asked for.
    """

    question: Question
    units: tuple[int, ...]
    levels: Floats
    context: ContextMap
    place: int
    is_best: bool
    base: Floats
    areas: Floats
    effects: PairedEffects
    average: CausalEffects
    optimised: OptimisedUnits | None

    @property
    def places(self) -> Places:
        """Where units can be inserted."""
        return self.context.places

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the place, in pixels."""
        return self.places.boxes()[self.place]

    @property
    def middle(self) -> tuple[float, float]:
        """x and y of the place's middle, in shares of the image."""
        left, top, right, bottom = self.box
        height, width = self.places.image
        return (left + right) / 2 / width, (top + bottom) / 2 / height

    @property
    def edit(self) -> Ablate:
        """That sets the units at the place."""
        return insertion_edit(
            self.question.site, self.units, self.levels, self.places.masks()[self.place]
        )


def insert(question: Question, units: tuple[int, ...]) -> Insertion:
    """Map where units can go, place them, measure.

    Raises:
        ParameterError: the class has no pixel in the samples that were dissected, so that there is
            no level to insert its units at.
    """
    context, size, seed = question.context, question.params.insert_size, question.context.seed
    levels = insertion_levels_of(question)
    rows, columns = question.tensor.spatial_shape
    window = max(1, round(rows * size)), max(1, round(columns * size))
    found = context_map(
        context.probe,
        question.choosing,
        question.site,
        units,
        torch.from_numpy(levels),
        question.segmenter,
        question.class_name,
        window=window,
        seed=seed,
        progress=context.progress,
    )
    place = _place(question, found)
    edit = insertion_edit(question.site, units, levels, found.places.masks()[place])
    (base, after), _ = question.areas(question.measured, [[], [edit]])
    optimised = _optimise(question, levels, window) if question.params.optimise else None
    return Insertion(
        question,
        units,
        levels,
        found,
        place,
        question.params.insert_at == "auto",
        base,
        after,
        paired_effects((after - base).T, seed=seed),
        _average(question, units, levels, window, optimised),
        optimised,
    )


def insertion_levels_of(question: Question) -> Floats:
    """(units of the site,) what each unit is set to; 0 for units that were not dissected.

    Raises:
        ParameterError: as `insert`.
    """
    dissection = question.dissection
    found = dissection.class_mean[:, question.column]
    if question.params.insert_level == "peak":
        found = np.fmax(found, dissection.peak_level)  # of a mean that there is not, the peak
    if not np.isfinite(found).all():
        raise ParameterError(
            f"--causal {question.class_name}: no pixel of the {dissection.n_samples} samples that"
            " were dissected is of that class, so that its units have no mean there; dissect more"
            " with --n-samples, or insert at --insert-level peak"
        )
    levels = np.zeros(question.tensor.n_units)
    levels[list(dissection.units)] = found
    return levels


def insertion_edit(site: str, units: Sequence[int], levels: Floats, region: Tensor) -> Ablate:
    """Units at their levels, in a region (y, x) of the site's grid."""
    return Ablate(site, units=units, to=levels[list(units)].tolist(), region=region)


def best_place(found: ContextMap) -> int:
    """The place where the class gains most area, mean over samples; of equal ones the first."""
    return int(found.change.mean(0).round(12).argmax())


def _place(question: Question, found: ContextMap) -> int:
    if question.params.insert_at == "auto":
        return best_place(found)
    x, y = map(float, question.params.insert_at.split(","))
    return found.places.at(x, y)


def _average(
    question: Question,
    units: tuple[int, ...],
    levels: Floats,
    window: tuple[int, int],
    optimised: OptimisedUnits | None,
) -> CausalEffects:
    """Of the units, and of as many optimised ones, on the measured samples."""
    sets = [units]
    if optimised is not None:
        sets.append(optimised.top(len(units)))
    context = question.context
    rows, columns = question.tensor.spatial_shape
    return average_causal_effects(
        context.probe,
        question.measured,
        question.site,
        sets,
        torch.from_numpy(levels),
        question.segmenter,
        question.class_name,
        n_places=min(_N_PLACES, min(rows, 16) * min(columns, 16)),
        window=window,
        seed=context.seed,
        progress=context.progress,
    )


def _optimise(question: Question, levels: Floats, window: tuple[int, int]) -> OptimisedUnits:
    """Shares of the candidates, starting from their IoU."""
    context, dissection = question.context, question.dissection
    n_candidates = max(question.params.n_candidates, question.n_units)
    pool = question.ranking[:n_candidates]
    iou = dict(zip(dissection.units, dissection.iou[:, question.column].tolist(), strict=True))
    largest = max(iou.values()) or 1.0
    return optimise_units(
        context.probe,
        question.choosing,
        question.site,
        torch.from_numpy(levels),
        question.segmenter,
        question.class_name,
        units=pool,
        start=[iou[unit] / largest for unit in pool],
        window=window,
        seed=context.seed,
        progress=context.progress,
    )
