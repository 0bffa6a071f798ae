"""The hooks that carry a plan out, there only while they are needed.

Recording keeps a reference; it costs a copy only where the forward later writes into that
tensor, which the dry run has seen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from ganprobe.engine.plan import Plan, PortPlan, Step
from ganprobe.errors import ForwardError, NotATensorError, NotRecordedError, SiteNotReachedError
from ganprobe.nested import arguments, pick, place
from ganprobe.sites import Port, Site, unit_axis

__all__ = ["Hooks", "Recording"]


class Recording(Mapping[Site, Tensor]):
    """Site -> activation of one run, on the device; also by the site as it was written.

    An activation is the tensor that the forward made, where nothing in the forward writes into
    it later: copy it before you write into it yourself.
    """

    def __init__(self) -> None:
        self._activations: dict[Site, Tensor] = {}

    def __getitem__(self, site: Site | str) -> Tensor:
        wanted = Site.parse(site)
        if wanted not in self._activations:
            there = ", ".join(map(str, self._activations)) or "nothing"
            raise NotRecordedError(f"{wanted} was not recorded; recorded: {there}")
        return self._activations[wanted]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._activations)

    def __len__(self) -> int:
        return len(self._activations)

    def _keep(self, site: Site, activation: Tensor) -> None:
        self._activations[site] = activation


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
        """After a forward: raise unless every site of the plan was reached.

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
        given = arguments(args, kwargs)
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
        activation = tensor.detach()
        if site.units is not None:
            index = torch.tensor(site.units, device=tensor.device)
            activation = activation.index_select(unit_axis(tensor.ndim), index)
        elif is_copied:
            activation = activation.clone()
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
