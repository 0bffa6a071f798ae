"""Discovery: the installed plugins, each loaded by itself."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any

import pluggy

from ganprobe import hookspecs
from ganprobe.errors import PluginError, interruption_in, line_of_plugin, nearest_names
from ganprobe.plugins.hooks import find_hooks, offers_of
from ganprobe.plugins.imports import Watched, watched
from ganprobe.plugins.offers import Claims
from ganprobe.plugins.record import PluginRecord
from ganprobe.plugins.versions import missing_name, needed_ganprobe, refuse_other_version

__all__ = [
    "DISABLE_VARIABLE",
    "STRICT_VARIABLE",
    "discover",
    "installed_plugins",
    "plugins",
    "refuse_failed_plugins",
    "unknown_disabled",
]

ENTRY_POINT_GROUP = "ganprobe"
DISABLE_VARIABLE = "GANPROBE_DISABLE_PLUGINS"
"""Names of plugins that are not to be loaded, with commas between; ``all``: none is."""
STRICT_VARIABLE = "GANPROBE_STRICT_PLUGINS"
"""1: a plugin that failed lets everything fail."""

_MOST_LETTERS = 600  # of a reason
_LINE = re.compile(r":\d+\)")


def plugins() -> tuple[PluginRecord, ...]:
    """The records of all installed plugins, by name; discovered once a process.

    Raises:
        PluginError: one of them failed, and `STRICT_VARIABLE` is set; or a plugin asks for
            plugins while it is imported, when there are none yet.
    """
    records = installed_plugins()
    refuse_failed_plugins(records)
    return records


_IMPORTING: list[str] = []


def installed_plugins() -> tuple[PluginRecord, ...]:
    """As `plugins`, also where `STRICT_VARIABLE` is set."""
    if _IMPORTING:
        raise PluginError(
            f"plugin {_IMPORTING[-1]!r} asks for what plugins offer while it is imported, when not"
            " all of them are there; ask for it in a function"
        )
    return _installed()


@functools.cache
def _installed() -> tuple[PluginRecord, ...]:
    return discover(_entry_points())


def _entry_points() -> list[EntryPoint]:
    """All of the group; one distribution whose list cannot be read hides no other's."""
    try:
        return list(entry_points(group=ENTRY_POINT_GROUP))
    except Exception:
        return [point for one in distributions() for point in _entry_points_of(one)]


def _entry_points_of(distribution: Distribution) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
    except Exception:  # it is broken, and was so without ganprobe
        return []


def refuse_failed_plugins(records: Iterable[PluginRecord]) -> None:
    """Raise `PluginError` if one of them failed and `STRICT_VARIABLE` is set, saying why."""
    failed = [record for record in records if record.state == "failed"]
    if failed and os.environ.get(STRICT_VARIABLE, "0") not in ("", "0"):
        told = "; ".join(f"plugin {record.name!r} failed: {record.reason}" for record in failed)
        raise PluginError(f"{told} ({STRICT_VARIABLE} is set; without it all else would go on)")


def unknown_disabled() -> list[str]:
    """A sentence for each name in `DISABLE_VARIABLE` that no installed plugin has."""
    names = {point.name for point in _entry_points()}
    return [
        f"{DISABLE_VARIABLE} names {name!r}, which is no plugin; nearest:"
        f" {', '.join(nearest_names(name, names)) or 'none, there are no plugins'}"
        for name in sorted(_disabled() - names - {"all"})
    ]


def _disabled() -> set[str]:
    given = os.environ.get(DISABLE_VARIABLE, "")
    return {name.strip() for name in given.split(",") if name.strip()}


def discover(found: Iterable[EntryPoint]) -> tuple[PluginRecord, ...]:
    """Load plugins from entry points; failures are records, not exceptions.

    Those that come with ganprobe are first, so that nobody takes a name of theirs; then each by
    its name.

    Returns:
        The records, by name.
    """
    manager, claims, disabled = pluggy.PluginManager(ENTRY_POINT_GROUP), Claims(), _disabled()
    manager.add_hookspecs(hookspecs)
    ordered = sorted(found, key=lambda point: (not _is_ours(point), point.name, point.value))
    records = [
        _Loading(point, _begun(point)).finished(manager, claims, disabled) for point in ordered
    ]
    return tuple(sorted(records, key=lambda record: (record.name, record.module)))


def _is_ours(point: EntryPoint) -> bool:
    return _begun(point).distribution.partition(" ")[0] == ENTRY_POINT_GROUP


@dataclass
class _Loading:
    """One plugin on its way: its record so far, and what it did while it was watched."""

    point: EntryPoint
    record: PluginRecord
    seen: Watched = field(default_factory=Watched)

    def finished(
        self, manager: pluggy.PluginManager, claims: Claims, disabled: set[str]
    ) -> PluginRecord:
        """Load it, and tell what became of it."""
        if disabled & {self.point.name, "all"}:
            return replace(self.record, state="disabled", reason=f"named in {DISABLE_VARIABLE}")
        try:
            self._carry_out(manager, claims)
        except BaseException as error:
            if (ended := interruption_in(error)) is not None:
                raise ended from None
            self._tell(state="failed", reason=_reason(error, self.record))
        self._tell(deprecations=tuple(self.seen.deprecations), notes=tuple(self.seen.notes))
        return self.record

    def _tell(self, **told: Any) -> None:
        self.record = replace(self.record, **told)

    def _carry_out(self, manager: pluggy.PluginManager, claims: Claims) -> None:
        name, record = self.point.name, self.record
        claims.check(record.spoken, [("plugin", name)])
        claims.take(record.spoken, [("plugin", name)])
        self._tell(needs=needed_ganprobe(self.point.dist))
        refuse_other_version(self.record.needs, record.distribution)
        with watched(_package_of(self.point), self.seen):
            plugin = self._imported()
            if other := manager.get_name(plugin):
                raise PluginError(f"{record.module} is the plugin {other!r} already; name it once")
            hooks = find_hooks(plugin, manager)
            renamed = [hook.deprecation for hook in hooks if hook.deprecation is not None]
            self.seen.deprecations += renamed
            offers = offers_of(hooks)
        self._tell(claimed=offers.names())
        claims.check(record.spoken, offers.names())
        manager.register(plugin, name=name)
        claims.take(record.spoken, offers.names())
        self._tell(**offers._asdict())

    def _imported(self) -> Any:
        began = time.perf_counter()
        _IMPORTING.append(self.point.name)
        try:
            return self.point.load()
        finally:
            _IMPORTING.pop()
            self._tell(seconds=time.perf_counter() - began)


def _begun(point: EntryPoint) -> PluginRecord:
    try:
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
    except Exception:  # its metadata is broken
        distribution = "unknown"
    return PluginRecord(point.name, point.value, distribution, "loaded")


def _package_of(point: EntryPoint) -> str:
    return point.value.partition(":")[0].strip().split(".")[0]


def _reason(error: BaseException, record: PluginRecord) -> str:
    """What went wrong in one line, with the line of the plugin's own file that was running."""
    where = line_of_plugin(error, record.module.partition(":")[0].strip())
    if isinstance(error, PluginError):
        told = str(error)
        where = "" if _LINE.search(told) else where
    elif isinstance(error, ModuleNotFoundError) and error.name == record.module:
        told = f"its module {record.module!r} is not there; install {record.distribution} again"
    else:
        message = _message_of(error)
        told = missing_name(error, message, record.needs) or f"{type(error).__name__}: {message}"
    return " ".join(f"{told[:_MOST_LETTERS]}{where}".split())


def _message_of(error: BaseException) -> str:
    try:
        return error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:
        return "which cannot say what it is"
