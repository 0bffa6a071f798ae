"""Files of latents: JSON, NumPy or safetensors, as people have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ganprobe.errors import ParameterError

__all__ = ["read_latents"]

_USUAL_NAMES = ("z", "latents")


def read_latents(path: Path, name: str, shape: tuple[int, ...]) -> Tensor:
    """The latents (n, \\*shape) in a file, float32, on the CPU.

    Args:
        path: ``.json`` (lists of numbers), ``.npy`` (an array) or ``.safetensors`` (a tensor).
        name: of what is meant in a file that holds several things; in JSON dotted, a name within
            a name. "": the only one, or ``z`` or ``latents``.
        shape: of one latent. Flat ones, and a single one, are given that shape.

    Raises:
        ParameterError: the file cannot be read, does not hold such a thing, or it has another
            shape or values that are not finite.
    """
    try:
        held = _READERS[path.suffix](path)
    except KeyError as error:
        raise ParameterError(
            f"{path} is no file of latents: they are .json, .npy or .safetensors"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ParameterError(f"cannot read the latents in {path}: {reason}") from error
    except (ValueError, SafetensorError) as error:
        raise ParameterError(f"{path} is damaged, or no {path.suffix} file: {error}") from error
    return _shaped(_tensor(_found(held, name, path), path, name), shape, path)


def _read_json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_npy(path: Path) -> object:
    return np.load(path, allow_pickle=False)


_READERS: dict[str, Callable[[Path], object]] = {
    ".json": _read_json,
    ".npy": _read_npy,
    ".safetensors": load_file,
}


def _found(held: object, name: str, path: Path) -> object:
    for part in name.split(".") if name else []:
        if not isinstance(held, dict) or part not in held:
            there = ", ".join(map(str, held)) if isinstance(held, dict) else "numbers, no names"
            raise ParameterError(f"{path} has no {part!r} of {name!r}; it has: {there}")
        held = held[part]
    if not isinstance(held, dict):
        return held
    usual = [held[own] for own in _USUAL_NAMES if own in held] or list(held.values())
    if len(held) != 1 and not any(own in held for own in _USUAL_NAMES):
        there = ", ".join(map(str, held))
        raise ParameterError(f"{path} holds several things: {there}; write @{path}:NAME")
    return _found(usual[0], "", path) if isinstance(usual[0], dict) else usual[0]


def _tensor(found: object, path: Path, name: str) -> Tensor:
    try:
        values = torch.as_tensor(np.asarray(found, dtype=np.float32))
    except (TypeError, ValueError) as error:
        what = f"{name!r} in {path}" if name else str(path)
        raise ParameterError(f"{what} is no list of latents, all of one length") from error
    if not values.numel() or not values.isfinite().all():
        raise ParameterError(f"{path} holds no latents, or some that are NaN or infinite")
    return values


def _shaped(values: Tensor, shape: tuple[int, ...], path: Path) -> Tensor:
    if values.shape[1:] == shape:
        return values
    if values.shape == shape:
        return values[None]
    n_dimensions = int(np.prod(shape))
    if values.shape[-1] == n_dimensions and values.ndim in (1, 2):
        return values.reshape(-1, *shape)
    sizes = ", ".join(map(str, shape))
    raise ParameterError(
        f"{path} holds latents {tuple(values.shape)}, and this generator takes (n, {sizes})"
    )
