"""What makes two recordings the same: everything that the values depend on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["differences"]


def differences(
    stored: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str] | None = None
) -> list[str]:
    """In what two identities differ, each as ``seed 3 (now 4)``.

    Args:
        stored: of the file.
        now: what is asked for.
        names: those that count; None: all.

    Example:
        >>> differences({"seed": 3, "batch size": 64}, {"seed": 4, "batch size": 64})
        ['seed 3 (now 4)']
    """
    compared = [*stored, *(name for name in now if name not in stored)]
    wanted = compared if names is None else [name for name in compared if name in set(names)]
    return [
        f"{name} {_told(stored.get(name))} (now {_told(now.get(name))})"
        for name in wanted
        if _plain(stored.get(name)) != _plain(now.get(name))
    ]


def _plain(value: object) -> object:
    """As JSON gives it back: tuples are lists there."""
    return json.loads(json.dumps(value))


def _told(value: object) -> str:
    if isinstance(value, str) and len(value) == 64:  # a SHA-256
        return value[:12]
    return value if isinstance(value, str) else json.dumps(value)
