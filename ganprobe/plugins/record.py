"""Records: what became of one plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ganprobe.analysis import Analysis
from ganprobe.loaders import GeneratorLoader
from ganprobe.measures import Measure
from ganprobe.segmenters import Segmenter

__all__ = ["Deprecation", "PluginRecord"]


@dataclass(frozen=True)
class Deprecation:
    """Something that a plugin uses and that will be gone.

    Args:
        message: what, and what to use instead.
        where: ``file:line`` of the plugin, or "".
    """

    message: str
    where: str

    def __str__(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message


@dataclass(frozen=True)
class PluginRecord:
    """One plugin: where it comes from, whether it loaded, and what it offers.

    Args:
        name: of its entry point.
        module: that the entry point names.
        distribution: that brings it, with its version.
        state: ``loaded``, ``disabled`` (by the environment), or ``failed``.
        reason: why it is not loaded.
        needs: which ganprobe its distribution asks for, as ``ganprobe>=0.1``; "": any.
        seconds: that importing it took, with what it imports first.
        deprecations: what it uses that will be gone.
        notes: what it did while it was imported, and what became of that.
        claimed: (kind, name) of all that it would offer, also where it failed after saying so.
    """

    name: str
    module: str
    distribution: str
    state: Literal["loaded", "disabled", "failed"]
    reason: str = ""
    generators: tuple[GeneratorLoader, ...] = ()
    analyses: tuple[type[Analysis[Any]], ...] = ()
    measures: tuple[Measure, ...] = ()
    segmenters: tuple[Segmenter, ...] = ()
    needs: str = ""
    seconds: float = field(default=0.0, compare=False)
    deprecations: tuple[Deprecation, ...] = ()
    notes: tuple[str, ...] = ()
    claimed: tuple[tuple[str, str], ...] = ()

    @property
    def spoken(self) -> str:
        """As it is called in messages: ``plugin 'zoo' (ganprobe 0.1.0)``."""
        return f"plugin {self.name!r} ({self.distribution})"
