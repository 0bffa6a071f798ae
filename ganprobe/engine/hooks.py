"""The hooks that carry a plan out, there only while they are needed.

Keeping an activation costs a reference, one more function call than a hook of your own, and a
version number that tells whether the forward later wrote into it; a copy only where the dry run
has seen that it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ganprobe.engine.gate import Gate
from ganprobe.engine.kept import Kept
from ganprobe.engine.plan import Plan, PortPlan
from ganprobe.engine.port_run import PortRun
from ganprobe.engine.registration import Registration, Wanted
from ganprobe.errors import SiteError
from ganprobe.recordings import Recording

__all__ = ["Hooks"]


class Hooks:
    """A plan's hooks on a module, there from `open` to `close`.

    Only the thread that opened them is hooked: another thread's forward of the same module
    passes untouched. Close in ``finally``, twice: what an interruption of the first leaves, the
    second takes off.

    Args:
        module: any module; it is the same object by object afterwards.
        plan: made for its layer table.
        keeps_graph: recorded activations keep what they need for gradients.
        around: called ahead of everything, and after everything, when the module itself is called.
    """

    def __init__(
        self,
        module: nn.Module,
        plan: Plan,
        *,
        keeps_graph: bool = False,
        around: tuple[Callable[..., None], Callable[..., None]] | None = None,
    ) -> None:
        self._module, self._plan = module, plan
        self._keeps_graph = keeps_graph
        self._kept = Kept(plan.slots, keeps_graph=keeps_graph)
        self._runs: list[PortRun] = []
        self.gate = Gate()
        wanted = self._wanted()
        if around is not None:
            begin, end = around
            wanted = [(module, "begin", begin), *wanted, (module, "out", end)]
        self._registration = Registration(wanted)

    def open(self) -> None:
        """Put the hooks on, for this thread."""
        self.gate.open()
        self._registration.add()

    def close(self) -> None:
        """Take them off; what they have kept stays."""
        self.gate.close()
        self._registration.remove()

    def on_output(self, layer: nn.Module) -> Callable[..., Any] | None:
        """The hook of a layer's output, for who calls it in the layer's place."""
        return self._registration.on_output(layer)

    @property
    def has_begun(self) -> bool:
        """Whether anything of a forward was seen."""
        return bool(self._kept) or any(run.n_calls for run in self._runs)

    def begin(self) -> None:
        """Start a new forward: call counts begin at 0 and nothing is kept yet."""
        self._kept.begin()
        for run in self._runs:
            run.n_calls = 0

    def finish(self) -> Recording:
        """After a forward: what was recorded.

        Raises:
            SiteNotReachedError: a layer did not run, or ran fewer times than a site says.
            OverwrittenError: a recorded activation was overwritten in place later.
            NotFiniteError: a site was to be checked and is not finite.
        """
        has_stopped = self._plan.stops_early and not self._kept.missing
        for run in self._runs:
            if run.must_run or not has_stopped:
                run.check()
        return self._kept.recording()

    def _wanted(self) -> list[Wanted]:
        """Which hooks go where; nothing is on the module yet."""
        module, is_bare = self._module, not (self._plan.stops_early or self._keeps_graph)
        keepers = self._kept.keepers(self.gate) if is_bare else []
        wanted: list[Wanted] = []
        for port in self._plan.ports:
            slot = port.bare_slot if is_bare else None
            hook = self._run(port) if slot is None else keepers[slot]
            wanted.append((_layer(module, port), port.port, hook))
        return wanted

    def _run(self, port: PortPlan) -> Callable[..., Any]:
        stops_early, keeps_graph = self._plan.stops_early, self._keeps_graph
        run = PortRun(port, self._kept, self.gate, stops_early=stops_early, keeps_graph=keeps_graph)
        self._runs.append(run)
        if port.is_lone_edit:
            return run.on_edit
        return run.on_input if port.port == "in" else run.on_output


def _layer(module: nn.Module, port: PortPlan) -> nn.Module:
    found: nn.Module | None = module
    for name in port.names:
        found = None if found is None else found._modules.get(name)
    if found is None:
        raise SiteError(f"layer {port.layer!r} is gone since the dry run; make another Probe")
    return found
