"""Insertion: units set to a level at a place, and what a segmenter then finds of a class."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from ganprobe import (
    Analysis,
    Context,
    Field,
    OneSite,
    Params,
    Result,
    Samples,
    SegmenterName,
    Units,
)
from ganprobe_ablation.written_levels import level_reader

InsertionLevel = Annotated[str, BeforeValidator(level_reader("class-mean", "quantile"))]
"""What an inserted unit becomes: ``class-mean``, ``quantile``, or a number as it is written."""


class InsertionParams(Params):
    """What is inserted, where, what is looked for, and on which samples."""

    site: OneSite | None = Field(
        default=None,
        description="The site, as `ganprobe layers` names it: conv3. May be left out where --units"
        " is a saved set, which names it.",
    )
    segmenter: SegmenterName = Field(
        description="What tells the class of each pixel, as `ganprobe plugins` names it: scenes,"
        " luminance:5.",
    )
    class_name: str = Field(
        min_length=1, description="The class that is looked for: one of the segmenter's, as door."
    )
    units: Units | None = Field(
        default=None,
        description="Insert these units: 3,7,10-20, or a saved set @set.json. Without it, the"
        " --n-units with the largest IoU with the class.",
    )
    n_units: int = Field(
        default=20, ge=1, le=10**5, description="How many units, where --units does not say it."
    )
    level: InsertionLevel = Field(
        default="quantile",
        description="What an inserted unit becomes: quantile, its --quantile over space and"
        " samples; class-mean, its mean over what the class covers, which is weaker; or a number.",
    )
    quantile: float = Field(
        default=0.995, gt=0.0, lt=1.0, description="Of the unit's values, for --level quantile."
    )
    at: str | None = Field(
        default=None,
        description="Also insert at one place: X,Y, a point in shares of the image from its upper"
        " left corner, as in 0.5,0.6, with a window around it; or a region: left, right, top,"
        " bottom, centre, a box LEFT,TOP,RIGHT,BOTTOM, or @mask.png.",
    )
    grid: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Places along each axis of the image, at most the site's cells. Time grows with"
        " its square.",
    )
    window: int | None = Field(
        default=None,
        ge=1,
        le=10**4,
        description="Cells of the site along each axis that are set at a place. Without it, 3/16 of"
        " each axis.",
    )
    least_share: float = Field(
        default=0.1,
        gt=0.0,
        le=1.0,
        description="The class appeared where nothing of it was in the window, and then it covers"
        " so much of it.",
    )
    optimise: bool = Field(
        default=False,
        description="Also find how far each unit of the site is to be moved for the largest average"
        " causal effect, starting from IoU over the largest IoU.",
    )
    n_steps: int = Field(default=100, ge=1, le=10**5, description="Steps of --optimise.")
    penalty: float = Field(
        default=0.005, ge=0.0, le=10.0, description="Of the sum of squared shares, for --optimise."
    )
    samples: Samples | None = Field(
        default=None,
        description="Which samples: 0-199, @mine.json. The first --n-samples of them are measured,"
        " the next --n-ranked tell levels and units. Without it, those of the seed from 0 on.",
    )
    n_samples: int = Field(
        default=50, ge=4, le=10**6, description="How many samples effects are measured on."
    )
    n_ranked: int = Field(
        default=200,
        ge=1,
        le=10**6,
        description="How many other samples levels are taken over, units chosen on and shares"
        " optimised on, so that effects are not inflated by the choice.",
    )
    n_places: int = Field(
        default=2,
        ge=1,
        le=10**4,
        description="Random places of each sample that the average causal effect is taken over.",
    )
    n_draws: int = Field(
        default=20,
        ge=2,
        le=10**4,
        description="Random sets of equal size, of all units of the site, as control: 39 and more"
        " give a 95 % band.",
    )
    n_resamples: int = Field(
        default=2000, ge=39, le=10**6, description="Resamples of intervals and p values."
    )
    n_shown: int = Field(default=4, ge=1, le=6, description="Samples that figures show.")


class Insertion(Analysis[InsertionParams]):
    """Insert units at each place of an image: where can a door go?

    The units are set to their levels in a window of the site's grid, one place at a time, and the
    area of the class is compared with that in the unedited image of the same latent: a map of
    where the class appears, and its mean change by what was there before, each sample counting
    once, with 95 % intervals over samples, p by sign flips and q after Benjamini-Hochberg. The
    average causal effect is the class's share of a random place with the units at their levels
    less that with the units at zero, beside random sets of units inserted by the same rule.

    With --at, units are also inserted at one place or region. With --optimise, the share of each
    unit of the site is found that makes the average causal effect largest.

    Source: Bau et al. 2019 (arXiv 1811.10597), section 3.2; Bau et al. 2020 (PNAS).
    """

    name = "insertion"
    summary = "Where units make a class appear: insert them at every place of the image."
    Params = InsertionParams
    examples = (
        "ganprobe run insertion scenes --site conv3 --segmenter scenes --class-name door"
        " --output out/insertion",
        "ganprobe run insertion scenes --site conv4 --units 3,7,10-20 --level class-mean"
        " --segmenter scenes --class-name tree --at 0.2,0.6 --output out/tree",
        "ganprobe run insertion scenes --site conv3 --segmenter scenes --class-name door --optimise"
        " --output out/optimised",
    )

    def run(self, context: Context, params: InsertionParams) -> Result:
        """Choose, insert, tell."""
        from ganprobe_ablation.insertion.report import make_result
        from ganprobe_ablation.insertion.study import study_insertion

        return make_result(study_insertion(context, params))
