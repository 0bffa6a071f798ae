"""What TorchScript does to lists and dicts, done to Python's own.

Its operators are given copies of Python's lists, so that what they append would be lost; and those
for lists of anything cannot be called from Python.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["container_operator"]

Operator = Callable[..., Any]


def container_operator(schema: Any, types: Sequence[Any]) -> Operator | None:
    """What stands for an operator whose first argument is a list or a dict; None for all others.

    Args:
        schema: of the operator.
        types: of the values that it is given.
    """
    kind = types[0].kind() if types else ""
    name = schema.name.removeprefix("aten::")
    if name == "mul" and any(one.kind() == "ListType" for one in types):
        return operator.mul
    if kind == "ListType":
        return _OF_LISTS.get(name)
    return _OF_DICTS.get(name) if kind == "DictType" else None


def _set(held: Any, key: Any, value: Any) -> Any:
    held[key] = value
    return held


def _delete(held: Any, key: Any) -> None:
    del held[key]


def _append(held: list[Any], value: Any) -> list[Any]:
    held.append(value)
    return held


def _extend(held: list[Any], values: list[Any]) -> list[Any]:
    held += values
    return held


def _sort(held: list[Any], reverse: bool = False) -> None:
    held.sort(reverse=reverse)


def _slice(
    held: list[Any], start: int | None = None, end: int | None = None, step: int = 1
) -> list[Any]:
    return held[start:end:step]


def _index(held: list[Any], value: Any) -> int:
    return held.index(value)


_OF_LISTS: dict[str, Operator] = {
    "__getitem__": lambda held, place: held[place],
    "_set_item": _set,
    "Delete": _delete,
    "append": _append,
    "extend": _extend,
    "add_": _extend,
    "insert": list.insert,
    "pop": list.pop,
    "remove": list.remove,
    "reverse": list.reverse,
    "clear": list.clear,
    "copy": list.copy,
    "list": list,
    "slice": _slice,
    "sort": _sort,
    "sorted": sorted,
    "add": operator.add,
    "dict": dict,
    "len": len,
}

_OF_DICTS: dict[str, Operator] = {
    "__getitem__": lambda held, key: held[key],
    "__contains__": lambda held, key: key in held,
    "_set_item": _set,
    "Delete": _delete,
    "pop": dict.pop,
    "popitem": dict.popitem,
    "get": dict.get,
    "setdefault": dict.setdefault,
    "update": dict.update,
    "clear": dict.clear,
    "copy": dict.copy,
    "keys": list,
    "values": lambda held: list(held.values()),
    "items": lambda held: list(held.items()),
    "len": len,
}
