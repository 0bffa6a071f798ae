"""Unit sets: some units of a site, kept in a small JSON file with how they were found.

One command finds a set and writes it, another takes it: ``--units @set.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ganprobe.errors import ParameterError
from ganprobe.indices import check_distinct, format_indices, parse_indices

__all__ = ["UnitSet"]

_KIND, _VERSION = "ganprobe unit set", 1


@dataclass(frozen=True)
class UnitSet:
    """Some units of a site, in an order that means something: the most important first.

    Args:
        units: each once.
        site: that they are units of; "" where it is not said.
        generator: its name, weights' SHA-256 and normalisation, where it is known.
        found: how they were found: objective, strategy, values, seeds, as plain values.

    Raises:
        ParameterError: no unit, one below 0, or one twice.

    Example:
        >>> UnitSet.parse("3,7,10-12").units
        (3, 7, 10, 11, 12)
    """

    units: tuple[int, ...]
    site: str = ""
    generator: Mapping[str, Any] = field(default_factory=dict, hash=False)
    found: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_distinct(self.units)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3,7,10-20``, or ``@set.json``, a file that holds a set.

        Raises:
            ParameterError: it is neither, or the file cannot be read or holds something else.
        """
        if text.startswith("@"):
            return cls.read(Path(text[1:]))
        return cls(parse_indices(text))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The set that `write` left in a file.

        Raises:
            ParameterError: there is no such file, or it holds something else.
        """
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ParameterError(f"cannot read the unit set {path}: {error.strerror}") from error
        except ValueError as error:
            raise ParameterError(f"{path} is not JSON, so that it is no unit set") from error
        if not isinstance(held, dict) or held.get("kind") != _KIND:
            raise ParameterError(
                f"{path} is JSON, but no unit set; such files are written by analyses that find"
                " units, as in `ganprobe run swap`"
            )
        return cls._of(held, path)

    @classmethod
    def _of(cls, held: Mapping[str, Any], path: Path | str) -> Self:
        if held.get("version") != _VERSION:
            raise ParameterError(
                f"{path} is a unit set of version {held.get('version')!r}, and this is ganprobe for"
                f" version {_VERSION}"
            )
        units, site = held.get("units"), held.get("site", "")
        generator, found = held.get("generator", {}), held.get("found", {})
        are_units = isinstance(units, list) and all(type(unit) is int for unit in units)
        if not (are_units and isinstance(site, str)) or not all(
            isinstance(record, dict) for record in (generator, found)
        ):
            raise ParameterError(
                f"{path} is a damaged unit set: it needs units (a list of whole numbers), and may"
                " have site, generator and found"
            )
        assert isinstance(units, list)
        try:
            return cls(tuple(units), site, generator, found)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from error

    def write(self, path: Path | str) -> None:
        """Write it to a file, which is whole or not there."""
        target = Path(path)
        partial = target.with_name(f"{target.name}.partial")
        try:
            partial.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
            partial.replace(target)
        except OSError as error:
            raise ParameterError(f"cannot write {path}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)

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
