"""Units: what makes each unit of a site fire, over many samples."""

from __future__ import annotations

from typing import Any

from ganprobe import Analysis, Context, Field, OneSite, Params, Result, hookimpl
from ganprobe import Units as UnitsOf


class UnitsParams(Params):
    """What is watched, over how many samples, and what is shown."""

    site: OneSite = Field(description="The site, as `ganprobe layers` names it: conv2, conv2#0-31.")
    n_samples: int = Field(
        default=1000, ge=1, le=10**12, description="Samples, counted from 0, of the seed."
    )
    units: UnitsOf | None = Field(
        default=None,
        description="Units that get a row of images: 3,7,10-20, or @set.json. Without it, the most"
        " selective.",
    )
    n_shown: int = Field(
        default=12, ge=1, le=1000, description="How many units are shown, without --units."
    )
    top: int = Field(
        default=8, ge=1, le=32, description="Images in each row: the samples with the top scores."
    )
    threshold: float = Field(
        default=0.0, allow_inf_nan=False, description="A value above it is active."
    )
    batch_size: int = Field(
        default=64, ge=1, le=10**6, description="Samples in one forward, or read at once."
    )


class Units(Analysis[UnitsParams]):
    """Watch the units of a site over many samples: how each behaves, and what drives it furthest.

    Of all values of a unit: mean, standard deviation, quantiles, the share that is active. A unit
    that never is active is dead. The score of a sample at a unit is its largest value over space;
    for the units that are shown, the images of the samples with the top scores are drawn, and
    over them where the unit is active.

    A unit's selectivity is how far the mean of its top scores lies above the mean of all its
    scores, in their standard deviations. That is the same however a unit is scaled, and large for
    a unit that few samples drive: about 1 / sqrt(p) for one that fires in a small share p of them,
    where these are at least as many as its top scores.

    With --activations, what `ganprobe record` kept is read instead of running the generator; only
    the images that are shown are generated again.

    Source: the top images of a unit with its map, Bau et al. 2017 (arXiv 1704.05796).
    """

    name = "units"
    summary = "What makes each unit fire: how each behaves, and the images that drive it furthest."
    Params = UnitsParams
    examples = (
        "ganprobe run units digits --site conv2 --output out/units",
        "ganprobe run units digits --site conv2 --units 3,7,10-20 --top 6 --output out/few",
        "ganprobe run units digits --site conv2 --activations digits.h5 --output out/units",
    )
    uses_activations = True

    def run(self, context: Context, params: UnitsParams) -> Result:
        """Watch, choose, draw."""
        from ganprobe_units.behaviour import watch_units
        from ganprobe_units.report import make_result

        return make_result(watch_units(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``units``."""
    return [Units]
