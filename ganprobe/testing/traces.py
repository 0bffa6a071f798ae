"""Traces: what a call left in the process, and on a generator's module."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import nn

from ganprobe.engine import ModuleState
from ganprobe.errors import GanprobeError
from ganprobe.generators import Generator
from ganprobe.probe import Probe
from ganprobe.surroundings import Surroundings

__all__ = ["ModuleTraces", "ProcessTraces", "scrambled_noise"]

_OTHERS = frozenset({"_modules", "_parameters", "_buffers", "training", "forward"})


class _Fact(NamedTuple):
    """Something of the process that must stay as it is; `write` puts it back."""

    what: str
    read: Callable[[], Any]
    advice: str
    write: Callable[[Any], object]


def _set_warnings(held: list[Any]) -> None:
    warnings.filters[:] = held  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _set_environment(held: Mapping[str, str]) -> None:
    for name in os.environ.keys() - held.keys():
        del os.environ[name]
    os.environ.update(held)


def _set_path(held: list[str]) -> None:
    sys.path[:] = held


def _open_figures() -> list[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return list(pyplot.get_fignums()) if pyplot is not None else []


def _close_figures(but: list[int]) -> None:
    for number in set(_open_figures()) - set(but):
        sys.modules["matplotlib.pyplot"].close(number)


_FACTS = (
    _Fact(
        "torch's random state was changed",
        lambda: torch.get_rng_state().tolist(),
        "draw from torch.Generator().manual_seed(context.seed)",
        lambda held: torch.set_rng_state(torch.tensor(held, dtype=torch.uint8)),
    ),
    _Fact(
        "numpy's random state was changed",
        lambda: repr(np.random.get_state(legacy=False)),
        "draw from numpy.random.default_rng(context.seed)",
        lambda held: None,
    ),
    _Fact(
        "Python's random state was changed",
        random.getstate,
        "draw from random.Random(context.seed)",
        random.setstate,
    ),
    _Fact(
        "torch's number of threads was changed",
        torch.get_num_threads,
        "leave it to the user",
        torch.set_num_threads,
    ),
    _Fact(
        "files were written to the working folder",
        lambda: sorted(path.name for path in Path.cwd().iterdir()),
        "give the Result what is to be written",
        lambda held: None,
    ),
    _Fact(
        "the environment variables were changed",
        lambda: dict(os.environ),
        "pass values as arguments",
        _set_environment,
    ),
    _Fact("sys.path was changed", lambda: list(sys.path), "import what is installed", _set_path),
    _Fact(
        "the filters of warnings were changed",
        lambda: list(warnings.filters),
        "write `with warnings.catch_warnings():`",
        _set_warnings,
    ),
    _Fact(
        "figures of pyplot were left open",
        _open_figures,
        "make them with matplotlib.figure.Figure(), which nothing keeps open, or close them",
        _close_figures,
    ),
)


@dataclass(frozen=True, eq=False)
class ProcessTraces:
    """The process at one moment, so that what was left in it since can be told."""

    facts: tuple[Any, ...]
    surroundings: Surroundings

    @classmethod
    def before(cls) -> Self:
        """As it is now."""
        return cls(tuple(fact.read() for fact in _FACTS), Surroundings.now())

    def left(self, *, but: str = "") -> list[str]:
        """What is other now, with what to do instead; puts back what can be.

        Args:
            but: what has this in its name is not told.
        """
        told = []
        for fact, held in zip(_FACTS, self.facts, strict=True):
            if fact.read() != held and not (but and but in fact.what):
                told.append(f"{fact.what} ({fact.advice})")
                fact.write(held)
        return told + [f"{what} was changed (put it back)" for what in self.surroundings.put_back()]


@dataclass(frozen=True, eq=False)
class ModuleTraces:
    """A generator's module at one moment, so that what was left on it since can be told.

    Args:
        attributes: by layer and name.
        gradients: the names of parameters that had one.
    """

    generator: Generator
    state: ModuleState
    attributes: Mapping[tuple[str, str], object]
    gradients: frozenset[str]

    @classmethod
    def before(cls, generator: Generator) -> Self:
        """As it is now."""
        module = generator.module
        return cls(generator, ModuleState.of(module), _attributes(module), _with_gradients(module))

    def left(self) -> list[str]:
        """What is other now, with what to do instead; puts back what can be."""
        module = self.generator.module
        told = [
            f"parameter {name!r} has a gradient (use torch.autograd.grad)"
            for name in sorted(_with_gradients(module) - self.gradients)
        ]
        changed = _changed(self.attributes, _attributes(module))
        told += self.state.put_back(self._forward)
        if changed:
            now = _attributes(module)
            self._forward()
            changed -= _changed(now, _attributes(module))  # which the module writes to itself
        return told + [
            f"attribute {attribute!r} of {f'layer {layer!r}' if layer else 'the module'} was set"
            " (keep it elsewhere)"
            for layer, attribute in sorted(changed)
        ]

    def _forward(self) -> None:
        with scrambled_noise(0), suppress(GanprobeError):
            Probe(self.generator).images(self.generator.sample(1))


def _with_gradients(module: nn.Module) -> frozenset[str]:
    return frozenset(name for name, one in module.named_parameters() if one.grad is not None)


def _attributes(module: nn.Module) -> dict[tuple[str, str], object]:
    """All that layers hold but hooks, modes, layers and tensors, which `ModuleState` tells."""
    return {
        (name, attribute): value
        for name, layer in module.named_modules()
        for attribute, value in vars(layer).items()
        if attribute not in _OTHERS and "_hooks" not in attribute
    }


def _changed(
    before: Mapping[tuple[str, str], object], now: Mapping[tuple[str, str], object]
) -> set[tuple[str, str]]:
    there = before.keys() & now.keys()
    return set(before.keys() ^ now.keys()) | {key for key in there if before[key] is not now[key]}


@contextmanager
def scrambled_noise(seed: int) -> Iterator[None]:
    """Put the global random states of torch, numpy and Python somewhere else, and back again."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
