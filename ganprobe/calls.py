"""Calls: which of a module's arguments get the latents, the classes, the truncation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ganprobe.errors import ParameterError, nearest_names

__all__ = ["Call"]

_PLACES = ("$z", "$label", "$one-hot", "$truncation")


@dataclass(frozen=True)
class Call:
    """How a module is called, where that is not ``module(z)``.

    In arguments and keywords, also in lists and tuples of them, ``"$z"`` stands for the latents
    (n, \\*shape), ``"$label"`` for the classes' numbers (n,) int64, ``"$one-hot"`` for (n, classes)
    in the dtype of the latents, and ``"$truncation"`` for the truncation, 1.0 where none was
    chosen. All else is passed as it stands.

    Args:
        arguments: by position.
        keywords: by name.

    Raises:
        ParameterError: ``"$z"`` is nowhere, or something else begins with ``$``.

    Example:
        >>> call = Call((["$z"],), {"truncation": "$truncation", "noise": "const"})
        >>> call.filled({"$z": "latents", "$truncation": 0.7}.__getitem__)
        ((['latents'],), {'truncation': 0.7, 'noise': 'const'})
    """

    arguments: tuple[object, ...] = ("$z",)
    keywords: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", tuple(self.arguments))
        object.__setattr__(self, "keywords", dict(self.keywords))
        places = self.places
        for place in places:
            if place not in _PLACES:
                nearest = ", ".join(nearest_names(place, _PLACES))
                raise ParameterError(f"a call has no place {place!r}; nearest: {nearest}")
        if "$z" not in places:
            raise ParameterError('a call passes the latents: write "$z" where they go')

    @property
    def places(self) -> set[str]:
        """What it passes that differs from call to call: ``"$z"``, ``"$label"``, ..."""
        found: set[str] = set()

        def keep(place: str) -> str:
            found.add(place)
            return place

        self.filled(keep)
        return found

    @property
    def takes_classes(self) -> bool:
        """Whether the module is told a class."""
        return bool(self.places & {"$label", "$one-hot"})

    def filled(self, value_of: Callable[[str], object]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and keywords with each place filled."""
        arguments = tuple(_filled(given, value_of) for given in self.arguments)
        keywords = {name: _filled(given, value_of) for name, given in self.keywords.items()}
        return arguments, keywords

    def to_json(self) -> dict[str, Any]:
        """The call as plain values; what JSON has no form for by its text."""
        return {
            "arguments": [_plain(given) for given in self.arguments],
            "keywords": {name: _plain(given) for name, given in self.keywords.items()},
        }


def _filled(given: object, value_of: Callable[[str], object]) -> object:
    if isinstance(given, str) and given.startswith("$"):
        return value_of(given)
    if isinstance(given, list):
        return [_filled(one, value_of) for one in given]
    if isinstance(given, tuple):
        return tuple(_filled(one, value_of) for one in given)
    return given


def _plain(given: object) -> object:
    if isinstance(given, list | tuple):
        return [_plain(one) for one in given]
    return given if isinstance(given, str | int | float | bool | None) else repr(given)
