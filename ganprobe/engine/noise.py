"""The streams that a forward draws its noise from: where they begin, and that they are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["Drawn", "kept_noise", "noise_from"]

_PER_STREAM = 0xD1B54A32D192ED03

# The process has one default stream: two threads that both draw from it take turns. A thread that
# a noisy forward waits for must therefore not run one itself.
_DRAWING = threading.RLock()


# What every module has holds no streams.
_USUAL = frozenset(vars(nn.Module()))


class Drawn:
    """Whether any stream was drawn from.

    Args:
        sources: those that were looked at.
    """

    def __init__(self, sources: Sequence[torch.Generator]) -> None:
        self.sources, self.is_so = sources, False


def noise_sources(module: nn.Module) -> list[torch.Generator]:
    """Every stream of random numbers that a forward may draw from.

    They are torch's default ones, on the host and on each device in use, and those that a module
    keeps as attributes, also in lists and dicts. Other libraries' streams are not seen.
    """
    devices = torch.cuda.default_generators if torch.cuda.is_initialized() else ()
    own = [
        stream
        for layer in module.modules()
        for name, value in vars(layer).items()
        if name not in _USUAL
        for stream in _streams_in(value)
    ]
    return [torch.default_generator, *devices, *dict.fromkeys(own)]


def _streams_in(value: object) -> Iterator[torch.Generator]:
    if isinstance(value, torch.Generator):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            if isinstance(item, torch.Generator | list | tuple | dict):
                yield from _streams_in(item)


@contextmanager
def kept_noise(module: nn.Module) -> Iterator[Drawn]:
    """Put every stream back where it was; afterwards it is known whether any was drawn from."""
    with _DRAWING:
        sources = noise_sources(module)
        drawn = Drawn(sources)
        states = [source.get_state() for source in sources]
        try:
            yield drawn
        finally:
            try:
                drawn.is_so = not _put_back(sources, states)
            finally:
                _put_back(sources, states)  # what an interruption left


@contextmanager
def noise_from(module: nn.Module, seed: int) -> Iterator[None]:
    """Let every stream begin at a place of its own, and put them back afterwards."""
    with kept_noise(module) as drawn:
        for position, source in enumerate(drawn.sources):
            source.manual_seed((seed + position * _PER_STREAM) % 2**63)
        yield


def _put_back(sources: Sequence[torch.Generator], states: Sequence[torch.Tensor]) -> bool:
    """Set the states; whether all were as they are to be."""
    were_so = True
    for source, state in zip(sources, states, strict=True):
        if not torch.equal(source.get_state(), state):
            source.set_state(state)
            were_so = False
    return were_so
