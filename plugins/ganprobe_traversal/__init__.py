"""Latent traversal: walk along one latent dimension at a time and see what changes."""

from __future__ import annotations

from typing import Any

from ganprobe import Analysis, Context, Field, Indices, Params, Result, hookimpl


class TraversalParams(Params):
    """What is walked, how far, and what is shown."""

    dims: Indices | None = Field(
        default=None, description="Dimensions to walk: 3,7,10-20. Without it, all of them."
    )
    bases: int = Field(
        default=16,
        ge=1,
        le=100_000,
        description="Base samples that the ranking is taken over; all else stays.",
    )
    steps: int = Field(default=9, ge=2, le=10_000, description="Steps of each walk.")
    low: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="First value. Without it, -3 or the lower end of the prior.",
    )
    high: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Last value. Without it, 3 or the upper end of the prior.",
    )
    rows: int = Field(
        default=6, ge=1, description="Base samples that a figure shows, one in each row."
    )
    figures: int = Field(
        default=4, ge=1, description="Dimensions that get a figure, from the top of the ranking."
    )
    measure: tuple[str, ...] = Field(
        default=(), description="Follow this measure along the walks; may be given several times."
    )


class Traversal(Analysis[TraversalParams]):
    """Walk along latent dimensions and rank them by how much they change the image.

    One coordinate of the latent takes evenly spaced values while all others stay at those of a
    base sample; the change is the root mean square over pixels against the base image, in per
    cent of the way from black to white. One figure for each of the top dimensions: a row for
    each base sample, a column for each step, the unchanged base at the left.

    Source: Radford et al. 2016 (arXiv 1511.06434), section 6.1.
    """

    name = "traversal"
    summary = "Walk along each latent dimension; rank them by how much the image changes."
    Params = TraversalParams
    examples = (
        "ganprobe run traversal digits --output out/traversal",
        "ganprobe run traversal digits --measure digit --output out/traversal",
        "ganprobe run traversal digits --dims 0,3-5 --low -2 --high 2 --steps 15 --output out/few",
    )

    def run(self, context: Context, params: TraversalParams) -> Result:
        """Walk, rank, draw."""
        from ganprobe_traversal.report import make_result
        from ganprobe_traversal.walk import walk_dimensions

        return make_result(walk_dimensions(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``traversal``."""
    return [Traversal]
