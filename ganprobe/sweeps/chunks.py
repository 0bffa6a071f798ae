"""Chunks: how many variants are evaluated at once, tuned to the machine while it works."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["Chunks", "first_size", "timed"]

_CACHE = 8 * 2**20
_FIRST, _LARGEST_FIRST = 2, 64
_GAIN = 0.97
_N_TIMED = 2

Made = TypeVar("Made")


class Chunks:
    """The size of the next chunk: doubled while that pays, halved where memory runs out.

    Args:
        fixed: the size, if it was asked for.
        most: no chunk is larger.
        first: the size to begin with.
    """

    def __init__(self, *, fixed: int | None, most: int, first: int = 16) -> None:
        self.most = max(1, most)
        self._fixed = fixed
        self._times: dict[int, list[float]] = {}
        self.size = min(fixed or first, self.most)
        self._is_tuned = fixed is not None

    def note(self, n_variants: int, seconds: float) -> None:
        """A chunk of so many took so long."""
        if self._is_tuned or n_variants != self.size:
            return
        self._times.setdefault(self.size, []).append(seconds / n_variants)
        if len(self._times[self.size]) == _N_TIMED:
            self.size = self._next()

    def halve(self) -> bool:
        """After memory ran out; whether there is a smaller size."""
        if self.size == 1:
            return False
        self.most = self.size = self.size // 2
        self._times = {size: took for size, took in self._times.items() if size <= self.most}
        return True

    def _next(self) -> int:
        seconds = {size: min(took) for size, took in self._times.items()}
        best = min(seconds, key=seconds.__getitem__)
        larger, smaller = 2 * max(seconds), min(seconds) // 2
        if best * 2 == larger and larger <= self.most and self._pays(best, best // 2):
            return larger
        if best // 2 == smaller and smaller and self._pays(best, best * 2):
            return smaller
        self._is_tuned = True
        return best

    def _pays(self, size: int, neighbour: int) -> bool:
        """Whether a size is clearly better than the one next to it, if that was tried."""
        if neighbour not in self._times:
            return True
        return min(self._times[size]) < _GAIN * min(self._times[neighbour])


def first_size(n_bytes: int) -> int:
    """A good guess: a power of two at which a chunk stays in a processor's cache.

    Args:
        n_bytes: what one variant takes.

    Example:
        >>> first_size(100_000), first_size(10**7)
        (64, 2)
    """
    size = _FIRST
    while size < _LARGEST_FIRST and 2 * size * n_bytes <= _CACHE:
        size *= 2
    return size


def timed(work: Callable[[], Made], device: torch.device) -> tuple[Made, float]:
    """What some work makes, and how many seconds it took.

    On a GPU that is time on the clock, until the device has finished; on a CPU time of this
    process, which does not count what others do at the same time.
    """
    is_cuda = device.type == "cuda"
    clock = time.perf_counter if is_cuda else time.process_time
    began = clock()
    made = work()
    if is_cuda:
        torch.cuda.synchronize(device)
    return made, clock() - began
