"""Veto: where on the way to the image a network undoes an edit."""

from __future__ import annotations

from typing import Any

from ganprobe import (
    Analysis,
    Context,
    Field,
    MeasureName,
    OneSite,
    Params,
    Result,
    Samples,
    Units,
    hookimpl,
)


class VetoParams(Params):
    """Which edit is made, to which samples, and what it is compared with."""

    site: OneSite | None = Field(
        default=None,
        description="Where the edit is made: conv2. May be left out where --units names it.",
    )
    units: Units | None = Field(
        default=None,
        description="Units that are edited: 3,7,10-20 or @set.json. Without it, random ones.",
    )
    n_units: int | None = Field(
        default=None,
        ge=1,
        description="How many random units, without --units. Without it, 16 % of the site's.",
    )
    source: Samples | None = Field(
        default=None,
        description="Samples that are edited: 0-9, digit=1 or @latents.json. Without it, the"
        " first of the seed.",
    )
    donor: Samples | None = Field(
        default=None,
        description="Samples whose units are put in, one for each source. Without it, the units"
        " are ablated.",
    )
    to: str | None = Field(
        default=None,
        description="What ablated units become: zero, mean, a number, or kernel, which zeroes"
        " the weights of the convolution that makes them. Without it, zero.",
    )
    n_samples: int = Field(
        default=64,
        ge=1,
        le=10**6,
        description="Samples, or pairs; fewer where --source or --donor names fewer.",
    )
    region: str | None = Field(
        default=None,
        description="Where in space: left, right, top, bottom, centre, a box"
        " LEFT,TOP,RIGHT,BOTTOM in shares of the image, or @mask.png.",
    )
    strength: float = Field(
        default=1.0, ge=0.0, le=1.0, description="How much of the edit is made, from 0 to 1."
    )
    n_controls: int = Field(
        default=8, ge=1, le=1000, description="Random edits of equal norm, and random unit sets."
    )
    n_resamples: int = Field(
        default=2000, ge=39, le=10**6, description="Bootstrap resamples of each interval."
    )
    judge: MeasureName | None = Field(
        default=None, description="A measure whose verdict stands under the images: digit."
    )
    n_shown: int = Field(default=5, ge=1, le=50, description="Samples whose images are shown.")
    batch_size: int = Field(
        default=16, ge=1, le=10**5, description="Samples in one forward; fewer take less memory."
    )


class Veto(Analysis[VetoParams]):
    """Follow an edit from its site to the image: where is it damped, and is that its own fate?

    At every layer after the edit, h is the unedited activation, h' the edited one, and hd that of
    the destination: all units of the site swapped with the donor's, or all ablated. Then

        progress = <h' - h, hd - h> / |hd - h|², 0 for nothing of the way, 1 for arrived

        residual = |(h' - h) - progress (hd - h)| / |hd - h|, what points elsewhere

        change = |h' - h| / |h|

        survival = |h' - h| over that of random edits of equal norm at the site

    Beside it go a plain blend of all units with hd, of equal norm, and random sets of as many
    units. The damping layer is the one over which the mean progress falls most, from what the
    layer is given to what it returns. Of non-linear layers it is told how many values are
    saturated: the derivative is below 1 %.

    Costs 2 n_controls + 5 forwards of every sample. Memory holds four of them for a batch, with
    all layers after the site: a smaller --batch-size takes less.
    """

    name = "veto"
    summary = "Where on the way to the image an edit of some units is undone, and by which layer."
    Params = VetoParams
    examples = (
        "ganprobe run veto digits --site conv2 --source digit=1 --donor digit=3 --judge digit"
        " --output out/veto",
        "ganprobe run veto digits --units @out/swap/units/found.json --source digit=1"
        " --donor digit=3 --output out/found",
        "ganprobe run veto digits --site conv3 --n-units 10 --to mean --output out/ablated",
    )

    def run(self, context: Context, params: VetoParams) -> Result:
        """Edit, follow, tell."""
        from ganprobe_veto.report import make_result
        from ganprobe_veto.trace import trace_edit

        return make_result(trace_edit(context, params), context, params)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``veto``."""
    return [Veto]
