"""What can be asked of the causal stage: which classes, how many units, and where they go."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator

from ganprobe import Field, Params


def _read_place(given: object) -> object:
    if given == "auto":
        return given
    try:
        x, y = map(float, str(given).split(","))
    except ValueError:
        x = y = math.nan
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError("give auto, or X,Y in shares of the image from 0 to 1, as in 0.5,0.2")
    return f"{x:g},{y:g}"


Place = Annotated[str, BeforeValidator(_read_place)]
"""``auto``, or X,Y in shares of the image, from its upper left corner."""


class CausalParams(Params):
    """Which classes are taken out and put in, by how many units, on which samples."""

    causal: tuple[str, ...] = Field(
        default=(),
        description="Prove what the units of this class cause: take them out, put them in; all is"
        " every class that the samples show. Without it, nothing is edited.",
    )
    n_causal: int = Field(
        default=64,
        ge=4,
        le=10**5,
        description="How many samples effects are measured on. They come after those that are"
        " dissected and those that units are chosen on, so that no effect is inflated by a choice.",
    )
    n_choosing: int = Field(
        default=24,
        ge=1,
        le=10**5,
        description="How many samples units and places are chosen on, by greedy search and by the"
        " map of where a class can go. Their time is most of the whole.",
    )
    n_units: int = Field(
        default=20,
        ge=1,
        le=10**4,
        description="The most units that are removed together; so many are inserted, in greedy"
        " order where that is searched.",
    )
    n_candidates: int = Field(
        default=32,
        ge=0,
        le=10**4,
        description="The greedy order is searched among so many units, those with the largest IoU;"
        " 0 leaves it out. It takes about --n-units x --n-candidates x --n-choosing images.",
    )
    n_draws: int = Field(
        default=20,
        ge=2,
        le=10**4,
        description="Random sets of units of each size, as control: 39 and more give a 95 % band.",
    )
    insert_at: Place = Field(
        default="auto",
        description="Where units are inserted: the middle of a square, as X,Y in shares of the"
        " image from its upper left corner, as in 0.5,0.2; or auto, the cell of the site where it"
        " gives most of the class, found on other samples than it is measured on.",
    )
    insert_size: float = Field(
        default=0.2,
        gt=0.0,
        le=1.0,
        description="The side of that square, in shares of the image.",
    )
    insert_level: Literal["mean", "peak"] = Field(
        default="peak",
        description="What inserted units are set to: mean, their mean where the class is; peak, the"
        " level that --share of their values exceed, where that is more.",
    )
    optimise: bool = Field(
        default=False,
        description="Also search for the set of units with the largest causal effect by gradients"
        " through the images, which needs a segmenter that has gradients.",
    )
