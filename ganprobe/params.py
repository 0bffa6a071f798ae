"""Parameters of an analysis, declared once.

A `Params` class is the source of the command line's flags with their ranges, defaults and help,
of the checks on values, and of what the provenance records. Built on pydantic: every type and
constraint that pydantic knows can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
)

from ganprobe.direction_sets import DirectionSet
from ganprobe.errors import ParameterError
from ganprobe.indices import check_distinct, format_indices, parse_indices
from ganprobe.sample_choices import SampleChoice
from ganprobe.unit_sets import UnitSet

__all__ = ["Directions", "Field", "Indices", "Params", "Samples", "Units"]


def _read_indices(given: object) -> object:
    if isinstance(given, int) and not isinstance(given, bool):
        given = (given,)
    if isinstance(given, str):
        return parse_indices(given)
    if isinstance(given, tuple | list | range) and all(isinstance(i, int) for i in given):
        check_distinct(given)
    return given


Indices = Annotated[
    tuple[int, ...],
    BeforeValidator(_read_indices),
    PlainSerializer(format_indices, when_used="json"),
]
"""A parameter type: whole numbers, written ``3,7,10-20`` on the command line."""


def _read_units(given: object) -> object:
    if isinstance(given, UnitSet):
        return given
    if isinstance(given, str):
        return UnitSet.parse(given)
    if isinstance(given, Mapping):
        return UnitSet.from_json(given)
    return UnitSet.parse(_written(given, "units are written 3,7,10-20 or @set.json"))


Units = Annotated[
    UnitSet,
    BeforeValidator(_read_units),
    PlainSerializer(UnitSet.to_json, when_used="json"),
]
"""A parameter type: units, written ``3,7,10-20``, or ``@set.json`` where a command wrote them."""


def _read_samples(given: object) -> object:
    if isinstance(given, str | SampleChoice):
        return SampleChoice.parse(given)
    form = "samples are written 5, 0-9, digit=1 or @latents.json"
    return SampleChoice.parse(_written(given, form))


def _written(given: object, form: str) -> str:
    """One whole number or several, as they are written on the command line."""
    numbers = given if isinstance(given, tuple | list | range) else (given,)
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in numbers):
        raise ParameterError(form)
    check_distinct(numbers)
    return format_indices(numbers)


Samples = Annotated[
    SampleChoice,
    BeforeValidator(_read_samples),
    PlainSerializer(str, when_used="json"),
]
"""A parameter type: which samples, written ``5``, ``0-9``, ``digit=1`` or ``@latents.json``."""


def _read_directions(given: object) -> object:
    if isinstance(given, str):
        return DirectionSet.parse(given)
    return given


def _directions_to_json(held: DirectionSet) -> dict[str, Any]:
    return {"names": list(held.names), "space": held.space, "found": dict(held.found)}


Directions = Annotated[
    InstanceOf[DirectionSet],
    BeforeValidator(_read_directions),
    PlainSerializer(_directions_to_json, when_used="json"),
]
"""A parameter type: directions that were found, ``@pca.safetensors:pc0``, or all in the file."""


class Params(BaseModel):
    """Base class of an analysis's parameters: frozen, and unknown names are errors.

    Example:
        >>> class Steps(Params):
        ...     steps: int = Field(default=9, ge=2, description="Number of steps.")
        >>> Steps.parse({"steps": "5"}).steps
        5
        >>> Steps.parse({"steps": 1})
        Traceback (most recent call last):
        ...
        ganprobe.errors.ParameterError: --steps: input should be greater than or equal to 2, got 1
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True
    )

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Check values, also as strings from a command line or form.

        Raises:
            ParameterError: the first value that does not fit, named as its flag.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ParameterError(_sentence(cls, error)) from error

    def to_json(self) -> dict[str, Any]:
        """Every parameter with its value, ready for JSON."""
        return self.model_dump(mode="json")


def _sentence(cls: type[Params], error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    name = str(first["loc"][0])
    flag = f"--{name.replace('_', '-')}"
    if first["type"] == "extra_forbidden":
        flags = ", ".join(f"--{known.replace('_', '-')}" for known in cls.model_fields)
        return f"there is no parameter {flag}; there are: {flags}"
    message = str(first["msg"]).removeprefix("Value error, ")
    got = repr(first["input"])
    is_said = message.endswith(f"got {got}") or (isinstance(first["input"], str) and got in message)
    return f"{flag}: {message[0].lower()}{message[1:]}{'' if is_said else f', got {got}'}"
