"""What a factory makes, with its weights, as the parts of a generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ganprobe.loading.assembly import Parts
from ganprobe.loading.description import Description
from ganprobe.loading.factories import call_factory, part_of
from ganprobe.loading.factory_code import FactoryCode, import_described, import_typed
from ganprobe.loading.specs import parse_factory
from ganprobe.loading.task import Task, plain

__all__ = ["named_factory", "parts_of_factory"]


def named_factory(task: Task, description: Description) -> FactoryCode | None:
    """The factory that the user gave, or else the description names; None: neither does.

    Raises:
        UntrustedError: the description names code that nobody has said may run.
        UnknownNameError, FactoryError: as `import_typed`.
    """
    if task.options.factory is not None:
        return import_typed(parse_factory(task.options.factory))
    if description.generator.factory is None:
        return None
    spec = parse_factory(description.generator.factory, description.folder)
    return import_described(spec, description.folder, task.trust)


def parts_of_factory(
    task: Task,
    code: FactoryCode,
    name: str,
    *,
    description: Description | None = None,
    arguments: Mapping[str, object] | None = None,
    weights: Path | None = None,
) -> Parts:
    """Call a factory, take the part that was asked for, and fit the weights.

    Args:
        arguments: ahead of those that the user gave; None: those of the description.
        weights: None: what the user or the description gave, if anything.

    Raises:
        ParameterError, UnknownNameError: an argument, or the part, is wrong.
        FactoryError: the factory raised, or made no module.
        WeightsError: the weights cannot be read, or do not fit.
    """
    said = description or Description()
    given = {**(said.arguments if arguments is None else arguments), **task.options.arguments}
    _record(task, code, given)
    whole = call_factory(code, given)
    made = part_of(whole, task.options.part or said.generator.part, str(code.spec))
    path = weights or task.options.weights or _described(said)
    if path is not None:
        task.fit(whole, made, path, task.options.weights_key or said.generator.weights_key)
    elif isinstance(made, nn.Module):
        task.refuse("a generator without --weights", "weights_key")
        task.notes.append(
            f"no weights were given: those that {code.spec} gives it are used, random ones of"
            " seed 0"
        )
    return Parts(made, name, said)


def _described(description: Description) -> Path | None:
    written = description.generator.weights
    return None if written is None else description.path(written)


def _record(task: Task, code: FactoryCode, arguments: Mapping[str, Any]) -> None:
    task.record["factory"] = str(code.spec)
    task.record["arguments"] = {name: plain(value) for name, value in arguments.items()}
    if code.is_own and code.file is not None:
        task.keep_file(code.file)
        digest = task.files[str(code.file)]
        if not any(digest in told for told in task.trusted):
            task.notes.append(f"{code.spec} ran; SHA-256 {digest}")
