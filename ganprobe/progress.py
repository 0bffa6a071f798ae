"""How long work tells how far it is, without knowing who watches.

The command line shows bars; a library call is silent unless it is given a `Progress`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Bar", "Progress", "silent"]


class Bar(Protocol):
    """One piece of work under way."""

    def advance(self, n: int = 1) -> None:
        """`n` more units are done."""


class Progress(Protocol):
    """Opens a bar: ``with progress(1000, "samples recorded") as bar: bar.advance(64)``."""

    def __call__(self, total: int, what: str) -> AbstractContextManager[Bar]: ...


class _Silence:
    def advance(self, n: int = 1) -> None:
        """Says nothing."""


@contextmanager
def silent(total: int, what: str) -> Iterator[Bar]:
    """The `Progress` that shows nothing."""
    yield _Silence()
