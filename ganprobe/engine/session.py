"""Sessions: a plan that stays on a module while your own code calls it."""

from __future__ import annotations

import sys
from threading import get_ident
from types import FrameType

from torch import Tensor, nn

from ganprobe.engine.gate import Gate
from ganprobe.engine.hooks import Hooks
from ganprobe.engine.plan import Plan
from ganprobe.errors import NotRecordedError
from ganprobe.recordings import Recording
from ganprobe.sites import Site

__all__ = ["Session"]


class Session:
    """Interventions and recordings on a module that you call yourself, as often as you like.

    Each call of the module is one forward: calls of its layers are counted from 0, and
    `recording` is of the last one, until the next begins. Where you call one of its methods or a
    part of it instead, say `begin` before each. Grad mode and random numbers are yours.
    """

    def __init__(self, module: nn.Module, plan: Plan, *, keeps_graph: bool = False) -> None:
        self._around = _Around()
        hooks = (self._around.on_begin, self._around.on_end)
        self._hooks = Hooks(module, plan, keeps_graph=keeps_graph, around=hooks)
        self._around.follow(self._hooks)

    def open(self) -> None:
        """Put the hooks on, for this thread."""
        self._hooks.open()

    def close(self) -> None:
        """Take them off; the last recording stays."""
        self._hooks.close()
        self._around.forget()

    def __getitem__(self, site: str | Site) -> Tensor:
        """The activation that the last forward left at a site, as the site was written."""
        return self.recording[site]

    @property
    def recording(self) -> Recording:
        """What the last forward left at the recorded sites.

        Raises:
            NotRecordedError: there was no forward yet, or the last one raised.
            SiteNotReachedError, OverwrittenError: as for `Probe.run`.
        """
        around = self._around
        if around.recording is None and around.is_by_parts and self._hooks.has_begun:
            around.recording = self._hooks.finish()
        if around.recording is None:
            raise NotRecordedError(
                "no forward has finished since the last began: call the module first"
            )
        return around.recording

    def begin(self) -> None:
        """Start a new forward; calling the module itself does this."""
        self._around.recording, self._around.is_by_parts = None, True
        self._hooks.begin()


class _Around:
    """What happens when the module itself is called: a forward begins, and ends.

    Both hooks are called from the frame of that call. A module that calls itself is one forward,
    of the outermost frame; one that raised, or was interrupted, is on the stack no more.
    """

    def __init__(self) -> None:
        self.recording: Recording | None = None
        self.is_by_parts = True
        self._gate = Gate()
        self._hooks: Hooks | None = None
        self._outermost: FrameType | None = None

    def __deepcopy__(self, memo: object) -> _Around:
        return _Around()

    def follow(self, hooks: Hooks) -> None:
        """These are the hooks whose forwards begin and end."""
        self._hooks, self._gate = hooks, hooks.gate

    def forget(self) -> None:
        """Hold on to no forward that was interrupted."""
        self._outermost = None

    def on_begin(self, module: nn.Module, args: object) -> None:
        """A forward pre-hook, ahead of all others."""
        if get_ident() != self._gate.thread or self._hooks is None:
            return
        if self._outermost is None or not _is_running(self._outermost):
            self._outermost = sys._getframe(1)
            self.is_by_parts, self.recording = False, None  # two at once would be twice the memory
            self._hooks.begin()

    def on_end(self, module: nn.Module, args: object, output: object) -> None:
        """A forward hook after all others."""
        if get_ident() != self._gate.thread or self._hooks is None:
            return
        if sys._getframe(1) is self._outermost:
            self._outermost = None
            self.recording = self._hooks.finish()


def _is_running(frame: FrameType) -> bool:
    """Whether a frame is on this thread's stack."""
    there: FrameType | None = sys._getframe(1)
    while there is not None and there is not frame:
        there = there.f_back
    return there is not None
