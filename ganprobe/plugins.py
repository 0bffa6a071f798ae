"""Plugins: found by entry point, loaded one by one, so that a broken one harms only itself.

Each entry point of the group ``ganprobe`` is imported, registered with pluggy, checked against
the known hooks and asked for what it offers. When any of that fails the plugin is taken out
again and its record says why. Costs the import of every plugin, once a process.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Literal, NamedTuple

import pluggy

from ganprobe import hookspecs
from ganprobe.analysis import Analysis
from ganprobe.errors import PluginError, line_of_plugin
from ganprobe.loaders import GeneratorLoader
from ganprobe.measures import Measure
from ganprobe.params import Params
from ganprobe.segmenters import AREA, Segmenter, check_segmenter

__all__ = ["PluginRecord", "discover", "plugins"]

ENTRY_POINT_GROUP = "ganprobe"
DISABLE_VARIABLE = "GANPROBE_DISABLE_PLUGINS"
RESERVED_FLAGS = frozenset(
    {"generator", "output", "seed", "device", "force", "help", "activations", "normalisation"}
)
"""Names that the command line gives to every analysis itself."""

_SEGMENTER_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class PluginRecord:
    """One plugin: where it comes from, whether it loaded, and what it offers.

    Args:
        name: of its entry point.
        module: that the entry point names.
        distribution: that brings it, with its version.
        state: ``loaded``, ``disabled`` (by the environment), or ``failed``.
        reason: why it is not loaded.
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


@functools.cache
def plugins() -> tuple[PluginRecord, ...]:
    """The records of all installed plugins, by name; discovered once a process."""
    return discover(entry_points(group=ENTRY_POINT_GROUP))


def discover(found: Iterable[EntryPoint]) -> tuple[PluginRecord, ...]:
    """Load plugins from entry points, sorted by name; failures are records, not exceptions."""
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    disabled = set(os.environ.get(DISABLE_VARIABLE, "").replace(" ", "").split(","))
    claims = _Claims()
    ordered = sorted(found, key=lambda point: (point.name, point.value))
    return tuple(_record(point, manager, claims, disabled) for point in ordered)


@dataclass
class _Claims:
    """Which plugin holds which name, so that a second claim fails instead of hiding the first."""

    holders: dict[tuple[str, str], str] = field(default_factory=dict)

    def check(self, plugin: str, names: list[tuple[str, str]]) -> None:
        for position, (kind, name) in enumerate(names):
            holder = self.holders.get((kind, name))
            if holder is None and (kind, name) in names[:position]:
                holder = plugin
            if holder is not None:
                raise PluginError(f"the {kind} name {name!r} is taken by plugin {holder!r}")

    def take(self, plugin: str, names: list[tuple[str, str]]) -> None:
        self.holders.update(dict.fromkeys(names, plugin))


def _record(
    point: EntryPoint, manager: pluggy.PluginManager, claims: _Claims, disabled: set[str]
) -> PluginRecord:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
    record = PluginRecord(point.name, point.value, distribution, "loaded")
    if disabled & {point.name, "all"}:
        return replace(record, state="disabled", reason=f"named in {DISABLE_VARIABLE}")
    if manager.has_plugin(point.name):
        reason = f"the plugin name {point.name!r} is taken"
        return replace(record, state="failed", reason=reason)
    try:
        offers = _load(point, manager, claims)
    except (Exception, SystemExit) as error:  # what a stranger's module does is its own affair
        registered = manager.get_plugin(point.name)
        if registered is not None:
            manager.unregister(registered)
        return replace(record, state="failed", reason=_reason(error, point.module))
    return replace(record, **offers._asdict())


class _Offers(NamedTuple):
    generators: tuple[GeneratorLoader, ...]
    analyses: tuple[type[Analysis[Any]], ...]
    measures: tuple[Measure, ...]
    segmenters: tuple[Segmenter, ...]

    def names(self) -> list[tuple[str, str]]:
        """(kind, name) of everything offered."""
        return [
            *(("generator", loader.name) for loader in self.generators),
            *(("analysis", analysis.name) for analysis in self.analyses),
            *(("measure", measure.name) for measure in self.measures),
            *(("segmenter", segmenter.name) for segmenter in self.segmenters),
        ]


def _load(point: EntryPoint, manager: pluggy.PluginManager, claims: _Claims) -> _Offers:
    plugin = point.load()
    _check_hook_names(plugin, manager)
    manager.register(plugin, name=point.name)
    offers = _Offers(
        generators=_ask(manager, plugin, "register_generators", _check_loader),
        analyses=_ask(manager, plugin, "register_analyses", _check_analysis),
        measures=_ask(manager, plugin, "register_measures", _check_measure),
        segmenters=_ask(manager, plugin, "register_segmenters", _check_segmenter),
    )
    names = offers.names()
    claims.check(point.name, names)
    claims.take(point.name, names)
    return offers


def _check_hook_names(plugin: ModuleType, manager: pluggy.PluginManager) -> None:
    """A function that is marked as a hook but has no hook's name would be silently ignored."""
    known = {name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction)}
    for name, member in inspect.getmembers(plugin, inspect.isfunction):
        if manager.parse_hookimpl_opts(plugin, name) is not None and name not in known:
            line = inspect.getsourcelines(member)[1]
            hooks = ", ".join(sorted(name for name in known if name.startswith("register_")))
            raise PluginError(f"no hook {name!r} (line {line}); hooks are: {hooks}")


def _ask(
    manager: pluggy.PluginManager,
    plugin: ModuleType,
    hook: str,
    check: Callable[[Any], None],
) -> tuple[Any, ...]:
    offered: list[object] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin is plugin:
            offered.extend(implementation.function())
    for offer in offered:
        check(offer)
    return tuple(offered)


def _check_loader(offer: object) -> None:
    if not isinstance(offer, GeneratorLoader):
        raise PluginError(f"register_generators gave {offer!r}, which is no GeneratorLoader")


def _check_analysis(offer: object) -> None:
    if not (isinstance(offer, type) and issubclass(offer, Analysis)):
        raise PluginError(f"register_analyses gave {offer!r}, which is no Analysis class")
    if inspect.isabstract(offer):
        raise PluginError(f"analysis {offer.__name__} does not define run")
    _check_attributes(offer, offer.__name__, {"name": str, "summary": str})
    params = getattr(offer, "Params", None)
    if not (isinstance(params, type) and issubclass(params, Params)):
        raise PluginError(f"analysis {offer.__name__} needs a class Params, got {params!r}")
    if taken := sorted(RESERVED_FLAGS & params.model_fields.keys()):
        raise PluginError(f"analysis {offer.__name__} has a parameter {taken[0]!r}, which is ours")


def _check_measure(offer: object) -> None:
    if not isinstance(offer, Measure):
        raise PluginError(f"register_measures gave {offer!r}, which is no Measure")
    kinds = {"name": str, "summary": str, "columns": tuple}
    _check_attributes(offer, type(offer).__name__, kinds)
    if offer.name.startswith(AREA):
        raise PluginError(f"measure {offer.name!r} starts with {AREA!r}, which is ours")


def _check_segmenter(offer: object) -> None:
    if not isinstance(offer, Segmenter):
        raise PluginError(f"register_segmenters gave {offer!r}, which is no Segmenter")
    check_segmenter(offer)
    if not _SEGMENTER_NAME.fullmatch(offer.name):
        raise PluginError(
            f"segmenter {offer.name!r} has more in its name than letters, digits, - and _; its"
            " argument comes behind a colon, its class behind = or a dot"
        )


def _check_attributes(offer: object, spoken: str, kinds: Mapping[str, type]) -> None:
    for name, kind in kinds.items():
        if not isinstance(getattr(offer, name, None), kind):
            raise PluginError(f"{spoken} needs an attribute {name!r}, a {kind.__name__}")


def _reason(error: BaseException, module: str) -> str:
    """What went wrong in one line, with the line of the plugin's own file that was running."""
    kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}{line_of_plugin(error, module)}".split())
