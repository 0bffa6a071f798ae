"""The study: units inserted at every place, at random ones, at the one that was asked for.

Costs an image and its segmentation for each place of the grid and sample; 2 x (draws + 1) x places
for each sample for the average effect; draws + 2 for a place; and some hundred for each step of an
optimisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ganprobe import (
    CausalEffects,
    Context,
    ContextMap,
    OptimisedUnits,
    average_causal_effects,
    context_map,
    optimise_units,
)
from ganprobe_ablation.insertion import InsertionParams
from ganprobe_ablation.insertion.location import Location, insert_at
from ganprobe_ablation.insertion.plan import Floats, InsertionPlan, make_insertion_plan


@dataclass(frozen=True, eq=False)
class InsertionStudy:
    """What insertion gave.

    Args:
        context: at each place.
        average: of the units, of the optimised ones if there are any, then of random sets.
        location: at the place that was asked for; None: none was.
        optimised: None: they were not asked for.
    """

    plan: InsertionPlan
    context: ContextMap
    average: CausalEffects
    location: Location | None
    optimised: OptimisedUnits | None

    @property
    def n_chosen(self) -> int:
        """How many of the sets of `average` are no random ones."""
        return 1 if self.optimised is None else 2

    @property
    def random_effects(self) -> Floats:
        """(draws,) the average causal effect of each random set."""
        return self.average.effects.mean[self.n_chosen :]

    @property
    def optimised_units(self) -> tuple[int, ...]:
        """As many as were inserted, those with the largest shares."""
        assert self.optimised is not None
        return self.optimised.top(len(self.plan.units))


def study_insertion(context: Context, params: InsertionParams) -> InsertionStudy:
    """Choose, insert, measure.

    Raises:
        UnknownNameError, SiteError: there is no such segmenter, class or site.
        ParameterError: samples, units, level, place or window do not fit.
    """
    plan = make_insertion_plan(context, params)
    location = insert_at(plan)
    optimised = _optimise(plan) if params.optimise else None
    chosen = [plan.units]
    if optimised is not None:
        chosen.append(optimised.top(len(plan.units)))
    found = context_map(
        context.probe,
        plan.samples.measured,
        plan.site,
        plan.units,
        plan.levels,
        plan.segmenter,
        plan.name,
        least_share=params.least_share,
        n_resamples=params.n_resamples,
        **plan.causal(),
    )
    average = average_causal_effects(
        context.probe,
        plan.samples.measured,
        plan.site,
        [*chosen, *plan.draws],
        plan.levels,
        plan.segmenter,
        plan.name,
        n_places=min(params.n_places, len(plan.places)),
        n_resamples=params.n_resamples,
        **plan.causal(),
    )
    return InsertionStudy(plan, found, average, location, optimised)


def _optimise(plan: InsertionPlan) -> OptimisedUnits:
    """Shares of all units of the site, from IoU over the largest IoU."""
    assert plan.iou is not None
    largest = float(plan.iou.max())
    start = plan.iou / largest if largest > 0 else None
    return optimise_units(
        plan.context.probe,
        plan.samples.ranked,
        plan.site,
        torch.as_tensor(plan.levels),
        plan.segmenter,
        plan.name,
        start=start,
        n_steps=plan.params.n_steps,
        penalty=plan.params.penalty,
        **plan.causal(),
    )
