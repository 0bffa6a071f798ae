"""Code folders: clones of somebody's repository, importable only while something is loaded.

A repository that is no package (``dnnlib`` and ``torch_utils`` of NVIDIA's) is put at the front
of ``sys.path`` for a while. Two such clones may hold modules of one name: each load sees those of
its own folder, and what the program had imported before under these names is put back.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from ganprobe.errors import UsageError

__all__ = ["code_on_path"]


@contextmanager
def code_on_path(folder: Path | str) -> Iterator[None]:
    """While it is entered, modules of `folder` are imported before any others of their names.

    Afterwards ``sys.path`` is as it was. Modules of the folder that were imported meanwhile stay
    in ``sys.modules``, so that a forward may import from them, unless the program had others of
    the same names: then those are there again. What functions of these modules import from the
    folder only as they run is imported at the end, while it can be found. If what is done
    meanwhile raises, nothing of the folder stays.

    Raises:
        UsageError: there is no such folder.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; give a clone of the code's repository")
    names = _importable(folder)
    others = _taken_out(names, folder)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    staying: frozenset[str] = frozenset()
    try:
        yield
        _import_what_comes_late(names, before)
        staying = names - {name.split(".")[0] for name in others}
    finally:
        with suppress(ValueError):  # whatever ran in between may have taken it out
            sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if name.split(".")[0] in names - staying:
                del sys.modules[name]
        sys.modules.update(others)


def _importable(folder: Path) -> frozenset[str]:
    """The names of the modules and packages at the top of a folder."""
    files = {path.stem for path in folder.glob("*.py")}
    folders = {path.name for path in folder.iterdir() if any(path.glob("*.py"))}
    return frozenset(name for name in files | folders if name.isidentifier())


def _taken_out(names: frozenset[str], folder: Path) -> dict[str, ModuleType]:
    """Take modules of these names that are not of `folder` out of ``sys.modules``."""
    found = {
        name: module
        for name, module in sys.modules.items()
        if name.split(".")[0] in names and not _is_of(module, folder)
    }
    for name in found:
        del sys.modules[name]
    return found


def _is_of(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", ()))
    return any(Path(place).resolve().is_relative_to(folder) for place in places)


def _import_what_comes_late(names: frozenset[str], before: set[str]) -> None:
    """Import what functions of the modules that have come since `before` import as they run."""
    seen = set(before)
    while fresh := sorted(name for name in set(sys.modules) - seen if name.split(".")[0] in names):
        seen.update(fresh)
        for wanted in [one for name in fresh for one in _imported_by(sys.modules[name])]:
            if wanted.split(".")[0] in names and wanted not in sys.modules:
                with suppress(Exception):  # what cannot be had is told when a forward needs it
                    importlib.import_module(wanted)


def _imported_by(module: ModuleType) -> Iterator[str]:
    """Absolute names of what a module's source imports anywhere."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with suppress(ImportError):  # beyond the top of its package
                written = "." * node.level + (node.module or "")
                head = importlib.util.resolve_name(written, module.__package__)
                yield head
                yield from (f"{head}.{alias.name}" for alias in node.names)
