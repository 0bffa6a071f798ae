"""Hooks going onto modules and coming off again: all of them, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import nn
from torch.utils.hooks import RemovableHandle

__all__ = ["Registration", "Wanted"]

# torch numbers all hooks of a process with one counter, and two threads could draw one number.
# Reentrant, since the collector may close a forgotten block in the middle of it.
_REGISTERING = threading.RLock()


Where = Literal["begin", "in", "out", "end"]
"""``"in"`` and ``"out"`` come after the user's own hooks there; ``"begin"`` ahead of all that are
given the input, ``"end"`` after all that are given the output, also of a layer that raises."""

Wanted = tuple[nn.Module, Where, Callable[..., Any]]
"""A layer, a place on it, and the hook that is to go there."""


class Registration:
    """Hooks that go on together and come off together."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def add(self, wanted: Sequence[Wanted]) -> None:
        """Put all of them on; where that fails or is interrupted, none stays."""
        try:
            with _REGISTERING:
                for layer, where, hook in wanted:
                    self._handles.append(_register(layer, where, hook))
        except BaseException:
            self.remove()
            for one in wanted:  # one of them may be on without its handle
                _remove_by_identity(one)
            raise

    def remove(self) -> None:
        """Take them off; once more if that is interrupted."""
        try:
            self._remove()
        finally:
            self._remove()

    def _remove(self) -> None:
        handles = self._handles
        with _REGISTERING:
            while handles:
                handles[-1].remove()
                handles.pop()


def _register(layer: nn.Module, where: Where, hook: Callable[..., Any]) -> RemovableHandle:
    if where == "out":
        return layer.register_forward_hook(hook)
    if where == "in":
        return layer.register_forward_pre_hook(hook, with_kwargs=True)
    if where == "begin":
        return layer.register_forward_pre_hook(hook, prepend=True)
    return layer.register_forward_hook(hook, always_call=True)


def _remove_by_identity(wanted: Wanted) -> None:
    layer, _, hook = wanted
    for own in (layer._forward_hooks, layer._forward_pre_hooks):
        for number in [number for number, there in own.items() if there == hook]:
            del own[number]
            layer._forward_pre_hooks_with_kwargs.pop(number, None)
            layer._forward_hooks_always_called.pop(number, None)
