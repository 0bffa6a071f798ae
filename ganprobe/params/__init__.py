"""Parameters of an analysis, declared once.

A `Params` class is the source of the command line's flags with their ranges, defaults and help,
of the checks on values, of the JSON schema that a form is made of, and of what the provenance
records. Built on pydantic: its constraints and validators can be used.

    model            `Params`: parse, json_schema, to_json
    types            the parameter types: sites, units, samples, measures, ...
    parameter_type   `ParameterType`, of which they are made, and yours can be
    declaration      what a class declares, read from its annotations
    limits           ranges, in words
    messages         what is wrong with a value, in the user's words
    schema           JSON Schema
    check            the check when a plugin is registered
"""

from pydantic import Field

from ganprobe.params.check import check_params
from ganprobe.params.declaration import Declared, Value, declared, flag_name
from ganprobe.params.limits import Limits
from ganprobe.params.model import Params
from ganprobe.params.parameter_type import ParameterType
from ganprobe.params.types import (
    Directions,
    Indices,
    MeasureColumn,
    MeasureName,
    OneSite,
    Samples,
    SegmenterName,
    Sites,
    SpaceName,
    Units,
)

__all__ = [
    "Declared",
    "Directions",
    "Field",
    "Indices",
    "Limits",
    "MeasureColumn",
    "MeasureName",
    "OneSite",
    "ParameterType",
    "Params",
    "Samples",
    "SegmenterName",
    "Sites",
    "SpaceName",
    "Units",
    "Value",
    "check_params",
    "declared",
    "flag_name",
]
