"""Unit sets: some units of a site, kept in a small JSON file with how they were found.

One command finds a set and writes it, another takes it: ``--units @set.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, Self

from ganprobe.errors import ParameterError
from ganprobe.indices import check_distinct, format_indices, parse_indices
from ganprobe.selection_files import check_kind, plain, write_whole

__all__ = ["UnitSet"]

_KIND, _VERSION = "ganprobe unit set", 1


@dataclass(frozen=True)
class UnitSet:
    """Some units of a site, in an order that means something: the most important first.

    Args:
        units: each once.
        site: that they are units of; "" where it is not said.
        generator: its name, weights' SHA-256 and normalisation, where it is known.
        found: how they were found: objective, strategy, values, seeds, as plain values: what
            JSON has. Tensors, arrays and tuples become lists, NaN and infinity None.

    Raises:
        ParameterError: no unit, one below 0, one twice, or no whole number; or `generator` or
            `found` holds what JSON cannot.

    Example:
        >>> UnitSet.parse("3,7,10-12").units
        (3, 7, 10, 11, 12)
    """

    units: tuple[int, ...]
    site: str = ""
    generator: Mapping[str, Any] = field(default_factory=dict, hash=False)
    found: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", _whole(self.units))
        object.__setattr__(self, "generator", plain(dict(self.generator)))
        object.__setattr__(self, "found", plain(dict(self.found)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3,7,10-20``, or ``@set.json``, a file that holds a set.

        Raises:
            ParameterError: it is neither, or the file cannot be read or holds something else.
        """
        written = text.strip()
        if written == "@":
            raise ParameterError("'@' names no file of units; write @set.json")
        if written.startswith("@"):
            return cls.read(Path(written[1:]))
        return cls(parse_indices(written))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The set that `write` left in a file.

        Raises:
            ParameterError: there is no such file, or it holds something else.
        """
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            json.dumps(held, allow_nan=False)  # Python reads NaN, which is not JSON
        except OSError as error:
            raise ParameterError(f"cannot read the unit set {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ParameterError(f"{path} is not JSON, so that it is no unit set") from error
        return cls.from_json(held, str(path))

    @classmethod
    def from_json(cls, held: object, where: str = "it") -> Self:
        """The set that `to_json` gave; `where` it was, for an error.

        Raises:
            ParameterError: it is something else.
        """
        record = check_kind(held, _KIND, _VERSION, where, made_by="ganprobe run swap")
        return cls._of(record, where)

    @classmethod
    def _of(cls, held: Mapping[str, Any], where: str) -> Self:
        units, site = held.get("units"), held.get("site", "")
        generator, found = held.get("generator", {}), held.get("found", {})
        are_units = isinstance(units, list) and all(type(unit) is int for unit in units)
        if not (are_units and isinstance(site, str)) or not all(
            isinstance(record, dict) for record in (generator, found)
        ):
            raise ParameterError(
                f"{where} is a damaged unit set: it needs units (a list of whole numbers), and may"
                " have site, generator and found"
            )
        assert isinstance(units, list)
        try:
            return cls(tuple(units), site, generator, found)
        except ParameterError as error:
            raise ParameterError(f"{where}: {error}") from error

    def write(self, path: Path | str) -> None:
        """Write it to a file, which is whole or not there.

        Raises:
            ParameterError: the file cannot be written.
        """
        content = json.dumps(self.to_json(), indent=1) + "\n"
        write_whole(path, content.encode(), "unit set")

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        return {
            "kind": _KIND,
            "version": _VERSION,
            "site": self.site,
            "units": list(self.units),
            "generator": dict(self.generator),
            "found": dict(self.found),
        }

    def __str__(self) -> str:
        return f"{self.site}#{format_indices(self.units)}" if self.site else self.numbers

    @property
    def numbers(self) -> str:
        """The units alone, as they are written: ``3,7,10-20``."""
        return format_indices(self.units)

    def at(self, site: str) -> str:
        """The site with these units: ``conv2#3,7``.

        Raises:
            ParameterError: they are units of another site.
        """
        if site and self.site and site != self.site:
            raise ParameterError(
                f"the units {self.numbers} are of {self.site}, not of {site}; leave out --site, or"
                " give units of that site"
            )
        if not (site or self.site):
            raise ParameterError(f"of which site are the units {self.numbers}? Give --site")
        return f"{site or self.site}#{self.numbers}"


def _whole(units: Iterable[object]) -> tuple[int, ...]:
    try:
        given = tuple(units)
        read = tuple(index(unit) for unit in given)  # type: ignore[arg-type]
    except TypeError as error:
        raise ParameterError(f"units are whole numbers, as in (3, 7), got {units!r}") from error
    if any(isinstance(unit, bool) for unit in given):
        raise ParameterError(f"units are whole numbers, as in (3, 7), got {units!r}")
    check_distinct(read)
    return read
