"""Swap: which units of a site make an image what it is, found by swapping them with a donor's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

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

Strategy = Literal["greedy", "rank", "joint", "gradient", "integrated", "random"]


class SwapParams(Params):
    """What is swapped between whom, what is searched for and how, and on what it is tested."""

    site: OneSite | None = Field(
        default=None,
        description="Where units are swapped, as `ganprobe layers` names it: conv2, or conv2#0-31"
        " to search among some. May be left out where --units names it.",
    )
    source: Samples = Field(
        description="Whose image is edited: 5, 0-9, a class as in digit=1, or a file of latents as"
        " in @mine.json or @mine.json:ones."
    )
    donor: Samples = Field(description="Whose units are swapped in, chosen the same way.")
    pairs: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Pairs of source and donor that are searched on. Without it, as many as are"
        " named; 20 of a class.",
    )
    held_out: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="Other pairs, on which sets are tested that were found without them. Without"
        " it, those that are left; 100 of a class.",
    )
    transfer: tuple[str, ...] = Field(
        default=(),
        description="Also test on pairs of another kind, as digit=0:digit=4 or 'digit=0 into"
        " digit=4', and search there.",
    )
    units: Units | None = Field(
        default=None,
        description="Swap these, 3,7,10-20 or @set.json, in the order given; then nothing is"
        " searched for unless --strategy says so.",
    )
    n_units: int | None = Field(
        default=None, ge=1, description="How many units are swapped; without it, 20, or all that"
        " --units names."
    )  # fmt: skip
    objective: tuple[str, ...] = Field(
        default=("toward",),
        description="What a search drives: toward (the donor's image), away (from the source's),"
        " stay (at the source's), or a measure's column, as digit=3, or -digit=1 to lower it, or"
        " area:luminance=dark, how much of the image a class covers.",
    )
    strategy: tuple[Strategy, ...] = Field(
        default=(),
        description="How: greedy and rank find a set for each pair; joint (greedy on the mean over"
        " all pairs), gradient and integrated (approximations) one set for all; random alone"
        " searches for nothing. Random sets are always there to compare with. Without it: greedy,"
        " rank, joint, integrated.",
    )
    judge: MeasureName | None = Field(
        default=None,
        description="A measure of several columns that says what an image shows: its largest one."
        " Without it, the measure that --donor or --source names.",
    )
    n_draws: int = Field(default=10, ge=2, le=1000, description="Random sets to compare with.")
    n_shown: int = Field(default=3, ge=1, le=12, description="Pairs whose images are shown.")

    @field_validator("objective", "transfer")
    @classmethod
    def _not_empty(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if any(not one.strip() for one in given):
            raise ValueError("is empty")
        return tuple(dict.fromkeys(one.strip() for one in given))


class Swap(Analysis[SwapParams]):
    """Find the units whose swap with a donor's turns one image into another, and test them.

    Source and donor run through the same generator; units of one site are exchanged. A search
    picks those that drive an objective furthest: toward the donor's image, away from the source's
    (the classic choice, which finds the most change, not the donor), staying at the source's, or
    a measure's column. What it finds is tested: a judge says what each edited image shows, and the
    share that became what the donor is has a 95 % interval (Wilson) and stands beside that of
    random sets of equal size. Sets that one search found are tried on held-out pairs, on each
    other's pairs, and with --transfer on pairs of other classes.

    The sets are written to units/*.json: give them to this or another analysis as --units
    @set.json. The README of this plugin goes through the classic experiments.

    Source: unit interventions, Bau et al. 2019 (arXiv 1811.10597).
    """

    name = "swap"
    summary = "Which units turn one image into another: search, swap, count what it becomes."
    Params = SwapParams
    examples = (
        "ganprobe run swap digits --site conv2 --source digit=1 --donor digit=3 --output out/swap",
        "ganprobe run swap digits --site conv2 --source 3 --donor 8 --strategy greedy \\\n"
        "      --objective toward --objective away --judge digit --output out/pair",
        "ganprobe run swap digits --source digit=1 --donor digit=3 --transfer digit=0:digit=4 \\\n"
        "      --units @out/swap/units/toward-joint-20.json --output out/transfer",
        "ganprobe run swap digits --site conv3 --source digit=1 --donor digit=3 --n-units 25 \\\n"
        "      --strategy random --output out/random",
    )

    def run(self, context: Context, params: SwapParams) -> Result:
        """Choose pairs, search, test, draw."""
        from ganprobe_swap.experiment import experiment
        from ganprobe_swap.report import make_result

        return make_result(experiment(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``swap``."""
    return [Swap]
