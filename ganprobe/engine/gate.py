"""Gates: whether the hooks that a block has put on do anything, here and now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

__all__ = ["Gate", "is_block_open", "muted"]


class Gate:
    """Open in the one thread that opened it, until it is closed; shut everywhere else.

    Hooks ask it at each call, and hold nothing else of the block that put them on. In a copy of
    a module, also one made while the block lasts, copies of the gate are shut for ever.
    """

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = 0

    def __deepcopy__(self, memo: object) -> Gate:
        return Gate()

    def __reduce__(self) -> tuple[type[Gate], tuple[()]]:
        return Gate, ()

    @property
    def is_open(self) -> bool:
        """Whether this is the thread that opened it."""
        return get_ident() == self.thread

    def open(self) -> None:
        """Open it for this thread."""
        self.thread = get_ident()
        _OPENED.gates = [gate for gate in _OPENED.gates if gate.thread]
        _OPENED.gates.append(self)

    def close(self) -> None:
        """Shut it, from any thread."""
        self.thread = 0


class _Opened(threading.local):
    """The gates that this thread has opened, some of them closed by now."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []


_OPENED = _Opened()


@contextmanager
def muted() -> Iterator[None]:
    """Every gate of this thread is shut while this lasts."""
    open_here = [gate for gate in _OPENED.gates if gate.is_open]
    for gate in open_here:
        gate.thread = 0
    try:
        yield
    finally:
        for gate in open_here:
            gate.thread = get_ident()


def is_block_open() -> bool:
    """Whether this thread has hooks on that do something."""
    return any(gate.is_open for gate in _OPENED.gates)
