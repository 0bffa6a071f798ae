"""Hooks of one plugin: the functions that it marks, checked before any of them is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pluggy

from ganprobe import hookspecs
from ganprobe.errors import PluginError, nearest_names
from ganprobe.plugins.offers import CHECKS, Offers
from ganprobe.plugins.record import Deprecation

__all__ = ["Hook", "find_hooks", "offers_of"]

_HOOKS = tuple(CHECKS)


@dataclass(frozen=True)
class Hook:
    """One function that a plugin marked.

    Args:
        name: of the hook that it is for, by its present name.
        written: as the plugin names it, which may be an older name.
    """

    name: str
    written: str
    function: Callable[..., object]

    @property
    def where(self) -> str:
        """`` (file:line)`` of its definition."""
        return _line_of(self.function)

    @property
    def deprecation(self) -> Deprecation | None:
        """What to say where it goes by an older name."""
        if self.written == self.name:
            return None
        gone = hookspecs.RENAMED[self.written].gone_in
        message = f"hook {self.written!r} is called {self.name!r} now; gone in ganprobe {gone}"
        return Deprecation(message, self.where.strip(" ()"))


def find_hooks(plugin: object, manager: pluggy.PluginManager) -> list[Hook]:
    """The hooks that a plugin implements.

    Raises:
        PluginError: there is none; or one that is marked is no hook, is a wrapper, or has
            arguments; or a function has a hook's name and is not marked. Names the line.
    """
    hooks = [
        _hook(name, function, options)
        for name, function in _functions(plugin)
        if (options := _options(name, function, plugin, manager)) is not None
    ]
    if not hooks:
        raise PluginError(f"it marks no function with hookimpl; hooks are: {', '.join(_HOOKS)}")
    return hooks


def _functions(plugin: object) -> Iterator[tuple[str, Callable[..., object]]]:
    for name, member in inspect.getmembers(plugin, inspect.isroutine):
        if inspect.isfunction(member) or inspect.ismethod(member):
            yield name, member


def _options(
    name: str, function: Callable[..., object], plugin: object, manager: pluggy.PluginManager
) -> Any:
    options = manager.parse_hookimpl_opts(plugin, name)
    if options is None and name in {*_HOOKS, *hookspecs.RENAMED}:
        raise PluginError(f"{name} is not marked with @ganprobe.hookimpl{_line_of(function)}")
    return options


def _hook(name: str, function: Callable[..., object], options: Any) -> Hook:
    written = options.get("specname") or name
    where = _line_of(function)
    renamed = hookspecs.RENAMED.get(written)
    known = renamed.name if renamed else written
    if known not in CHECKS:
        nearest = nearest_names(written, _HOOKS, n=1)[0]
        listed = ", ".join(_HOOKS)
        raise PluginError(f"no hook {written!r}{where}; nearest: {nearest}; hooks are: {listed}")
    if options.get("wrapper") or options.get("hookwrapper"):
        raise PluginError(f"hook {written} is a wrapper, which no hook can be{where}")
    if inspect.iscoroutinefunction(function):
        raise PluginError(f"hook {written} is async, which no hook can be{where}")
    arguments = inspect.signature(function).parameters.values()
    if needed := [one.name for one in arguments if _has_to_be_given(one)]:
        raise PluginError(f"hook {written} takes no arguments, got {', '.join(needed)}{where}")
    return Hook(known, written, function)


def _has_to_be_given(parameter: inspect.Parameter) -> bool:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in kinds


def offers_of(hooks: list[Hook]) -> Offers:
    """Ask hooks for what they offer, and check it.

    Raises:
        PluginError: one gave no list, or something in it is not what it must be.
        Exception: as one raised it.
    """
    return Offers(*(tuple(_asked(name, hooks)) for name in _HOOKS))


def _asked(name: str, hooks: list[Hook]) -> Iterator[Any]:
    for hook in (hook for hook in hooks if hook.name == name):
        given = hook.function()
        if not isinstance(given, list | tuple):
            raise PluginError(f"{hook.written} gave {given!r}; it must give a list{hook.where}")
        for offer in given:
            try:
                CHECKS[name](offer)
            except PluginError as error:
                raise PluginError(f"{error}{_line_of(offer) or hook.where}") from error
            yield offer


def _line_of(offer: object) -> str:
    """`` (file:line)`` where a function or a class, or that of an instance, begins; or ""."""
    is_code = inspect.isroutine(offer) or isinstance(offer, type)
    code: Any = offer if is_code else type(offer)
    try:
        return f" ({inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]})"
    except (OSError, TypeError):  # it has no source that could be read
        return ""
