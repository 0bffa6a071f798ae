"""The replay plan: which calls of which layers are answered from memory; pure, and printable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from ganprobe.engine import DRY_RUN_SAMPLES
from ganprobe.errors import NotReplayableError
from ganprobe.layers import LayerTable
from ganprobe.replay.trace import BEFORE, Call, Leaf, Operation, Trace
from ganprobe.sites import Site, SiteTensor

__all__ = ["Answer", "ReplayPlan", "make_replay_plan"]


@dataclass(frozen=True)
class Answer:
    """A call of a layer that is answered from memory.

    Args:
        batched: for each tensor that it returns, whether it has one row for each sample.
        is_rewritten: something writes into what it returned, later in the forward.
        is_written: something that is computed again does, so that it is handed out as a copy.
    """

    call: int
    batched: tuple[bool, ...]
    is_rewritten: bool
    is_written: bool


@dataclass(frozen=True, eq=False)
class ReplayPlan:
    """What a replay skips, what it computes, and why.

    Args:
        sites: what is edited, one tensor each.
        visible: for each layer, the calls of it that a replay sees, in order; the number of an
            answer, or None where the call is computed.
        n_draws: how many draws of random numbers are computed again.
        one_at_once: why a batch may hold no more than one variant, or None.
        n_bytes: about how much memory a replay takes for each sample of each variant.
        reasons: for each computed call, why.
    """

    sites: tuple[SiteTensor, ...]
    answers: tuple[Answer, ...]
    visible: dict[nn.Module, tuple[int | None, ...]]
    trace: Trace
    reasons: dict[int, str]
    n_draws: int
    one_at_once: str | None
    n_bytes: int

    def visible_call(self, tensor: SiteTensor) -> tuple[int, bool]:
        """Which of the calls that a replay sees a tensor belongs to, and whether it is answered."""
        number = tensor.site.call or 0
        for position, call in enumerate(self.trace.calls):
            if (call.name, call.number) == (tensor.site.layer, number) and position in self._seen:
                seen = self._seen[position]
                return seen, self.visible[call.layer][seen] is not None
        raise NotReplayableError("calls", f"{tensor.site} was not reached in a traced forward")

    @cached_property
    def _seen(self) -> dict[int, int]:
        """Of each call that a replay sees, which of those of its layer it is."""
        answered = {answer.call for answer in self.answers}
        counts: Counter[nn.Module] = Counter()
        seen: dict[int, int] = {}
        for position, call in enumerate(self.trace.calls):
            if answered.isdisjoint(self.trace.inside(call.parent)):
                seen[position] = counts[call.layer]
                counts[call.layer] += 1
        return seen

    @property
    def computed_layers(self) -> list[nn.Module]:
        """The layers all of whose calls are computed."""
        return [
            layer
            for layer, numbers in self.visible.items()
            if all(number is None for number in numbers)
        ]

    @property
    def skips(self) -> bool:
        """Whether anything is answered from memory."""
        return bool(self.answers)

    @cached_property
    def flops(self) -> tuple[int, int]:
        """Operations in matrix products and convolutions for one sample: computed, and all."""
        skipped = {answer.call for answer in self.answers}
        total = sum(operation.flops for operation in self.trace.operations)
        hidden = (
            operation.flops
            for operation in self.trace.operations
            if not skipped.isdisjoint(self.trace.inside(operation.call))
        )
        return total - sum(hidden), total

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        sites = ", ".join(str(tensor.site) for tensor in self.sites)
        return f"<ReplayPlan from {sites}: {len(self.answers)} calls answered from memory>"

    def _lines(self) -> Iterator[str]:
        computed, total = self.flops
        share = f"{computed / total:.0%} of" if total else "0 of 0"
        sites = ", ".join(str(tensor.site) for tensor in self.sites)
        operations = f"{total / 1e6:,.1f} million operations"
        yield f"replay from {sites}: computes {share} {operations} a sample"
        rows = list(self._rows())
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        for name, what, why in rows:
            yield f"  {name:<{widths[0]}}  {what:<{widths[1]}}  {why}"
        if self.n_draws:
            yield f"  noise that is drawn again keeps its values: {self.n_draws} draws"
        if self.one_at_once is not None:
            yield f"  one variant at once: {self.one_at_once}"

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        answered = {answer.call for answer in self.answers}
        counts = Counter(call.layer for call in self.trace.calls)
        for position, call in enumerate(self.trace.calls):
            if position in answered or position in self.reasons:
                is_repeated = counts[call.layer] > 1
                site = Site(call.name, call=call.number if is_repeated else None)
                name = str(site) if call.name else "(all)"
                if position in answered:
                    early = "before the edit" if call.is_early else "the edit does not reach it"
                    yield name, "from memory", early
                else:
                    yield name, "computed", self.reasons[position]


def make_replay_plan(
    trace: Trace, table: LayerTable, sites: Sequence[SiteTensor], *, answers_nothing: bool = False
) -> ReplayPlan:
    """Decide which calls are answered from memory.

    A call can be where the edit does not reach what it returned and nothing else than that is
    missed if it does not run.

    Raises:
        NotReplayableError: the forward writes into memory that outlives it, or computes gradients,
            or draws numbers that depend on the edit, or an edited tensor has no batch axis.
    """
    _refuse_unbatched(sites)
    _refuse_state(trace)
    if trace.has_gradients:
        raise NotReplayableError("gradients", "the forward computes gradients of its own")
    if trace.lost_noise:
        raise NotReplayableError(
            "noise", f"{trace.lost_noise[0]} draws random numbers that depend on the edit"
        )
    choice = _Choice(trace, table, answers_nothing=answers_nothing)
    answers = [choice.answer(call) for call in choice.outermost]
    draws = [operation for operation in choice.exposed.values() if operation.draws]
    return ReplayPlan(
        tuple(sites),
        tuple(answers),
        choice.visible(),
        trace,
        choice.reasons(),
        n_draws=len(draws),
        one_at_once=_one_at_once(trace),
        n_bytes=_working_memory(trace, choice),
    )


class _Choice:
    """Which calls are answered, found by striking out those that would be missed."""

    def __init__(self, trace: Trace, table: LayerTable, *, answers_nothing: bool) -> None:
        self._trace, self._table = trace, table
        self._answers_nothing = answers_nothing
        self._unfit = {position: why for position in range(len(trace.calls))
                       if (why := self._own_reason(trace.calls[position]))}  # fmt: skip
        self._answerable = set(range(len(trace.calls))) - self._unfit.keys()
        self.outermost, self.exposed = self._chosen()
        while struck := {call: why for call in self.outermost if (why := self._missed(call))}:
            self._unfit |= struck
            self._answerable -= struck.keys()
            self.outermost, self.exposed = self._chosen()

    def answer(self, position: int) -> Answer:
        call = self._trace.calls[position]
        assert call.end is not None
        memories = {leaf.memory for leaf in call.leaves}
        memories |= {made for made, source in self._trace.copied.items() if source in memories}
        later = enumerate(self._trace.operations[call.end :], start=call.end)
        writers = [at for at, done in later if done.writes & memories]
        batched = tuple(self._is_batched(call, leaf) is True for leaf in call.leaves)
        is_written = any(at in self.exposed for at in writers)
        return Answer(position, batched, bool(writers), is_written)

    def visible(self) -> dict[nn.Module, tuple[int | None, ...]]:
        numbers = {call: number for number, call in enumerate(self.outermost)}
        seen: dict[nn.Module, list[int | None]] = {}
        for position, call in enumerate(self._trace.calls):
            outer = list(self._trace.inside(call.parent))
            if not numbers.keys() & set(outer):
                seen.setdefault(call.layer, []).append(numbers.get(position))
        return {layer: tuple(those) for layer, those in seen.items()}

    def reasons(self) -> dict[int, str]:
        """Why each call that is computed is; those around a computed one are for its sake."""
        inside = set(self.outermost)
        return {
            position: why
            for position, why in self._unfit.items()
            if not inside & set(self._trace.inside(position))
        }

    def _chosen(self) -> tuple[list[int], dict[int, Operation]]:
        """The outermost calls that can be answered, and the operations outside of them all."""
        inside = {
            position: self._answerable.intersection(self._trace.inside(position))
            for position in range(len(self._trace.calls))
        }
        outermost = [call for call, around in inside.items() if around == {call}]
        exposed = {
            at: operation
            for at, operation in enumerate(self._trace.operations)
            if operation.call is None or not inside[operation.call]
        }
        self._last_read = {memory: at for at, done in exposed.items() for memory in done.reads}
        self._last_write = {memory: at for at, done in exposed.items() for memory in done.writes}
        return outermost, exposed

    def _own_reason(self, call: Call) -> str:
        """Why a call cannot be answered whatever is around it; empty where it can."""
        if self._answers_nothing:
            return "everything is"
        if call.end is None:
            return "it raised"
        if call.is_tainted:
            return "the edit reaches it"
        if not call.is_usual:
            return f"{type(call.layer).__name__} is not called as modules are"
        if call.is_opaque:
            return "it returns something other than tensors"
        if self._trace.escapes and not call.is_early:
            return "what runs after the edit depends on values"
        if any(self._is_batched(call, leaf) is None for leaf in call.leaves):
            return "what it returns has the batch in an axis that is not the first"
        return ""

    def _is_batched(self, call: Call, leaf: Leaf) -> bool | None:
        """Whether it has a row for each sample, or is the same for all; None: neither."""
        found = self._in_table.get((call.name, call.number, leaf.path))
        if found is None or found.shape != leaf.shape[1:]:
            return None
        if not leaf.shape:
            return None if found.is_batched or found.is_alone else False
        if found.is_batched:  # it had two rows for two samples
            return {1: True, DRY_RUN_SAMPLES: False}.get(leaf.shape[0])
        return False if found.is_alone and leaf.shape[0] == 1 else None

    @cached_property
    def _in_table(self) -> dict[tuple[str, int, tuple[int | str, ...]], SiteTensor]:
        tensors = (tensor for layer in self._table for tensor in layer.tensors)
        return {
            (tensor.site.layer, tensor.site.call or 0, tensor.site.path): tensor
            for tensor in tensors
            if tensor.site.port == "out"
        }

    def _missed(self, position: int) -> str:
        """What would be missed if this call did not run; empty where nothing is."""
        call, trace = self._trace.calls[position], self._trace
        assert call.end is not None
        own = trace.operations[call.begin : call.end]
        returned = Counter(leaf.memory for leaf in call.leaves)
        for operation in own:
            for memory in operation.writes:
                if trace.created[memory] < call.begin and self._is_read(memory, call.end):
                    return "it writes into what is used again"
            for memory in operation.makes - returned.keys():
                if trace.created[memory] >= call.begin and self._is_read(memory, call.end):
                    return "it leaves something behind that is used again"
        for memory, count in returned.items():
            is_passed_on = count > 1 or trace.created[memory] < call.begin
            if is_passed_on and self._last_write.get(memory, BEFORE) >= call.end:
                return "what it passes on is written into"
        return ""

    def _is_read(self, memory: int, since: int) -> bool:
        """Whether something that is computed again reads it."""
        return self._last_read.get(memory, BEFORE) >= since


def _refuse_unbatched(sites: Sequence[SiteTensor]) -> None:
    for tensor in sites:
        if not tensor.is_batched:
            raise NotReplayableError(
                "site", f"the first axis of {tensor.site} is not the batch, so that variants"
                " cannot be put into one"
            )  # fmt: skip


def _refuse_state(trace: Trace) -> None:
    for operation in trace.operations:
        if any(trace.created[memory] == BEFORE for memory in operation.writes):
            raise NotReplayableError(
                "state", f"{operation.name} writes into memory that outlives the forward"
            )


def _one_at_once(trace: Trace) -> str | None:
    if trace.escapes:
        return f"{trace.escapes[0]} makes the forward depend on values that the edit reaches"
    return None


def _working_memory(trace: Trace, choice: _Choice) -> int:
    """The most bytes in use at one time by what is computed, for one sample."""
    last: dict[int, int] = {}
    for at, operation in choice.exposed.items():
        for memory in operation.reads | operation.makes:
            if trace.created[memory] != BEFORE:
                last[memory] = at
    change: Counter[int] = Counter()
    for memory, at in last.items():
        change[trace.created[memory]] += trace.sizes[memory]
        change[at + 1] -= trace.sizes[memory]
    most = now = 0
    for at in sorted(change):
        now += change[at]
        most = max(most, now)
    return most
