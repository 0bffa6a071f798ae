"""Latent traversal: walk the latents, or another space, and see what changes on the way."""

from __future__ import annotations

from typing import Any, Literal

from ganprobe import (
    Analysis,
    AnimationFormat,
    Context,
    Directions,
    Field,
    Indices,
    MeasureName,
    Params,
    Result,
    Samples,
    SpaceName,
    hookimpl,
)


class TraversalParams(Params):
    """What is walked, how far, and what is shown."""

    walk: Literal["dims", "random", "lerp", "slerp", "loop"] = Field(
        default="dims",
        description="dims: along one dimension, or --direction, at a time; random: a smooth walk"
        " that stays in the prior; lerp, slerp: from each of the --through samples to the next,"
        " straight or along the sphere; loop: through them and back to the first.",
    )
    space: SpaceName = Field(
        default="z",
        description="Where points are moved: z, w, or the activations of a site, as conv2.",
    )
    dims: Indices | None = Field(
        default=None,
        description="Dimensions to walk, of a site its units: 3,7,10-20. Without it, all of them.",
    )
    direction: Directions | None = Field(
        default=None,
        description="Walk along these saved directions instead: @pca.safetensors:pc0, or all in"
        " the file. They say which space they are of.",
    )
    through: tuple[Samples, ...] = Field(
        default=(),
        description="Samples that lerp, slerp and loop go through: 0,3,8, or digit=1, the first"
        " such sample, or @mine.json. Without it, the first four.",
    )
    bases: int = Field(
        default=16,
        ge=1,
        le=100_000,
        description="Base samples that the ranking is taken over; all else stays.",
    )
    steps: int = Field(
        default=9,
        ge=2,
        le=10_000,
        description="Steps of each walk, or from each sample to the next. Take 40 to animate.",
    )
    low: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="First value of a dimension of z; elsewhere the first step, in standard"
        " deviations from the base. Without it, -3 or the lower end of the prior.",
    )
    high: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Last value or step. Without it, 3 or the upper end of the prior.",
    )
    measure: tuple[MeasureName, ...] = Field(
        default=(),
        description="Follow this measure along the walks: digit, or area:luminance, how much of"
        " the image each class of a segmenter covers. Without it, every measure that takes the"
        " generator's images; none: no measure.",
    )
    rows: int = Field(
        default=6,
        ge=1,
        le=64,
        description="Base samples that a figure shows, one in each row, and random walks.",
    )
    figures: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="Dimensions that get a figure, from the top of the ranking.",
    )
    animate: tuple[AnimationFormat, ...] = Field(
        default=(),
        description="Also write what the figures show as animations. png is a folder of frames.",
    )
    fps: float = Field(
        default=10.0, gt=0.0, le=50.0, description="Frames a second of the animations."
    )


class Traversal(Analysis[TraversalParams]):
    """Walk along latent dimensions, directions or ways between samples, and tell what changes.

    Along a dimension: one coordinate of the latent takes evenly spaced values while all others
    stay at those of a base sample; the change is the root mean square over pixels against the
    base image, in per cent of the way from black to white. All dimensions are ranked by it and
    shown on one page, the strongest with a figure each. In w or at a site, and along directions,
    steps are standard deviations from the base. Steps outside the prior are marked red.

    Measures are followed along the walks. What a measure gains from the first to the last step is
    its slope with the sign, what both ends gain against the middle is its bend with the size:
    means over base samples with 95 % intervals, p by sign flips, q over all dimensions and
    columns.

    With --walk random, lerp, slerp or loop: ways through the space, as grids, curves of the
    measures and, with --animate, films.

    Source: Radford et al. 2016 (arXiv 1511.06434), section 6.1.
    """

    name = "traversal"
    summary = "Walk along each latent dimension; rank them by how much the image changes."
    Params = TraversalParams
    uses_latents = True
    examples = (
        "ganprobe run traversal digits --output out/traversal",
        "ganprobe run traversal digits --dims 0,3-5 --low -2 --high 2 --steps 41 --measure digit"
        " --animate gif --output out/few",
        "ganprobe run traversal digits --space conv2 --measure digit --output out/units",
        "ganprobe run traversal digits --direction @out/pca/directions/pca.safetensors"
        " --output out/along",
        "ganprobe run traversal digits --walk loop --through digit=1 --through digit=3 --through 8"
        " --steps 24 --animate gif --animate mp4 --output out/loop",
    )

    def run(self, context: Context, params: TraversalParams) -> Result:
        """Walk, rank, draw."""
        if params.walk == "dims":
            from ganprobe_traversal.plan import plan_walks
            from ganprobe_traversal.report import report_walks
            from ganprobe_traversal.walk import take_walks

            return report_walks(take_walks(plan_walks(context, params)))

        from ganprobe_traversal.routes import plan_route
        from ganprobe_traversal.tour import take_tour
        from ganprobe_traversal.tour_report import report_tour

        return report_tour(take_tour(plan_route(context, params)))


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``traversal``."""
    return [Traversal]
