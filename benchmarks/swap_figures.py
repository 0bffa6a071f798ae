"""What `swap_search.py` measures: the ways to a search in turn, and the floor under them.

The floor is what plain torch takes for the layers alone.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import ganprobe as gp
from machine import interleaved, median_ratio
from swap_networks import Step
from swap_ways import METHODS, Outcome, Search, repeated, way_of, with_ganprobe

FLOOR_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)

Clock = Callable[[], float]
Way = Callable[[], Outcome]


class Timed(NamedTuple):
    """Seconds, of a search or of the floor; what the search found."""

    seconds: float
    outcome: Outcome | None = None


class Floor:
    """What plain torch takes to put every candidate through a step, in its quickest batch.

    Args:
        step: what every candidate must go through.
        given: what one candidate brings to it.
        once: seconds that are spent once for all candidates.
    """

    def __init__(
        self, step: Step, given: Tensor, n_candidates: int, now: Clock, once: float = 0.0
    ) -> None:
        self._n_candidates, self._now, self._once = n_candidates, now, once
        self._size = quickest(step, given, FLOOR_BATCHES, now)
        self._run = partial(step, repeated(given, self._size))
        self.macs = multiply_adds(partial(step, given))

    def __call__(self) -> Timed:
        """Seconds for all candidates."""
        each = least(self._run, self._now) / self._size
        return Timed(self._n_candidates * each + self._once)


def multiply_adds(forward: Callable[[], object]) -> int:
    """Those of a forward's convolutions and matrix products."""
    counter_of: Any = FlopCounterMode
    with counter_of(display=False) as counter:
        forward()
    total: int = counter.get_total_flops()
    return total // 2


def quickest(step: Step, sample: Tensor, sizes: Sequence[int], now: Clock) -> int:
    """The batch size at which a sample takes least time; none is tried beyond a slow one."""
    best: dict[int, float] = {}
    for size in sizes:
        run = partial(step, repeated(sample, size))
        run()
        best[size] = least(run, now) / size
        if best[size] > 1.3 * min(best.values()):
            break
    return min(best, key=best.__getitem__)


def least(run: Callable[[], object], now: Clock) -> float:
    """Seconds, the least of as many tries as fit in a tenth of a second, or of one."""
    tries: list[float] = []
    while sum(tries) < 0.1:
        start = now()
        run()
        tries.append(now() - start)
    return min(tries)


def floors(search: Search, now: Clock) -> dict[str, Floor]:
    """The floor of a replay from the site, and of one from the first linear layer after it."""
    z, n_pairs = search.z[:1], len(search.z)
    maps, tail = search.subject.maps(z), search.subject.tail(z)
    convolved, images = tail.linear(maps), search.subject.images(z)
    if not torch.allclose(tail.rest(convolved), images, atol=1e-4 * images.abs().max().item()):
        raise SystemExit(f"{search.subject.name}: what comes after the site is not what was taken")
    once = n_pairs * least(partial(tail.linear, maps), now)
    n = n_pairs * search.n_candidates
    return {
        "the site": Floor(tail.whole, maps, n, now),
        "the first linear layer": Floor(tail.rest, convolved, n, now, once),
    }


class Figures:
    """What was measured for one search, round by round, and why the rest was not.

    Args:
        by_hand: ways of which the first is what the others are compared with, and must agree with.
    """

    def __init__(
        self, search: Search, by_hand: Mapping[str, Way], n_rounds: int, now: Clock
    ) -> None:
        self.search, self.missing = search, dict[str, str]()
        self.floors = floors(search, now)
        ways = {**by_hand, **self._ganprobe()}
        self.reference = next(iter(ways))
        variants: list[Callable[[], Timed]] = [partial(timed, way, now) for way in ways.values()]
        variants += self.floors.values()
        rounds = interleaved(variants, n_rounds)
        self._timed = dict(zip([*ways, *self.floors], rounds, strict=True))
        self.outcomes = {way: self._agreed(way) for way in ways}

    def seconds(self, name: str) -> list[float]:
        """Of a way or a floor, round by round; one that picked fewer goes on as fast."""
        return [one.seconds * self._share(one.outcome) for one in self._timed[name]]

    def ratio(self, name: str, other: str) -> float:
        """How many times `other` `name` takes."""
        return median_ratio(self.seconds(name), self.seconds(other))

    def times_reference(self, way: str) -> str:
        """How many times as fast as the first way, with the extremes."""
        both = zip(self.seconds(self.reference), self.seconds(way), strict=True)
        ratios = [theirs / ours for theirs, ours in both]
        extremes = f" ({min(ratios):.2f} to {max(ratios):.2f})" if way != self.reference else ""
        return f"{statistics.median(ratios):.2f}{extremes}"

    def _share(self, outcome: Outcome | None) -> float:
        """All candidates, over those that were tried."""
        if outcome is None:
            return 1.0
        return self.search.n_candidates / self.search.n_candidates_of(len(outcome.picks))

    def _ganprobe(self) -> Mapping[str, Way]:
        """Each method of ganprobe's that is not refused."""
        ways = dict[str, Way]()
        for method in METHODS:
            try:
                with_ganprobe(replace(self.search, n_picks=1), method)  # warm, as the others are
                ways[way_of(method)] = partial(with_ganprobe, self.search, method)
            except gp.GanprobeError as error:
                if method == "auto":
                    raise
                self.missing[way_of(method)] = f"refused: {error}"
        return ways

    def _agreed(self, way: str) -> Outcome:
        """What a way found in every round, or the end if the first way found something else."""
        wanted, *_ = self._found(self.reference)
        n = len(wanted.picks)
        for found in self._found(way):
            if found.picks[:n] != wanted.picks:
                raise SystemExit(f"{way}: {found.picks[:n]}\n{self.reference}: {wanted.picks}")
            values, expected = torch.tensor(found.values[:n]), torch.tensor(wanted.values)
            if not torch.isclose(values, expected, rtol=1e-3).all():
                raise SystemExit(f"{way}: {found.values[:n]}\n{self.reference}: {wanted.values}")
        return found

    def _found(self, way: str) -> list[Outcome]:
        return [one.outcome for one in self._timed[way] if one.outcome]


def timed(search: Callable[[], Outcome], now: Clock) -> Timed:
    """A search and how long it took."""
    gc.collect()
    start = now()
    outcome = search()
    return Timed(now() - start, outcome)


def clock(device: str, n_threads: int) -> Clock:
    """Seconds: of this thread where it is the only one, else on the wall."""

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    if device == "cuda":
        return synchronised
    return time.thread_time if n_threads == 1 else time.perf_counter
