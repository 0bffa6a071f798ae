"""The hooks that a plugin may implement, each returning a list.

A plugin is a module named in the entry-point group ``ganprobe``; it marks its functions with
`hookimpl`. Importing a plugin should be cheap: import torch inside the functions that need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pluggy

from ganprobe.analysis import Analysis
from ganprobe.loaders import GeneratorLoader
from ganprobe.measures import Measure
from ganprobe.segmenters import Segmenter

__all__ = ["RENAMED", "Renamed", "hookimpl"]

hookspec = pluggy.HookspecMarker("ganprobe")
hookimpl = pluggy.HookimplMarker("ganprobe")
"""Marks a plugin's implementation of a hook."""


class Renamed(NamedTuple):
    """What a hook is called now, and the version of ganprobe in which its older name is gone."""

    name: str
    gone_in: str


RENAMED: Mapping[str, Renamed] = {}
"""Older names of hooks, which still work, for one release, and are listed as deprecated."""


@hookspec
def register_generators() -> Sequence[GeneratorLoader]:
    """Generators that can be loaded by name; none is built before it is asked for."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_analyses() -> Sequence[type[Analysis[Any]]]:
    """Classes of analyses, run as ``ganprobe run NAME GENERATOR``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_measures() -> Sequence[Measure]:
    """Measures, which any analysis can use by name."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_segmenters() -> Sequence[Segmenter]:
    """Segmenters, which any analysis can use by name: ``scenes``, ``luminance:5``."""
    raise AssertionError("a hook specification is never called")
