"""The hook of a port where more happens than keeping one output: edits, calls, paths, inputs."""

from __future__ import annotations

import sys
from threading import get_ident
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from ganprobe.engine.gate import Gate
from ganprobe.engine.kept import Kept, check_is_tensor, not_reached
from ganprobe.engine.plan import Editing, PortPlan, Step
from ganprobe.errors import ForwardError, SiteNotReachedError, UsageError
from ganprobe.interventions.units import unit_index
from ganprobe.nested import arguments, pick, place
from ganprobe.sites import Site

__all__ = ["PortRun", "StopForward"]


class StopForward(BaseException):
    """Ends a forward from inside when everything asked for is recorded.

    No error, so that no ``except Exception`` of a module takes it for one.
    """


class PortRun:
    """A port's steps being done in one forward, and how often its layer ran.

    Args:
        stops_early: the forward ends when nothing is missing any more.
        keeps_graph: gradients will be asked for.
    """

    def __init__(
        self, port: PortPlan, kept: Kept, gate: Gate, *, stops_early: bool, keeps_graph: bool
    ) -> None:
        self._port, self._kept, self._gate = port, kept, gate
        self._stops_early, self._keeps_graph = stops_early, keeps_graph
        self.n_calls = 0

    def on_output(self, layer: nn.Module, args: object, output: object) -> Any:
        """A forward hook."""
        if get_ident() != self._gate.thread:
            return None
        changed = self._carry_out(output)
        return None if changed is output else changed

    def on_edit(self, layer: nn.Module, args: object, output: object) -> Any:
        """A forward hook for a lone edit of the whole output at every call.

        It does what `on_output` does for such a step, in as few steps as it can: right after a
        large forward each function that is called costs a hundred times what it costs in a loop.
        """
        gate = self._gate
        thread = gate.thread
        if get_ident() != thread:
            return None
        step = self._port.steps[0]
        has_more = self._stops_early or self._keeps_graph or torch.is_grad_enabled()
        if has_more or not isinstance(output, Tensor):
            return self.on_output(layer, args, output)
        edit = step.edit
        assert edit is not None
        self.n_calls += 1
        gate.thread = 0  # a function that is applied may run the module again
        try:
            if step.is_in_place:
                edit.write(output)
                return None
            return edit(output)
        finally:
            gate.thread = thread

    def on_input(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> Any:
        """A forward pre-hook that is also given keyword arguments.

        Another thread that began to call the layer before the hook came off gives none.
        """
        if kwargs is None or get_ident() != self._gate.thread:
            return None
        given = arguments(args, kwargs)
        changed = self._carry_out(given)
        if changed is given:
            return None
        new_args = tuple(changed[position] for position in range(len(args)))
        return new_args, {key: changed[key] for key in kwargs}

    def check(self) -> None:
        """After a forward: raise unless every step's call was there, and none without a step.

        Raises:
            SiteNotReachedError: the layer ran fewer times than a step says.
            ForwardError: it ran more often than the steps together, which stand for every call.
        """
        for step in self._port.steps:
            if self.n_calls <= (step.call or 0):
                raise not_reached(self._site(step), self.n_calls)
            if step.n_calls is not None and self.n_calls > step.n_calls:
                raise ForwardError(
                    f"layer {self._port.layer!r} ran {self.n_calls} times in this forward and"
                    f" {step.n_calls} times in the dry run, and only so many are recorded for it"
                )

    @property
    def must_run(self) -> bool:
        """Whether its layer runs before everything is recorded."""
        return self._port.must_run

    def _carry_out(self, value: Any) -> Any:
        """Do the steps of this call; the value itself where nothing changed."""
        call = self.n_calls
        self.n_calls = call + 1
        for step in self._port.steps:
            if step.call is None or step.call == call:
                value = self._do(step, value, call)
        if self._stops_early and not self._kept.missing:
            raise StopForward
        return value

    def _do(self, step: Step, value: Any, call: int) -> Any:
        if step.edit is None and step.slot is None:
            self._count_bad(step, value, call)
            return value
        tensor = self._tensor(value, step)
        if self._keeps_graph or torch.is_grad_enabled():
            _refuse_checkpoint(self._site(step))
        if step.edit is not None:
            return self._edited(step, step.edit, value, tensor)
        assert step.slot is not None
        if step.units is None:
            self._kept.keep(step.slot, tensor, is_copied=step.is_copied)
        else:
            index = unit_index(step.units, tensor.device)
            chosen = tensor.index_select(step.unit_axis, index)
            self._kept.keep(step.slot, chosen, is_copied=False)
        return value

    def _edited(self, step: Step, edit: Editing, value: Any, tensor: Tensor) -> Any:
        gate = self._gate
        thread, gate.thread = gate.thread, 0  # a function that is applied may run the module again
        try:
            if step.is_in_place and not torch.is_grad_enabled():
                edit.write(tensor)
                return value
            edited = edit(tensor)
        finally:
            gate.thread = thread
        try:
            return place(value, step.path, edited)
        except (TypeError, ValueError, AttributeError) as error:
            raise ForwardError(
                f"an edited tensor cannot be put back into the {type(value).__name__} at"
                f" {self._site(step)}: {error}"
            ) from error

    def _count_bad(self, step: Step, value: Any, call: int) -> None:
        try:
            found = pick(value, step.path)
        except LookupError:
            return
        if isinstance(found, Tensor):
            self._kept.count_bad(self._site(step, call), found)

    def _tensor(self, value: object, step: Step) -> Tensor:
        try:
            found = pick(value, step.path)
        except LookupError as error:
            raise SiteNotReachedError(f"{self._site(step)}: {error}") from error
        return check_is_tensor(found, self._site(step))

    def _site(self, step: Step, call: int | None = None) -> Site:
        return Site(self._port.layer, self._port.port, step.path, step.call or call or None)


def _refuse_checkpoint(site: Site) -> None:
    """Raise `UsageError` inside a checkpointed part, which backward runs again without hooks."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == checkpoint.__file__:
            raise UsageError(
                f"{site} lies in a part that is checkpointed: gradients would run it again,"
                " without interventions; turn gradient checkpointing off"
            )
        frame = frame.f_back
