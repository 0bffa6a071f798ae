"""Scaffolds: a plugin of one's own to begin with, which works as it is.

`new_plugin` writes a small distribution: a module with one analysis, generator, measure or
segmenter, the tests that all of its kind pass, and a ``pyproject.toml``. The texts are Jinja
templates, in ``templates``.
"""

from __future__ import annotations

from ganprobe.scaffold.names import KINDS, Kind, PluginNames
from ganprobe.scaffold.writing import NewPlugin, new_plugin

__all__ = ["KINDS", "Kind", "NewPlugin", "PluginNames", "new_plugin"]
