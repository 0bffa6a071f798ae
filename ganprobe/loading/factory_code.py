"""Code of factories: where it lies, whether it may run, and running it.

What a user names on the command line runs, as with ``python file.py``. What a description file
names is somebody else's choice: only a class of an installed package runs without being trusted,
and where the code lies is found out without importing anything.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

from torch import nn

from ganprobe.errors import (
    FactoryError,
    GanprobeError,
    UnknownNameError,
    UsageError,
    line_of_plugin,
)
from ganprobe.loading.specs import CodeSpec
from ganprobe.weight_files import Trust, code_on_path, sha256_of

__all__ = ["FactoryCode", "import_described", "import_typed", "running"]

_OF_THE_NETWORK = (URLError, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class FactoryCode:
    """A factory that was imported.

    Args:
        factory: to be called.
        spec: that named it.
        module: its name while it runs.
        file: of its module, where it has one.
        folder: in which its own imports are looked for, beside the usual places.
    """

    factory: Any
    spec: CodeSpec
    module: str
    file: Path | None
    folder: Path | None

    @property
    def is_own(self) -> bool:
        """Whether it is a file or of a folder, rather than of an installed package."""
        return self.spec.file is not None or self.folder is not None


def import_typed(spec: CodeSpec) -> FactoryCode:
    """The factory that a user named: its code runs.

    A module is looked for in the current folder, too.

    Raises:
        UnknownNameError: there is no such module, or no such name in it.
        FactoryError: its code raised.
    """
    if spec.file is not None:
        return _imported(spec, spec.file.parent)
    is_elsewhere = importlib.util.find_spec(spec.module.partition(".")[0]) is not None
    return _imported(spec, None if is_elsewhere else Path())


def import_described(spec: CodeSpec, folder: Path, trust: Trust) -> FactoryCode:
    """The factory that a description file in `folder` names; only what is trusted runs.

    Raises:
        UntrustedError: it is code of the folder, or no class of an installed package.
        UnknownNameError, FactoryError: as `import_typed`.
    """
    own = _own_code(spec, folder)
    if own is not None:
        trust.require(own, f"is code that the description in {folder} names: {spec}")
        return _imported(spec, folder)
    if "__main__" in spec.module.split("."):
        raise UsageError(f"{spec} is a program, which a description cannot name as a factory")
    found = _imported(spec, None)
    if not (inspect.isclass(found.factory) and issubclass(found.factory, nn.Module)):
        if found.file is None:
            raise UsageError(f"{spec}, which the description in {folder} names, makes no module")
        why = f"holds {spec}, named by the description in {folder}, which is no class of modules"
        trust.require(found.file, why)
    return found


@contextmanager
def running(code: FactoryCode, what: str) -> Iterator[None]:
    """While a factory's code runs: its folder is importable, its errors are one sentence.

    What it prints goes to standard error, so that it does not get into a command's output.

    Raises:
        FactoryError: it raised; with the line in its file.
    """
    reachable = nullcontext() if code.folder is None else code_on_path(code.folder)
    with reachable, redirect_stdout(sys.stderr):
        try:
            yield
        except GanprobeError:
            raise
        except (Exception, SystemExit) as error:  # what a stranger's code does is its own affair
            told = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
            where = line_of_plugin(error, code.module)
            if isinstance(error, _OF_THE_NETWORK):
                told += "; it wants to fetch something, and there is no way to that"
            raise FactoryError(f"{what} raised {type(error).__name__}: {told}{where}") from error


def _name_of(file: Path) -> str:
    """The name under which a file's module is known while it runs."""
    return f"_ganprobe_file_{sha256_of(file)[:12]}_{file.stem}"


def _imported(spec: CodeSpec, folder: Path | None) -> FactoryCode:
    name = _name_of(spec.file) if spec.file else spec.module
    pending = FactoryCode(None, spec, name, spec.file, folder)
    with running(pending, f"importing {spec.file or spec.module}"):
        module = _run_file(spec.file, name) if spec.file else _import_module(name, folder)
    written = getattr(module, "__file__", None)
    file = Path(written) if written and spec.file is None else spec.file
    return replace(pending, factory=_attribute(module, spec), file=file)


def _import_module(name: str, folder: Path | None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        where = "" if folder is None else ", neither installed nor in the folder it is named from"
        raise UsageError(
            f"no module {error.name!r}{where}; a file is named with its ending:"
            " path/to/file.py:NAME"
        ) from error


def _run_file(file: Path, name: str) -> ModuleType:
    """The module of a file, made anew each time."""
    found = importlib.util.spec_from_file_location(name, file)
    assert found is not None  # it ends in .py
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickle look for it there
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _attribute(module: ModuleType, spec: CodeSpec) -> Any:
    found: Any = module
    for name in spec.attribute.split("."):
        if not hasattr(found, name):
            where = str(spec.file or spec.module)
            known = [name for name, held in vars(found).items() if _is_offered(name, held, found)]
            raise UnknownNameError("factory", spec.attribute, known, where=where)
        found = getattr(found, name)
    if not callable(found):
        raise UsageError(
            f"{spec} is of type {type(found).__name__} and makes nothing; name a function"
        )
    return found


def _is_offered(name: str, held: object, home: object) -> bool:
    own = getattr(home, "__name__", "")
    is_its_own = getattr(held, "__module__", own) == own
    return callable(held) and not name.startswith("_") and is_its_own


def _own_code(spec: CodeSpec, folder: Path) -> Path | None:
    """The code that a description brings along or finds in the current folder; None: installed."""
    if spec.file is not None:
        return spec.file
    top = spec.module.partition(".")[0]
    if _is_installed(top, folder):
        return None
    found = PathFinder.find_spec(top, [str(folder.resolve()), str(Path.cwd()), *sys.path])
    if found is None:
        raise UsageError(
            f"no module {top!r}, which {spec} is to be found in: it is neither installed nor in"
            f" {folder}"
        )
    return _file_of(found, spec)


def _file_of(found: ModuleSpec, spec: CodeSpec) -> Path:
    """The file of a module that was found but not imported."""
    if found.origin is None or not Path(found.origin).is_file():
        raise UsageError(
            f"{spec} is in a folder without __init__.py, parts of which may lie anywhere; name the"
            " file: path/to/file.py:NAME"
        )
    inner = Path(found.origin).parent.joinpath(*spec.module.split(".")[1:])
    candidates = (inner.with_suffix(".py"), inner / "__init__.py")
    return next((file for file in candidates if file.is_file()), Path(found.origin))


def _is_installed(top: str, folder: Path) -> bool:
    """Whether a module is there without the model's and the current folder; imports nothing."""
    found = next(filter(None, (_found_by(finder, top, folder) for finder in sys.meta_path)), None)
    if found is None or found.origin is None:
        return False
    if not found.has_location:  # built in
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    is_another = file is not None and Path(file).resolve() != Path(found.origin).resolve()
    return not is_another and not _is_inside(Path(found.origin), folder)


def _found_by(finder: Any, top: str, folder: Path) -> ModuleSpec | None:
    allowed = [entry for entry in sys.path if _is_of_installed(entry, folder)]
    found: ModuleSpec | None = finder.find_spec(top, allowed if finder is PathFinder else None)
    return found


def _is_of_installed(entry: str, folder: Path) -> bool:
    is_current = not entry or Path(entry).resolve() == Path.cwd().resolve()
    return not is_current and not _is_inside(Path(entry), folder)


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
