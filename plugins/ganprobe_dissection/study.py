"""The study: every site dissected, then compared with the masks of other samples.

Costs one forward (or reading) and segmentation of each sample, and of a few hundred once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from ganprobe import Context, dissect
from ganprobe_dissection import DissectionParams
from ganprobe_dissection.cards import Card, choose_cards
from ganprobe_dissection.chance import overlaps_elsewhere
from ganprobe_dissection.labels import Labelled, file_names, label_units
from ganprobe_dissection.palette import class_colours
from ganprobe_dissection.plan import Plan, make_plan


@dataclass(frozen=True, eq=False)
class Study:
    """What dissection gave.

    Args:
        sites: in the order that they were asked for.
        cards: of units that are shown, with their top images.
        colours: one for each class.
    """

    plan: Plan
    sites: tuple[Labelled, ...]
    cards: tuple[Card, ...]
    colours: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The segmenter's."""
        return self.plan.segmenter.classes


def study_sites(context: Context, params: DissectionParams) -> Study:
    """Dissect, label, and fetch the top images.

    Raises:
        ParameterError, UnknownNameError, PluginError, SiteError: as `make_plan`.
        StoreError: the activation store that was given does not hold what is needed.
    """
    plan = make_plan(context, params)
    dissections = dissect(
        context.probe,
        plan.segmenter,
        plan.sites,
        n_samples=params.n_samples,
        read=plan.read,
        settings=plan.settings,
        progress=context.progress,
    )
    names = file_names([str(site) for site in plan.sites])
    sites = tuple(
        label_units(names[str(site)], dissection, elsewhere, params)
        for site, dissection, elsewhere in zip(
            plan.sites, dissections, overlaps_elsewhere(plan, dissections), strict=True
        )
    )
    return Study(plan, sites, choose_cards(plan, sites), class_colours(plan.segmenter))
