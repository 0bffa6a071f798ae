"""Sessions: a plan that stays on a module while your own code calls it."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from torch import Tensor, nn

from ganprobe.engine.compiled import eager
from ganprobe.engine.hooks import Hooks
from ganprobe.engine.plan import Plan
from ganprobe.errors import NotRecordedError
from ganprobe.recordings import Recording
from ganprobe.sites import Site

__all__ = ["Session"]


class Session:
    """Interventions and recordings on a module that you call yourself, as often as you like.

    Each call of the module is one forward: calls of its layers are counted from 0, and
    `recording` is of the last one that finished. Where you call one of its methods or a part of
    it instead, say `begin` before each. Grad mode and random numbers are yours.
    """

    def __init__(self, module: nn.Module, plan: Plan, *, keeps_graph: bool = False) -> None:
        around = (self._on_begin, self._on_end)
        self._hooks = Hooks(module, plan, keeps_graph=keeps_graph, around=around)
        self._around = ExitStack()
        self._recording: Recording | None = None
        self._depth = 0

    def __enter__(self) -> Self:
        with ExitStack() as around:
            around.enter_context(eager())  # the module may be called through a compiled wrapper
            around.enter_context(self._hooks)
            self._around = around.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._around.__exit__(kind, error, traceback)

    def __getitem__(self, site: str | Site) -> Tensor:
        """The activation that the last forward left at a site, as the site was written."""
        return self.recording[site]

    @property
    def recording(self) -> Recording:
        """What the last forward left at the recorded sites.

        Raises:
            NotRecordedError: there was no forward yet.
            SiteNotReachedError, OverwrittenError: as for `Probe.run`.
        """
        if self._recording is None:
            if not self._hooks.has_begun:
                raise NotRecordedError("nothing was recorded yet: call the module first")
            self._recording = self._hooks.finish()
        return self._recording

    def begin(self) -> None:
        """Start a new forward; calling the module itself does this."""
        self._recording = None
        self._hooks.begin()

    def _on_begin(self, module: nn.Module, args: object) -> None:
        if not self._hooks.is_here:
            return
        if self._depth == 0:  # a module that calls itself is one forward
            self.begin()
        self._depth += 1

    def _on_end(self, module: nn.Module, args: object, output: object) -> None:
        if not self._hooks.is_here:
            return
        self._depth -= 1
        if self._depth == 0 and output is not None:  # None: it raised
            self._recording = self._hooks.finish()
