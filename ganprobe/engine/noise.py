"""The noise that a forward draws: the same in every run that asks for the same seed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["Noise", "kept_noise", "noise_sources", "same_noise"]

Noise = tuple[torch.Generator, ...]

# The process has one default stream: two threads that both draw from it take turns.
_DRAWING = threading.RLock()


def noise_sources(module: nn.Module) -> Noise:
    """Every stream of random numbers that a forward may draw from.

    They are torch's default ones, on the host and on each device in use, and those that a module
    keeps as attributes. Other libraries' streams are not seen.
    """
    devices = torch.cuda.default_generators if torch.cuda.is_initialized() else ()
    own = [
        value
        for layer in module.modules()
        for value in vars(layer).values()
        if isinstance(value, torch.Generator)
    ]
    return (torch.default_generator, *devices, *own)


@contextmanager
def kept_noise(sources: Noise) -> Iterator[list[torch.Generator]]:
    """Put every stream back where it was; afterwards the list holds those that were drawn from."""
    drawn: list[torch.Generator] = []
    with _DRAWING:
        states = [source.get_state() for source in sources]
        try:
            yield drawn
        finally:
            for source, state in zip(sources, states, strict=True):
                if not torch.equal(source.get_state(), state):
                    drawn.append(source)
                    source.set_state(state)


@contextmanager
def same_noise(sources: Sequence[torch.Generator], seed: int) -> Iterator[None]:
    """Let the streams begin at a seed, and put them back where they were afterwards."""
    if not sources:
        yield
        return
    with kept_noise(tuple(sources)):
        for source in sources:
            source.manual_seed(seed)
        yield
