"""Parameter types: how values of a type are written, read, recorded and described in forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from ganprobe.errors import GanprobeError, ParameterError

__all__ = ["ParameterType"]

_PLAIN = (str, int, float, bool)


@dataclass(frozen=True, repr=False)
class ParameterType:
    """How values of a type are written: put it beside the type in an `Annotated`.

    Args:
        words: what one value is, for messages: ``"an offset"``.
        read: makes a value of what is written; raises `ValueError` where it cannot.
        write: makes plain JSON of a value, which reads back.
        examples: as they are written, the most usual first.
        metavar: what stands for it in ``--help``; "": the first example.
        format: its name in the JSON schema: ``"ganprobe-units"``.
        read_plain: makes a value of what else Python or JSON may hold: numbers, lists, mappings.
        json_types: what `write` gives, by JSON schema's names of types.
        is_repeatable: several are written, one in each flag; `read` and `read_plain` are given
            them as a list.

    Example:
        >>> def read_offset(written: str) -> complex:
        ...     x, y = map(float, written.split(","))
        ...     return complex(x, y)
        >>> offset = ParameterType(
        ...     "an offset", read_offset, lambda at: f"{at.real:g},{at.imag:g}", ("3,-2",)
        ... )
        >>> offset.value_of("3,-2")  # of a parameter: by: Annotated[complex, offset]
        (3-2j)
        >>> offset.value_of(["left"])
        Traceback (most recent call last):
        ...
        ganprobe.errors.ParameterError: expected an offset, as 3,-2, got ['left']
    """

    words: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = str
    examples: tuple[str, ...] = ()
    metavar: str = ""
    format: str = ""
    read_plain: Callable[[object], Any] | None = None
    json_types: tuple[str, ...] = ("string",)
    is_repeatable: bool = False

    @property
    def expected(self) -> str:
        """``units, as 3,7,10-20 or @set.json``."""
        *most, last = self.examples or ("",)
        listed = f"{', '.join(most)} or {last}" if most else last
        return f"{self.words}, as {listed}" if listed else self.words

    def value_of(self, given: object, kind: object = None) -> Any:
        """The value that is meant: one of `kind` already, written text, or plain JSON.

        Raises:
            ParameterError: it is none of these, or cannot be read.
        """
        if isinstance(kind, type) and not issubclass(kind, _PLAIN) and isinstance(given, kind):
            return given
        try:
            if isinstance(given, str) and given.strip():
                return self.read([given] if self.is_repeatable else given)
            if self.read_plain is not None and not isinstance(given, str):
                return self.read_plain(given)
        except GanprobeError:
            raise
        except ValueError as error:
            why = f": {error}" if str(error) else ""
            raise ParameterError(f"expected {self.expected}, got {given!r}{why}") from error
        raise ParameterError(f"expected {self.expected}, got {given!r}")

    def __repr__(self) -> str:
        return f"ParameterType({self.words!r})"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda given: self.value_of(given, source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.write, when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.json_schema()

    def json_schema(self) -> dict[str, Any]:
        """What a form needs to know of one value."""
        types = [*self.json_types]
        described: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
        if self.format:
            described["format"] = self.format
        if self.examples:
            described["examples"] = list(self.examples)
        if not self.is_repeatable:
            return described
        return {"type": "array", "items": described, "minItems": 1}
