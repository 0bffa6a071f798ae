"""The trace: what one forward did, operation by operation, and what of it an edit can reach.

Tensors are told apart by the memory that they lie in, so that views and writes in place are
followed wherever they go. What an edited site reaches is tainted: everything computed from it,
and everything that such a computation wrote into. Costs one forward of one sample with every
operation seen, about 20 µs more for each, and the memory of all its activations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganprobe.nested import Path, leaves_in

__all__ = ["BEFORE", "Call", "Leaf", "Operation", "Trace"]

BEFORE = -1
"""When memory was there that a forward did not make: of parameters, buffers and latents."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, tuple)


@dataclass(frozen=True)
class Leaf:
    """A tensor that a call returned: where in the value, its shape, and its memory."""

    path: Path
    shape: tuple[int, ...]
    memory: int


@dataclass
class Call:
    """One call of a layer, and the operations from `begin` until `end` that happened in it.

    Args:
        number: how many calls of the same layer came before.
        parent: the call that it was made in.
        end: None where it raised.
        is_usual: the layer is called as modules are.
        is_opaque: something other than tensors and numbers is in what it returned.
        is_tainted: an edit reaches what it returned, or is made inside.
        is_early: it ended before the first edit.
    """

    layer: nn.Module
    name: str
    number: int
    parent: int | None
    begin: int
    is_usual: bool
    end: int | None = None
    leaves: tuple[Leaf, ...] = ()
    is_opaque: bool = False
    is_tainted: bool = False
    is_early: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation on tensors.

    Args:
        call: the innermost call that it happened in.
        reads, writes, makes: which memory.
        draws: it drew random numbers.
        flops: how many operations on numbers, where it is a matrix product or convolution.
    """

    name: str
    call: int | None
    reads: frozenset[int]
    writes: frozenset[int]
    makes: frozenset[int]
    is_tainted: bool
    draws: bool = False
    flops: int = 0


@dataclass
class Trace:
    """What one forward of one sample did.

    Args:
        names: of every layer.
        created: by memory, before which operation it was made.
        sizes: by memory, in bytes.
        tainted: which memory an edit reaches.
        copied: by memory that an edit made, which memory it was made of.
        escapes: what turned a value that an edit reaches into Python's, or into a shape.
        has_gradients: gradients are on in some part of it.
        lost_noise: what drew random numbers that depend on the edit.
    """

    names: dict[nn.Module, str]
    calls: list[Call] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    created: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    tainted: set[int] = field(default_factory=set)
    copied: dict[int, int] = field(default_factory=dict)
    escapes: list[str] = field(default_factory=list)
    lost_noise: list[str] = field(default_factory=list)
    has_gradients: bool = False
    first_edit: int | None = None
    _numbers: dict[int, int] = field(default_factory=dict)
    _alive: list[Tensor] = field(default_factory=list)
    _stack: list[int] = field(default_factory=list)
    _counts: Counter[nn.Module] = field(default_factory=Counter)

    def memory(self, tensor: Tensor) -> int:
        """The number of the memory that a tensor lies in; it is kept, so that none comes twice."""
        storage = tensor.untyped_storage()
        address: int = storage._cdata
        if address not in self._numbers:
            self._numbers[address] = len(self._numbers)
            self._alive.append(tensor)
            self.sizes[self._numbers[address]] = storage.nbytes()
        return self._numbers[address]

    def hold(self, tensor: Tensor) -> None:
        """This tensor outlives the forward."""
        if tensor.layout == torch.strided:
            self.created.setdefault(self.memory(tensor), BEFORE)

    def knows(self, tensors: Sequence[Tensor]) -> bool:
        """Whether what is used after the edit is held, or was made before everybody's eyes."""
        return self.first_edit is None or all(self.memory(one) in self.created for one in tensors)

    def begin_call(self, layer: nn.Module) -> None:
        """A layer is being called."""
        number = self._counts[layer]
        self._counts[layer] += 1
        parent = self._stack[-1] if self._stack else None
        is_usual = type(layer).__call__ is nn.Module.__call__
        name, begin = self.names[layer], len(self.operations)
        self._stack.append(len(self.calls))
        self.calls.append(Call(layer, name, number, parent, begin, is_usual))

    def end_call(self, layer: nn.Module, returned: object) -> None:
        """The call of a layer returned, before any edit of what it returned."""
        while self._stack:
            call = self.calls[self._stack.pop()]
            if call.layer is layer:  # one that raised is on top of it
                self._end(call, returned)
                return

    def mark(self, tensor: Tensor, *, source: Tensor | None = None) -> None:
        """An edit is made to this tensor, here and now, or to a copy of its source."""
        if self.first_edit is None:
            self.first_edit = len(self.operations)
            for call in self.calls:
                call.is_early = call.end is not None
        made = frozenset([self.memory(tensor)])
        for memory in made:
            self.created.setdefault(memory, len(self.operations))
        self.tainted |= made
        if source is not None:
            self.copied |= dict.fromkeys(made, self.memory(source))
        inner = self._stack[-1] if self._stack else None
        self.operations.append(Operation("edit", inner, frozenset(), made, made, is_tainted=True))

    def operate(
        self,
        name: str,
        given: Sequence[Tensor],
        written: Sequence[Tensor],
        returned: Sequence[Tensor],
        *,
        reads_values: bool = True,
        draws: bool = False,
        flops: int = 0,
    ) -> bool:
        """An operation was done; whether an edit reaches it."""
        reads = frozenset(self._there(tensor) for tensor in given)
        is_tainted = reads_values and not reads.isdisjoint(self.tainted)
        made = frozenset(map(self.memory, returned))
        for memory in made:
            self.created.setdefault(memory, len(self.operations))
        writes = frozenset(map(self.memory, written))
        if is_tainted:
            self.tainted |= made | writes
        call = self._stack[-1] if self._stack else None
        done = Operation(name, call, reads, writes, made, is_tainted, draws, flops)
        self.operations.append(done)
        return is_tainted

    def is_reached(self, tensors: Sequence[Tensor]) -> bool:
        """Whether an edit reaches one of these tensors."""
        return any(self.memory(tensor) in self.tainted for tensor in tensors)

    def forget_tensors(self) -> None:
        """After the forward: let go of its activations."""
        self._alive.clear()
        self._numbers.clear()

    def inside(self, call: int | None) -> Iterator[int]:
        """A call and those around it, from the innermost."""
        while call is not None:
            yield call
            call = self.calls[call].parent

    def _there(self, tensor: Tensor) -> int:
        memory = self.memory(tensor)
        self.created.setdefault(memory, BEFORE)
        return memory

    def _end(self, call: Call, returned: object) -> None:
        call.end = len(self.operations)
        leaves: list[Leaf] = []
        for path, leaf in leaves_in(returned):
            if isinstance(leaf, Tensor):
                leaves.append(Leaf(path, tuple(leaf.shape), self._there(leaf)))
            elif not isinstance(leaf, _PLAIN):
                call.is_opaque = True
        call.leaves = tuple(leaves)
        reached = any(leaf.memory in self.tainted for leaf in leaves)
        call.is_tainted = call.is_tainted or reached or self._has_tainted(call)

    def _has_tainted(self, call: Call) -> bool:
        return any(operation.is_tainted for operation in self.operations[call.begin : call.end])
