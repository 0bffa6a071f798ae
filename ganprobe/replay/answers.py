"""Answers from memory: while a replay lasts, some calls of some layers are not made.

The place that is used is the one where `torch.nn.Module` looks for compiled code, so that a call
that is answered touches neither the layer's forward nor its hooks. Only the thread that replays
is answered, and everything is as it was afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any

from torch import Tensor, nn

from ganprobe.engine import Gate
from ganprobe.replay.folding import Folding
from ganprobe.replay.memory import Memory, Remembered

__all__ = ["Answering"]

_PLACE = "_compiled_call_impl"
_NOTHING = object()

Edited = Callable[[nn.Module, Any, Any], Any]


class _Layer:
    """One layer whose calls are answered in the order in which they come."""

    def __init__(
        self,
        layer: nn.Module,
        answers: Sequence[Remembered | None],
        n_variants: int,
        gate: Gate,
        edited: Edited | None,
    ) -> None:
        self._layer, self._answers, self._n_variants = layer, answers, n_variants
        self._gate, self._edited = gate, edited
        self._call: Callable[..., Any] = getattr(layer, _PLACE) or layer._call_impl
        self._n_calls = 0
        self.is_channels_last = False
        self.is_overwritten = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if get_ident() != self._gate.thread:
            return self._call(*args, **kwargs)
        number = self._n_calls
        self._n_calls += 1
        found = self._answers[number] if number < len(self._answers) else None
        if found is None:
            return self._call(*args, **kwargs)
        is_copied = self._edited is not None or found.answer.is_written
        value = found.for_variants(
            self._n_variants,
            is_copied=is_copied,
            is_channels_last=self.is_channels_last,
            is_overwritten=self.is_overwritten,
        )
        if self._edited is None:
            return value
        changed = self._edited(self._layer, args, value)
        return value if changed is None else changed


class Answering:
    """Answers the calls that a plan says from a memory, from `open` to `close`.

    Close in ``finally``, twice: what an interruption of the first leaves, the second takes off.

    Args:
        gate: open while answers are wanted.
        edits: for a layer that is edited, what becomes of what it returned.
        folding: which other layers may be computed otherwise.
        is_channels_last: copies of feature maps are handed out with channels last in memory.
        are_overwritten: the edits write every row of what they are given, going by the first
            variant's.
    """

    def __init__(
        self,
        memory: Memory,
        n_variants: int,
        gate: Gate,
        edits: Callable[[nn.Module], Edited | None],
        folding: Folding,
        *,
        is_channels_last: bool,
        are_overwritten: bool = False,
    ) -> None:
        self._gate, self._folding = gate, folding
        self._calls: list[tuple[nn.Module, Callable[..., Any], Any]] = []
        for layer, numbers in memory.plan.visible.items():
            if all(number is None for number in numbers):
                continue
            answers = [None if number is None else memory.remembered[number] for number in numbers]
            answered = _Layer(layer, answers, n_variants, gate, edits(layer))
            answered.is_channels_last = is_channels_last
            # One tensor of one call: what else is answered is not written.
            (lone, *others) = answers
            is_lone = not others and lone is not None and isinstance(lone.value, Tensor)
            answered.is_overwritten = are_overwritten and is_lone and edits(layer) is not None
            self._take(layer, answered)

    def open(self) -> None:
        """Let the calls be answered; hooks are on by now."""
        for layer, call in self._folding.calls(self._gate):
            self._take(layer, call)
        for layer, call, _ in self._calls:
            layer.__dict__[_PLACE] = call

    def close(self) -> None:
        """Leave every layer as it was."""
        for layer, _, before in self._calls:
            if before is _NOTHING:
                layer.__dict__.pop(_PLACE, None)
            else:
                layer.__dict__[_PLACE] = before

    def _take(self, layer: nn.Module, call: Callable[..., Any]) -> None:
        self._calls.append((layer, call, layer.__dict__.get(_PLACE, _NOTHING)))
