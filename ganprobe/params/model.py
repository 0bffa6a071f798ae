"""`Params`: the class whose subclasses declare an analysis's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ganprobe.errors import ParameterError, blaming
from ganprobe.params.declaration import declared
from ganprobe.params.messages import message
from ganprobe.params.schema import schema_of

__all__ = ["Params"]


class Params(BaseModel):
    """Base class of an analysis's parameters: frozen, and unknown names are errors.

    Example:
        >>> from ganprobe import Field
        >>> class Steps(Params):
        ...     steps: int = Field(default=9, ge=2, description="Number of steps.")
        >>> Steps.parse({"steps": "5"}).steps
        5
        >>> Steps.parse({"steps": 1})
        Traceback (most recent call last):
        ...
        ganprobe.errors.ParameterError: --steps: expected a whole number of 2 or more, got 1
        >>> Steps.json_schema()["properties"]["steps"]
        {'description': 'Number of steps.', 'minimum': 2, 'type': 'integer', 'default': 9}
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True
    )

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Check values as Python, JSON, a command line or a form gives them.

        A string is read as it would be on the command line; one value stands for a list of one;
        None leaves a parameter at its default, where it may not itself be None.

        Raises:
            ParameterError: the first value that does not fit, named as its flag.
            PluginError: a validator of the class raised something else than `ValueError`.
        """
        parameters = declared(cls)
        given: dict[str, object] = {}
        for name, value in values.items():
            one = parameters.get(name)
            if value is None and (one is None or not one.is_optional):
                continue
            given[name] = value if one is None or value is None else one.read(value)
        with blaming(f"the parameters {cls.__name__}", cls.__module__):
            try:
                return cls.model_validate(given)
            except ValidationError as error:
                raise ParameterError(message(error, parameters)) from error

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The parameters as JSON Schema 2020-12, in their order: for a form.

        ``properties`` has for each its ``type``, ``description``, ``default``, range
        (``minimum``, ``exclusiveMaximum``) and choices (``enum``); ours have a ``format``, as
        ``ganprobe-units``, and ``examples``. What fits it is what `parse` takes, and `to_json`
        gives.
        """
        return schema_of(cls)

    def to_json(self) -> dict[str, Any]:
        """Every parameter with its value, ready for JSON."""
        return self.model_dump(mode="json")
