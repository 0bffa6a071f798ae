"""The dry run: one forward that finds every layer that runs and every tensor that it sees."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.engine.gate import muted
from ganprobe.engine.noise import kept_noise
from ganprobe.engine.registration import Registration, Wanted
from ganprobe.errors import ParameterError, UsageError
from ganprobe.layers import Layer, LayerTable
from ganprobe.nested import Path, arguments, tensors_in
from ganprobe.sites import Port, Site, SiteTensor, usual_unit_axis

__all__ = ["DRY_RUN_SAMPLES", "dry_run", "layer_names", "tensors_held"]

DRY_RUN_SAMPLES = 2
"""Samples in the dry run: two tell a batch axis from an axis of size 1."""


def dry_run(
    module: nn.Module,
    forward: Callable[[], object],
    *,
    name: str,
    unit_axes: Mapping[str, int] | None = None,
) -> LayerTable:
    """Run one forward of two samples and tabulate every layer that ran and every tensor it saw.

    Costs that forward, and the memory of all its activations for two samples. Streams of random
    numbers are put back where they were; interventions that are under way here do not act.

    Args:
        module: whose layers are tabulated.
        forward: calls the module on a batch of two samples.
        name: of the generator, for messages.
        unit_axes: by site or pattern, the axis of the units where it is not as is the custom.

    Raises:
        ParameterError: a tensor has no such axis of units.
        UsageError: a parameter is lazy and has no shape yet.
    """
    for parameter_name, parameter in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(parameter):
            raise UsageError(f"{parameter_name!r} has no shape yet; run the module once first")
    names = layer_names(module)
    watcher = _Watcher(shared=_storages(tensors_held(module)))
    with torch.no_grad(), muted(), kept_noise(module) as drawn, watcher.on(names):
        forward()
    watcher.shared |= _storages(tensors_held(module))  # also what the forward was the first to make
    layers = [_layer(layer, names[layer], watcher) for layer in watcher.finished]
    idle = [known for layer in names.keys() - watcher.finished.keys() for known in names[layer]]
    make = partial(LayerTable, generator=name, idle=idle, draws_noise=drawn.is_so)
    return make(_with_unit_axes(layers, make(layers), unit_axes or {}))


def tensors_held(module: nn.Module) -> Iterator[Tensor]:
    """Every tensor that outlives a forward: parameters, buffers, other attributes."""
    for layer in module.modules():
        for value in vars(layer).values():
            yield from (tensor for _, tensor in tensors_in(value))


def _with_unit_axes(
    layers: Iterable[Layer], table: LayerTable, unit_axes: Mapping[str, int]
) -> list[Layer]:
    """The same layers with the units of some sites on other axes."""
    moved = {
        tensor: _with_unit_axis(tensor, axis)
        for site, axis in unit_axes.items()
        for tensor in table.resolve(site)
    }
    return [
        replace(layer, tensors=tuple(moved.get(tensor, tensor) for tensor in layer.tensors))
        for layer in layers
    ]


def _with_unit_axis(tensor: SiteTensor, axis: int) -> SiteTensor:
    counted = axis + tensor.rank if axis < 0 else axis
    if not 1 <= counted < max(tensor.rank, 2):
        raise ParameterError(
            f"{tensor.site} has no axis {axis} for its units: a sample of it is {tensor.shape},"
            f" axes 1 to {tensor.rank - 1}"
        )
    return replace(tensor, unit_axis=counted)


@dataclass(frozen=True)
class _Seen:
    port: Port
    call: int
    path: Path
    tensor: Tensor
    version: int | None
    is_in_place: bool = False


@dataclass
class _Watcher:
    """Collects every tensor that goes into or comes out of a module during the dry run."""

    shared: set[int]
    thread: int = field(default_factory=threading.get_ident)
    seen: dict[nn.Module, list[_Seen]] = field(default_factory=dict)
    started: Counter[nn.Module] = field(default_factory=Counter)
    finished: Counter[nn.Module] = field(default_factory=Counter)

    @contextmanager
    def on(self, layers: Iterable[nn.Module]) -> Iterator[None]:
        """Watch these layers while this lasts."""
        wanted: list[Wanted] = []
        for layer in layers:
            wanted += [(layer, "in", self.on_input), (layer, "out", self.on_output)]
        with Registration(wanted).on():
            yield

    def on_input(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> None:
        if kwargs is None or threading.get_ident() != self.thread:
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
        given = {id(seen.tensor): seen.version for seen in noted if seen.port == "in"}
        for path, tensor in found:
            if tensor.is_nested:  # it has no shape that the next forward would share
                continue
            version = _version(tensor)
            is_in_place = port == "out" and given.get(id(tensor), version) != version
            noted.append(_Seen(port, call, path, tensor, version, is_in_place))


def layer_names(module: nn.Module) -> dict[nn.Module, list[str]]:
    """Every layer with its names, the one that the layer table gives it first."""
    names: dict[nn.Module, list[str]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        names.setdefault(layer, []).append(name)
    return names


def _layer(layer: nn.Module, names: Sequence[str], watcher: _Watcher) -> Layer:
    calls, kind = watcher.finished[layer], type(layer).__name__
    outputs_first = sorted(watcher.seen[layer], key=lambda seen: seen.port == "in")
    tensors = [_site_tensor(names[0], kind, seen, calls, watcher) for seen in outputs_first]
    n_parameters = sum(parameter.numel() for parameter in layer.parameters())
    return Layer(names[0], kind, calls, n_parameters, tuple(tensors), tuple(names[1:]))


def _site_tensor(layer: str, kind: str, seen: _Seen, calls: int, watcher: _Watcher) -> SiteTensor:
    tensor = seen.tensor
    return SiteTensor(
        Site(layer, seen.port, seen.path, seen.call if calls > 1 else None),
        shape=tuple(tensor.shape[1:]),
        dtype=str(tensor.dtype).removeprefix("torch."),
        unit_axis=usual_unit_axis(tensor.ndim, kind),
        is_batched=tensor.ndim > 0 and tensor.shape[0] == DRY_RUN_SAMPLES,
        is_alone=tensor.ndim > 0 and tensor.shape[0] == 1,
        is_overwritten=seen.version is None or _version(tensor) != seen.version,
        is_shared=bool(_storages([tensor]) & watcher.shared),
        is_in_place=seen.is_in_place,
    )


def _version(tensor: Tensor) -> int | None:
    """Counts the writes into a tensor; None for one of inference mode, which does not count."""
    return None if tensor.is_inference() else tensor._version


def _storages(tensors: Iterable[Tensor]) -> set[int]:
    """Where the memory of these tensors begins."""
    dense = (tensor for tensor in tensors if tensor.layout == torch.strided)
    return {tensor.untyped_storage().data_ptr() for tensor in dense} - {0}
