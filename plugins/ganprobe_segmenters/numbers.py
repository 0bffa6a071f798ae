"""Numbers as they are written behind a segmenter's colon."""

from __future__ import annotations

import math

from ganprobe import ParameterError


def read_per_cent(argument: str, name: str, what: str) -> float:
    """A share in per cent, above 0 and below 100, as in ``edges:12.5``.

    Args:
        name: of the segmenter.
        what: it is, for the error.

    Raises:
        ParameterError: it is no number, or outside.
    """
    try:
        per_cent = float(argument)
    except ValueError:
        per_cent = math.nan
    if not 0 < per_cent < 100:
        raise ParameterError(
            f"{what} of segmenter {name!r} is a number of per cent above 0 and below 100, got"
            f" {argument!r}; write {name}:20, or {name} alone"
        )
    return per_cent


def read_whole(text: str) -> int | None:
    """A whole number in plain digits; None if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
