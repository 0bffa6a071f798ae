"""Tensors nested in what modules take and return: tuples, lists, dicts, dataclasses.

A path is a tuple of positions and keys, ``()`` for the value itself. Reading one costs a few
lookups; placing one copies the containers on the way and no tensor.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Path", "arguments", "copied", "leaves_in", "pick", "place", "tensors_in"]

Path = tuple[int | str, ...]

_DEEPEST = 12


def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int | str, Any]:
    """What a module was given, by position and keyword."""
    given: dict[int | str, Any] = dict(enumerate(args))
    given.update(kwargs.items())
    return given


def tensors_in(value: object, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor inside `value` with its path, in order.

    Example:
        >>> [path for path, _ in tensors_in((torch.ones(1), {"sample": torch.ones(2)}))]
        [(0,), (1, 'sample')]
    """
    if isinstance(value, Tensor):
        yield path, value
    if len(path) < _DEEPEST:  # something may contain itself
        for key, inner in _children(value):
            yield from tensors_in(inner, (*path, key))


def leaves_in(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Everything inside `value` that holds nothing further, with its path, in order.

    Example:
        >>> list(leaves_in((1, {"note": "a"})))
        [((0,), 1), ((1, 'note'), 'a')]
    """
    if isinstance(value, Tensor) or not _holds(value):
        yield path, value
    elif len(path) < _DEEPEST:
        for key, inner in _children(value):
            yield from leaves_in(inner, (*path, key))


def pick(value: Any, path: Path) -> Any:
    """What stands at `path` inside `value`.

    Raises:
        LookupError: there is nothing at that path.
    """
    for key in path:
        children = dict(_children(value))
        if key not in children:
            raise LookupError(f"nothing at [{key}]; there is: {', '.join(map(str, children))}")
        value = children[key]
    return value


def place(value: Any, path: Path, new: object) -> Any:
    """`value` with `new` at `path`; the containers on the way are copies of the same type."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    inner = place(pick(value, (key,)), rest, new)
    if isinstance(value, dict | list):
        copied: Any = copy.copy(value)
        copied[key] = inner
        return copied
    if isinstance(value, Mapping):  # a copy of one we do not know might share its contents
        make: Any = type(value)
        return make({**value, key: inner})
    if isinstance(value, tuple):
        items = [inner if position == key else item for position, item in enumerate(value)]
        return getattr(type(value), "_make", type(value))(items)
    copied = copy.copy(value)
    object.__setattr__(copied, str(key), inner)  # also where the dataclass is frozen
    return copied


def copied(value: Any) -> Any:
    """The same tensors in containers of their own."""
    if isinstance(value, Tensor) or not _holds(value):
        return value
    if isinstance(value, tuple):
        return getattr(type(value), "_make", type(value))([copied(item) for item in value])
    held = {key: copied(inner) for key, inner in _children(value)}
    if isinstance(value, Mapping) and not isinstance(value, dict):
        make: Any = type(value)
        return make(held)
    own: Any = copy.copy(value)
    for key, inner in held.items():
        if isinstance(value, dict | list):
            own[key] = inner
        else:
            object.__setattr__(own, str(key), inner)
    return own


def _holds(value: object) -> bool:
    is_sequence = isinstance(value, tuple | list) and not isinstance(value, torch.Size)
    is_dataclass = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return is_sequence or is_dataclass or isinstance(value, Mapping)


def _children(value: object) -> Iterator[tuple[int | str, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple | list) and not isinstance(value, torch.Size):
        yield from enumerate(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name, None)
