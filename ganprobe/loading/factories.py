"""Factories: functions and classes that make a module, called with checked arguments."""

from __future__ import annotations

import ast
import inspect
import json
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import torch
from torch import nn

from ganprobe.errors import (
    FactoryError,
    ParameterError,
    UnknownNameError,
    UsageError,
)
from ganprobe.generators import Generator
from ganprobe.loading.factory_code import FactoryCode, running

__all__ = ["call_factory", "checked_arguments", "part_of", "read_argument"]

_MOST_LISTED = 8


def read_argument(written: str) -> tuple[str, object]:
    """The name and value of ``key=value``; a value that is no TOML, JSON or Python is a string.

    Raises:
        ParameterError: there is no ``=``, or no name before it.

    Example:
        >>> read_argument("width=64"), read_argument("sizes=[4, 8]"), read_argument("act=relu")
        (('width', 64), ('sizes', [4, 8]), ('act', 'relu'))
    """
    name, equals, text = written.partition("=")
    if not equals or not name.strip().isidentifier():
        raise ParameterError(f"an argument of a factory is written name=value, got {written!r}")
    return name.strip(), _literal(text.strip())


def _literal(text: str) -> object:
    readers: tuple[Callable[[str], Any], ...] = (_read_toml, json.loads)
    for read in readers:
        try:
            value: object = read(text)
        except ValueError:
            continue
        if isinstance(value, str | int | float | list | dict | None):
            return value
    try:
        return ast.literal_eval(text)  # True, None, (4, 8)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _read_toml(text: str) -> Any:
    return tomllib.loads(f"v = {text}")["v"]


def call_factory(code: FactoryCode, arguments: Mapping[str, object]) -> Any:
    """What a factory makes of these arguments, with its random numbers from one seed.

    Arguments are converted where its annotations, or else its defaults, say int, float, bool,
    str, tuple or Path.

    Raises:
        UnknownNameError: it has no argument of this name.
        ParameterError: an argument that it needs is missing, or is of another type.
        FactoryError: it raised.
    """
    given = checked_arguments(code.factory, arguments, str(code.spec))
    with running(code, f"{code.spec}({_spoken(given)})"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a module without weights of its own is the same each time
        return code.factory(**given)


def checked_arguments(
    factory: Callable[..., Any], arguments: Mapping[str, object], name: str
) -> dict[str, object]:
    """The arguments as the factory takes them.

    Raises:
        UnknownNameError, ParameterError: as `call_factory`.
    """
    signature = _signature(factory)
    if signature is None:
        return dict(arguments)
    named = {
        one.name: one
        for one in signature.parameters.values()
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }
    takes_any = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
    for given in arguments:
        if given not in named and not takes_any:
            raise _unknown_argument(given, named, name)
    missing = [one for one, held in named.items() if held.default is held.empty]
    if missing := [one for one in missing if one not in arguments]:
        raise ParameterError(
            f"{name} needs {', '.join(map(repr, missing))}; give it as --set {missing[0]}=..., or"
            " under [arguments] in ganprobe.toml"
        )
    return {
        given: _converted(value, named[given], name) if given in named else value
        for given, value in arguments.items()
    }


def _unknown_argument(given: str, known: Mapping[str, object], name: str) -> UsageError:
    if not known:
        return UsageError(f"{name} takes no arguments, got {given!r}")
    return UnknownNameError("argument", given, known, where=name)


def _signature(factory: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(factory, eval_str=True)
    except (TypeError, ValueError):  # written in C
        return None
    except Exception:  # an annotation of theirs that cannot be looked up
        return inspect.signature(factory)


def _spoken(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _converted(value: object, parameter: inspect.Parameter, name: str) -> object:
    kinds = list(_kinds(parameter))
    if not kinds or any(_is_of(value, kind) for kind in kinds):
        return value
    for kind in kinds:
        try:
            return _CONVERSIONS[kind](value)
        except (ValueError, TypeError):
            continue
    spoken = " or ".join(kind.__name__ for kind in kinds)
    raise ParameterError(f"argument {parameter.name!r} of {name} is {spoken}, got {value!r}")


def _kinds(parameter: inspect.Parameter) -> Iterator[type]:
    """The simple types that an argument may have; none where it may have any other."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        has_default = parameter.default not in (parameter.empty, None)
        annotation = type(parameter.default) if has_default else Any
        if annotation is int:  # a default of 1 says little about 0.5
            annotation = int | float
    is_union = get_origin(annotation) in (Union, types.UnionType)
    kinds = [get_origin(one) or one for one in (get_args(annotation) if is_union else [annotation])]
    if all(kind in _CONVERSIONS for kind in kinds):
        yield from kinds


def _is_of(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind)


def _to_int(value: Any) -> int:
    if isinstance(value, bool | list) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _to_float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _to_bool(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _to_text(value: Any) -> str:
    if isinstance(value, list | dict | None):
        raise TypeError
    return str(value)


def _to_sequence(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise TypeError
        return kind(value)

    return convert


def _to_nothing(value: Any) -> None:
    if str(value).lower() not in ("none", "null"):
        raise ValueError


_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_float,
    tuple: _to_sequence(tuple),
    list: _to_sequence(list),
    type(None): _to_nothing,
    Path: Path,
    str: _to_text,
}


def part_of(returned: Any, part: str | None, name: str) -> nn.Module | Generator:
    """The module that a factory returned, or the part of it that was asked for.

    Args:
        part: attributes or keys, with dots between them.

    Raises:
        UnknownNameError: there is no such part; names the nearest.
        FactoryError: it is no module.

    Example:
        >>> part_of({"g": nn.Sequential(nn.Linear(2, 3))}, "g.0", "make")
        Linear(in_features=2, out_features=3, bias=True)
    """
    found = returned
    for key in part.split(".") if part else []:
        found = _inner(found, key, part or "", name)
    if isinstance(found, nn.Module | Generator):
        return found
    what = f"{name} made {_article(found)}" + (f" at {part!r}" if part else "")
    inside = list(_modules_in(found))
    if not inside:
        raise FactoryError(f"{what}, which is no torch module and holds none")
    listed = ", ".join(inside[:_MOST_LISTED])
    raise FactoryError(
        f"{what}; say which part of it is the generator: --part {inside[0]}, or part = ... under"
        f" [generator] in ganprobe.toml; modules are at: {listed}"
    )


def _inner(found: Any, key: str, part: str, name: str) -> Any:
    if isinstance(found, Mapping) and key in found:
        return found[key]
    if isinstance(found, list | tuple) and key.isdecimal() and int(key) < len(found):
        return found[int(key)]
    if hasattr(found, key):
        return getattr(found, key)
    raise UnknownNameError("part", part, _modules_in(found), where=f"what {name} made")


def _modules_in(found: Any, depth: int = 3) -> Iterator[str]:
    """Where modules are in what a factory made, as a part is written."""
    if isinstance(found, nn.Module):
        yield from (name for name, _ in found.named_modules() if name)
        return
    if isinstance(found, Mapping):
        held = dict(found)
    elif isinstance(found, list | tuple):
        held = dict(enumerate(found))
    else:
        held = getattr(found, "__dict__", {})
    for key, one in held.items():
        if isinstance(one, nn.Module | Generator):
            yield str(key)
        elif depth > 1:
            yield from (f"{key}.{inner}" for inner in _modules_in(one, depth - 1))


def _article(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
