"""Formulas: signed sums of named things, as people write them: ``crossed - seven + 0.5*one``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ganprobe import ParameterError, UnknownNameError

_TERM = (
    r"\s*(?P<sign>[+-]?)\s*(?:(?P<times>\d+\.?\d*|\.\d+)\s*\*\s*)?"
    r"(?P<name>(?:{known})(?=[\s+-]|$)|[^\s+*-]+)\s*"
)
_SUMS_OF_GROUPS = {1: (1.0,), 2: (1.0, -1.0), 3: (1.0, -1.0, 1.0)}


@dataclass(frozen=True)
class Term:
    """One summand: how many times, and the name of a group or direction."""

    times: float
    name: str

    def __str__(self) -> str:
        size = abs(self.times)
        return ("- " if self.times < 0 else "+ ") + ("" if size == 1 else f"{size:g}*") + self.name


@dataclass(frozen=True)
class Formula:
    """A signed sum; `str` gives it as it is written.

    Example:
        >>> str(Formula.parse("crossed-seven + 0.5 * one", ["crossed", "seven", "one"]))
        'crossed - seven + 0.5*one'
    """

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str, known: Sequence[str]) -> Formula:
        """Read a formula whose names are among the known; a known name may hold a ``-``.

        Raises:
            ParameterError: it is none, or names a thing twice.
            UnknownNameError: it names something else; tells the nearest.
        """
        longest_first = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
        form = re.compile(_TERM.format(known=longest_first or "(?!)"))
        terms, place = list[Term](), 0
        while place < len(text):
            match = form.match(text, place)
            if match is None or (place and not match["sign"]):
                raise ParameterError(
                    f"{text!r} is no formula; write names with + and - between them, as in"
                    " 'crossed - seven + one' or '2*a - b'"
                )
            terms.append(_term(match, known))
            place = match.end()
        names = [term.name for term in terms]
        if not terms or len(set(names)) < len(names):
            raise ParameterError(f"a formula names each thing once, got {text!r}")
        return cls(tuple(terms))

    @classmethod
    def of_groups(cls, names: Sequence[str]) -> Formula:
        """A, A - B, or A - B + C.

        Raises:
            ParameterError: there are more than three names.
        """
        if len(names) not in _SUMS_OF_GROUPS:
            raise ParameterError(
                f"what is made of {len(names)} groups? Give --formula, as in"
                f" '{names[0]} - {names[1]} + {names[2]}'"
            )
        times = _SUMS_OF_GROUPS[len(names)]
        return cls(tuple(Term(*one) for one in zip(times, names, strict=True)))

    def __str__(self) -> str:
        written = " ".join(map(str, self.terms))
        return written.removeprefix("+ ")


def _term(match: re.Match[str], known: Sequence[str]) -> Term:
    name = match["name"]
    if name not in known:
        hint = "name groups before a colon, as in --group 'ones: digit=1'"
        raise UnknownNameError("group", name, known, where="the formula", hint=hint)
    times = float(match["times"] or 1.0)
    return Term(-times if match["sign"] == "-" else times, name)
