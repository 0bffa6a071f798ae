"""Entries: the state dicts that nest in a checkpoint, the likeliest generator's first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Entries", "entries_in", "is_of_generator", "modules_in", "rank_of"]

Entries = dict[str, dict[str, "Tensor"]]
"""Tensors by name, by the entry's key: "" for the checkpoint itself, ``"netG.ema"`` in another."""

_DEEPEST = 4

_AVERAGED = re.compile(r"(^|[_.\-])(ema|avg|averaged?|shadow|target)([_.\-]|$)", re.IGNORECASE)
_GENERATOR = re.compile(
    r"(^|[_.\-])(g|gs|gen|generator|net_?g|decoder|dec|unet)([_.\-]|$)", re.IGNORECASE
)
_OTHER_NETWORK = re.compile(
    r"(^|[_.\-])(d|ds|dis|disc|discriminator|net_?d|critic|encoder|enc|\w*optim\w*|\w*loss\w*"
    r"|augment_pipe)([_.\-]|$)",
    re.IGNORECASE,
)


def entries_in(held: object) -> Entries:
    """Every mapping in a checkpoint that holds tensors by name, likeliest generator first.

    Modules count by their state dict, NumPy arrays as tensors, plain values are passed over.

    Example:
        >>> import torch
        >>> list(entries_in({"d": {"w": torch.ones(2)}, "g_ema": {"w": torch.ones(1)}, "step": 3}))
        ['g_ema', 'd']
    """
    found = {key: tensors for key, tensors in _entries(held) if tensors}
    return dict(sorted(found.items(), key=lambda entry: (rank_of(entry[0]), -_size(entry[1]))))


def modules_in(held: object, key: str = "", depth: int = 0) -> dict[str, Any]:
    """Every module in what was pickled, by its key, likeliest generator first."""
    from torch import nn

    if isinstance(held, nn.Module):
        return {key: held}
    found: dict[str, Any] = {}
    if isinstance(held, Mapping) and depth < _DEEPEST:
        for name, inner in held.items():
            found.update(modules_in(inner, _joined(key, name), depth + 1))
    return dict(sorted(found.items(), key=lambda entry: rank_of(entry[0])))


def is_of_generator(key: str) -> bool:
    """Whether a key or prefix speaks of a generator, or of an average of one.

    Example:
        >>> is_of_generator("netG."), is_of_generator("d_ema."), is_of_generator("blocks.0.")
        (True, False, False)
    """
    return rank_of(key) < 0


def rank_of(key: str) -> int:
    """Sorts keys and prefixes: averages of generators, generators, the rest, other networks."""
    is_other = bool(_OTHER_NETWORK.search(key))
    is_average, is_generator = bool(_AVERAGED.search(key)), bool(_GENERATOR.search(key))
    return 8 * is_other - 2 * is_average - is_generator


def _entries(
    held: object, key: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    from torch import nn

    if isinstance(held, nn.Module):
        held = held.state_dict()
    if not isinstance(held, Mapping) or depth > _DEEPEST:
        return
    named = {name: inner for name, inner in held.items() if isinstance(name, str)}
    tensors = {name: _tensor(inner) for name, inner in named.items()}
    yield key, {name: tensor for name, tensor in tensors.items() if tensor is not None}
    for name, inner in named.items():
        yield from _entries(inner, _joined(key, name), depth + 1)


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _joined(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _tensor(value: object) -> Tensor | None:
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value))
    return None
