"""Hooks going onto modules and coming off again: all of them, whatever happens in between.

They are entered in the dictionaries that `register_forward_hook` fills, under numbers of our own,
which torch's numbers, all positive, never meet. That costs a fifteenth of the call and its handle;
and since the numbers are known before the first hook is on, whatever is on comes off, wherever an
interruption fell. No lock is needed: entering and leaving a dictionary are single steps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal

from torch import nn

__all__ = ["Registration", "Wanted", "has_hooks", "has_hooks_on_output", "without_hooks"]

Where = Literal["begin", "in", "out"]
"""``"in"`` and ``"out"`` come after the user's own hooks there; ``"begin"`` ahead of them."""

Wanted = tuple[nn.Module, Where, Callable[..., Any]]
"""A layer, a place on it, and the hook that is to go there."""

_NUMBERS = count(-1, -1)


class Registration:
    """Hooks that go on together and come off together."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._hooks = [(next(_NUMBERS), layer, where, hook) for layer, where, hook in wanted]

    @contextmanager
    def on(self) -> Iterator[None]:
        """On while this lasts; taken off twice, for what an interruption of the first leaves."""
        try:
            self.add()
            yield
        finally:
            try:
                self.remove()
            finally:
                self.remove()

    def on_output(self, layer: nn.Module) -> Callable[..., Any] | None:
        """The hook that is for what a layer returns."""
        found = (hook for _, its, where, hook in self._hooks if its is layer and where == "out")
        return next(found, None)

    def add(self) -> None:
        """Put all of them on; where that is interrupted, none stays."""
        try:
            for number, layer, where, hook in self._hooks:
                if where == "out":
                    layer._forward_hooks[number] = hook
                else:
                    _add(number, layer, where, hook)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Take them off; once more if that is interrupted."""
        try:
            self._remove()
        except BaseException:
            self._remove()
            raise
        self._hooks = []  # they know who put them on, and would wait for the collector

    def _remove(self) -> None:
        for number, layer, where, _ in self._hooks:
            if where == "out":
                layer._forward_hooks.pop(number, None)
            else:
                _remove(number, layer)


def without_hooks(copied: nn.Module) -> nn.Module:
    """A copy of a module, freed of the hooks that were on the module while it was copied."""
    for layer in copied.modules():
        for number in [*layer._forward_hooks, *layer._forward_pre_hooks]:
            if number < 0:
                _remove(number, layer)
    return copied


def has_hooks(layer: nn.Module) -> bool:
    """Whether there is any hook on a layer's forward."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def has_hooks_on_output(layer: nn.Module) -> bool:
    """Whether somebody else's hook sees what a layer returns, and may change it."""
    return any(number >= 0 for number in layer._forward_hooks)


def _add(number: int, layer: nn.Module, where: Where, hook: Callable[..., Any]) -> None:
    if where == "in":
        layer._forward_pre_hooks_with_kwargs[number] = True
    layer._forward_pre_hooks[number] = hook
    if where == "begin":
        hooks = layer._forward_pre_hooks
        assert isinstance(hooks, OrderedDict)
        hooks.move_to_end(number, last=False)


def _remove(number: int, layer: nn.Module) -> None:
    for own in (
        layer._forward_hooks,
        layer._forward_pre_hooks,
        layer._forward_pre_hooks_with_kwargs,
    ):
        own.pop(number, None)
