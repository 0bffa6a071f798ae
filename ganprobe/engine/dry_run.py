"""The dry run: one forward that finds every layer that runs and every tensor that it sees."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.nested import Path, arguments, tensors_in
from ganprobe.sites import Layer, LayerTable, Port, Site, SiteTensor

__all__ = ["DRY_RUN_SAMPLES", "dry_run"]

DRY_RUN_SAMPLES = 2
"""Samples in the dry run: two tell a batch axis from an axis of size 1."""


def dry_run(module: nn.Module, forward: Callable[[], object], *, name: str) -> LayerTable:
    """Run one forward of two samples and tabulate every layer that ran and every tensor it saw.

    Costs that forward, and the memory of all its activations for two samples.

    Args:
        module: whose layers are tabulated.
        forward: calls the module on a batch of two samples.
        name: of the generator, for messages.
    """
    names = _layer_names(module)
    watcher = _Watcher(shared=_storages((*module.parameters(), *module.buffers())))
    with ExitStack() as removals, torch.no_grad():
        for layer in names:
            handle = layer.register_forward_pre_hook(watcher.on_input, with_kwargs=True)
            removals.callback(handle.remove)
            removals.callback(layer.register_forward_hook(watcher.on_output).remove)
        forward()
    layers = [_layer(layer, names[layer], watcher) for layer in watcher.finished]
    idle = [known for layer in names.keys() - watcher.finished.keys() for known in names[layer]]
    return LayerTable(layers, name, idle=idle)


@dataclass(frozen=True)
class _Seen:
    port: Port
    call: int
    path: Path
    tensor: Tensor
    version: int | None
    is_shared: bool


@dataclass
class _Watcher:
    """Collects every tensor that goes into or comes out of a module during the dry run."""

    shared: set[int]
    thread: int = field(default_factory=threading.get_ident)
    seen: dict[nn.Module, list[_Seen]] = field(default_factory=dict)
    started: Counter[nn.Module] = field(default_factory=Counter)
    finished: Counter[nn.Module] = field(default_factory=Counter)

    def on_input(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() != self.thread:
            return
        call = self.started[layer]
        self.started[layer] += 1
        given = list(tensors_in(arguments(args, kwargs)))
        if [path for path, _ in given] == [(0,)]:
            given = [((), given[0][1])]
        self._note(layer, "in", call, given)

    def on_output(self, layer: nn.Module, args: object, output: object) -> None:
        if threading.get_ident() != self.thread:
            return
        call = self.finished[layer]
        self.finished[layer] += 1
        self._note(layer, "out", call, tensors_in(output))

    def _note(
        self, layer: nn.Module, port: Port, call: int, found: Iterable[tuple[Path, Tensor]]
    ) -> None:
        noted = self.seen.setdefault(layer, [])
        if port == "in" and self.started.total() == 1:  # the generator's own input
            self.shared |= _storages(tensor for _, tensor in found)
        noted.extend(
            _Seen(
                port, call, path, tensor, _version(tensor), bool(_storages([tensor]) & self.shared)
            )
            for path, tensor in found
        )


def _layer_names(module: nn.Module) -> dict[nn.Module, list[str]]:
    names: dict[nn.Module, list[str]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        names.setdefault(layer, []).append(name)
    return names


def _layer(layer: nn.Module, names: Sequence[str], watcher: _Watcher) -> Layer:
    calls = watcher.finished[layer]
    make = partial(_site_tensor, names[0], has_many_calls=calls > 1)
    outputs_first = sorted(watcher.seen[layer], key=lambda seen: seen.port == "in")
    tensors = [make(seen) for seen in outputs_first]
    n_parameters = sum(parameter.numel() for parameter in layer.parameters())
    kind = type(layer).__name__
    return Layer(names[0], kind, calls, n_parameters, tuple(tensors), tuple(names[1:]))


def _site_tensor(layer: str, seen: _Seen, *, has_many_calls: bool) -> SiteTensor:
    call = seen.call if has_many_calls else None
    return SiteTensor(
        Site(layer, seen.port, seen.path, call),
        shape=tuple(seen.tensor.shape[1:]),
        dtype=str(seen.tensor.dtype).removeprefix("torch."),
        is_batched=seen.tensor.ndim > 0 and seen.tensor.shape[0] == DRY_RUN_SAMPLES,
        is_overwritten=seen.version is None or _version(seen.tensor) != seen.version,
        is_shared=seen.is_shared,
    )


def _version(tensor: Tensor) -> int | None:
    """Counts the writes into a tensor; None for one of inference mode, which does not count."""
    return None if tensor.is_inference() else tensor._version


def _storages(tensors: Iterable[Tensor]) -> set[int]:
    """Where the memory of these tensors begins."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors} - {0}
