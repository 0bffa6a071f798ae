"""The ways of a sweep, from the fastest to the plainest, each checked before it is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from ganprobe.errors import GanprobeError, NotReplayableError
from ganprobe.forwards import Forwards
from ganprobe.replay import Replay, ReplayPlan
from ganprobe.sites import SiteTensor
from ganprobe.sweeps.additive import Additive
from ganprobe.sweeps.agreement import difference, tolerance
from ganprobe.sweeps.evaluators import Base, Evaluator, Replayed, Single, far
from ganprobe.sweeps.linear import linear_call, single_ways
from ganprobe.sweeps.terms import TermsByLayer, TermsByReplay, TermsOf
from ganprobe.sweeps.variants import Variants

__all__ = ["METHODS", "Method", "Refusal", "Replays", "Way", "make_way"]

Method = Literal["additive", "replay", "batched", "single"]

METHODS: tuple[Method, ...] = ("additive", "replay", "batched", "single")


@dataclass(frozen=True)
class Refusal:
    """Why a method was not used.

    Args:
        kind: what hinders it, in one word:
            ``"site"`` an edited tensor has no batch axis;
            ``"memory"`` its memory cannot be followed;
            ``"state"`` the forward writes into memory that outlives it;
            ``"gradients"`` it computes gradients of its own;
            ``"noise"`` noise cannot be kept the same;
            ``"batch"`` samples of a batch influence each other;
            ``"calls"`` layers run in another order than in the trace, or a replay failed;
            ``"mismatch"`` its images differ from those of plain forwards;
            ``"additive"`` units do not add up behind the site;
            ``"block"`` an intervening block is open here.
        message: the same in a sentence.
    """

    method: Method
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.method}: {self.message}"


@dataclass
class Way:
    """A method at work on one base.

    Args:
        plan: what it computes again, if it does not compute everything.
        one_at_once: why a chunk may hold no more than one variant, or None.
        n_bytes: about how much memory it takes for each variant.
        n_checked, worst: how many variants were compared with plain forwards, and the largest
            relative difference found.
    """

    method: Method
    evaluator: Evaluator
    single: Single
    plan: ReplayPlan | None = None
    one_at_once: str | None = None
    n_bytes: int = 0
    n_checked: int = 0
    worst: float = 0.0

    def check(
        self,
        images: Tensor,
        variants: Variants,
        chosen: Sequence[int],
        *,
        is_remembered: bool = False,
    ) -> None:
        """Compare images (variants, n, ...) with those of plain forwards.

        Args:
            is_remembered: other ways will be checked by the same variants.

        Raises:
            NotReplayableError: they differ by more than rounding.
        """
        if isinstance(self.evaluator, Single):
            return
        plain = self.single.remembered if is_remembered else self.single.images
        expected = plain(variants, chosen)
        self.compare(images, expected, f"variant {', '.join(map(str, chosen))}")
        self.n_checked += len(chosen)

    @property
    def flops(self) -> tuple[int, int]:
        """Of one sample: how many operations it computes again, of how many."""
        return (0, 0) if self.plan is None else self.plan.flops

    def check_alone(self) -> None:
        """Check that one variant is as it is alone, unedited and moved far away.

        Raises:
            NotReplayableError: it is not.
        """
        _check_alone(self)

    def compare(self, images: Tensor, expected: Tensor, what: str) -> None:
        """Note how far images are from what is expected of them.

        Raises:
            NotReplayableError: by more than rounding.
        """
        found = difference(images, expected)
        if not found <= tolerance(expected):
            raise NotReplayableError(
                "mismatch", f"its images of {what} differ from plain forwards' by {found:.1e} of"
                " their largest value"
            )  # fmt: skip
        self.worst = max(self.worst, found)


@dataclass
class Replays:
    """The replays of one generator, made once for each set of sites."""

    forwards: Forwards
    _made: dict[tuple[object, ...], Replay | NotReplayableError] = field(default_factory=dict)

    def of(self, sites: Sequence[SiteTensor], *, answers_nothing: bool = False) -> Replay:
        """The replay from these sites.

        Raises:
            NotReplayableError: there is none.
        """
        key = (tuple(tensor.site for tensor in sites), answers_nothing)
        if key not in self._made:
            try:
                self._made[key] = Replay(self.forwards, sites, answers_nothing=answers_nothing)
            except NotReplayableError as error:
                self._made[key] = error
        found = self._made[key]
        if isinstance(found, NotReplayableError):
            raise NotReplayableError(found.kind, str(found))
        return found


def make_way(
    method: Method,
    replays: Replays,
    base: Base,
    variants: Variants,
    *,
    memory_limit: int,
    is_trusted: bool = False,
    ahead: Way | None = None,
    single: Single | None = None,
) -> Way:
    """A method, ready for variants of a base; unedited, it gives what a plain forward gives.

    Args:
        is_trusted: that was found out on another base.
        ahead: for the additive method the way by replay, if there is one.
        single: plain forwards of the base, if some were run already.

    Raises:
        NotReplayableError: it cannot be used; its `kind` says why.
    """
    single = Single(replays.forwards, base) if single is None else single
    if method == "single":
        return Way(method, single, single)
    if method == "additive" and ahead is None:
        ahead = make_way(
            "replay", replays, base, variants, memory_limit=memory_limit, is_trusted=is_trusted
        )
    if ahead is not None and method == "additive":
        way = _additive(ahead, replays, variants, memory_limit)
    else:
        replay = replays.of(variants.sites, answers_nothing=method == "batched")
        way = _replayed(method, replay, single)
    if not is_trusted:
        _check_alone(way)
    if method == "batched" and way.one_at_once is not None:
        raise NotReplayableError("batch", way.one_at_once)
    return way


def _replayed(method: Method, replay: Replay, single: Single) -> Way:
    plan = replay.plan
    evaluator = Replayed(replay, single.base)
    return Way(method, evaluator, single, plan, plan.one_at_once, plan.n_bytes)


def _additive(ahead: Way, replays: Replays, variants: Variants, memory_limit: int) -> Way:
    """Sums behind the linear layer, of what a replay ahead of it says."""
    evaluator = ahead.evaluator
    assert isinstance(evaluator, Replayed)
    if variants.pieces is None:
        raise NotReplayableError("additive", "not all variants replace units of one site")
    if ahead.one_at_once is not None:
        raise NotReplayableError("batch", ahead.one_at_once)
    terms = _terms(evaluator, variants)
    way = _replayed("additive", replays.of([terms.returned]), ahead.single)
    assert isinstance(way.evaluator, Replayed)
    way.evaluator = Additive(terms, way.evaluator, memory_limit=memory_limit)
    return way


def _terms(ahead: Replayed, variants: Variants) -> TermsOf:
    plan = ahead.replay.plan
    try:
        return TermsByLayer(ahead, linear_call(plan, variants.table))
    except NotReplayableError as error:
        try:
            return TermsByReplay(ahead, list(single_ways(plan, variants.table)))
        except NotReplayableError:
            raise error from None


def _check_alone(way: Way) -> None:
    """One variant is as it is alone, unedited and moved far away; and so is each of two.

    A way that fails with two at once goes on with one.
    """
    evaluator = way.evaluator
    replayed = evaluator.behind if isinstance(evaluator, Additive) else evaluator
    assert isinstance(replayed, Replayed)
    base = replayed.base_images
    way.single.of_others()  # what a layer leaves behind beside what it returns is theirs now
    way.compare(replayed.unedited(), base, "nothing edited")
    directions = {tensor: far(found) for tensor, found in replayed.activations().items()}
    table = replayed.replay.table
    moved = way.single.shifted(directions, table)
    way.compare(replayed.shifted(directions, 0)[0], moved, "activations moved far away")
    if way.one_at_once is not None:
        return
    try:
        for images, expected in zip(replayed.shifted(directions, 1), (base, moved), strict=True):
            way.compare(images, expected, "two variants in a batch")
    except GanprobeError as error:
        way.one_at_once = f"samples of a batch influence each other: {error}"
