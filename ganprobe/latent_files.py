"""Files of latents: JSON, NumPy or safetensors, as people have them.

A file is read whole into memory; for one that does not fit, cut out what is needed first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ganprobe.errors import ParameterError, nearest_names
from ganprobe.latent_sets import latents_in_record

__all__ = ["read_labels", "read_latents"]

_USUAL_NAMES = ("z", "latents")
_MOST_NAMED = 8  # in an error's list


def read_latents(path: Path, name: str, shape: tuple[int, ...]) -> Tensor:
    """The latents (n, \\*shape) in a file, float32, on the CPU.

    Args:
        path: ``.json`` (lists of numbers), ``.npy`` (an array) or ``.safetensors`` (a tensor).
        name: of what is meant in a file that holds several things; in JSON also dotted, a name
            within a name. "": the only one, or ``z`` or ``latents``.
        shape: of one latent. Flat ones, and a single one, are given that shape.

    Raises:
        ParameterError: the file cannot be read, does not hold such a thing, or it has another
            shape or values that are not finite.
    """
    try:
        held = _READERS[path.suffix.lower()](path)
    except ParameterError:
        raise
    except KeyError as error:
        raise ParameterError(
            f"{path} is no file of latents: they are .json, .npy or .safetensors"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ParameterError(f"cannot read the latents in {path}: {reason}") from error
    except (ValueError, RecursionError, MemoryError, SafetensorError) as error:
        raise ParameterError(f"{path} is damaged, or no {path.suffix} file: {error}") from error
    return _shaped(_tensor(_found(held, name, path), path, name), shape, path)


def read_labels(path: Path, name: str) -> Tensor | None:
    """(n,) int64: the classes of a group in a latent set that `read_latents` has read.

    None where the file says nothing of classes: it is not ours, or of no such generator.
    """
    if path.suffix.lower() == ".safetensors":
        with safe_open(path, "pt") as file:
            record = json.loads((file.metadata() or {}).get("ganprobe", "{}"))
    elif path.suffix.lower() == ".json":
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    else:
        return None
    labels = record.get("labels") if isinstance(record, dict) and "kind" in record else None
    if not labels:
        return None
    found = labels.get(
        name or next((own for own in _USUAL_NAMES if own in labels), next(iter(labels)))
    )
    return None if found is None else torch.tensor(found, dtype=torch.int64)


def _read_json(path: Path) -> object:
    held = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows puts a mark before it
    return latents_in_record(held, str(path))


def _read_npy(path: Path) -> object:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


_READERS: dict[str, Callable[[Path], object]] = {
    ".json": _read_json,
    ".npy": _read_npy,
    ".safetensors": load_file,
}


def _found(held: object, name: str, path: Path) -> object:
    """What the file holds under a name, and where that holds one thing alone, that."""
    before: list[str] = []
    rest = name
    while rest:
        if not isinstance(held, dict):
            raise ParameterError(f"{path} has no {name!r}: {_at(before)} are numbers, not names")
        part = rest if rest in held else rest.partition(".")[0]
        if part not in held:
            there = ", ".join(nearest_names(part, held)) or "nothing"
            raise ParameterError(f"{path} has no {name!r}; nearest {_at(before)}: {there}")
        held, rest = held[part], rest[len(part) + 1 :]
        before.append(part)
    return _only(held, before, path)


def _only(held: object, before: list[str], path: Path) -> object:
    if not isinstance(held, dict):
        return held
    usual = [own for own in _USUAL_NAMES if own in held] or list(held)
    if not held:
        raise ParameterError(f"{path} holds nothing {_at(before)}, where latents should be")
    if usual[0] not in _USUAL_NAMES and len(held) > 1:
        several = ", ".join(list(held)[:_MOST_NAMED]) + (", ..." if len(held) > _MOST_NAMED else "")
        way_out = ":".join([f"@{path}", ".".join([*before, "NAME"])])
        raise ParameterError(f"{path} holds several things: {several}; write {way_out}")
    return _only(held[usual[0]], [*before, usual[0]], path)


def _at(before: list[str]) -> str:
    return f"under {'.'.join(before)!r}" if before else "in it"


def _tensor(found: object, path: Path, name: str) -> Tensor:
    what = f"{name!r} in {path}" if name else str(path)
    try:
        values = torch.from_numpy(_numbers(found))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{what} is no list of latents, all numbers and of one length") from (
            error
        )
    if not values.numel():
        raise ParameterError(f"{what} holds no latents")
    if not values.isfinite().all():
        raise ParameterError(f"{what} holds numbers that are NaN, infinite or beyond float32")
    return values


def _numbers(found: object) -> NDArray[np.float32]:
    if isinstance(found, Tensor) and found.is_floating_point():
        found = found.float()  # NumPy has no bfloat16
    numbers = np.asarray(found)
    if numbers.dtype.kind not in "fiu":
        raise TypeError(f"{numbers.dtype} are no numbers")
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused
        return numbers.astype(np.float32)


def _shaped(values: Tensor, shape: tuple[int, ...], path: Path) -> Tensor:
    if values.shape[1:] == shape:
        return values
    if values.shape == shape:
        return values[None]
    n_dimensions = int(np.prod(shape))
    if values.ndim in (1, 2) and values.shape[-1] == n_dimensions:
        return values.reshape(-1, *shape)
    sizes = ", ".join(map(str, shape))
    raise ParameterError(
        f"{path} holds latents {tuple(values.shape)}, and this generator takes (n, {sizes})"
    )
