"""Networks that judge images, which the ``[measure]`` section of a ``ganprobe.toml`` describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.archives import check_archive
from ganprobe.errors import FactoryError, UsageError
from ganprobe.loading.description import (
    Description,
    GeneratorSection,
    MeasureSection,
    read_description,
)
from ganprobe.loading.method_module import MethodModule
from ganprobe.loading.model_folders import parts_of_description
from ganprobe.loading.options import LoadOptions
from ganprobe.loading.task import Task
from ganprobe.weight_files import Trust

__all__ = ["DescribedNetwork", "load_described_network"]


@dataclass(frozen=True, eq=False)
class DescribedNetwork:
    """A network that judges images.

    Args:
        module: in eval mode on the CPU; its parameters have no gradients.
        section: how it wants images, and what its outputs are.
        source: how it was loaded, as plain values: files with their SHA-256.
    """

    module: nn.Module
    section: MeasureSection
    source: dict[str, Any]


def load_described_network(path: Path | str, *, trust: bool | Trust = False) -> DescribedNetwork:
    """The network that a folder, or a ``ganprobe.toml``, describes under ``[measure]``.

    Args:
        trust: whether code may run that you did not name yourself, as for `ganprobe.load`.

    Raises:
        UsageError: there is no such description, or it says too little.
        UntrustedError: code would run that is not trusted.
        WeightsError, FactoryError: as `ganprobe.load`.
    """
    path = Path(path)
    description = read_description(path)
    section = _section(description)
    given = trust if isinstance(trust, Trust) else Trust(trust)
    task = Task(str(path), LoadOptions(trust=given))
    assert description.file is not None
    task.keep_file(description.file)
    parts = parts_of_description(task, _as_generator(description, section), path.resolve().name)
    module = parts.made
    if not isinstance(module, nn.Module):
        raise FactoryError(f"{section.factory} of {description.file} made a generator, no network")
    if section.method is not None:
        module = MethodModule(module, section.method)
    module = module.eval().requires_grad_(False)
    if section.image_shape is not None:
        task.notes += check_archive(module, _some_images(module, section.image_shape))
    notes = {"notes": [*task.notes, *parts.notes]} if task.notes or parts.notes else {}
    return DescribedNetwork(module, section, {**task.to_json(), **notes})


def _some_images(module: nn.Module, shape: tuple[int, int, int]) -> Tensor:
    held = next((one for one in module.parameters() if one.is_floating_point()), None)
    numbers = torch.Generator().manual_seed(0)
    images = torch.rand((2, *shape), generator=numbers)
    return images if held is None else images.to(held.dtype)


def _section(description: Description) -> MeasureSection:
    section = description.measure
    if section is None:
        raise UsageError(f"{description.file} has no section [measure], which describes a network")
    if section.factory is None and section.weights is None:
        raise UsageError(
            f"{description.file} names no network; under [measure] say factory = ..., or"
            " weights = ... of an archive"
        )
    if not section.names:
        raise UsageError(
            f"{description.file} does not say what its network's outputs are; under [measure] say"
            ' columns = ["cat", "dog"], or how many there are'
        )
    return section


def _as_generator(description: Description, section: MeasureSection) -> Description:
    """The same with its network in the generator's place, so that it is loaded alike."""
    network = GeneratorSection(
        factory=section.factory,
        weights=section.weights,
        weights_key=section.weights_key,
        part=section.part,
        kind="module",
    )
    return description.model_copy(update={"generator": network, "arguments": section.arguments})
