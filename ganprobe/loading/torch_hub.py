"""Entries of torch.hub: functions of a repository's or a folder's ``hubconf.py``.

``hubconf.py`` is code, which runs only where trust was given, after its SHA-256 was said.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from ganprobe.errors import UntrustedError, UsageError, WeightsError
from ganprobe.loading.assembly import Parts
from ganprobe.loading.factory_code import import_typed
from ganprobe.loading.factory_parts import parts_of_factory
from ganprobe.loading.specs import CodeSpec, TorchHubSpec
from ganprobe.loading.task import Task

__all__ = ["parts_of_hub"]

HUBCONF = "hubconf.py"


def parts_of_hub(task: Task, spec: TorchHubSpec) -> Parts:
    """The parts of the generator that an entry makes, with the arguments that the user gave.

    Raises:
        UntrustedError: nobody has said that its code may run.
        WeightsError: the repository cannot be fetched.
        UsageError: a package that it needs is missing; `UnknownNameError`, no such entry.
        FactoryError: it raised.
    """
    task.refuse("torch.hub", "factory")
    folder = Path(spec.repository) if spec.is_local else _fetched(task, spec)
    file = folder / HUBCONF
    if not file.is_file():
        raise UsageError(
            f"{spec.repository} has no {HUBCONF}, which names the entries of torch.hub"
        )
    task.trust.require(file, f"is code that makes the entry {spec.entry!r} of torch.hub")
    code = import_typed(CodeSpec(spec.entry, file=file))
    _check_dependencies(code.factory, spec)
    return parts_of_factory(task, code, spec.entry)


def _fetched(task: Task, spec: TorchHubSpec) -> Path:
    """The repository's folder in torch's cache, fetched if it is not there; nothing of it runs."""
    if not task.trust.is_given:
        raise UntrustedError(
            f"hub:{spec.repository} would be fetched and its {HUBCONF} run, which is code; if you"
            " trust where it comes from, say so with --trust (in Python: trust=True)"
        )
    fetch: Any = torch.hub._get_cache_or_reload  # torch.hub.load would run it at once
    known = {
        "github": spec.repository,
        "force_reload": False,
        "trust_repo": True,
        "calling_fn": "load",
        "verbose": False,
        "skip_validation": False,
    }
    taken = inspect.signature(fetch).parameters
    try:
        with redirect_stdout(sys.stderr):
            return Path(fetch(**{name: value for name, value in known.items() if name in taken}))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        told = " ".join(str(error).split())
        raise WeightsError(
            f"hub:{spec.repository} is not in {torch.hub.get_dir()} and cannot be fetched: {told};"
            " without a network, clone it elsewhere and write hub:FOLDER:" + spec.entry
        ) from error


def _check_dependencies(factory: Any, spec: TorchHubSpec) -> None:
    """Raise if a package is missing that hubconf.py says it needs."""
    needed = getattr(sys.modules.get(factory.__module__), "dependencies", None) or []
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"hub:{spec.repository} needs {', '.join(missing)}, which is not installed; pip install"
            " it first"
        )
