"""Networks of torchvision that segment images, with their weights and what they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum

from ganprobe import ParameterError, PluginError, UnknownNameError
from ganprobe_segmenters.labels import resized

_AT_ONCE = 8  # images: the largest activation of one, 520 x 520, takes 35 MB


@dataclass(frozen=True, eq=False)
class Network:
    """A network with its weights, in eval mode.

    Args:
        name: as it is written behind the colon.
        prepare: images (n, 3, height, width) in [0, 1] to what the network takes.
    """

    name: str
    module: nn.Module
    classes: tuple[str, ...]
    prepare: Callable[[Tensor], Tensor]

    def labels(self, images: Tensor) -> Tensor:
        """The number of the class at each pixel (n, height, width) of images with 1 or 3 channels.

        Raises:
            ParameterError: they have another number of channels.
        """
        if images.shape[1] not in (1, 3):
            raise ParameterError(
                f"segmenter 'torchvision' takes images of 1 or 3 channels, got {images.shape[1]}"
            )
        self.module.to(images.device)
        height, width = images.shape[2:]
        labels = torch.empty(len(images), height, width, dtype=torch.int16, device=images.device)
        for part, seen in zip(images.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True):
            if len(part):
                prepared = self.prepare(part.expand(-1, 3, -1, -1))
                chosen = self.module(prepared)["out"].argmax(dim=1)
                seen.copy_(resized(chosen, (height, width)))
        return labels


def load_network(model: str, file: Path | None) -> Network:
    """A network with the weights that torchvision recommends, or with those in a file.

    Raises:
        UnknownNameError: torchvision has no such network.
        ParameterError: the file cannot be read, or holds something else.
        PluginError: the weights cannot be downloaded.
    """
    known = models.list_models(module=models.segmentation)
    if model not in known:
        hint = f"there are: {', '.join(known)}"
        raise UnknownNameError("network", model, known, where="torchvision", hint=hint)
    if file is None:
        return _loaded(model, None, 0)
    try:
        changed = file.stat().st_mtime_ns
    except OSError as error:
        raise ParameterError(
            f"cannot read the weights {file} of {model}: {error.strerror}"
        ) from error
    return _loaded(model, file, changed)


@functools.lru_cache(maxsize=2)
def _loaded(model: str, file: Path | None, changed: int) -> Network:
    weights = models.get_model_weights(model).DEFAULT
    state = _download(model, weights) if file is None else _read(model, file)
    state = {name: value for name, value in state.items() if not name.startswith("aux_classifier.")}
    categories = tuple(weights.meta["categories"])
    name = model if file is None else f"{model}@{file}"
    n_classes = _n_classes(state) or len(categories)
    module = _fill(_empty(model, n_classes), state, name)
    numbered = tuple(f"class {number}" for number in range(n_classes))
    classes = categories if n_classes == len(categories) else numbered
    return Network(name, module, classes, weights.transforms())


def _empty(model: str, n_classes: int) -> nn.Module:
    with torch.device("meta"):  # no memory, and no random numbers that others count on
        module: nn.Module = models.get_model(
            model, weights=None, weights_backbone=None, num_classes=n_classes, aux_loss=False
        )
    return module.eval()


def _n_classes(state: Mapping[str, Tensor]) -> int:
    """How many classes the last layer tells apart; 0 if there is none."""
    biases = [name for name in state if name.startswith("classifier.") and name.endswith("bias")]
    return state[biases[-1]].numel() if biases else 0


def _fill(module: nn.Module, state: Mapping[str, Tensor], name: str) -> nn.Module:
    expected = {own: value.shape for own, value in module.state_dict().items()}
    given = {own: value.shape for own, value in state.items()}
    wrong = [own for own in {**expected, **given} if expected.get(own) != given.get(own)]
    if wrong:
        raise ParameterError(
            f"the weights of 'torchvision:{name}' are of another network: {len(wrong)} of"
            f" {len(expected)} tensors are missing, too many, or of another shape, first"
            f" {wrong[0]!r}"
        )
    module.load_state_dict(dict(state), assign=True)
    return module.float().requires_grad_(False)


def _download(model: str, weights: WeightsEnum) -> Mapping[str, Tensor]:
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = getattr(error, "reason", None) or error
        raise PluginError(
            f"cannot download the weights of {model} from {weights.url}: {reason}; fetch them"
            f" elsewhere and write torchvision:{model}@FILE"
        ) from error
    return state


def _read(model: str, file: Path) -> Mapping[str, Tensor]:
    """The tensors in a file, by name.

    Raises:
        ParameterError: it holds anything else.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        held: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise ParameterError(f"cannot read the weights {file} of {model}: {error}") from error
    except Exception as error:  # what a stranger's file does to the unpickler is anything
        raise ParameterError(
            f"cannot read the weights {file} of {model}: it is no file of tensors alone, as"
            " torch.save(module.state_dict(), FILE) writes"
        ) from error
    held = held.get("model", held) if isinstance(held, Mapping) else held
    if not isinstance(held, Mapping) or not all(isinstance(v, Tensor) for v in held.values()):
        raise ParameterError(
            f"the weights {file} of {model} hold a {type(held).__name__} of something other than"
            " tensors by name"
        )
    return held
