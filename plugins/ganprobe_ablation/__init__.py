"""Ablation: what each unit of a site, and what sets of them, do to a measure of the image."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from ganprobe import (
    Analysis,
    Context,
    Field,
    MeasureColumn,
    OneSite,
    Params,
    Result,
    Samples,
    Units,
    hookimpl,
)
from ganprobe_ablation.insertion import Insertion
from ganprobe_ablation.written_levels import level_reader

Level = Annotated[str, BeforeValidator(level_reader("zero", "mean", "kernel"))]
"""What an ablated unit becomes: ``zero``, ``mean``, ``kernel``, or a number as it is written."""


class AblationParams(Params):
    """What is ablated, how, what is measured, and on which samples."""

    site: OneSite | None = Field(
        default=None,
        description="The site, as `ganprobe layers` names it: conv3. May be left out where --units"
        " is a saved set, which names it.",
    )
    measure: MeasureColumn = Field(
        description="What is measured of the images: a measure and its column, as in digit=1; a"
        " measure of one column stands alone, as in digit-realness. area:scenes=tree is the share"
        " of the image that a class covers, by the segmenter scenes.",
    )
    samples: Samples | None = Field(
        default=None,
        description="Which samples: 0-199, digit=1, @mine.json. The first --n-samples of them are"
        " measured, the next --n-ranked make the ranking. Without it, those of the seed from 0 on.",
    )
    n_samples: int = Field(
        default=100, ge=4, le=10**6, description="How many samples the effects are measured on."
    )
    n_ranked: int = Field(
        default=100,
        ge=1,
        le=10**6,
        description="How many other samples units are ranked and chosen on, so that the effects of"
        " those that are chosen are not inflated by the choice.",
    )
    units: Units | None = Field(
        default=None,
        description="Try these units only: 3,7,10-20, or a saved set @set.json. Without it, all of"
        " the site.",
    )
    to: Level = Field(
        default="zero",
        description="What an ablated unit becomes: zero; mean, its mean over the ranking samples"
        " and space; a number; or kernel, as with the weights of its convolution at 0: the bias"
        " and the normalisation stay, so that a constant flows on.",
    )
    region: str | None = Field(
        default=None,
        description="Where: left, right, top, bottom, centre; a box LEFT,TOP,RIGHT,BOTTOM in shares"
        " of the image, as in 0,0,0.5,1; or @mask.png, white where units are ablated. Without it,"
        " everywhere.",
    )
    strength: float = Field(
        default=1.0, gt=0.0, le=1.0, description="How far a unit is moved to what it becomes."
    )
    top: int = Field(
        default=20,
        ge=1,
        le=10**5,
        description="The curve goes over the first 1, 2, ... of the ranking up to so many units.",
    )
    strategy: tuple[Literal["rank", "greedy"], ...] = Field(
        default=("rank",),
        description="How sets are chosen: rank, by what each unit does alone; greedy, the unit"
        " that does most beside those chosen before, which finds units that stand in for each"
        " other, at about --top times as much work.",
    )
    direction: Literal["lower", "raise"] = Field(
        default="lower", description="Units first that lower, or that raise, the measure."
    )
    order: Literal["effect", "likeness", "given"] = Field(
        default="effect",
        description="What the ranking goes by: the effect on the measure; how much a unit's map"
        " looks like the image (mean absolute correlation); or given, the order of --units, as a"
        " saved set has it: that of a dissection, by IoU with a class.",
    )
    n_draws: int = Field(
        default=20,
        ge=2,
        le=10**4,
        description="Random sets of equal size, of all units of the site, as control.",
    )
    n_resamples: int = Field(
        default=2000,
        ge=39,
        le=10**6,
        description="Resamples of intervals and p values. To find 1 unit in m takes over 20 m.",
    )
    swap_units: Units | None = Field(
        default=None,
        description="After the ablation, swap these units of the site with the donor's, everywhere."
        " A unit that is in both is swapped: the swap comes later, and wins.",
    )
    donor: Samples | None = Field(
        default=None,
        description="Donors of --swap-units: 5, digit=3, @mine.json. One for each sample; if they"
        " are fewer, in turn.",
    )
    n_shown: int = Field(default=4, ge=1, le=32, description="Samples that figures show.")


class Ablation(Analysis[AblationParams]):
    """Ablate the units of a site, alone and in sets, and tell what that does to a measure.

    Each sample is compared with itself: the same latent, with and without the ablation. An effect
    is the mean difference over samples, with its 95 % interval, p by sign flips and q after
    Benjamini-Hochberg over units. The first 1, 2, ... units of a ranking are ablated together,
    beside random sets of equal size. Units are ranked and chosen on other samples than they are
    measured on. Of an area, as area:scenes=tree, the share that is left is told as well.

    With --swap-units and --donor, the first units of the ranking are ablated and others swapped on
    top: nothing, ablated, swapped, and both are compared.

    Source: unit ablation of GAN Dissection, Bau et al. 2019 (arXiv 1811.10597), section 3.2.
    """

    name = "ablation"
    summary = "What each unit, and the first k of a ranking, do to a measure when ablated."
    Params = AblationParams
    examples = (
        "ganprobe run ablation digits --site conv3 --measure digit=1 --samples digit=1"
        " --output out/ablation",
        "ganprobe run ablation digits --site conv3 --measure digit=1 --samples digit=1 --to mean"
        " --strategy rank --strategy greedy --output out/greedy",
        "ganprobe run ablation digits --units @out/greedy/units/greedy-20.json --measure"
        " digit-realness --output out/saved",
        "ganprobe run ablation scenes --site conv4 --units 3,7,1 --order given --measure"
        " area:scenes=tree --strategy rank --strategy greedy --output out/tree",
        "ganprobe run ablation digits --site conv3 --measure digit=1 --samples digit=1 --to kernel"
        " --order likeness --swap-units 0-19 --donor digit=3 --output out/on-top",
    )

    def run(self, context: Context, params: AblationParams) -> Result:
        """Choose, ablate, tell."""
        from ganprobe_ablation.report import make_result
        from ganprobe_ablation.study import study_units

        return make_result(study_units(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``ablation`` and ``insertion``."""
    return [Ablation, Insertion]
