"""The engine: a plan of what happens at which site, and the hooks that carry it out.

`make_plan` resolves, checks and orders everything once, without touching the module. `Hooks`
puts one forward hook (or pre-hook) on each layer that the plan uses and on no other, and takes
every one away again, whatever happens in between. Recording keeps a reference; it costs a copy
only where the forward later writes into that tensor, which the dry run has seen.

This is the only module that touches forward hooks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from ganprobe.errors import ForwardError, NotATensorError, SiteNotReachedError
from ganprobe.interventions import Intervention
from ganprobe.nested import Path, pick, place, tensors_in
from ganprobe.sites import Layer, LayerTable, Port, Site, SiteTensor, unit_axis

__all__ = ["DRY_RUN_SAMPLES", "Hooks", "Plan", "Recording", "dry_run", "make_plan"]

DRY_RUN_SAMPLES = 2
"""Samples in the dry run: two tell a batch axis from an axis of size 1."""


class Recording(Mapping[Site, Tensor]):
    """Site -> activation of one run, on the device; also by the site as it was written."""

    def __init__(self) -> None:
        self._activations: dict[Site, Tensor] = {}

    def __getitem__(self, site: Site | str) -> Tensor:
        wanted = Site.parse(site)
        if wanted not in self._activations:
            there = ", ".join(map(str, self._activations)) or "nothing"
            raise KeyError(f"{wanted} was not recorded; recorded: {there}")
        return self._activations[wanted]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._activations)

    def __len__(self) -> int:
        return len(self._activations)

    def _keep(self, site: Site, activation: Tensor) -> None:
        self._activations[site] = activation


@dataclass(frozen=True)
class Step:
    """One thing to do with the tensor at `path` of a port, at `call` (None: every call)."""

    path: Path
    call: int | None
    intervention: Intervention | None = None
    record_as: Site | None = None
    is_copied: bool = False


@dataclass(frozen=True)
class PortPlan:
    """All steps at one port of one layer, in order: interventions first, then recordings."""

    layer: str
    port: Port
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """What happens where, resolved and checked: a value, printable and comparable."""

    ports: tuple[PortPlan, ...]
    recorded: tuple[Site, ...] = ()


def make_plan(
    table: LayerTable,
    *,
    record: Iterable[str | Site] = (),
    interventions: Iterable[Intervention] = (),
) -> Plan:
    """Resolve sites and interventions against the layer table.

    A site that is recorded is recorded as it was written (`run["conv2"]`), after all
    interventions on it, whatever their order here.

    Raises:
        UnknownNameError, SiteError, ParameterError: a site or its units do not fit the table.
    """
    steps: dict[tuple[str, Port], list[Step]] = {}
    for intervention in interventions:
        for tensor in table.resolve(intervention.site):
            step = Step(_path(tensor), tensor.site.call, intervention=intervention.at(tensor))
            steps.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
    recorded = tuple(dict.fromkeys(Site.parse(site) for site in record))
    for site in recorded:
        tensor = table.resolve_one(site)
        step = Step(
            _path(tensor), tensor.site.call, record_as=site, is_copied=tensor.is_overwritten
        )
        steps.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
    ports = [PortPlan(layer, port, tuple(found)) for (layer, port), found in steps.items()]
    return Plan(tuple(ports), recorded)


def _path(tensor: SiteTensor) -> Path:
    """Where the tensor is in what the hook is given: an input's first key is its argument."""
    if tensor.site.port == "in" and tensor.site.path == ():
        return (0,)
    return tensor.site.path


class Hooks:
    """A plan's hooks on a module, there only inside the ``with`` block.

    Only the thread that entered the block is hooked: another thread's forward of the same
    module passes untouched.

    Args:
        module: any module; it is the same object by object afterwards.
        plan: made for its layer table.
    """

    def __init__(self, module: nn.Module, plan: Plan) -> None:
        self._module, self._plan = module, plan
        self._removals = ExitStack()
        self._runs: list[_PortRun] = []
        self._recording = Recording()

    def __enter__(self) -> Self:
        thread = threading.get_ident()
        with ExitStack() as removals:  # a failure half-way takes out what is already in
            for port in self._plan.ports:
                run = _PortRun(port, self._recording, thread)
                layer = self._module.get_submodule(port.layer)
                self._runs.append(run)
                removals.callback(_register(layer, port.port, run).remove)
            self._removals = removals.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._removals.close()

    def begin(self) -> Recording:
        """Start a new forward: call counts begin at 0 and a fresh recording is filled."""
        self._recording = Recording()
        for run in self._runs:
            run.begin(self._recording)
        return self._recording

    def check(self) -> None:
        """After a forward: raise unless every site of the plan was reached once.

        Raises:
            SiteNotReachedError: a layer did not run, or ran fewer times than the site says.
            ForwardError: a recorded activation was overwritten in place by a later operation.
        """
        for run in self._runs:
            run.check()


def _register(layer: nn.Module, port: Port, run: _PortRun) -> Any:
    if port == "in":
        return layer.register_forward_pre_hook(run.on_input, with_kwargs=True)
    return layer.register_forward_hook(run.on_output)


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int | str, Any]:
    """What a module was given, by position and keyword."""
    given: dict[int | str, Any] = dict(enumerate(args))
    given.update(kwargs.items())
    return given


class _PortRun:
    """The state of one hook: how often its layer ran, and what of it was kept."""

    def __init__(self, port: PortPlan, recording: Recording, thread: int) -> None:
        self._port, self._recording, self._thread = port, recording, thread
        self._n_calls = 0
        self._kept: list[tuple[Site, Tensor, int]] = []

    def begin(self, recording: Recording) -> None:
        self._recording, self._n_calls, self._kept = recording, 0, []

    def on_output(self, layer: nn.Module, args: object, output: object) -> Any:
        if threading.get_ident() != self._thread:
            return None
        return self._carry_out(output)

    def on_input(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return None
        given = _arguments(args, kwargs)
        changed = self._carry_out(given)
        if changed is None:
            return None
        new_args = tuple(changed[position] for position in range(len(args)))
        return new_args, {key: changed[key] for key in kwargs}

    def check(self) -> None:
        for step in self._port.steps:
            if self._n_calls <= (step.call or 0):
                raise SiteNotReachedError(
                    f"layer {self._port.layer!r} ran {self._n_calls} times in this forward, so"
                    f" {self._spell(step)} was not reached; its forward depends on its input"
                )
        for site, kept, version in self._kept:
            if kept._version != version:
                raise ForwardError(
                    f"the activation at {site} was overwritten in place later in this forward,"
                    " though not in the dry run; record the site that writes into it instead"
                )

    def _carry_out(self, value: Any) -> Any:
        """Do the steps of this call; the changed value, or None where nothing changed."""
        is_changed = False
        for step in self._port.steps:
            if step.call is not None and step.call != self._n_calls:
                continue
            tensor = self._tensor(value, step)
            if step.intervention is not None:
                value, is_changed = place(value, step.path, step.intervention.apply(tensor)), True
            elif step.record_as is not None:
                self._keep(step.record_as, tensor, is_copied=step.is_copied)
        self._n_calls += 1
        return value if is_changed else None

    def _keep(self, site: Site, tensor: Tensor, *, is_copied: bool) -> None:
        if site.call is None and site in self._recording:
            raise ForwardError(f"{site} ran again in this forward, unlike in the dry run")
        activation = tensor
        if site.units is not None:
            index = torch.tensor(site.units, device=tensor.device)
            activation = tensor.index_select(unit_axis(tensor.ndim), index)
        elif is_copied:
            activation = tensor.clone()
        elif not tensor.is_inference():
            self._kept.append((site, tensor, tensor._version))
        self._recording._keep(site, activation)

    def _tensor(self, value: object, step: Step) -> Tensor:
        try:
            tensor = pick(value, step.path)
        except LookupError as error:
            raise SiteNotReachedError(f"{self._spell(step)}: {error}") from error
        if not isinstance(tensor, Tensor):
            raise NotATensorError(f"{self._spell(step)} is a {type(tensor).__name__}, no tensor")
        return tensor

    def _spell(self, step: Step) -> str:
        return str(Site(self._port.layer, self._port.port, step.path, step.call))


def dry_run(module: nn.Module, forward: Callable[[], object], *, name: str) -> LayerTable:
    """Run one forward of two samples and tabulate every layer that ran and every tensor it saw.

    Costs that forward, and the memory of all its activations for two samples.

    Args:
        module: whose layers are tabulated.
        forward: calls the module on a batch of two samples.
        name: of the generator, for messages.
    """
    names = _layer_names(module)
    watcher = _Watcher()
    with ExitStack() as removals, torch.no_grad():
        for layer in names:
            # The pre-hook is put in front of the module's own and the hook behind them.
            handle = layer.register_forward_pre_hook(watcher.on_input, with_kwargs=True)
            removals.callback(handle.remove)
            removals.callback(layer.register_forward_hook(watcher.on_output).remove)
        forward()
    order = [layer for layer in watcher.finished if layer in names]
    return LayerTable([_layer(layer, names[layer], watcher) for layer in order], name)


@dataclass(frozen=True)
class _Seen:
    port: Port
    call: int
    path: Path
    tensor: Tensor
    version: int


@dataclass
class _Watcher:
    """Collects every tensor that goes into or comes out of a module during the dry run."""

    seen: dict[nn.Module, list[_Seen]] = field(default_factory=dict)
    calls: dict[nn.Module, int] = field(default_factory=dict)
    finished: dict[nn.Module, None] = field(default_factory=dict)

    def on_input(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = self.calls.get(layer, 0)
        self.calls[layer] = call + 1
        given = list(tensors_in(_arguments(args, kwargs)))
        if [path for path, _ in given] == [(0,)]:
            given = [((), given[0][1])]
        self._note(layer, "in", call, given)

    def on_output(self, layer: nn.Module, args: object, output: object) -> None:
        self.finished[layer] = None
        self._note(layer, "out", self.calls[layer] - 1, tensors_in(output))

    def _note(
        self, layer: nn.Module, port: Port, call: int, found: Iterable[tuple[Path, Tensor]]
    ) -> None:
        noted = self.seen.setdefault(layer, [])
        noted.extend(_Seen(port, call, path, t, t._version) for path, t in found)


def _layer_names(module: nn.Module) -> dict[nn.Module, list[str]]:
    names: dict[nn.Module, list[str]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        names.setdefault(layer, []).append(name)
    return names


def _layer(layer: nn.Module, names: Sequence[str], watcher: _Watcher) -> Layer:
    calls = watcher.calls[layer]
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
        is_overwritten=seen.tensor._version != seen.version,
    )
