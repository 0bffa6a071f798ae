"""What a replay remembers of its base forward: what the answered calls returned, and the noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.engine import Registration, Wanted
from ganprobe.errors import NotReplayableError
from ganprobe.nested import copied, place, tensors_in
from ganprobe.replay.noise import DrawnNoise
from ganprobe.replay.plan import Answer, ReplayPlan

__all__ = ["Memory", "Remembered", "repeated"]


@dataclass(frozen=True, eq=False)
class Remembered:
    """What one call returned, for the samples of the base forward."""

    value: Any
    answer: Answer

    def for_variants(
        self,
        n_variants: int,
        *,
        is_copied: bool,
        is_channels_last: bool = False,
        is_overwritten: bool = False,
    ) -> Any:
        """The same for each of so many variants, row after row; without a copy where possible.

        Args:
            is_overwritten: all rows will be written: only the first variant's hold the values.
        """
        value = copied(self.value)
        tensors = list(tensors_in(value))
        for (path, tensor), is_batched in zip(tensors, self.answer.batched, strict=True):
            if not is_batched:
                made = tensor.clone() if is_copied else tensor
            elif is_copied:
                n_filled = 1 if is_overwritten else n_variants
                made = repeated(
                    tensor, n_variants, is_channels_last=is_channels_last, n_filled=n_filled
                )
            else:
                made = _spread(tensor, n_variants)
            value = place(value, path, made)
        return value


@dataclass
class Memory:
    """What a base forward left.

    Args:
        remembered: by the number of the answer.
    """

    plan: ReplayPlan
    n_samples: int
    remembered: dict[int, Remembered] = field(default_factory=dict)
    noise: list[Tensor] = field(default_factory=list)
    _tensors: list[Tensor] = field(default_factory=list)
    _versions: list[int] = field(default_factory=list)
    _addresses: set[int] = field(default_factory=set)

    def check(self) -> None:
        """Raise `NotReplayableError` if a replay has written into what is remembered."""
        if _versions(self._tensors) != self._versions:
            raise NotReplayableError("calls", "a replay wrote into what was to be remembered")

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in memory that is remembered."""
        return tensor.untyped_storage().data_ptr() in self._addresses

    def _note_all(self) -> None:
        self._tensors = [
            tensor for kept in self.remembered.values() for _, tensor in tensors_in(kept.value)
        ]
        self._versions = _versions(self._tensors)
        self._addresses = {tensor.untyped_storage().data_ptr() for tensor in self._tensors}

    @contextmanager
    def filling(self) -> Iterator[None]:
        """While this lasts, a forward of the base fills the memory."""
        filler = _Filler(self)
        is_noisy = self.plan.n_draws > 0
        noise: AbstractContextManager[object] = filler.noise if is_noisy else nullcontext()
        with Registration(filler.wanted()).on(), noise:
            yield
        filler.check()
        self._note_all()
        self.noise = filler.noise.values


class _Filler:
    """The hooks that listen to a base forward."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._thread = memory, get_ident()
        self._counts: dict[nn.Module, int] = {}
        self._running: dict[nn.Module, list[int]] = {}
        self._at: dict[tuple[nn.Module, int], int] = {}
        self.noise = DrawnNoise()
        trace = memory.plan.trace
        self._expected = Counter(dict.fromkeys(trace.names, 0))
        self._expected.update(call.layer for call in trace.calls)
        for number, answer in enumerate(memory.plan.answers):
            call = memory.plan.trace.calls[answer.call]
            self._at[call.layer, call.number] = number

    def wanted(self) -> list[Wanted]:
        wanted: list[Wanted] = []
        for layer in self._expected:
            wanted += [(layer, "begin", self._on_begin), (layer, "out", self._on_end)]
        return wanted

    def check(self) -> None:
        """Raise `NotReplayableError` unless every layer ran as often as in the trace."""
        for layer, n_calls in self._expected.items():
            if self._counts.get(layer, 0) != n_calls:
                raise NotReplayableError(
                    "calls",
                    f"layer {self._memory.plan.trace.names[layer]!r} ran"
                    f" {self._counts.get(layer, 0)} times in this forward, and {n_calls} times in"
                    " the trace: which layers run depends on the input",
                )

        if len(self._memory.remembered) < len(self._memory.plan.answers):
            raise NotReplayableError("calls", "a call that is to be answered did not return")

    def _on_begin(self, layer: nn.Module, args: object) -> None:
        if get_ident() == self._thread:
            number = self._counts.get(layer, 0)
            self._counts[layer] = number + 1
            self._running.setdefault(layer, []).append(number)
            if (layer, number) in self._at:
                self.noise.is_away = True

    def _on_end(self, layer: nn.Module, args: object, output: Any) -> None:
        if get_ident() != self._thread:
            return
        number = self._at.get((layer, self._running[layer].pop()))
        if number is None:
            return
        self.noise.is_away = False
        answer, output = self._memory.plan.answers[number], copied(output)
        self._check_rows(layer, answer, output)
        if answer.is_rewritten:
            for path, tensor in list(tensors_in(output)):
                output = place(output, path, tensor.clone())
        self._memory.remembered[number] = Remembered(output, answer)

    def _check_rows(self, layer: nn.Module, answer: Answer, output: Any) -> None:
        tensors = [tensor for _, tensor in tensors_in(output)]
        n = self._memory.n_samples
        fits = len(tensors) == len(answer.batched) and all(
            tensor.ndim and len(tensor) == n
            for tensor, is_batched in zip(tensors, answer.batched, strict=True)
            if is_batched
        )
        if not fits:
            name = self._memory.plan.trace.names[layer]
            raise NotReplayableError(
                "batch", f"layer {name!r} returns something else for {n} samples than for one"
            )


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each was written into; those of inference mode do not count it."""
    return [-1 if tensor.is_inference() else tensor._version for tensor in tensors]


def repeated(
    tensor: Tensor,
    n_variants: int,
    *,
    is_channels_last: bool = False,
    n_filled: int | None = None,
) -> Tensor:
    """(n, ...) to (n_variants * n, ...) in memory of its own, samples laid out as they were.

    Args:
        n_filled: of the first so many variants only; the others' values are left as they come.
    """
    n, row = len(tensor), tensor.shape[1:]
    sizes = (n_variants * n, *row)
    if is_channels_last and tensor.ndim == 4:
        like: Any = {"dtype": tensor.dtype, "device": tensor.device}
        copies = torch.empty(sizes, memory_format=torch.channels_last, **like)
    elif _is_dense(tensor):
        copies = tensor.new_empty_strided(sizes, (row.numel(), *tensor.stride()[1:]))
    else:
        copies = tensor.new_empty(sizes)
    copies.unflatten(0, (n_variants, n))[:n_filled].copy_(tensor)
    return copies


def _is_dense(tensor: Tensor) -> bool:
    """Whether each sample fills its memory without gaps, in whatever order of axes."""
    pairs = sorted(zip(tensor.stride()[1:], tensor.shape[1:], strict=True))
    expected = 1
    for stride, size in pairs:
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _spread(tensor: Tensor, n_variants: int) -> Tensor:
    """(n, ...) to (n_variants * n, ...), without a copy where there is one sample."""
    if n_variants == 1:
        return tensor
    if len(tensor) == 1:
        return tensor.expand(n_variants, *tensor.shape[1:])
    return repeated(tensor, n_variants)
