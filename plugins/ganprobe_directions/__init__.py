"""Directions: what spaces of a generator vary along, and what moving along it does to images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from ganprobe import (
    Analysis,
    Context,
    Field,
    MeasureColumn,
    MeasureName,
    Params,
    Result,
    Samples,
    SpaceName,
    hookimpl,
)


def _odd(steps: int) -> int:
    if steps % 2 == 0:
        raise ValueError("give an odd number of steps, so that the middle one is the base itself")
    return steps


class DirectionsParams(Params):
    """Which directions are looked for, where, and how what they do is shown and measured."""

    method: tuple[Literal["pca", "closed-form", "boundary"], ...] = Field(
        default=(),
        description="How directions are found: pca, what varies most over samples; closed-form,"
        " what the first learned layer stretches most, without samples; boundary, what parts"
        " samples with little of an --attribute from those with much. Without it: boundary where"
        " an --attribute is given, else closed-form of z, pca of w and of a site.",
    )
    space: SpaceName = Field(
        default="z",
        description="Where directions are: z, w, or a site, as conv2. pca of a site is also"
        " carried back to z.",
    )
    attribute: tuple[MeasureColumn, ...] = Field(
        default=(),
        description="For boundary: a measure and its column, as digit-shape.thickness or digit=1;"
        " a measure of one column stands alone.",
    )
    without: tuple[MeasureColumn, ...] = Field(
        default=(),
        description="For boundary: attributes that are to stay. Directions are projected onto what"
        " is orthogonal to the boundaries of these, beside the plain ones. Without it, each"
        " attribute is freed of the other ones.",
    )
    extreme: float = Field(
        default=0.02,
        gt=0.0,
        le=0.5,
        description="For boundary: the share of samples with the least, and with the most, of the"
        " attribute, that the boundary is fitted to.",
    )
    found_on: Samples | None = Field(
        default=None,
        description="The samples that directions are found in: digit=1, @good.json. So boundaries"
        " within a class are found. Without it, samples of the seed.",
    )
    n_samples: int = Field(
        default=2000, ge=20, le=10**7, description="In how many samples directions are found."
    )
    n_components: int = Field(
        default=6, ge=1, le=1000, description="How many directions pca and closed-form give."
    )
    pca_of: Literal["points", "means"] = Field(
        default="points",
        description="For pca of a site: points, whole maps, so that a direction differs from place"
        " to place; means, of each unit over its map, so that it moves the whole map alike.",
    )
    layer: tuple[str, ...] = Field(
        default=(),
        description="For closed-form: the layer whose weights are taken. The columns of several"
        " stand side by side. Without it, the first learned layer that takes the space's points.",
    )
    n_bases: int = Field(
        default=48, ge=1, le=10**5, description="Samples that effects are measured on."
    )
    effect_at: float = Field(
        default=1.0,
        gt=0.0,
        le=100.0,
        description="Effects are those of going from so many deviations behind a sample to as many"
        " ahead of it.",
    )
    measure: tuple[MeasureName, ...] = Field(
        default=(),
        description="Measure effects by this. Without it, every measure that takes the images.",
    )
    n_random: int = Field(
        default=20,
        ge=2,
        le=10**4,
        description="Random directions of the same length, as control.",
    )
    n_resamples: int = Field(
        default=2000, ge=39, le=10**6, description="Resamples of intervals and p values."
    )
    n_figures: int = Field(
        default=6, ge=1, le=100, description="Directions of each method that are shown as strips."
    )
    n_shown: int = Field(
        default=3, ge=1, le=32, description="Samples that each of them is shown on, a row each."
    )
    steps: Annotated[int, AfterValidator(_odd)] = Field(
        default=7, ge=3, le=99, description="Columns of a strip; odd: the middle is the base."
    )
    reach: float = Field(
        default=3.0,
        gt=0.0,
        le=1000.0,
        description="How many deviations a strip goes in either direction.",
    )


class Directions(Analysis[DirectionsParams]):
    """Find directions of a space, show them as strips, and tell what each does to the image.

    A step along a direction is a number of standard deviations of the samples along it. Each
    direction is shown on a few samples, the sample itself in the middle, and its effect on every
    measure is the mean paired change from --effect-at deviations behind a sample to as many
    ahead, in standard deviations of the measure over samples, with its 95 % interval, p by sign
    flips and q after Benjamini-Hochberg over directions and measures, beside random directions of
    the same length.

    --latents names the samples that directions are shown and measured on; --found-on those that
    they are found in. What is found is written to OUTPUT/directions, for other commands:
    --direction @OUTPUT/directions/pca-conv2.safetensors:pc0.

    pca of latents that are drawn alike in every dimension has no order of its own, and is told so.

    Source: GANSpace, Härkönen et al. 2020 (arXiv 2004.02546); SeFa, Shen and Zhou 2020 (arXiv
    2007.06600); InterFaceGAN, Shen et al. 2020 (arXiv 2005.09635).
    """

    name = "directions"
    summary = "Directions by PCA, in closed form, or of an attribute, and what each does."
    Params = DirectionsParams
    uses_latents = True
    examples = (
        "ganprobe run directions digits --space conv2 --output out/directions",
        "ganprobe run directions digits --method pca --method closed-form --output out/z",
        "ganprobe run directions digits --attribute digit-shape.thickness --attribute"
        " digit-shape.slant --n-samples 10000 --output out/thicker",
        "ganprobe run directions digits --attribute digit-shape.slant --found-on digit=1 --latents"
        " digit=1 --extreme 0.1 --output out/slanted-ones",
    )

    def run(self, context: Context, params: DirectionsParams) -> Result:
        """Find, walk, measure, tell."""
        from ganprobe_directions.report import make_result
        from ganprobe_directions.study import study_directions

        return make_result(study_directions(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``directions``."""
    return [Directions]
