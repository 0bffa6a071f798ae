"""Trials: calling a module with a few latents, to see whether it takes them and what it returns."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ganprobe.calls import Call
from ganprobe.classes import Classes
from ganprobe.errors import GanprobeError, UsageError
from ganprobe.generators import Generator
from ganprobe.latents import Latents, LatentSpace
from ganprobe.loading.method_module import MethodModule

__all__ = ["N_SAMPLES", "Called", "check_arguments", "placed_as"]

N_SAMPLES = 2
_LABEL_NAMES = frozenset(
    (
        *("y", "c", "label", "labels", "class_label", "class_labels", "class_id", "class_ids"),
        *("cls", "target", "classes", "cond", "condition"),
    )
)


@dataclass(frozen=True)
class Called:
    """A module and how it is called."""

    module: nn.Module
    call: Call | None
    classes: Classes | None
    name: str

    def arguments(self, space: LatentSpace) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the module is called with for the first samples of seed 0."""
        generator = Generator(self.name, self.module, space, call=self.call, classes=self.classes)
        return generator.arguments(placed_as(generator.sample(N_SAMPLES), self.module))

    def returned(self, space: LatentSpace) -> Any:
        """What the module returns for the first samples of seed 0, whatever that is.

        Noise that it draws comes from one seed, and gradients are not kept.
        """
        arguments, keywords = self.arguments(space)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            return self.module(*arguments, **keywords)

    def fault(self, space: LatentSpace) -> str | None:
        """What it raises on latents of this shape, in one line; None: nothing."""
        try:
            self.returned(space)
        except GanprobeError:
            raise
        except Exception as error:  # whatever a stranger's forward does with the wrong shape
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return None


def placed_as(latents: Latents, module: nn.Module) -> Latents:
    """The latents on the device and in the dtype of a module."""
    held = next((one for one in module.parameters() if one.is_floating_point()), None)
    return latents if held is None else latents.to(held.device, held.dtype)


def check_arguments(called: Called) -> None:
    """Raise if the module's forward needs more than it is called with.

    Raises:
        UsageError: names what it needs, and says how to give it.
    """
    if called.call is not None:
        return
    needed = _needed(called.module)
    if len(needed) <= (1 if called.classes is None else 2):
        return
    spoken = f"{_spoken(called.module)}({', '.join(needed)})"
    labels = [name for name in needed[1:] if name.lower() in _LABEL_NAMES]
    if len(needed) == 2 and labels:
        raise UsageError(
            f"{spoken} of {called.name} needs a class beside latents; say how many there are:"
            f" count = {_classes_embedded(called.module) or 10} under [classes] in ganprobe.toml"
            ' (arguments = ["$z", "$one-hot"] under [call] where it takes vectors)'
        )
    places = ['"$z"', *('"$label"' if name in labels else "..." for name in needed[1:])]
    raise UsageError(
        f"{spoken} of {called.name} needs more than latents; say what it is called with: arguments"
        f' = [{", ".join(places)}] under [call] in ganprobe.toml, where "$z" are the latents,'
        ' "$label" or "$one-hot" the class, "$truncation" the truncation, and all else as it is'
    )


def _needed(module: nn.Module) -> list[str]:
    """The arguments that a forward cannot do without."""
    written = module.model if isinstance(module, MethodModule) else module
    method = module.method if isinstance(module, MethodModule) else "forward"
    try:
        parameters = inspect.signature(getattr(written, method)).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        one.name
        for one in parameters
        if one.kind in (*positional, keyword) and one.default is one.empty
    ]


def _spoken(module: nn.Module) -> str:
    return module.method if isinstance(module, MethodModule) else "forward"


def _classes_embedded(module: nn.Module) -> int | None:
    counts = {one.num_embeddings for one in module.modules() if isinstance(one, nn.Embedding)}
    return counts.pop() if len(counts) == 1 else None
