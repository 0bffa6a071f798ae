"""Programs: a graph of an archive as a plan that runs in Python, node by node.

Every operator is the archive's own, so that a program gives what the archive gives, bit for bit. A
program is made once and holds no module and no tensor but the constants of its graph. Running it
costs some microseconds a node; a value is let go after its last use, as in a forward in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ganprobe.errors import WeightsError

__all__ = ["Action", "Block", "Program", "Slots", "Step"]

Slots = list[Any]
Action = Callable[[Slots, nn.Module], None]
"""What a node does for the module that its graph is of."""


@dataclass(frozen=True)
class Step:
    """One node: what it does, and which values nobody needs after it."""

    act: Action
    drops: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Steps in order, and where what they give stands."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def run(self, slots: Slots, host: nn.Module) -> None:
        for step in self.steps:
            step.act(slots, host)
            for slot in step.drops:
                slots[slot] = None


@dataclass(frozen=True)
class Program:
    """A graph that can be run.

    Args:
        inputs: the slots of its inputs; a method's first is the module itself.
        constants: what stands in every slot before it runs.
        calls: (type, method) of the modules that it may call.
        reads: the names of the attributes that it may read.
        refusal: why it cannot be run, where that is sure whatever the input.
    """

    inputs: tuple[int, ...]
    constants: tuple[Any, ...]
    body: Block
    calls: tuple[tuple[str, str], ...]
    reads: frozenset[str]
    refusal: str = ""

    def run(self, host: nn.Module, args: Sequence[Any]) -> Any:
        """What the graph returns; several values are a tuple.

        Raises:
            WeightsError: a node is reached that cannot be run.
        """
        if self.refusal:
            raise WeightsError(self.refusal)
        slots = list(self.constants)
        for slot, value in zip(self.inputs, args, strict=True):
            slots[slot] = value
        self.body.run(slots, host)
        values = tuple(slots[slot] for slot in self.body.outputs)
        return values[0] if len(values) == 1 else values
