"""The values that interventions hold: read once, compared by content, written as JSON."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.latents import Latents
from ganprobe.recordings import Recording
from ganprobe.sites import Site, SiteTensor

__all__ = [
    "HasRecording",
    "decode",
    "describe",
    "encode",
    "is_plain",
    "is_same",
    "read_numbers",
    "read_tensor",
    "recorded",
]


class HasRecording(Protocol):
    """A run, or anything else that holds a recording."""

    @property
    def recording(self) -> Recording: ...


def recorded(recording: Recording, written: Site, tensor: SiteTensor) -> tuple[Tensor, bool]:
    """What a recording has at a tensor's site, or under the site as it was written.

    Returns:
        The activation (n, ...), and whether it is of all units of the site, not of the chosen.

    Raises:
        NotRecordedError: it holds neither.
    """
    for site in (tensor.site, written):
        if site in recording:
            return recording[site], site.units is None
    whole = written.whole if written.whole in recording else tensor.site.whole
    return recording[whole], True


def read_tensor(values: object, what: str) -> Tensor:
    """A tensor, or anything that becomes one: nested lists, numpy arrays.

    Raises:
        ParameterError: it holds no numbers.
    """
    try:
        tensor = values if isinstance(values, Tensor) else torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{what} is a tensor of numbers, got {values!r}") from error
    return tensor


def read_numbers(values: object, what: str) -> float | tuple[float, ...] | Tensor:
    """A number, or one for each unit; a tensor of floats stays a tensor.

    Raises:
        ParameterError: they are no numbers, not finite, or have more than one axis.
    """
    if isinstance(values, Tensor) and values.is_floating_point():
        tensor = values  # it may want gradients, of either kind
    else:
        try:
            tensor = torch.as_tensor(values, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ParameterError(
                f"{what} is a number, or one for each unit, got {values!r}"
            ) from error
    if tensor.ndim > 1:
        raise ParameterError(f"{what} is a number or a list of them, got {tensor.ndim} axes")
    if not tensor.isfinite().all():
        raise ParameterError(f"{what} is finite, got {values!r}")
    if tensor is values:
        return tensor
    return tuple(tensor.tolist()) if tensor.ndim else float(tensor)


def is_same(first: object, second: object) -> bool:
    """Whether two held values are equal in type, shape, dtype and content."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        is_alike = first.dtype == second.dtype and first.shape == second.shape
        return is_alike and torch.equal(first.detach().cpu(), second.detach().cpu())
    if isinstance(first, Latents) and isinstance(second, Latents):
        drawn = (first.seed, first.indices) == (second.seed, second.indices)
        return drawn and is_same(first.z, second.z) and is_same(first.labels, second.labels)
    if isinstance(first, Recording) and isinstance(second, Recording):
        alike = list(first) == list(second)
        return alike and all(is_same(first[site], second[site]) for site in first)
    return type(first) is type(second) and first == second


def is_plain(value: object) -> bool:
    """Whether a held value is cheap to compare and hash: numbers and names, no tensors."""
    return value is None or isinstance(value, Site | str | int | float | tuple)


def describe(value: object) -> str:
    """A held value in a few words; tensors by shape, dtype and the start of their SHA-256."""
    if isinstance(value, Tensor):
        data = value.detach().resolve_conj().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest = hashlib.sha256(data.numpy().tobytes()).hexdigest()[:8]
        return f"<{tuple(value.shape)} {_name(value.dtype)} {digest}>"
    if isinstance(value, Latents):
        if value.seed is not None:
            return f"<{len(value)} latents, seed {value.seed}>"
        return f"<latents {describe(value.z)[1:-1]}>"
    if isinstance(value, Recording):
        return f"<recording of {', '.join(map(str, value))}>"
    if isinstance(value, Site):
        return repr(str(value))
    return str(getattr(value, "__name__", None) or repr(value))


def encode(value: Any) -> Any:
    """A held value as JSON has it; tensors as dtype, shape and base64 of their bytes.

    Example:
        >>> encode(torch.tensor([1.0, 2.0]))
        {'tensor': 'AACAPwAAAEA=', 'dtype': 'float32', 'shape': [2]}
    """
    if isinstance(value, Tensor):
        data = value.detach().resolve_conj().cpu().contiguous().reshape(-1).view(torch.uint8)
        text = base64.b64encode(data.numpy().tobytes()).decode("ascii")
        return {"tensor": text, "dtype": _name(value.dtype), "shape": list(value.shape)}
    if isinstance(value, Latents):
        indices = None if value.indices is None else list(value.indices)
        labels = None if value.labels is None else {"labels": value.labels.tolist()}
        told = {"latents": encode(value.z), "seed": value.seed, "indices": indices}
        return told | (labels or {})
    if isinstance(value, Recording):
        return {"recording": {str(site): encode(tensor) for site, tensor in value.items()}}
    if isinstance(value, Site):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def decode(value: Any) -> Any:
    """The value that `encode` wrote; tensors come back bit for bit, on the CPU.

    Raises:
        ParameterError: it is not of that form.
    """
    try:
        return _decode(value)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ParameterError(f"this is no value of an intervention: {error!r}") from error


def _decode(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(value)
    if not isinstance(value, Mapping):
        return value
    if "tensor" in value:
        data = bytearray(base64.b64decode(value["tensor"], validate=True))
        dtype, shape = getattr(torch, value["dtype"]), tuple(value["shape"])
        if not math.prod(shape):
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(shape)
    if "latents" in value:
        indices = None if value["indices"] is None else tuple(value["indices"])
        labels = torch.tensor(value["labels"]) if "labels" in value else None
        return Latents(_decode(value["latents"]), value["seed"], indices, labels)
    return Recording({site: _decode(tensor) for site, tensor in value["recording"].items()})


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
