"""Placement: the device and dtype that a generator is probed on."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ganprobe.engine import without_hooks
from ganprobe.errors import ParameterError, UsageError
from ganprobe.generators import Generator

__all__ = ["placed"]


def placed(
    generator: Generator, device: torch.device | str | None, dtype: torch.dtype | None
) -> tuple[Generator, torch.device, torch.dtype]:
    """The generator on a device and in a dtype, None meaning its own; a copy where it must move.

    Raises:
        ParameterError: there is no such device, or the dtype is not of floating point.
        UsageError: the module cannot be copied.
    """
    reference = _reference_tensor(generator)
    to_device = reference.device if device is None else _checked_device(device)
    to_dtype = reference.dtype if dtype is None else _checked_dtype(dtype)
    if (to_device, to_dtype) != (reference.device, reference.dtype):
        # A dtype that was not asked for stays, layer by layer, where they differ.
        moved = _copied(generator).to(device=to_device, dtype=None if dtype is None else to_dtype)
        generator = replace(generator, module=moved)
    return generator, to_device, to_dtype


def _copied(generator: Generator) -> torch.nn.Module:
    try:
        return without_hooks(copy.deepcopy(generator.module))
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"the module of generator {generator.name!r} cannot be copied to be moved ({error});"
            " move it yourself with module.to(...) and make the generator of that"
        ) from error


def _checked_device(name: torch.device | str) -> torch.device:
    there = "cpu, cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.ones(1, device=name).device
        torch.ones(1, device=device).cpu()  # "meta" has no values to copy
    except (RuntimeError, AssertionError) as error:
        raise ParameterError(f"no device {str(name)!r} here; there is: {there}") from error
    return device


def _checked_dtype(dtype: torch.dtype) -> torch.dtype:
    if not dtype.is_floating_point:
        raise ParameterError(f"a generator runs in a dtype of floating point, got {dtype}")
    return dtype


def _reference_tensor(generator: Generator) -> Tensor:
    """A floating-point tensor of the module, whose device and dtype stand for the module's."""
    module = generator.module
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor
    return torch.empty(0)
