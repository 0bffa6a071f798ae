"""The parameter types that ganprobe brings: indices, sites, units, samples, measures, directions.

    Indices         3,7,10-20                         tuple of whole numbers
    OneSite         conv2, block.attn:out[1]          `Site`
    Sites           conv2, conv?, block.**:in         `SiteSet`; may be repeated
    Units           3,7,10-20 or @set.json            `UnitSet`
    Samples         5, 0-9, digit=1, @latents.json    `SampleChoice`: latents are given so too
    Directions      @pca.safetensors:pc0              `DirectionSet`
    MeasureName     digit, area:scenes                str, for `Context.measure`
    MeasureColumn   digit=1, area:scenes=tree         str, for `Context.column`
    SegmenterName   scenes, luminance:5               str, for `Context.segmenter`
    SpaceName       z, w, w_plus, conv2               str, for `Context.space`

All but `Sites` are one value; ``tuple[MeasureColumn, ...]`` is several, one in each flag. Whether
there is such a site or measure is found out when it is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from ganprobe.direction_sets import DirectionSet
from ganprobe.errors import ParameterError
from ganprobe.indices import check_distinct, format_indices, parse_indices
from ganprobe.params.parameter_type import ParameterType
from ganprobe.sample_choices import SampleChoice
from ganprobe.site_sets import SiteSet
from ganprobe.sites import Site
from ganprobe.unit_sets import UnitSet

__all__ = [
    "Directions",
    "Indices",
    "MeasureColumn",
    "MeasureName",
    "OneSite",
    "Samples",
    "SegmenterName",
    "Sites",
    "SpaceName",
    "Units",
]


def _whole_numbers(given: object) -> tuple[int, ...]:
    numbers = given if isinstance(given, tuple | list | range) else (given,)
    if not all(type(one) is int for one in numbers):
        raise ValueError
    check_distinct(numbers)
    return tuple(numbers)


Indices = Annotated[
    tuple[int, ...],
    ParameterType(
        "whole numbers",
        parse_indices,
        format_indices,
        ("3,7,10-20",),
        format="ganprobe-indices",
        read_plain=_whole_numbers,
    ),
]
"""A parameter type: whole numbers, written ``3,7,10-20`` on the command line."""


def _units_of(given: object) -> UnitSet:
    if isinstance(given, Mapping):
        return UnitSet.from_json(given)
    return UnitSet(_whole_numbers(given))


Units = Annotated[
    UnitSet,
    ParameterType(
        "units",
        UnitSet.parse,
        UnitSet.to_json,
        ("3,7,10-20", "@set.json"),
        metavar="3,7|@FILE",
        format="ganprobe-units",
        read_plain=_units_of,
        json_types=("string", "object"),
    ),
]
"""A parameter type: units, written ``3,7,10-20``, or ``@set.json`` where a command wrote them."""


def _samples_of(given: object) -> SampleChoice:
    return SampleChoice.parse(format_indices(_whole_numbers(given)))


Samples = Annotated[
    SampleChoice,
    ParameterType(
        "samples",
        SampleChoice.parse,
        str,
        ("5", "0-9", "digit=1", "@latents.json"),
        metavar="SAMPLES",
        format="ganprobe-samples",
        read_plain=_samples_of,
    ),
]
"""A parameter type: which samples, written ``5``, ``0-9``, ``digit=1`` or ``@latents.json``."""


def _directions_to_json(held: DirectionSet) -> dict[str, Any]:
    told = {"names": list(held.names), "space": held.space, "found": dict(held.found)}
    return told | ({"file": held.written} if held.written else {})


def _directions_of(given: object) -> DirectionSet:
    file = given.get("file") if isinstance(given, Mapping) else None
    if not isinstance(file, str):
        raise ValueError
    return DirectionSet.parse(file)


Directions = Annotated[
    DirectionSet,
    ParameterType(
        "directions",
        DirectionSet.parse,
        _directions_to_json,
        ("@pca.safetensors", "@pca.safetensors:pc0,pc3"),
        metavar="@FILE[:NAME]",
        format="ganprobe-directions",
        read_plain=_directions_of,
        json_types=("string", "object"),
    ),
]
"""A parameter type: directions that were found, ``@pca.safetensors:pc0``, or all in the file."""


OneSite = Annotated[
    Site,
    ParameterType(
        "a site",
        lambda written: Site.parse(written.strip()),
        str,
        ("conv2", "conv2#3,7,10-20", "block.attn:out[1]"),
        metavar="SITE",
        format="ganprobe-site",
    ),
]
"""A parameter type: where a tensor is, written ``conv2``, ``block:in``, ``conv2#3,7``."""


def _sites_of(given: object) -> SiteSet:
    several = given if isinstance(given, tuple | list) else [given]
    sites = [one for one in several if isinstance(one, str | Site)]
    if not sites or len(sites) < len(several):
        raise ValueError
    return SiteSet.parse([one.strip() if isinstance(one, str) else one for one in sites])


def _sites_to_json(held: SiteSet) -> list[str]:
    return list(map(str, held))


Sites = Annotated[
    SiteSet,
    ParameterType(
        "sites",
        _sites_of,
        _sites_to_json,
        ("conv2", "conv?", "block.**:in"),
        metavar="SITE",
        format="ganprobe-site",
        read_plain=_sites_of,
        is_repeatable=True,
    ),
]
"""A parameter type: sites and patterns of sites, written ``conv2``, ``conv?``, ``block.**:in``."""


def _measure_name(written: str) -> str:
    name, sign, column = written.strip().partition("=")
    if sign:
        raise ParameterError(f"{written!r} names the column {column!r}; give the measure, {name}")
    return name


MeasureName = Annotated[
    str,
    ParameterType(
        "a measure",
        _measure_name,
        str,
        ("digit", "area:scenes"),
        metavar="MEASURE",
        format="ganprobe-measure",
    ),
]
"""A parameter type: a measure with all its columns, written ``digit`` or ``area:scenes``."""


def _measure_column(written: str) -> str:
    if set("<>&") & set(written) or written.strip().startswith("="):
        raise ParameterError(
            f"{written!r} is no measure and column; write digit=1, area:scenes=tree, or"
            " digit-realness, which has but one column"
        )
    return written.strip()


MeasureColumn = Annotated[
    str,
    ParameterType(
        "a measure and its column",
        _measure_column,
        str,
        ("digit=1", "area:scenes=tree", "digit-realness"),
        metavar="MEASURE[=COLUMN]",
        format="ganprobe-measure-column",
    ),
]
"""A parameter type: one number of a measure, written ``digit=1`` or ``area:scenes=tree``."""


SegmenterName = Annotated[
    str,
    ParameterType(
        "a segmenter",
        str.strip,
        str,
        ("scenes", "luminance:5"),
        metavar="SEGMENTER",
        format="ganprobe-segmenter",
    ),
]
"""A parameter type: a segmenter, written ``scenes`` or ``luminance:5``."""


SpaceName = Annotated[
    str,
    ParameterType(
        "a space",
        str.strip,
        str,
        ("z", "w", "conv2"),
        metavar="z|w|SITE",
        format="ganprobe-space",
    ),
]
"""A parameter type: where points are moved, written ``z``, ``w``, ``w_plus`` or a site."""
