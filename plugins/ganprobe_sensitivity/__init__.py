"""Sensitivity: what each element of the latent, of w or of a site does to the image."""

from __future__ import annotations

from typing import Any, Literal

from ganprobe import Analysis, Context, Field, Indices, Params, Result, SpaceName, hookimpl


class SensitivityParams(Params):
    """Which elements are moved, how far, and what is measured of the images."""

    space: SpaceName = Field(
        default="z",
        description="Where the elements are: z, the latent; w; or a site, as `ganprobe layers`"
        " names it, whose units are then the elements, each moved by the same amount everywhere.",
    )
    dims: Indices | None = Field(
        default=None, description="Elements to look at: 3,7,10-20. Without it, all of them."
    )
    n_samples: int = Field(
        default=32, ge=1, le=10**5, description="Base samples that the changes are taken over."
    )
    step: float = Field(
        default=1.0,
        gt=0.0,
        le=100.0,
        description="How far an element is moved, in its standard deviations. Changes are told for"
        " one deviation whatever the step.",
    )
    method: Literal["both", "difference", "jvp"] = Field(
        default="both",
        description="difference: move each element and compare; jvp: the derivative, in forward"
        " mode; both, with a comparison of the two at a small step.",
    )
    n_directions: int = Field(
        default=40,
        ge=2,
        le=10**4,
        description="Random directions of the same length, as control. 39 make a band of 95 %.",
    )
    n_associated: int = Field(
        default=2000,
        ge=50,
        le=10**6,
        description="Fresh samples of the prior over which elements are correlated with measures.",
    )
    measure: tuple[str, ...] = Field(
        default=(),
        description="What is measured of the images: digit, or one of its columns as in digit=1;"
        " area:luminance, how much of the image each class of a segmenter covers. Without it,"
        " every measure that takes these images.",
    )
    n_shown: int = Field(
        default=24, ge=1, le=200, description="Elements that figures show, strongest first."
    )
    n_resamples: int = Field(
        default=2000,
        ge=39,
        le=10**6,
        description="Resamples of intervals and p values, at least: p values take more where more"
        " elements are tested.",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1.0, description="Of each interval, as in 0.95."
    )


class Sensitivity(Analysis[SensitivityParams]):
    """Tell what each element of the latent does: how much, where, and to which feature.

    Each element is moved by one standard deviation while all others stay; the change of the image
    is its root mean square over pixels, in per cent of the way from black to white, with its
    interval over samples. The step goes toward the middle of the prior, so that no image lies
    outside. Beside it: the derivative in forward mode, and random directions of the same length,
    without which no ranking means anything. Over fresh samples, the value of each element is
    correlated with every measure of the image (Pearson, Spearman, mutual information), corrected
    for the number of elements; and moving the element tells whether it causes what it goes with.

    Look at one-page.png first: a row for each element, strongest first.

    Source: Jacobian columns as in Ramesh et al. 2018 (arXiv 1812.01161), section 3; mutual
    information by nearest neighbours, Kraskov et al. 2004 (Phys. Rev. E 69, 066138).
    """

    name = "sensitivity"
    summary = "What each latent element does: how much, where, and which feature it goes with."
    Params = SensitivityParams
    uses_latents = True
    examples = (
        "ganprobe run sensitivity digits --output out/sensitivity",
        "ganprobe run sensitivity digits --measure digit-shape --measure digit=7 --output out/some",
        "ganprobe run sensitivity digits --space conv2 --dims 0-31 --output out/units",
        "ganprobe run sensitivity digits --latents digit=1 --output out/ones",
    )

    def run(self, context: Context, params: SensitivityParams) -> Result:
        """Move, differentiate, correlate, tell."""
        from ganprobe_sensitivity.report import make_result
        from ganprobe_sensitivity.study import study_elements

        return make_result(study_elements(context, params))


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``sensitivity``."""
    return [Sensitivity]
