"""Generators that can be loaded by name, before any of them is: cheap to list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganprobe.generators import Generator

__all__ = ["GeneratorLoader"]


@dataclass(frozen=True)
class GeneratorLoader:
    """A generator's name, one sentence about it, and how to make it.

    Args:
        name: what a user writes: ``ganprobe.load(name)``.
        summary: one sentence for ``ganprobe generators``.
        make: builds the `Generator`; called only when it is loaded. Its keyword arguments, if it
            has any, are given with ``--set name=value``.
    """

    name: str
    summary: str
    make: Callable[..., Generator]
