"""Evaluation: variants of one base, chunk by chunk, by the fastest way that proved right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ganprobe.engine import is_block_open
from ganprobe.errors import ForwardError, GanprobeError, NotReplayableError, ParameterError
from ganprobe.replay import ReplayPlan
from ganprobe.sweeps.additive import Additive
from ganprobe.sweeps.chunks import Chunks, is_out_of_memory, timed
from ganprobe.sweeps.evaluators import Base, Replayed
from ganprobe.sweeps.variants import Variants
from ganprobe.sweeps.ways import METHODS, Method, Refusal, Replays, Way, make_way

__all__ = ["N_TRIAL", "Evaluation", "How", "Options"]

N_TRIAL = 8
"""How many variants a method is tried out on."""
_FEWEST = 6
_SOME, _MANY = 128, 512
"""Of how many variants on it pays to try another layout, and to time with care."""
_MAPS = 4
_CLEARLY = 0.95
_CHECK_EVERY = 4
"""Chunks 4, 16, 64, ... are looked at once more."""


@dataclass(frozen=True)
class How:
    """How a sweep was evaluated.

    Args:
        method: ``"additive"``, ``"replay"``, ``"batched"`` or ``"single"``.
        reason: why this one, in a sentence.
        refused: the faster ones that could not be used, and why.
        chunk: how many variants were evaluated at once, in the end.
        plan: what was answered from memory and what was computed; None for single forwards.
        n_checked: how many variants were compared with plain forwards, and
        worst: the largest difference found, over the largest value of the images.
    """

    method: Method
    reason: str
    refused: tuple[Refusal, ...]
    chunk: int
    plan: ReplayPlan | None
    n_checked: int
    worst: float

    def __str__(self) -> str:
        checked = f"{self.n_checked} variants checked, worst difference {self.worst:.1e}"
        lines = [f"by {self.method} in chunks of {self.chunk} ({self.reason}); {checked}"]
        lines += [f"not by {refusal}" for refusal in self.refused]
        return "\n".join(lines)


@dataclass(frozen=True)
class Options:
    """How variants are to be evaluated.

    Args:
        method: one of `METHODS`, or ``"auto"``.
        chunk: how many at once; None: tuned while it works.
        memory_limit: bytes that a chunk may take; None: 1 GiB, or half of what a GPU has free.
    """

    method: Method | str = "auto"
    chunk: int | None = None
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        if self.method not in ("auto", *METHODS):
            names = ", ".join(("auto", *METHODS))
            raise ParameterError(f"there is no method {self.method!r}; there is: {names}")
        for value, what in ((self.chunk, "chunk"), (self.memory_limit, "memory limit")):
            if value is not None and value < 1:
                raise ParameterError(f"a {what} is at least 1, got {value}")

    def bytes_on(self, device: torch.device) -> int:
        """The limit on a device."""
        if self.memory_limit is not None:
            return self.memory_limit
        if device.type == "cuda":
            return torch.cuda.mem_get_info(device)[0] // 2
        return 2**30


@dataclass
class Evaluation:
    """Evaluates variants of one base; more of them as often as you like, by the same way.

    Args:
        n_expected: about how many variants there will be in all, where these are the first.
    """

    replays: Replays
    base: Base
    variants: Variants
    options: Options
    n_expected: int = 0
    refused: list[Refusal] = field(default_factory=list)
    _way: Way | None = None
    _reason: str = ""
    _chunks: Chunks | None = None
    _n_chunks: int = 0
    _checked_sizes: set[int] = field(default_factory=set)

    @property
    def how(self) -> How:
        """How it is done, as far as it is done."""
        way, chunks = self._chosen()
        return How(
            way.method,
            self._reason,
            tuple(self.refused),
            chunks.size,
            way.plan,
            way.n_checked,
            way.worst,
        )

    def images(self, variants: Variants) -> Iterator[tuple[range, Tensor]]:
        """Chunk after chunk, which variants, and their images (variants, n, ...).

        Raises:
            NotReplayableError: a check on the way failed.
        """
        start = 0
        while start < len(variants):
            chosen, images = self._chunk(variants, start)
            yield chosen, images
            start = chosen.stop

    def move(self, base: Base, variants: Variants) -> None:
        """Go on with another base, by the same way."""
        self.base, self.variants = base, variants
        if self._way is not None:
            before = self._way
            limit = self.options.bytes_on(base.latents.z.device)
            self._way = make_way(
                before.method, self.replays, base, variants, memory_limit=limit, is_trusted=True
            )
            self._way.one_at_once = before.one_at_once
            self._way.n_checked, self._way.worst = before.n_checked, before.worst

    def demote(self, error: NotReplayableError) -> bool:
        """Give up the way that failed a check; whether another is left to begin again with."""
        way, _ = self._chosen()
        if self.options.method != "auto" or way.method == "single":
            return False
        self._refuse(way.method, error)
        self._way = None
        return True

    def _chunk(self, variants: Variants, start: int) -> tuple[range, Tensor]:
        way, chunks = self._chosen()
        chosen = range(start, min(start + chunks.size, len(variants)))
        try:
            images, seconds = timed(
                lambda: way.evaluator.images(variants, chosen), self.base.latents.z.device
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not chunks.halve():
                raise
            return self._chunk(variants, start)
        self._spot_check(way, variants, chosen, images)
        chunks.note(len(chosen), seconds)
        return chosen, images

    def _spot_check(self, way: Way, variants: Variants, chosen: range, images: Tensor) -> None:
        """Look at one variant where chunks are larger than before, and ever more seldom."""
        self._n_chunks += 1
        is_larger = len(chosen) > max(self._checked_sizes, default=0)
        is_turn = self._n_chunks in {_CHECK_EVERY**power for power in range(1, 16)}
        if is_larger or is_turn:
            self._checked_sizes.add(len(chosen))
            place = (self._n_chunks * 7919) % len(chosen)
            way.check(images[place : place + 1], variants, chosen[place : place + 1])

    def _chosen(self) -> tuple[Way, Chunks]:
        if self._way is None or self._chunks is None:
            self._way, self._reason = self._choose()
            most = self.options.bytes_on(self.base.latents.z.device)
            if isinstance(self._way.evaluator, Additive):
                most //= 2  # the other half is for contributions
            per_variant = 2 * self._way.n_bytes * len(self.base) or 1
            is_lone = self._way.one_at_once is not None or self._way.method == "single"
            most_at_once = 1 if is_lone else most // per_variant
            self._chunks = Chunks(fixed=self.options.chunk, most=most_at_once)
            self._checked_sizes.clear()
        return self._way, self._chunks

    def _choose(self) -> tuple[Way, str]:
        method = self.options.method
        if method != "auto":
            way, _ = self._tried(method)  # type: ignore[arg-type]
            return way, "it was asked for"
        n_expected = max(self.n_expected, len(self.variants))
        if is_block_open():
            return self._single("an intervening block is open, whose edits act here, too")
        if n_expected < _FEWEST:
            return self._single(f"there are only {n_expected} variants")
        return self._fastest(n_expected)

    def _fastest(self, n_expected: int) -> tuple[Way, str]:
        tried: dict[Method, tuple[Way, float]] = {}
        for name in METHODS[:-1]:
            is_covered = name == "batched" and "replay" in tried
            if is_covered or any(refusal.method == name for refusal in self.refused):
                continue
            try:
                tried[name] = self._tried(name)
            except NotReplayableError as error:
                self._refuse(name, error)
        if not tried:
            return self._single("nothing faster can be used")
        best = min(tried, key=lambda name: tried[name][1])
        costs = [f"{seconds * 1e3:.2f} ms by {name}" for name, (_, seconds) in tried.items()]
        return tried[best][0], f"a variant takes {', '.join(costs)}"

    def _single(self, why: str) -> tuple[Way, str]:
        way, _ = self._tried("single")
        return way, why

    def _tried(self, method: Method) -> tuple[Way, float]:
        """A way that gives the first variants rightly, and how long it takes for one.

        Raises:
            NotReplayableError: it does not.
        """
        device = self.base.latents.z.device
        limit = self.options.bytes_on(device)
        if method != "single" and is_block_open():
            raise NotReplayableError(
                "block", "an intervening block is open, whose edits would act in it, too"
            )
        try:
            way = make_way(method, self.replays, self.base, self.variants, memory_limit=limit)
            if method == "single":
                return way, 0.0
            n = 1 if way.one_at_once is not None else min(N_TRIAL, len(self.variants))
            cost = self._cost(way, n)
            images = way.evaluator.images(self.variants, range(n))
            some = sorted({0, n - 1})
            way.check(images[some], self.variants, some)
            return way, cost
        except NotReplayableError:
            raise
        except ForwardError as error:
            raise NotReplayableError("calls", str(error)) from error

    def _cost(self, way: Way, n: int) -> float:
        """Seconds for a variant, found out on n of them, with what is kept shared by all."""
        device = self.base.latents.z.device
        n_expected = max(self.n_expected, len(self.variants))
        n_times = 1 if n_expected < _MANY else 3
        evaluate = partial(way.evaluator.images, self.variants, range(n))
        _, first = timed(evaluate, device)
        seconds = _least(evaluate, n_times, device)
        kept = 0.0
        if isinstance(way.evaluator, Additive):
            n_terms = way.evaluator.n_terms(self.variants, n_expected)
            kept = (first - seconds) * n_terms / n
        if n_expected >= _SOME:
            seconds = _with_better_layout(way, evaluate, seconds, n_times, device)
        return seconds / n + kept / n_expected

    def _refuse(self, method: Method, error: NotReplayableError) -> None:
        self.refused.append(Refusal(method, error.kind, str(error)))


def _with_better_layout(
    way: Way, evaluate: Callable[[], object], seconds: float, n_times: int, device: torch.device
) -> float:
    """The seconds with or without channels last in memory, whichever are fewer; that is kept."""
    evaluator = way.evaluator
    assert isinstance(evaluator, Additive | Replayed)
    replay = evaluator.replay
    if all(tensor.rank != _MAPS for tensor in replay.plan.sites):
        return seconds
    replay.is_channels_last = True
    try:
        evaluate()
        other = _least(evaluate, n_times, device)
    except GanprobeError:  # a view that cannot be taken
        other = float("inf")
    replay.is_channels_last = other < _CLEARLY * seconds
    return min(seconds, other)


def _least(evaluate: Callable[[], object], n_times: int, device: torch.device) -> float:
    return min(timed(evaluate, device)[1] for _ in range(n_times))
