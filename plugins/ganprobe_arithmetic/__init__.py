"""Arithmetic: crossed seven - seven + one, in the latents or in the activations of a site."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from ganprobe import (
    Analysis,
    Context,
    Directions,
    Field,
    MeasureName,
    Params,
    Result,
    Samples,
    SpaceName,
    hookimpl,
)


class ArithmeticParams(Params):
    """Which groups, what is made of them, where, and what success is."""

    group: tuple[str, ...] = Field(
        min_length=1,
        description="A group of exemplars, with its name before a colon: 'crossed: digit=7 &"
        " digit-shape.bar>3', 'ones: digit=1', 'mine: @mine.json', '4: 3,8,11'. Without a name it"
        " is called A, B, C in turn.",
    )
    formula: str = Field(
        default="",
        description="What is made of the groups' means: 'crossed - seven + one', '0.5*a + 0.5*b'."
        " Without it: A, A - B, or A - B + C.",
    )
    direction: Directions | None = Field(
        default=None,
        description="Directions that the formula may name, as '+ 2*thickness': @FILE.safetensors."
        " One time is one standard deviation.",
    )
    space: tuple[SpaceName, ...] = Field(
        default=("z",),
        description="Where the sum is made: z, w, or a site as `ganprobe layers` names it, as"
        " conv2. Several are compared.",
    )
    n_exemplars: int = Field(
        default=3, ge=1, le=10_000, description="Exemplars of each group in one draw."
    )
    n_draws: int = Field(
        default=100,
        ge=2,
        le=100_000,
        description="How many times exemplars are drawn and the result is judged.",
    )
    norm: Literal["none", "prior"] = Field(
        default="none",
        description="What is done with the norm of the result: none; or prior, it is brought back"
        " to the mean norm of the prior's points. The mean of n normal latents is shorter than"
        " they are, by the square root of n.",
    )
    want: Samples | None = Field(
        default=None,
        description="What an image must show to be a success: 'digit=1 & digit-shape.bar>3'."
        " Without it, nothing is counted.",
    )
    judge: MeasureName | None = Field(
        default=None,
        description="A measure of several columns that says what each result looks like: its"
        " largest one. Without it, the first that a group or --want names with =.",
    )
    noise: float = Field(
        default=0.25,
        ge=0.0,
        le=10.0,
        description="Uniform noise up to this size around the result in the figure of one draw;"
        " at a site in standard deviations of its numbers.",
    )
    n_shown: int = Field(default=6, ge=1, le=24, description="Draws that are shown.")

    @field_validator("want")
    @classmethod
    def _is_a_condition(cls, given: Any) -> Any:
        if given is not None and not given.conditions:
            raise ValueError("names samples; say what an image must show, as in digit=1")
        return given

    @field_validator("space")
    @classmethod
    def _each_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not given:
            raise ValueError("is empty; give z, w or a site")
        return tuple(dict.fromkeys(given))


class Arithmetic(Analysis[ArithmeticParams]):
    """Add and subtract the means of groups of exemplars, and count how often it works.

    In each draw a few exemplars are taken of each group; their means, in the latents (z), in w or
    in the activations at a site, are added and subtracted; the generator makes an image of that.
    What is wanted of the image is counted over many draws, with a 95 % interval (Wilson), beside
    the same sum of random groups of equal size, and beside the mean of the last group that is
    added, with nothing done to it. How sharp results are is compared with single samples.

    The figure of one draw is laid out as in the paper: exemplars over their mean, and the result
    amid eight others with noise added. The groups are written to latents/groups.json, and what
    differs between the first two to directions/*.safetensors, for --direction of this analysis
    and of `traversal`.

    Source: Radford et al. 2016 (arXiv 1511.06434), section 6.3.2 and figure 7.
    """

    name = "arithmetic"
    summary = "Crossed seven - seven + one: sums of groups' means, and how often they work."
    Params = ArithmeticParams
    examples = (
        "ganprobe run arithmetic digits --group 'crossed: digit=7 & digit-shape.bar>3' \\\n"
        "      --group 'seven: digit=7 & digit-shape.bar<1' --group 'one: digit=1' \\\n"
        "      --formula 'crossed - seven + one' --want 'digit-shape.bar>3' --space z \\\n"
        "      --space conv2 --output out/arithmetic",
        "ganprobe run arithmetic digits --group digit=8 --group digit=3 --group digit=5 \\\n"
        "      --want digit=6 --norm prior --output out/eight",
        "ganprobe run arithmetic digits --group 'mine: @out/inversion/latents/real.json' \\\n"
        "      --direction @out/directions/directions/boundary.safetensors \\\n"
        "      --formula 'mine + 2*thickness' --n-exemplars 1 --output out/thicker",
    )

    def run(self, context: Context, params: ArithmeticParams) -> Result:
        """Draw, add, judge, tell."""
        from ganprobe_arithmetic.report import make_result
        from ganprobe_arithmetic.study import study_sums

        return make_result(study_sums(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``arithmetic``."""
    return [Arithmetic]
