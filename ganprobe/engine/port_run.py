"""The hook of a port where more happens than keeping one output: edits, calls, paths, inputs."""

from __future__ import annotations

from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.engine.kept import HasThread, Kept, check_is_tensor, not_reached
from ganprobe.engine.plan import PortPlan, Step
from ganprobe.errors import SiteNotReachedError
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
    """

    def __init__(self, port: PortPlan, kept: Kept, hooked: HasThread, *, stops_early: bool) -> None:
        self._port, self._kept, self._hooked = port, kept, hooked
        self._stops_early = stops_early
        self.n_calls = 0

    def on_output(self, layer: nn.Module, args: object, output: object) -> Any:
        """A forward hook."""
        if get_ident() != self._hooked.thread:
            return None
        changed = self._carry_out(output)
        return None if changed is output else changed

    def on_input(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A forward pre-hook that is also given keyword arguments."""
        if get_ident() != self._hooked.thread:
            return None
        given = arguments(args, kwargs)
        changed = self._carry_out(given)
        if changed is given:
            return None
        new_args = tuple(changed[position] for position in range(len(args)))
        return new_args, {key: changed[key] for key in kwargs}

    def check(self) -> None:
        """After a forward: raise `SiteNotReachedError` unless every step's call was there."""
        for step in self._port.steps:
            if self.n_calls <= (step.call or 0):
                raise not_reached(self._site(step), self.n_calls)

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
        tensor = self._tensor(value, step)
        if step.edit is not None:
            edited = step.edit(tensor)
            if step.is_in_place and not torch.is_grad_enabled():
                tensor.copy_(edited)
                return value
            return place(value, step.path, edited)
        if step.slot is None:
            self._kept.count_bad(self._site(step, call), tensor)
        elif step.units is None:
            self._kept.keep(step.slot, tensor, is_copied=step.is_copied)
        else:
            index = unit_index(step.units, tensor.device)
            chosen = tensor.index_select(step.unit_axis, index)
            self._kept.keep(step.slot, chosen, is_copied=False)
        return value

    def _tensor(self, value: object, step: Step) -> Tensor:
        try:
            found = pick(value, step.path)
        except LookupError as error:
            raise SiteNotReachedError(f"{self._site(step)}: {error}") from error
        return check_is_tensor(found, self._site(step))

    def _site(self, step: Step, call: int | None = None) -> Site:
        return Site(self._port.layer, self._port.port, step.path, step.call or call or None)
