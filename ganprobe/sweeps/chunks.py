"""Chunks: how many variants are evaluated at once, tuned to the machine while it works."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["Chunks", "first_size", "timed"]

_CACHE = 8 * 2**20
_FIRST, _LARGEST_FIRST = 2, 64
_N_TIMED = 3
_STEPS = 8

Made = TypeVar("Made")


class Chunks:
    """The size of the next chunk: that which proved quickest, after several were tried in turn.

    Sizes are tried one after the other, again and again, so that a machine that is busy with
    something else for a while does not favour one of them.

    Args:
        fixed: the size, if it was asked for.
        most: no chunk is larger.
        first: a guess; sizes from half of it to four times it are tried, and more beyond the best.
    """

    def __init__(self, *, fixed: int | None, most: int, first: int = 16) -> None:
        self._most, self._first = max(1, most), first
        sizes = [fixed] if fixed else [first // 2, first, 2 * first, 4 * first]
        self._is_fixed = fixed is not None
        self._seconds = {min(size, self._most): list[float]() for size in sizes if size}

    @property
    def size(self) -> int:
        """The best size so far."""
        timed = {size: min(took) for size, took in self._seconds.items() if took}
        if timed:
            return min(timed, key=timed.__getitem__)
        return min(self._seconds, key=lambda size: abs(size - self._first))

    def next(self, remaining: int) -> int:
        """The size of the next chunk, of so many variants that are left."""
        if not self._is_fixed:
            tried = [size for size in self._seconds if size <= remaining and self._is_open(size)]
            if tried:
                return min(tried, key=lambda size: (len(self._seconds[size]), -size))
        return min(self.size, remaining)

    def note(self, n_variants: int, seconds: float) -> None:
        """A chunk of so many took so long."""
        if self._is_fixed or n_variants not in self._seconds:
            return
        self._seconds[n_variants].append(seconds / n_variants)
        if not any(map(self._is_open, self._seconds)):
            self._extend()

    def halve(self, size: int) -> bool:
        """After memory ran out for a chunk of this size; whether there is a smaller one."""
        if size == 1:
            return False
        self._most = size // 2
        kept = {known: took for known, took in self._seconds.items() if known <= self._most}
        self._seconds = kept or {self._most: []}
        return True

    def padded(self, n_variants: int) -> int:
        """How many rows a chunk is best given: new sizes cost time when they first come."""
        step = max(1, self.size // _STEPS)
        return min(-(-n_variants // step) * step, max(self._most, n_variants))

    def _is_open(self, size: int) -> bool:
        return len(self._seconds[size]) < _N_TIMED

    def _extend(self) -> None:
        best = self.size
        if best == max(self._seconds) and 2 * best <= self._most:
            self._seconds[2 * best] = []
        elif best == min(self._seconds) and best > 1:
            self._seconds[best // 2] = []


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
