"""Levels as they are written: one of some names, or a number."""

from __future__ import annotations

import math
from collections.abc import Callable


def level_reader(*names: str) -> Callable[[object], object]:
    """What pydantic reads such a level with: a name stays as it is, a number is checked.

    Example:
        >>> level_reader("zero", "mean")("1.50")
        '1.5'
    """

    def read(given: object) -> object:
        if isinstance(given, str) and given in names:
            return given
        try:
            level = float(given)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            level = math.nan
        if not math.isfinite(level):
            raise ValueError(f"give {', '.join(names)} or a number")
        return repr(level)

    return read
