"""Sources: loading a generator from wherever a spec says that it is."""

from __future__ import annotations

from dataclasses import replace

import torch

from ganprobe.errors import PluginError, blaming
from ganprobe.generators import Generator
from ganprobe.loaders import GeneratorLoader
from ganprobe.loading.assembly import Parts, assemble
from ganprobe.loading.factories import checked_arguments
from ganprobe.loading.factory_code import import_typed
from ganprobe.loading.factory_parts import parts_of_factory
from ganprobe.loading.hugging_face import parts_of_hugging_face
from ganprobe.loading.model_files import parts_of_file
from ganprobe.loading.model_folders import parts_of_folder
from ganprobe.loading.options import LoadOptions
from ganprobe.loading.specs import (
    CodeSpec,
    FileSpec,
    FolderSpec,
    HuggingFaceSpec,
    RegisteredSpec,
    Spec,
    parse_spec,
)
from ganprobe.loading.task import Task
from ganprobe.loading.torch_hub import parts_of_hub
from ganprobe.plugins import plugins

__all__ = ["load_spec"]


def load_spec(text: str, *, options: LoadOptions | None = None) -> Generator:
    """The generator that a user means, in eval mode, with what was found out in its notes.

    Raises:
        UnknownNameError: there is nothing of that name; names the nearest.
        UsageError: something has to be given that was not; `UntrustedError`, code would run that
            nobody has said may.
        WeightsError: a file of weights cannot be read, or does not fit.
        FactoryError, PluginError: the code that makes it raised.
        ForwardError: its module raised, or returned no images.

    Example:
        >>> load_spec("digits").name
        'digits'
    """
    loaders = {loader.name: loader for plugin in plugins() for loader in plugin.generators}
    spec = parse_spec(text, loaders)
    task = Task(text, options or LoadOptions())
    if isinstance(spec, RegisteredSpec):
        parts = _registered(task, loaders[spec.name])
    else:
        parts = _parts(task, spec)
    generator = assemble(replace(parts, notes=(*parts.notes, *task.notes)), task.options)
    return replace(generator, source={**generator.source, **task.to_json()})


def _parts(task: Task, spec: Spec) -> Parts:
    if isinstance(spec, CodeSpec):
        task.refuse("a factory that is the generator", "factory")
        return parts_of_factory(task, import_typed(spec), spec.attribute.partition(".")[0])
    if isinstance(spec, FileSpec):
        return parts_of_file(task, spec.path)
    if isinstance(spec, FolderSpec):
        return parts_of_folder(task, spec.path)
    if isinstance(spec, HuggingFaceSpec):
        return parts_of_hugging_face(task, spec)
    assert not isinstance(spec, RegisteredSpec)
    return parts_of_hub(task, spec)


def _registered(task: Task, loader: GeneratorLoader) -> Parts:
    """What a plugin's loader makes, with the arguments and weights that the user gave."""
    task.refuse(f"generator {loader.name!r}", "factory")
    arguments = checked_arguments(loader.make, task.options.arguments, loader.name)
    home = getattr(loader.make, "__module__", "")
    with (
        blaming(f"loading generator {loader.name!r}", home),
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(0)
        made: object = loader.make(**arguments)
    if not isinstance(made, Generator):
        raise PluginError(
            f"loading generator {loader.name!r} gave a {type(made).__name__}, which is no Generator"
        )
    if arguments:
        task.record["arguments"] = dict(task.options.arguments)
    if task.options.weights is not None:
        task.fit(None, made, task.options.weights, task.options.weights_key)
    return Parts(made, loader.name)
