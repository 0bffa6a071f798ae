"""Portions: samples taken a few at a time, so that memory is bounded, under one progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ganprobe.errors import ParameterError
from ganprobe.indices import check_count
from ganprobe.progress import Bar, Progress

__all__ = ["portions", "within"]


def portions(n_samples: int, n_numbers: int, memory: int) -> list[slice]:
    """Slices of n samples, each of as many as `memory` bytes hold.

    Args:
        n_numbers: float64 numbers that one sample takes.
    """
    if check_count(n_samples, "the number of samples", least=0) < 1:
        raise ParameterError("there is no sample; give one or more")
    size = max(1, check_count(memory, "the memory, in bytes,") // (8 * n_numbers))
    return [slice(at, min(at + size, n_samples)) for at in range(0, n_samples, size)]


@dataclass
class _Part:
    """A bar of its own total that advances another by so many steps in all."""

    bar: Bar
    steps: int
    total: int
    done: int = 0

    def advance(self, n: int = 1) -> None:
        before = self._steps()
        self.done += n
        if self._steps() > before:
            self.bar.advance(self._steps() - before)

    def _steps(self) -> int:
        return self.steps * min(self.done, self.total) // max(self.total, 1)


def within(bar: Bar, steps: int) -> Progress:
    """The progress of a part of some work: what it opens advances the bar of the whole."""

    @contextmanager
    def part(total: int, what: str) -> Iterator[Bar]:
        inner = _Part(bar, steps, total)
        yield inner
        inner.advance(total - inner.done)

    return part
