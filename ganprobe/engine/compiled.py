"""Compiled modules, whose compiled code does not hear hooks that come later."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

__all__ = ["eager"]

_COUNTING = threading.Lock()
_BLOCKS: list[AbstractContextManager[object]] = []
_N_OPEN = 0


def eager() -> AbstractContextManager[object]:
    """Compiled modules run as they were written while this lasts, in all threads.

    Costs nothing where nothing was ever compiled: then the compiler is not even imported.
    """
    return _eager() if "torch._dynamo" in sys.modules else nullcontext()


@contextmanager
def _eager() -> Iterator[None]:
    """The compiler has one stance for the process: the first in sets it, the last out resets it."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _N_OPEN
    with _COUNTING:
        if not _N_OPEN:
            stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
            stance.__enter__()
            _BLOCKS.append(stance)
        _N_OPEN += 1


def _leave() -> None:
    global _N_OPEN
    with _COUNTING:
        _N_OPEN -= 1
        if not _N_OPEN:
            _BLOCKS.pop().__exit__(None, None, None)
