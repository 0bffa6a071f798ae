"""The whole number of a floating-point number: in the same order, so that bits can be counted.

Positive numbers are ordered as their bits are; of negative ones all bits but the sign are turned
around. -0.0 comes right before 0.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["keys_of", "values_of"]

_KEYS = {torch.float32: torch.int32, torch.float64: torch.int64}


def keys_of(values: Tensor) -> Tensor:
    """The int32 of each float32, or the int64 of each float64: a <= b means key(a) <= key(b).

    Example:
        >>> keys_of(torch.tensor([-1.0, -0.0, 0.0, 1.0])).tolist()
        [-1065353217, -1, 0, 1065353216]
    """
    bits = values.view(_KEYS[values.dtype])
    turned = bits >> (8 * bits.dtype.itemsize - 1)
    return turned.bitwise_and_(torch.iinfo(bits.dtype).max).bitwise_xor_(bits)


def values_of(keys: NDArray[Any], dtype: torch.dtype) -> NDArray[np.float64]:
    """The numbers, float32 or float64, that have these keys."""
    if dtype == torch.float64:
        return _turned(keys.astype(np.int64)).view(np.float64)
    return _turned(keys.astype(np.int32)).view(np.float32).astype(np.float64)


def _turned(keys: NDArray[Any]) -> NDArray[Any]:
    return np.where(keys < 0, keys ^ np.iinfo(keys.dtype).max, keys)
