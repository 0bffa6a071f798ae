"""Generators in a folder: one that describes itself, or in the layout of Hugging Face."""

from __future__ import annotations

from pathlib import Path

from ganprobe.errors import UsageError
from ganprobe.loading.assembly import Parts
from ganprobe.loading.description import DESCRIPTION_FILE, Description, read_description
from ganprobe.loading.factory_parts import named_factory, parts_of_factory
from ganprobe.loading.model_files import parts_of_file
from ganprobe.loading.task import Task

__all__ = ["parts_of_description", "parts_of_folder"]


def parts_of_folder(task: Task, path: Path, name: str | None = None) -> Parts:
    """The parts of a generator whose folder, or description file, this is.

    Args:
        name: of the generator; None: that of the folder.

    Raises:
        UsageError: it has neither a description nor a layout that is known; says what is there.
        As `parts_of_file`.
    """
    folder = path if path.is_dir() else path.parent
    name = name or folder.resolve().name
    if path.is_file() or (path / DESCRIPTION_FILE).is_file():
        description = read_description(path)
        assert description.file is not None
        task.keep_file(description.file)
        return parts_of_description(task, description, name)
    from ganprobe.loading.hugging_face import parts_of_layout

    return parts_of_layout(task, folder, name)


def parts_of_description(task: Task, description: Description, name: str) -> Parts:
    """The parts of what a description says under ``[generator]``.

    Raises:
        UsageError: it says too little.
        As `parts_of_file` and `parts_of_factory`.
    """
    code = named_factory(task, description)
    if code is not None:
        return parts_of_factory(task, code, name, description=description)
    written = description.generator.weights
    weights = task.options.weights or (None if written is None else description.path(written))
    if weights is not None:
        return parts_of_file(task, weights, description)
    if (description.folder / "config.json").is_file():
        from ganprobe.loading.hugging_face import parts_of_layout

        return parts_of_layout(task, description.folder, name, description)
    what = "describes a measure and no generator" if description.measure else "names no generator"
    raise UsageError(
        f"{description.file} {what}; under [generator] say factory = ..., or weights = ... of an"
        " archive"
    )
