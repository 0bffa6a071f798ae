"""The study: directions are found, walked, and what they do is measured beside random ones."""

from __future__ import annotations

from dataclasses import dataclass

from ganprobe import Context
from ganprobe_directions import DirectionsParams
from ganprobe_directions.attributes import find_boundaries
from ganprobe_directions.closed_form import find_factors
from ganprobe_directions.effects import Effects, Scale, measure_effects, measure_scale
from ganprobe_directions.families import Family
from ganprobe_directions.pca import find_components
from ganprobe_directions.plan import Plan, make_plan
from ganprobe_directions.strips import Strips, walk_strips

_FINDERS = {"pca": find_components, "closed-form": find_factors, "boundary": find_boundaries}


@dataclass(frozen=True, eq=False)
class Study:
    """All that was found: for each family its effects and its strips."""

    plan: Plan
    scale: Scale
    families: tuple[Family, ...]
    effects: tuple[Effects, ...]
    strips: tuple[Strips, ...]


def study_directions(context: Context, params: DirectionsParams) -> Study:
    """Find directions by each method, and study each family of them.

    Raises:
        ParameterError: parameters that do not fit together or the generator.
    """
    plan = make_plan(context, params)
    families = [family for method in plan.methods for family in _FINDERS[method](plan)]
    scale = measure_scale(plan)
    with context.progress(sum(map(len, families)), "directions") as bar:
        effects = [measure_effects(plan, family, scale, bar.advance) for family in families]
    strips = [walk_strips(plan, family) for family in families]
    return Study(plan, scale, tuple(families), tuple(effects), tuple(strips))
