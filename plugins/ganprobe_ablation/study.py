"""The study: units ranked and chosen on some samples, ablated and measured on others.

Costs one image for each unit and sample twice (ranking and effects), one for each set of the
curves, units x top x ranking samples for a greedy search, and draws x top for the random sets; all
of them resumed from the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganprobe import (
    Context,
    Latents,
    PairedEffects,
    RandomUnits,
    random_units,
    search_units,
)
from ganprobe_ablation import AblationParams
from ganprobe_ablation.left import Left, is_area, share_left
from ganprobe_ablation.likeness import unit_likeness
from ganprobe_ablation.on_top import OnTop, swap_on_top
from ganprobe_ablation.plan import Floats, Plan, make_plan

_TIE = 6  # decimals of the largest score: closer ones are equal up to rounding


@dataclass(frozen=True, eq=False)
class Chosen:
    """Units in the order in which a strategy chose them, on the ranking samples.

    Args:
        by: (unit,) what they were chosen by: a ranking's effect of each alone, likeness or place in
            the order given, or what the units so far do together in a greedy search.
    """

    strategy: str
    units: tuple[int, ...]
    by: Floats


@dataclass(frozen=True, eq=False)
class Curve:
    """The first 1, 2, ... units of a strategy, ablated together.

    Args:
        by_sample: (size, sample) change of the measure.
    """

    chosen: Chosen
    by_sample: Floats
    effects: PairedEffects

    @property
    def strategy(self) -> str:
        """``"rank"`` or ``"greedy"``."""
        return self.chosen.strategy

    @property
    def units(self) -> tuple[int, ...]:
        """In the order in which they are ablated."""
        return self.chosen.units


@dataclass(frozen=True, eq=False)
class Study:
    """What ablation gave.

    Args:
        ranking: all units that were tried.
        base: (sample,) the measure with nothing ablated.
        by_sample: (unit, sample) change of the measure, in the order of the ranking.
        effects: of single units, in the order of the ranking.
        random: nested random sets of all units of the site.
        how: how the effects were evaluated.
        on_top: the swap on top, if one was asked for.
    """

    plan: Plan
    ranking: Chosen
    base: Floats
    by_sample: Floats
    effects: PairedEffects
    curves: tuple[Curve, ...]
    random: RandomUnits
    how: str
    on_top: OnTop | None

    @property
    def is_area(self) -> bool:
        """Whether the measure is an area, of which a share is left."""
        return is_area(self.plan, self.base)

    def left(self, curve: Curve) -> Left:
        """The share of the area that a curve leaves."""
        return share_left(self.plan, self.base, curve.by_sample)

    @property
    def random_effects(self) -> Floats:
        """(draw, size) mean change of the measure with random units ablated."""
        values: Floats = self.random.values.numpy()
        return values - self.random.base


def study_units(context: Context, params: AblationParams) -> Study:
    """Rank, choose, ablate, measure.

    Raises:
        UnknownNameError: there is no such measure, column or site.
        ParameterError: samples, units, level, region or swap do not fit.
    """
    plan = make_plan(context, params)
    ranking = _rank(plan)
    strategies = dict.fromkeys(params.strategy)
    chosen = [_choose(plan, ranking, strategy) for strategy in strategies]
    sets = [one.units[: size + 1] for one in chosen for size in range(plan.n_top)]
    singles = [(unit,) for unit in ranking.units]
    base, changes, how = _changes(plan, plan.samples.measured, [*singles, *sets])
    ends = len(singles) + plan.n_top * np.arange(len(chosen))
    alone, *together = np.split(changes, ends)
    return Study(
        plan,
        ranking,
        base,
        alone,
        plan.effects(alone),
        tuple(Curve(*one, plan.effects(one[1])) for one in zip(chosen, together, strict=True)),
        _draw_random(plan),
        how,
        swap_on_top(plan, chosen[0].units),
    )


def _changes(
    plan: Plan, latents: Latents, sets: Sequence[tuple[int, ...]]
) -> tuple[Floats, Floats, str]:
    """The unedited measure (n,), its changes (sets, n), and how they were evaluated."""
    template = plan.target.template
    variants = [[], *([template.for_units(units)] for units in sets)]
    values, how = plan.values(latents, variants)
    return values[0], values[1:] - values[0], how


def _rank(plan: Plan) -> Chosen:
    """All units that are tried; ties to the lowest number."""
    if plan.params.order == "given":
        return Chosen("rank", plan.target.units, np.arange(1.0, len(plan.target.units) + 1))
    units = tuple(sorted(plan.target.units))
    if plan.params.order == "likeness":
        likeness = unit_likeness(plan.context, plan.target.tensor, plan.samples.ranked)
        scores, wanted = likeness[list(units)], likeness[list(units)]
    else:
        _, changes, _ = _changes(plan, plan.samples.ranked, [(unit,) for unit in units])
        scores = changes.mean(1)
        wanted = plan.sign * scores
    largest = float(np.abs(wanted).max()) or 1.0
    order = np.argsort(-np.round(wanted / largest, _TIE), kind="stable")
    return Chosen("rank", tuple(units[place] for place in order), scores[order])


def _choose(plan: Plan, ranking: Chosen, strategy: str) -> Chosen:
    """What a strategy chooses on the ranking samples."""
    if strategy == "rank":
        return Chosen("rank", ranking.units[: plan.n_top], ranking.by[: plan.n_top])
    found = search_units(
        plan.context.probe,
        plan.samples.ranked,
        plan.target.template.for_units(plan.target.units),
        plan.measure,
        n_units=plan.n_top,
        maximise=plan.sign > 0,
        column=plan.column,
        preferred=ranking.units,
        progress=plan.context.progress,
    )
    return Chosen(strategy, found.units, np.array(found.values) - found.base)


def _draw_random(plan: Plan) -> RandomUnits:
    """Nested random sets of all units of the site, on the measured samples."""
    return random_units(
        plan.context.probe,
        plan.samples.measured,
        plan.target.template,
        plan.measure,
        n_units=plan.n_top,
        n_draws=plan.params.n_draws,
        seed=plan.context.seed,
        column=plan.column,
        progress=plan.context.progress,
    )
