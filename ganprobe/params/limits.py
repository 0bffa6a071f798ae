"""Limits: the ends of a parameter's range, and how long or how many it may be, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits", "limits_of"]

_NAMES = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")


@dataclass(frozen=True)
class Limits:
    """What was said of a value with `Field`: ``ge=2, le=100``.

    Args:
        is_said: they are part of other words already.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    is_said: bool = False

    def short(self) -> str:
        """For ``--help``: ``2 to 100``, ``above 0, at most 1``.

        Example:
            >>> Limits(ge=2, le=100).short(), Limits(gt=0, le=1).short(), Limits(ge=1).short()
            ('2 to 100', 'above 0, at most 1', '1 or more')
        """
        ends = self._ends()
        if self.multiple_of is not None:
            ends.append(f"a multiple of {_number(self.multiple_of)}")
        return ", ".join(ends)

    def spoken(self) -> str:
        """For messages, behind the noun: `` from 2 to 100``, `` that is not empty``.

        Example:
            >>> Limits(ge=2, le=100).spoken(), Limits(gt=0, le=1).spoken(), Limits(ge=1).spoken()
            (' from 2 to 100', ' above 0 and at most 1', ' of 1 or more')
        """
        if self.is_said:
            return ""
        ends = " and ".join(self._ends())
        if ends and self.ge is not None:
            ends = f"{'from' if self.le is not None else 'of'} {ends}"
        parts = [ends, self._length()]
        if self.multiple_of is not None:
            parts.append(f"that is a multiple of {_number(self.multiple_of)}")
        if self.pattern is not None:
            parts.append(f"of the form {self.pattern}")
        return "".join(f" {part}" for part in parts if part)

    def _ends(self) -> list[str]:
        if self.ge is not None and self.le is not None:
            return [f"{_number(self.ge)} to {_number(self.le)}"]
        ends = {"ge": "{} or more", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
        given = {name: getattr(self, name) for name in ends}
        return [ends[name].format(_number(end)) for name, end in given.items() if end is not None]

    def _length(self) -> str:
        if self.min_length == 1 and self.max_length is None:
            return "that is not empty"
        counts = Limits(ge=self.min_length, le=self.max_length).short()
        return f"of {counts} characters" if counts else ""

    def counted(self) -> str:
        """How many there may be: ``at least 1``, ``2 to 6``."""
        if self.min_length is not None and self.max_length is not None:
            return f"{self.min_length} to {self.max_length}"
        if self.max_length is not None:
            return f"at most {self.max_length}"
        return f"at least {self.min_length}"


def limits_of(metadata: Iterable[Any], *, is_whole: bool = False) -> Limits:
    """The limits among what is said of a type; of whole numbers, above 2 is from 3 on."""
    notes = list(metadata)
    found: dict[str, Any] = {}
    for name in _NAMES:
        for note in notes:
            value = getattr(note, name, None)
            if value is not None and not callable(value):
                found[name] = value
    if is_whole and "gt" in found:
        found["ge"] = found.pop("gt") + 1
    if is_whole and "lt" in found:
        found["le"] = found.pop("lt") - 1
    if hasattr(found.get("pattern"), "pattern"):
        found["pattern"] = found["pattern"].pattern
    return Limits(**found)


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value and "e" not in short else str(value)
