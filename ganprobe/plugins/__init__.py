"""Plugins: found by entry point, loaded one by one, so that a broken one harms only itself.

Each entry point of the group ``ganprobe`` is asked which ganprobe it needs, imported, checked
against the known hooks, registered with pluggy and asked for what it offers. When any of that
fails the plugin is taken out again and its record says why. Costs the import of every plugin, once
a process.
"""

from __future__ import annotations

from ganprobe.plugins.discovery import (
    DISABLE_VARIABLE,
    STRICT_VARIABLE,
    discover,
    installed_plugins,
    plugins,
    refuse_failed_plugins,
    unknown_disabled,
)
from ganprobe.plugins.offers import RESERVED_FLAGS
from ganprobe.plugins.record import Deprecation, PluginRecord

__all__ = [
    "DISABLE_VARIABLE",
    "RESERVED_FLAGS",
    "STRICT_VARIABLE",
    "Deprecation",
    "PluginRecord",
    "discover",
    "installed_plugins",
    "plugins",
    "refuse_failed_plugins",
    "unknown_disabled",
]
