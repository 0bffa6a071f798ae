"""Whole numbers as people write them: ``3,7,10-20``.

Units of a site, latent dimensions and samples are all chosen this way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import index

from ganprobe.errors import ParameterError

__all__ = ["check_count", "check_distinct", "check_indices", "format_indices", "parse_indices"]

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_MOST = 1_000_000


def parse_indices(text: str) -> tuple[int, ...]:
    """Read comma-separated numbers and inclusive ranges, in the order given.

    Raises:
        ParameterError: something is not a number or range, a range runs down, or an index
            stands twice.

    Example:
        >>> parse_indices("3,7,10-12")
        (3, 7, 10, 11, 12)
    """
    indices: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ParameterError(f"{text!r} is not a list of numbers and ranges such as 3,7,10-20")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ParameterError(f"the range {part!r} in {text!r} runs down; write {last}-{first}")
        if len(indices) + last - first >= _MOST:
            raise ParameterError(f"{text!r} names more than {_MOST:,} indices")
        indices.extend(range(first, last + 1))
    check_distinct(indices)
    return tuple(indices)


def check_distinct(indices: Sequence[int]) -> None:
    """Raise `ParameterError` if there is none, one is negative, or one stands twice."""
    if not indices:
        raise ParameterError("no index was given; name at least one, as in 3,7,10-20")
    if min(indices) < 0:
        raise ParameterError(f"indices count from 0, got {min(indices)}")
    twice = [index for index, count in Counter(indices).items() if count > 1]
    if twice:
        raise ParameterError(f"{format_indices(twice)} is named twice; name each once")


def check_count(value: object, what: str, *, least: int = 1) -> int:
    """The whole number that was given, at least so large.

    Raises:
        ParameterError: it is smaller, or no whole number.

    Example:
        >>> check_count(2.5, "a chunk")
        Traceback (most recent call last):
        ...
        ganprobe.errors.ParameterError: a chunk is a whole number from 1 on, got 2.5
    """
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ParameterError(f"{what} is a whole number from {least} on, got {value!r}")
    return number


def format_indices(indices: Iterable[int]) -> str:
    """Write indices so that `parse_indices` reads them back, runs of three or more as ranges.

    Example:
        >>> format_indices([3, 7, 10, 11, 12])
        '3,7,10-12'
    """
    runs: list[list[int]] = []
    for one in indices:
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ",".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs
    )


def check_indices(indices: Sequence[int], size: int, what: str, where: str) -> None:
    """Raise `ParameterError` unless every index is in 0..size-1.

    Example:
        >>> check_indices([3, 200], 128, "unit", "conv2")
        Traceback (most recent call last):
        ...
        ganprobe.errors.ParameterError: no unit 200 at conv2: it has 128, numbered 0-127
    """
    outside = [index for index in indices if not 0 <= index < size]
    if outside:
        many = "s" if len(outside) > 1 else ""
        raise ParameterError(
            f"no {what}{many} {format_indices(outside)} at {where}: it has {size},"
            f" numbered 0-{size - 1}"
        )
