"""Work done ahead of the one who asks for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["prefetched"]

A = TypeVar("A")
B = TypeVar("B")


def prefetched(work: Callable[[A], B], items: Iterable[A], ahead: int) -> Iterator[B]:
    """What `work` gives for each item, in order, done in a thread up to `ahead` items early."""
    waiting = iter(items)
    with ThreadPoolExecutor(1, "ganprobe-prefetch") as thread:
        under_way: deque[Future[B]] = deque()
        under_way.extend(thread.submit(work, item) for item in islice(waiting, max(ahead, 1)))
        try:
            while under_way:
                done = under_way.popleft().result()
                under_way.extend(thread.submit(work, item) for item in islice(waiting, 1))
                yield done
        finally:
            for future in under_way:
                future.cancel()
