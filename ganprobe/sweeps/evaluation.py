"""Evaluation: variants of one base, chunk by chunk, by the fastest way that proved right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ganprobe.engine import is_block_open
from ganprobe.errors import (
    ForwardError,
    NotReplayableError,
    ParameterError,
    is_out_of_memory,
)
from ganprobe.forwards import modes
from ganprobe.indices import check_count
from ganprobe.replay import ReplayPlan
from ganprobe.sweeps.additive import Additive
from ganprobe.sweeps.chunks import Chunks, first_size, timed
from ganprobe.sweeps.evaluators import Base, Single
from ganprobe.sweeps.trial import Trial
from ganprobe.sweeps.variants import Variants
from ganprobe.sweeps.ways import METHODS, Method, Refusal, Replays, Way, make_way

__all__ = ["Evaluation", "How", "Options"]

_FEWEST = 6
_IN_TURN: tuple[Method, ...] = ("replay", "additive", "batched")
_FAR_LESS = 0.25
_MANY = 512
"""From how many variants on even a lone method is tried out, with other layouts in memory."""
_MOST_CHECKED = 16
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
            if value is not None:
                check_count(value, f"a {what}")

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
    _largest_checked: int = 0
    _n_written: int = 0

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

    def images(self, variants: Variants, start: int = 0) -> Iterator[tuple[range, Tensor]]:
        """Chunk after chunk from one on, which variants, and their images (variants, n, ...).

        Raises:
            NotReplayableError: a check on the way failed.
        """
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
        """Give up the way that failed; whether another is left to go on with.

        What was evaluated before is right, unless the error is of the kind ``"mismatch"``.
        """
        way, _ = self._chosen()
        if self.options.method != "auto" or way.method == "single":
            return False
        self._refuse(way.method, error)
        self._way = None
        return True

    def _chunk(self, variants: Variants, start: int) -> tuple[range, Tensor]:
        self._follow_weights()
        way, chunks = self._chosen()
        if way.method != "single" and is_block_open():
            raise _blocked()
        chosen = range(start, start + chunks.next(len(variants) - start))
        is_checked = self._is_to_be_checked(len(chosen))
        is_disturbed = is_checked and way.one_at_once is None and way.method != "single"
        rows = [*chosen, *[chosen[-1]] * (chunks.padded(len(chosen)) - len(chosen))]
        evaluate = partial(way.evaluator.images, variants, rows, is_disturbed=is_disturbed)
        try:
            with modes(grad=False):
                images, seconds = timed(evaluate, self.base.latents.z.device)
                images = images[: len(chosen)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not chunks.halve(len(chosen)):
                raise
            return self._chunk(variants, start)
        self._n_chunks += 1
        if is_checked:
            self._largest_checked = max(self._largest_checked, len(chosen))
            place = (self._n_chunks * 7919) % len(chosen)
            way.check(images[place : place + 1], variants, chosen[place : place + 1])
        if not is_disturbed:
            chunks.note(len(chosen), seconds)
        return chosen, images

    def _follow_weights(self) -> None:
        """Begin anew where a parameter or buffer was written into since the base was run."""
        written = self.replays.forwards.n_written()
        if self._way is not None and written != self._n_written:
            self._way = None
        self._n_written = written

    def _is_to_be_checked(self, size: int) -> bool:
        """Where chunks are larger than before, and ever more seldom."""
        is_turn = self._n_chunks + 1 in {_CHECK_EVERY**power for power in range(1, 16)}
        return is_turn or size > self._largest_checked

    def _chosen(self) -> tuple[Way, Chunks]:
        if self._way is None or self._chunks is None:
            with modes(grad=False):
                self._way, self._reason = self._choose()
            most = self.options.bytes_on(self.base.latents.z.device)
            if isinstance(self._way.evaluator, Additive):
                most //= 2  # the other half is for contributions
            per_variant = 2 * self._way.n_bytes * len(self.base) or 1
            is_lone = self._way.one_at_once is not None or self._way.method == "single"
            most_at_once = 1 if is_lone else most // per_variant
            first = first_size(self._way.n_bytes * len(self.base))
            self._chunks = Chunks(fixed=self.options.chunk, most=most_at_once, first=first)
            self._largest_checked = 0
        return self._way, self._chunks

    def _choose(self) -> tuple[Way, str]:
        method = self.options.method
        if method != "auto":
            return self._made(method), "it was asked for"  # type: ignore[arg-type]
        n_expected = max(self.n_expected, len(self.variants))
        if is_block_open():
            return self._single("an intervening block is open, whose edits act here, too")
        if n_expected < _FEWEST:
            return self._single(f"there are only {n_expected} variants")
        return self._fastest(n_expected)

    def _fastest(self, n_expected: int) -> tuple[Way, str]:
        ways: dict[Method, Way] = {}
        single = Single(self.replays.forwards, self.base)
        if n_expected >= _MANY and (way := self._far_less(single)) is not None:
            Trial(self.variants, n_expected, self.base.latents.z.device).choose_layout(way)
            return way, "it computes less than a quarter of what a replay computes"
        for name in _IN_TURN:
            is_covered = name == "batched" and "replay" in ways
            if is_covered or any(refusal.method == name for refusal in self.refused):
                continue
            try:
                ways[name] = self._made(name, ahead=ways.get("replay"), single=single)
            except NotReplayableError as error:
                self._refuse(name, error)
        if not ways:
            return self._single("nothing faster can be used")
        if len(ways) == 1 and n_expected < _MANY:
            ((name, way),) = ways.items()
            return way, f"{name} is the fastest that can be used"
        single.known.clear()
        trial = Trial(self.variants, n_expected, self.base.latents.z.device)
        seconds = {name: trial.seconds(way) for name, way in ways.items()}
        costs = ", ".join(f"{took * 1e3:.2f} ms by {name}" for name, took in seconds.items())
        best = ways[min(seconds, key=seconds.__getitem__)]
        trial.choose_layout(best)
        return best, f"a variant takes {costs}"

    def _far_less(self, single: Single) -> Way | None:
        """The additive way where it computes so much less than a replay that no trial is needed."""
        if any(refusal.method in ("additive", "replay") for refusal in self.refused):
            return None
        wanted = (self.replays, self.base, self.variants)
        limit = self.options.bytes_on(self.base.latents.z.device)
        try:
            ahead = make_way("replay", *wanted, memory_limit=limit, is_trusted=True, single=single)
            _, total = ahead.flops
            way = make_way(
                "additive", *wanted, memory_limit=limit, is_trusted=True, ahead=ahead, single=single
            )
            if not (total and way.flops[0] <= _FAR_LESS * ahead.flops[0]):
                return None
            way.check_alone()
            return self._checked(way) if way.one_at_once is None else None
        except NotReplayableError:
            return None  # the usual order says why

    def _single(self, why: str) -> tuple[Way, str]:
        return self._made("single"), why

    def _made(
        self, method: Method, *, ahead: Way | None = None, single: Single | None = None
    ) -> Way:
        """A way that gives the first and the last variant as plain forwards give them.

        Args:
            ahead: the way by replay, if there is one.
            single: plain forwards, of which some were run already.

        Raises:
            NotReplayableError: it does not.
        """
        if method != "single" and is_block_open():
            raise _blocked()
        limit = self.options.bytes_on(self.base.latents.z.device)
        try:
            way = make_way(
                method,
                self.replays,
                self.base,
                self.variants,
                memory_limit=limit,
                ahead=ahead,
                single=single,
            )
            return self._checked(way)
        except NotReplayableError:
            raise
        except ForwardError as error:
            raise NotReplayableError("calls", str(error)) from error

    def _checked(self, way: Way) -> Way:
        """The way, if it gives some variants as plain forwards give them."""
        if way.method != "single":
            some = self._some(way.method)
            for few in [some] if way.one_at_once is None else [[one] for one in some]:
                images = way.evaluator.images(self.variants, few)
                way.check(images, self.variants, few, is_remembered=True)
        return way

    def _some(self, method: Method) -> list[int]:
        """The first and the last variant, and for sums one of each of the first few sources."""
        chosen = {0, len(self.variants) - 1}
        if method == "additive" and self.variants.pieces is not None:
            by_source: dict[int, int] = {}
            for variant, pieces in enumerate(self.variants.pieces):
                for number, _ in pieces:
                    by_source.setdefault(number, variant)
            chosen |= set(list(by_source.values())[:_MOST_CHECKED])
        return sorted(chosen)

    def _refuse(self, method: Method, error: NotReplayableError) -> None:
        self.refused.append(Refusal(method, error.kind, str(error)))


def _blocked() -> NotReplayableError:
    return NotReplayableError(
        "block", "an intervening block is open, whose edits would act in it, too"
    )
