"""Parameters as they were declared: what each may be, how it is written, and how many there are.

Read once from the annotations of a `Params` class. Flags, forms and messages are made of it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from ganprobe.errors import PluginError
from ganprobe.params.limits import Limits, limits_of
from ganprobe.params.parameter_type import ParameterType

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["Declared", "Value", "declared", "flag_name"]

_USABLE = (
    "int, float, bool, str, Path, date, a Literal or an Enum; tuple[T, ...] or list[T] of one of"
    " these for several, tuple[T, T] for two; T | None; or a ParameterType, as Units or Samples"
)
_PLAIN: Mapping[type, tuple[str, str]] = {
    bool: ("yes or no", "yes|no"),
    int: ("a whole number", "NUMBER"),
    float: ("a number", "NUMBER"),
    str: ("text", "TEXT"),
    Path: ("a file or folder", "PATH"),
    datetime: ("a date and time, as 2024-05-31T12:00", "DATE-TIME"),
    date: ("a date, as 2024-05-31", "DATE"),
    time: ("a time, as 12:30", "TIME"),
}


@dataclass(frozen=True)
class Value:
    """What one value of a parameter is.

    Args:
        words: for messages: ``a whole number``.
        metavar: what stands for it in ``--help``.
        choices: by how they are written; None where it is not chosen from a list.
        limits: of numbers, of the length of texts.
        written: how values of one of our types are written.
        is_switch: it is yes or no.
        is_open: it may be something else than one of the choices.
    """

    words: str
    metavar: str
    choices: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)
    written: ParameterType | None = None
    is_switch: bool = False
    is_open: bool = False

    @property
    def expected(self) -> str:
        """``a whole number from 2 to 100``, ``greedy, rank or joint``."""
        if self.written is not None:
            return self.written.expected
        return f"{self.words}{self.limits.spoken()}"

    def read(self, given: object) -> object:
        """What pydantic is to check: choices by how they are written become what is meant."""
        if self.choices and isinstance(given, str):
            return self.choices.get(given, given)
        return given


@dataclass(frozen=True)
class Declared:
    """One parameter: its name, its values, and how many there are.

    Args:
        items: what each value is: one, or for a tuple of a fixed length one for each place.
        count: ``one``; ``many``, each in a flag of its own; ``fixed``, written ``1,2``.
        limits: of how many there are.
        is_optional: it may be None.
    """

    name: str
    items: tuple[Value, ...]
    count: Literal["one", "many", "fixed"]
    field: FieldInfo
    limits: Limits
    is_optional: bool

    @property
    def value(self) -> Value:
        """What each of its values is; the first where they differ."""
        return self.items[0]

    @property
    def flag(self) -> str:
        """``--n-samples``."""
        return f"--{flag_name(self.name)}"

    @property
    def is_switch(self) -> bool:
        """Whether it is given as ``--fast`` or ``--no-fast``."""
        return self.count == "one" and self.value.is_switch

    @property
    def expected(self) -> str:
        """What it takes, for messages."""
        if self.is_switch:
            return f"yes or no ({self.flag} or --no-{flag_name(self.name)})"
        if self.count == "one":
            return self.value.expected
        if self.count == "many":
            return f"one or more, each {self.value.expected}"
        return f"{len(self.items)} values, written {self.metavar}"

    @property
    def metavar(self) -> str:
        """What stands for its value in ``--help``: ``NUMBER,NUMBER``."""
        return ",".join(item.metavar for item in self.items)

    def read(self, given: object) -> object:
        """What pydantic is to check, of a value as a command line, a form or Python gives it."""
        if self.count == "one":
            return self.value.read(given)
        if isinstance(given, str):
            parts: Sequence[object] = given.split(",") if self.count == "fixed" else [given]
        elif isinstance(given, list | tuple):
            parts = given
        else:
            return given
        items = self.items if self.count == "fixed" else (self.value,) * len(parts)
        if len(items) != len(parts):
            return given
        return tuple(item.read(one) for item, one in zip(items, parts, strict=True))

    def written_default(self) -> str:
        """Its default as one would write it; "" where there is none, or nothing is meant by it."""
        default = self.field.get_default(call_default_factory=True)
        if self.field.is_required() or default is None or default in ((), [], ""):
            return ""
        if self.is_switch:
            return self.flag if default else f"--no-{flag_name(self.name)}"
        if self.count == "one":
            return _as_written(default, self.value)
        several = [default] if isinstance(default, str) else list(default)
        texts = [_as_written(one, self.value) for one in several]
        return ("," if self.count == "fixed" else ", ").join(texts)


def flag_name(name: str) -> str:
    """A parameter's name as it stands in a flag: ``n_samples`` is ``n-samples``.

    Example:
        >>> flag_name("class_")
        'class'
    """
    return name.strip("_").replace("_", "-")


def declared(params: type[BaseModel]) -> dict[str, Declared]:
    """The parameters of a class by name, in their order.

    Raises:
        PluginError: one of them cannot be written on a command line; says what can.
    """
    if not params.__pydantic_complete__:
        _complete(params)
    return {name: _declared(name, field) for name, field in params.model_fields.items()}


def _complete(params: type[BaseModel]) -> None:
    """Look up types that were not known yet where the class was written."""
    try:
        params.model_rebuild()
    except NameError as error:
        why = str(error).splitlines()[0]
        raise PluginError(
            f"{params.__name__} names a type that is not known where it is defined: {why};"
            " import it outside of TYPE_CHECKING"
        ) from error


def _declared(name: str, field: FieldInfo) -> Declared:
    metadata: Sequence[Any]
    kind, metadata = _opened(field.annotation, field.metadata)
    options = _options(kind)
    is_optional = type(None) in options or None in options
    rest = [option for option in options if option not in (None, type(None))]
    if len(rest) == 1:
        kind, metadata = _opened(rest[0], metadata)
    try:
        items, count, metadata = _items(kind, metadata)
    except _NoFlagError as error:
        raise PluginError(
            f"parameter {name!r} of type {_spoken(field.annotation)} cannot be a flag{error}; use"
            f" {_USABLE}"
        ) from None
    return Declared(name, items, count, field, limits_of(metadata), is_optional)


class _NoFlagError(Exception):
    """This type cannot be written on a command line; the message says why, or nothing."""


def _items(
    kind: Any, metadata: Sequence[Any]
) -> tuple[tuple[Value, ...], Literal["one", "many", "fixed"], Sequence[Any]]:
    """What each value is, how many there are, and what is said of their number."""
    origin, parts = get_origin(kind), get_args(kind)
    written = _written(metadata)
    if written is not None:
        value = Value(written.words, written.metavar or _first(written), written=written)
        return (value,), "many" if written.is_repeatable else "one", metadata
    if origin is list or (origin is tuple and parts[1:] == (...,)):
        return (_value(parts[0], ()),), "many", metadata
    if origin is tuple and parts:
        return tuple(_value(part, ()) for part in parts), "fixed", ()
    return (_value(kind, metadata),), "one", ()


def _value(kind: Any, metadata: Sequence[Any]) -> Value:
    kind, metadata = _opened(kind, metadata)
    written = _written(metadata)
    if written is not None and not written.is_repeatable:
        return Value(written.words, written.metavar or _first(written), written=written)
    if (choices := _choices(kind)) is not None:
        return Value(_listed(choices), "|".join(choices), choices)
    options = _options(kind)
    if len(options) > 1:
        return _either([_value(option, metadata) for option in options], options)
    for plain, (words, metavar) in _PLAIN.items():
        if isinstance(kind, type) and issubclass(kind, plain):
            limits = limits_of(metadata, is_whole=plain is int)
            return Value(words, metavar, limits=limits, is_switch=plain is bool)
    raise _NoFlagError


def _either(values: list[Value], options: Sequence[Any]) -> Value:
    if str in options:
        raise _NoFlagError(", as all that is written there is text")
    choices = {text: one for value in values for text, one in (value.choices or {}).items()}
    words = " or ".join(value.expected for value in values)
    metavar = "|".join(value.metavar for value in values)
    limits = replace(values[0].limits, is_said=True)
    is_open = not all(value.choices for value in values)
    return Value(words, metavar, choices or None, limits, is_open=is_open)


def _opened(kind: Any, metadata: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """A type without `Annotated`, `NewType` and alias, and what was said of it."""
    from pydantic.fields import FieldInfo

    said = tuple(metadata)
    while True:
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
            for note in notes:
                said += tuple(note.metadata) if isinstance(note, FieldInfo) else (note,)
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        else:
            return kind, said


def _written(metadata: Sequence[Any]) -> ParameterType | None:
    return next((note for note in metadata if isinstance(note, ParameterType)), None)


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _choices(kind: Any) -> dict[str, Any] | None:
    if get_origin(kind) is Literal:
        return {_text(one): one for one in get_args(kind) if one is not None}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {_text(one): one for one in kind}
    return None


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _as_written(value: Any, item: Value) -> str:
    if item.written is not None and not isinstance(value, str):
        plain = item.written.write(value)
        return plain if isinstance(plain, str) else str(value)
    return _text(value)


def _listed(choices: Mapping[str, Any]) -> str:
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last


def _first(written: ParameterType) -> str:
    return written.examples[0] if written.examples else "TEXT"


def _spoken(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
