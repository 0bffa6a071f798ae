"""Messages: what is wrong with a parameter, in the words of who gave it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ganprobe.params.declaration import Declared, flag_name

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["message"]

_LONGEST = 80  # characters of what was given
_BY_HAND = ("value_error", "assertion_error")
_OF_THE_TYPE = ("_type", "_parsing", "_from_float", "_parsing_size", "_datetime_inexact")
_OF_THE_RANGE = frozenset(
    {
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "multiple_of",
        "finite_number",
        "literal_error",
        "enum",
        "string_too_short",
        "string_too_long",
        "string_pattern_mismatch",
    }
)


def message(error: ValidationError, parameters: Mapping[str, Declared]) -> str:
    """One sentence about the first thing that is wrong: the flag, what it takes, what was given."""
    first = error.errors()[0]
    said = str(first["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not first["loc"]:
        return said
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return _unknown(name, parameters)
    one = parameters[name]
    return f"{one.flag}: {_fault(one, first, said)}"


def _unknown(name: str, parameters: Mapping[str, Declared]) -> str:
    flags = [one.flag for one in parameters.values()]
    if not flags:
        return f"there is no parameter --{flag_name(name)}; there are none"
    given = f"--{flag_name(name)}"
    return f"there is no parameter {given}{_near(given, flags)}; there are: {', '.join(flags)}"


def _fault(one: Declared, first: Any, said: str) -> str:
    kind, given = str(first["type"]), first["input"]
    if kind == "missing" and len(first["loc"]) == 1:
        return f"it has to be given: {one.expected}"
    if kind in ("too_short", "too_long", "missing"):
        return f"expected {_counted(one)}, got {_shown(given)}"
    if kind in _BY_HAND:
        return said if _is_in(said, given) else f"{said}, got {_shown(given)}"
    if kind in _OF_THE_RANGE or kind.endswith(_OF_THE_TYPE):
        item = _item_at(one, first["loc"])
        return f"expected {_expected(one, item)}, got {_shown(given)}{_nearest(item, given)}"
    return f"{said[0].lower()}{said[1:]}, got {_shown(given)}"


def _item_at(one: Declared, place: tuple[Any, ...]) -> Any:
    """The value that the fault is in; None where it is in all of them together."""
    if one.count == "one":
        return one.value
    if len(place) < 2 or not isinstance(place[1], int):
        return None
    return one.items[place[1]] if one.count == "fixed" else one.value


def _expected(one: Declared, item: Any) -> str:
    return str(one.expected if item is None or one.is_switch else item.expected)


def _counted(one: Declared) -> str:
    if one.count == "fixed":
        return one.expected
    return f"{one.limits.counted()}, each {one.value.expected}"


def _nearest(item: Any, given: object) -> str:
    if item is None or not item.choices or not isinstance(given, str):
        return ""
    return _near(given, item.choices)


def _near(given: str, known: Iterable[str]) -> str:
    """The name that was meant, where one is so like it that this can be told."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f"; nearest: {close[0]}" if close else ""


def _is_in(said: str, given: object) -> bool:
    """Whether a message shows what was given, or one of several."""
    several = given if isinstance(given, list | tuple) else [given]
    return any(repr(one) in said or (str(one) and str(one) in said) for one in several)


def _shown(given: object) -> str:
    written = repr(given)
    return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 4]} ..."
