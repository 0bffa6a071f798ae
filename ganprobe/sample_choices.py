"""Sample choices: which samples of a generator are meant, as people write it.

    5            sample 5 of the seed
    0-9,20       these samples
    digit=1      the first samples that the measure `digit` finds to be a 1: whose column ``1`` is
                 its largest
    digit=1 & digit.1>0.9 & digit-realness>0
                 those for which all of it holds; a column is written behind a dot
    digit=7 & digit-realness
                 a measure of one column alone: that is above 0
    network:models/lenet=3 & network:models/lenet.3>0.9
                 by somebody's classifier in a folder
    area:scenes=sky & area:scenes.door>0.01
                 mostly sky, and a door on more than 1 % of the image, by the segmenter `scenes`
    @mine.json   the latents in a file: a list of lists in JSON, an array in ``.npy``, or the
                 tensor ``z`` in ``.safetensors``
    @mine.json:ones, @mine.json:latents.ones
                 those under a name, or names within names

Reading a choice is cheap and needs no generator.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from ganprobe.errors import ParameterError
from ganprobe.indices import check_distinct, format_indices, parse_indices

__all__ = ["Condition", "SampleChoice", "split_column"]

_CONDITION = re.compile(
    r"\s*(?P<what>[\w-]+:[^=<>&]+?|[\w-]+(?:\.[^=<>&]+?)?)\s*(?P<sign>[=<>])\s*(?P<value>[^=<>&]+?)\s*"
)
_ALONE = re.compile(r"[A-Za-z][\w-]*(?::[^=<>&]+)?")
_FILE = re.compile(r"(.+?\.(?:json|npy|safetensors))(?::(.*))?", re.DOTALL | re.IGNORECASE)
_FORMS = "write 5, 0-9, a measure's finding as in digit=1, or a file of latents as in @mine.json"


@dataclass(frozen=True)
class Condition:
    """What a measure has to say of a sample.

    Args:
        sign: ``"="``: the measure's largest column is `column`; ``">"``, ``"<"``: its column is
            above or below `limit`.
        column: None where the measure has but one.
    """

    measure: str
    sign: Literal["=", ">", "<"]
    column: str | None
    limit: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``digit=1``, ``digit.1>0.9``, or ``digit-realness``, which is ``digit-realness>0``.

        Raises:
            ParameterError: it is neither.
        """
        if _ALONE.fullmatch(text.strip()):
            measure, column = split_column(text.strip())
            return cls(measure, ">", column or None)
        match = _CONDITION.fullmatch(text)
        has_argument = match is not None and ":" in match["what"]
        if match is None or (match["sign"] == "=" and "." in match["what"] and not has_argument):
            raise ParameterError(
                f"{text.strip()!r} is no condition on samples; write digit=1, digit.1>0.9 or"
                " digit-realness>0"
            )
        if match["sign"] == "=":
            return cls(match["what"], "=", match["value"])
        measure, column = split_column(match["what"])
        limit = _limit(match["value"], text.strip())
        sign: Literal[">", "<"] = ">" if match["sign"] == ">" else "<"
        return cls(measure, sign, column or None, limit)

    def __str__(self) -> str:
        if self.sign == "=":
            return f"{self.measure}={self.column}"
        column = "" if self.column is None else f".{self.column}"
        short = f"{self.limit:g}"
        limit = short if float(short) == self.limit else repr(self.limit)
        return f"{self.measure}{column}{self.sign}{limit}"


def split_column(text: str) -> tuple[str, str]:
    """A measure and its column as they stand before a ``<`` or ``>``; "" where none is named.

    The column stands behind the first dot; where there is an argument, which may be the name of a
    file, behind the last, and there is no ``/`` in it.

    Example:
        >>> split_column("digit-shape.slant"), split_column("digit-realness")
        (('digit-shape', 'slant'), ('digit-realness', ''))
        >>> split_column("area:scenes.tree"), split_column("area:painted:mask.png.red")
        (('area:scenes', 'tree'), ('area:painted:mask.png', 'red'))
        >>> split_column("network:models/lenet.3"), split_column("network:../models/lenet")
        (('network:models/lenet', '3'), ('network:../models/lenet', ''))
    """
    has_argument = ":" in text.removeprefix("area:")
    measure, dot, column = text.rpartition(".") if has_argument else text.partition(".")
    return (measure, column) if dot and "/" not in column else (text, "")


def _limit(value: str, text: str) -> float:
    try:
        limit = float(value)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ParameterError(
            f"{value!r} in {text!r} is no number to compare with; write one, as in digit.1>0.9"
        )
    return limit


def _conditions(text: str) -> tuple[Condition, ...]:
    parts = text.split("&")
    if not all(part.strip() for part in parts):
        raise ParameterError(
            f"{text!r} has an & without a condition beside it; write digit=1 & digit.1>0.9"
        )
    return tuple(map(Condition.parse, parts))


@dataclass(frozen=True)
class SampleChoice:
    """Which samples are meant: some numbers, those of some finding, or those in a file.

    Exactly one of the three is given.

    Args:
        indices: of samples of the seed, each once.
        conditions: all of which must hold.
        file: that holds latents, and
        name: under which name, dotted; "" where it holds nothing else.

    Raises:
        ParameterError: none of the three is given, or several; or an index is negative or stands
            twice.

    Example:
        >>> SampleChoice.parse("digit=1 & digit.1>0.9").conditions[1].limit
        0.9
        >>> str(SampleChoice.parse("0-2, 7"))
        '0-2,7'
    """

    indices: tuple[int, ...] = ()
    conditions: tuple[Condition, ...] = ()
    file: Path | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if (bool(self.indices), bool(self.conditions), self.file is not None).count(True) != 1:
            raise ParameterError(f"samples are chosen in one way, got {self!r}; {_FORMS}")
        if self.indices:
            check_distinct(self.indices)

    @classmethod
    def parse(cls, text: str | Self) -> Self:
        """Read a choice as it is written; one that is read already is returned as it is.

        A file ends at ``.json``, ``.npy`` or ``.safetensors``: there may be a ``:`` in its path.

        Raises:
            ParameterError: it is no choice of samples.
        """
        if isinstance(text, cls):
            return text
        written = str(text).strip()
        if written.startswith("@"):
            return cls._in_file(written[1:])
        if set("=<>&") & set(written) or _ALONE.fullmatch(written):
            return cls(conditions=_conditions(written))
        try:
            return cls(indices=parse_indices(written))
        except ParameterError as error:
            raise ParameterError(f"{written!r} chooses no samples ({error}); {_FORMS}") from error

    @classmethod
    def _in_file(cls, text: str) -> Self:
        match = _FILE.fullmatch(text)
        path, name = match.groups() if match else (text, "")
        if not path:
            raise ParameterError(f"'@' names no file of latents; {_FORMS}")
        return cls(file=Path(path), name=name or "")

    @property
    def n_samples(self) -> int | None:
        """How many it names; None where that is not known ahead."""
        return len(self.indices) or None

    def __str__(self) -> str:
        if self.file is not None:
            return f"@{self.file}" + (f":{self.name}" if self.name else "")
        if self.conditions:
            return " & ".join(map(str, self.conditions))
        return format_indices(self.indices)
