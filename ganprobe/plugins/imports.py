"""Imports of a plugin: what it does meanwhile stays its own.

What it prints goes to standard error, so that ``--json`` stays JSON. What it warns of is kept
where the plugin's author can do something about it. Folders that it adds to ``sys.path`` come
last, where they hide nobody's modules; torch's settings and the working folder are put back, and
so are names of ganprobe that it replaced, which it then fails of.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ganprobe.errors import PluginError
from ganprobe.plugins.record import Deprecation
from ganprobe.surroundings import Surroundings

__all__ = ["Watched", "watched"]

_OWN_FOLDER = Path(__file__).parents[1]
_DEPRECATIONS = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)


@dataclass
class Watched:
    """What a plugin did while it was watched."""

    deprecations: list[Deprecation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def watched(package: str, seen: Watched) -> Iterator[None]:
    """Watch what the modules of a package do, undo what reaches into others, and add it to `seen`.

    Raises:
        PluginError: it replaced names of ganprobe; they are back.
    """
    surroundings, path, names = Surroundings.now(), list(sys.path), _Names.now()
    try:
        with contextlib.redirect_stdout(sys.stderr), _warnings_kept(package, seen):
            yield
    finally:
        seen.notes += [f"{what} was changed, and put back" for what in surroundings.put_back()]
        seen.notes += _put_last(path)
        replaced = names.put_back()
    if replaced:
        raise PluginError(f"it replaced {', '.join(replaced)}, which was put back")


@contextlib.contextmanager
def _warnings_kept(package: str, seen: Watched) -> Iterator[None]:
    def keep(message: Warning | str, category: type[Warning], filename: str, *_: object) -> None:
        line = _line_running(package)
        is_ours = Path(filename).is_relative_to(_OWN_FOLDER)
        if not line or not (is_ours or filename == line.rpartition(":")[0]):
            return  # somebody else's, which the plugin's author cannot mend
        if issubclass(category, _DEPRECATIONS):
            seen.deprecations.append(Deprecation(" ".join(str(message).split()), line))
        else:
            seen.notes.append(f"{category.__name__}: {' '.join(str(message).split())} ({line})")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = keep  # type: ignore[assignment]
        yield


def _line_running(package: str) -> str:
    """``file:line`` of the innermost frame of the package, or ""."""
    for frame, line in traceback.walk_stack(None):
        if str(frame.f_globals.get("__name__", "")).split(".")[0] == package:
            return f"{frame.f_code.co_filename}:{line}"
    return ""


def _put_last(before: list[str]) -> list[str]:
    """Put folders that were added to ``sys.path`` behind all others, and those back that went."""
    if sys.path == before:
        return []
    added = [folder for folder in sys.path if folder not in before]
    sys.path[:] = [*before, *added]
    return [f"sys.path was changed; {', '.join(map(str, added)) or 'nothing new'} comes last in it"]


@dataclass(frozen=True)
class _Names:
    """What the modules of ganprobe and their classes hold under each name."""

    held: list[tuple[str, Any, dict[str, Any]]]

    @classmethod
    def now(cls) -> _Names:
        modules = {
            name: module
            for name, module in sys.modules.items()
            if name.split(".")[0] == "ganprobe" and isinstance(module, ModuleType)
        }
        held: list[tuple[str, Any, dict[str, Any]]] = [
            (name, module, dict(vars(module))) for name, module in modules.items()
        ]
        for module_name, _, names in list(held):
            for name, value in names.items():
                if isinstance(value, type) and value.__module__ == module_name:
                    own = {key: one for key, one in vars(value).items() if _is_code(one)}
                    held.append((f"{module_name}.{name}", value, own))
        return cls(held)

    def put_back(self) -> list[str]:
        """Put back what was replaced, and name it."""
        replaced = []
        for home, holder, names in self.held:
            now = vars(holder)
            for name, value in names.items():
                if now.get(name) is not value and name != "__warningregistry__":
                    setattr(holder, name, value)
                    replaced.append(f"{home}.{name}")
        return replaced


def _is_code(value: object) -> bool:
    return isinstance(value, FunctionType | classmethod | staticmethod | property)
