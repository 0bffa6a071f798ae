"""Generators in a file: weights with a factory, archives, and pickles."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ganprobe.errors import UsageError
from ganprobe.loading.assembly import Parts
from ganprobe.loading.description import DESCRIPTION_FILE, Description, read_description
from ganprobe.loading.factory_parts import named_factory, parts_of_factory
from ganprobe.loading.task import Task
from ganprobe.weight_files import (
    FileKind,
    code_on_path,
    file_kind,
    is_nvidia,
    read_module,
    read_nvidia,
)

__all__ = ["parts_of_file"]

_TENSORS_ALONE = ("safetensors", "index")


def parts_of_file(task: Task, path: Path, description: Description | None = None) -> Parts:
    """The parts of a generator whose file this is.

    Args:
        description: None: that beside the file, if there is one.

    Raises:
        UsageError: it holds weights alone, and no factory is named; there is no such file.
        WeightsError: it is no file of weights or modules.
        UntrustedError: it would execute code.
    """
    if task.options.weights not in (None, path):
        raise UsageError(
            f"{path} holds weights itself, and --weights gives others; leave one of them out"
        )
    kind = file_kind(path)
    said = _beside(task, path) if description is None else description
    name = path.stem
    if kind in ("torchscript", "export"):
        task.refuse(f"{path}, an archive,", "factory", "arguments", "weights_key")
        return _of_archive(task, path, kind, name, said)
    if kind == "pickle" and is_nvidia(path):
        task.refuse(f"{path}, a pickle with its code,", "factory", "arguments")
        return _of_nvidia(task, path, name, said)
    code = named_factory(task, said)
    if code is not None:
        return parts_of_factory(task, code, name, description=said, weights=path)
    if kind in _TENSORS_ALONE or not _holds_code(path, kind):
        raise UsageError(
            f"{path} holds weights alone; name the code that makes their module with --factory"
            f" package.module:NAME or file.py:NAME, or in a {DESCRIPTION_FILE} beside it"
        )
    return _of_whole_module(task, path, name, said)


def _of_whole_module(task: Task, path: Path, name: str, description: Description) -> Parts:
    task.keep_file(path)
    key = task.options.weights_key or description.generator.weights_key
    reachable = nullcontext() if task.options.code is None else code_on_path(task.options.code)
    with reachable:
        module = read_module(path, trust=task.trust, key=key)
    return Parts(module, name, description)


def _beside(task: Task, path: Path) -> Description:
    file = path.parent / DESCRIPTION_FILE
    if not file.is_file():
        return Description()
    task.keep_file(file)
    return read_description(file)


def _of_archive(
    task: Task, path: Path, kind: FileKind, name: str, description: Description
) -> Parts:
    from ganprobe import archives

    task.keep_file(path)
    load = archives.load_export if kind == "export" else archives.load_torchscript
    module = load(path, trust=task.trust)
    shapes = archives.input_shapes(module)
    shape = tuple(n for n in shapes[0][1:] if n is not None) if shapes else ()
    is_known = bool(shape) and len(shape) == len(shapes[0]) - 1
    return Parts(
        module, name, description, latent_shape=shape if is_known else None, said_by="the archive"
    )


def _of_nvidia(task: Task, path: Path, name: str, description: Description) -> Parts:
    task.keep_file(path)
    written = description.generator.code
    code = task.options.code or (None if written is None else description.path(written))
    key = task.options.weights_key or description.generator.weights_key or "G_ema"
    module = read_nvidia(path, code=code, trust=task.trust, key=key)
    task.record["code"] = None if code is None else str(code)
    return Parts(module, name, description)


def _holds_code(path: Path, kind: FileKind) -> bool:
    """Whether it names classes, so that it may hold a whole module."""
    from ganprobe.weight_files.pytorch_files import code_in

    return bool(code_in(path, kind))
