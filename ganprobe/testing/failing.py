"""Generators and measures that raise, to see what an analysis makes of that."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ganprobe.generators import Generator
from ganprobe.measures import Measure

__all__ = ["Calls", "failing_generator", "failing_measure"]


@dataclass
class Calls:
    """How many times something was called so far."""

    n: int = 0


def failing_generator(generator: Generator, calls: Calls, *, begins_at: int) -> Generator:
    """The same generator, which raises at the end of a forward, from one of them on.

    Args:
        calls: counts its forwards.
        begins_at: the number of the first that raises, from 1.
    """
    module = copy.deepcopy(generator.module)
    forward = module.forward

    def raising(*given: Any, **named: Any) -> Any:
        calls.n += 1
        returned = forward(*given, **named)
        if calls.n >= begins_at:
            raise RuntimeError("this generator was made to raise")
        return returned

    module.forward = raising
    return replace(generator, module=module)


def failing_measure(measure: Measure, calls: Calls) -> Measure:
    """The same measure, which raises whenever it is asked.

    Args:
        calls: counts how often it was.
    """

    def raising(self: Measure, images: Tensor) -> Tensor:
        calls.n += 1
        raise RuntimeError("this measure was made to raise")

    failing = copy.copy(measure)
    failing.__class__ = type("FailingMeasure", (type(measure),), {"measure": raising})
    return failing
