"""Removal: the units of a class are taken out, few and many, beside random ones.

Units are ordered by their IoU, on the samples that were dissected, and by a greedy search on
others; what is left of the class is measured on a third set. Costs one image for each sample and
set, which resume from the site, and n_units x n_candidates sets on the choosing samples for the
greedy search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ganprobe import FoundUnits, PairedEffects, paired_effects, ratio_of_means, search_units
from ganprobe_dissection.control import Control
from ganprobe_dissection.question import Floats, Question

IOU, GREEDY = "IoU", "greedy"
"""Orders in which units are removed."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The first units of an order, removed together.

    Args:
        units: in the order.
        areas: (size, n, classes) with the first so many removed, in shares of the image.
        effects: over sizes, change of the class's area.
        share, low, high: (size,) what is left of the class, with its 95 % interval.
    """

    order: str
    units: tuple[int, ...]
    areas: Floats
    effects: PairedEffects
    share: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Removal:
    """What removing the units of a class does.

    Args:
        base: (n, classes) areas with nothing removed.
        curves: in IoU order first.
        control: random sets of the same sizes.
        found: what the greedy search found; None: it was left out.
        collateral: over classes, change of their areas with all `chosen` units removed.
        gone: (n,) the share of each image that was of the class and no longer is.
        hole: (n, classes + 1) the same by what is there now, no class in the end; where classes
            overlap, a pixel is in several of them.
        how: how it was evaluated.
    """

    question: Question
    base: Floats
    curves: tuple[Curve, ...]
    control: Control
    found: FoundUnits | None
    collateral: PairedEffects
    gone: Floats
    hole: Floats
    how: str

    @property
    def chosen(self) -> Curve:
        """The order that is shown and inserted: the greedy one, where it was searched."""
        return self.curves[-1]

    @property
    def area(self) -> float:
        """The mean area of the class with nothing removed, in shares of the image."""
        return float(self.base[:, self.question.column].mean())


def remove(question: Question, control: Control) -> Removal:
    """Choose, remove, measure."""
    found = _search(question)
    orders = {IOU: question.units} | ({} if found is None else {GREEDY: found.units})
    sets = [units[:size] for units in orders.values() for size in question.sizes]
    variants = [[], *([question.removal(units)] for units in sets)]
    (base, *after), how = question.areas(question.measured, variants)
    parts = np.split(np.stack(after), len(orders))
    curves = [_curve(question, *named, base) for named in zip(orders.items(), parts, strict=True)]
    collateral = paired_effects((curves[-1].areas[-1] - base).T, seed=question.context.seed)
    return Removal(
        question,
        base,
        tuple(curves),
        control,
        found,
        collateral,
        *fill_of_hole(question, curves[-1].units),
        how,
    )


def _curve(
    question: Question, named: tuple[str, tuple[int, ...]], areas: Floats, base: Floats
) -> Curve:
    after, before = areas[..., question.column], base[:, question.column]
    seed = question.context.seed
    left = ratio_of_means(after, before, seed=seed)
    return Curve(*named, areas, paired_effects(after - before, seed=seed), *left)


def _search(question: Question) -> FoundUnits | None:
    """A greedy search for the set that leaves least of the class, among the candidates."""
    n_candidates = min(question.params.n_candidates, len(question.ranking))
    if not n_candidates:
        return None
    pool = question.ranking[: max(n_candidates, question.n_units)]
    return search_units(
        question.context.probe,
        question.choosing,
        question.removal(sorted(pool)),
        question.measure,
        n_units=question.n_units,
        maximise=False,
        column=question.column,
        preferred=pool,
        progress=question.context.progress,
    )


def fill_of_hole(question: Question, units: Sequence[int]) -> tuple[Floats, Floats]:
    """What went away of the class and what is there now, as `Removal` holds them."""
    probe, to_unit_range = question.context.probe, question.context.generator.to_unit_range
    went, filled = list[Floats](), list[Floats]()
    pairs = zip(
        probe.runs(question.measured),
        probe.runs(question.measured, [question.removal(units)]),
        strict=True,
    )
    for before, after in pairs:
        was = question.segmenter(to_unit_range(before.images))[:, question.column]
        now = question.segmenter(to_unit_range(after.images))
        gone = was & ~now[:, question.column]  # (n, y, x)
        parts = torch.cat([now, ~now.any(dim=1, keepdim=True)], dim=1) & gone[:, None]
        went.append(gone.double().mean((1, 2)).cpu().numpy())
        filled.append(parts.double().mean((2, 3)).cpu().numpy())
    return np.concatenate(went), np.concatenate(filled)
