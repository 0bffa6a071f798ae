"""Maps: every unit of a site for one sample, on one sheet."""

from __future__ import annotations

from typing import Any, Literal

from ganprobe import (
    Analysis,
    Context,
    Field,
    OneSite,
    Params,
    Result,
    SampleChoice,
    Samples,
    Units,
    hookimpl,
)


class MapsParams(Params):
    """Which sample's maps are drawn, which units are marked, and how."""

    site: OneSite | None = Field(
        default=None,
        description="The site, as `ganprobe layers` names it; conv2#0-31 draws only these units."
        " May be left out where --units names one.",
    )
    source: Samples = Field(
        default=SampleChoice((0,)),
        description="The sample whose maps are drawn: 5, digit=1 or @latents.json.",
    )
    donor: Samples | None = Field(
        default=None,
        description="A second sample: its maps, and donor less source, get sheets too.",
    )
    n_samples: int = Field(
        default=1, ge=1, le=100, description="How many of the samples get sheets, the first ones."
    )
    units: Units | None = Field(
        default=None, description="Units that get a frame, as a set that a command found."
    )
    only_units: bool = Field(default=False, description="Draw the units of --units alone.")
    order: Literal["index", "difference", "mean"] = Field(
        default="index",
        description="Sort maps by unit number, or the largest difference or mean first.",
    )
    scale: Literal["site", "unit"] = Field(
        default="site",
        description="Colours of source and donor: one scale for all units, or each unit its own.",
    )


class Maps(Analysis[MapsParams]):
    """Draw all units of a site for one sample as a labelled sheet, with each unit's statistics.

    Of each unit's map: mean, standard deviation, the share above 0, minimum and maximum. With
    --donor there are three sheets, in the same order: source, donor, and donor less source; then
    each unit also has the root mean square of its difference, and its share of the squared
    difference of the whole layer.

    Maps are drawn as the layer has them, pixel by pixel. Tokens are drawn as a square where they
    make one, else as a line; units without space as bars. A sheet has up to 256 units, and others
    follow.

    With several samples each has its own sheets: the first donor belongs to the first source, and
    so on; a donor that is a single sample belongs to every source.
    """

    name = "maps"
    summary = "All feature maps of a sample on a sheet, and how they differ from another sample's."
    Params = MapsParams
    examples = (
        "ganprobe run maps digits --site conv2 --source 5 --output out/maps",
        "ganprobe run maps digits --site conv2 --source 5 --donor digit=3 --output out/pair",
        "ganprobe run maps digits --site conv3 --donor 7 --order difference --output out/sorted",
        "ganprobe run maps digits --units @set.json --donor 7 --only-units --output out/few",
    )

    def run(self, context: Context, params: MapsParams) -> Result:
        """Record, plan the sheets, draw."""
        from ganprobe_maps.activations import record_maps
        from ganprobe_maps.report import make_result

        return make_result(record_maps(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``maps``."""
    return [Maps]
