"""The hooks that carry a plan out, there only while they are needed.

Keeping an activation costs a reference, one more function call than a hook of your own, and a
version number that tells whether the forward later wrote into it; a copy only where the dry run
has seen that it does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import TracebackType
from typing import Any, Self

from torch import nn

from ganprobe.engine.kept import Kept
from ganprobe.engine.plan import Plan, PortPlan
from ganprobe.engine.port_run import PortRun
from ganprobe.engine.registration import Registration, Wanted
from ganprobe.errors import SiteError
from ganprobe.recordings import Recording

__all__ = ["Hooks", "muted"]


class _Open(threading.local):
    """The hooks that this thread has on modules, outermost first."""

    def __init__(self) -> None:
        self.hooks: list[Hooks] = []


_OPEN = _Open()


class Hooks:
    """A plan's hooks on a module, there only inside the ``with`` block.

    Only the thread that entered the block is hooked: another thread's forward of the same
    module passes untouched.

    Args:
        module: any module; it is the same object by object afterwards.
        plan: made for its layer table.
        keeps_graph: recorded activations keep what they need for gradients.
        around: called ahead of everything and after everything when the module itself is called;
            the second also when it raises.
    """

    def __init__(
        self,
        module: nn.Module,
        plan: Plan,
        *,
        keeps_graph: bool = False,
        around: tuple[Callable[..., None], Callable[..., None]] | None = None,
    ) -> None:
        self._module, self._plan, self._around = module, plan, around
        self._keeps_graph = keeps_graph
        self._kept = Kept(plan.slots, keeps_graph=keeps_graph)
        self._registration = Registration(())
        self._runs: list[PortRun] = []
        self.thread = 0

    def __enter__(self) -> Self:
        self.thread = get_ident()
        self._runs = []
        self._registration = Registration(self._wanted())
        try:
            self._registration.add()
            _OPEN.hooks.append(self)
        except BaseException:
            self._registration.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._registration.remove()
        finally:
            if self in _OPEN.hooks:
                _OPEN.hooks.remove(self)

    @property
    def is_here(self) -> bool:
        """Whether this is the thread that is hooked, and the hooks are not muted."""
        return get_ident() == self.thread

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
        for run in () if has_stopped else self._runs:
            run.check()
        return self._kept.recording()

    def _wanted(self) -> list[Wanted]:
        """Which hooks go where; nothing is on the module yet."""
        module, is_bare = self._module, not (self._plan.stops_early or self._keeps_graph)
        keepers = self._kept.keepers(self) if is_bare else []
        wanted: list[Wanted] = []
        for port in self._plan.ports:
            slot = port.bare_slot if is_bare else None
            hook = self._run(port) if slot is None else keepers[slot]
            wanted.append((_layer(module, port), port.port, hook))
        if self._around is not None:
            begin, end = self._around
            wanted = [(module, "begin", begin), *wanted, (module, "end", end)]
        return wanted

    def _run(self, port: PortPlan) -> Callable[..., Any]:
        run = PortRun(port, self._kept, self, stops_early=self._plan.stops_early)
        self._runs.append(run)
        return run.on_input if port.port == "in" else run.on_output


@contextmanager
def muted() -> Iterator[None]:
    """Hooks that this thread has on modules do nothing while this lasts."""
    open_here = [(hooks, hooks.thread) for hooks in _OPEN.hooks]
    for hooks, _ in open_here:
        hooks.thread = 0
    try:
        yield
    finally:
        for hooks, thread in open_here:
            hooks.thread = thread


def _layer(module: nn.Module, port: PortPlan) -> nn.Module:
    found: nn.Module | None = module
    for name in port.names:
        found = None if found is None else found._modules.get(name)
    if found is None:
        raise SiteError(f"layer {port.layer!r} is gone since the dry run; make another Probe")
    return found
