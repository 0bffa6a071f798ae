"""Limits that values are compared with, exactly as if both were real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Limits", "ends_within"]


@dataclass(frozen=True, eq=False)
class Limits:
    """Where a unit is active and where it is saturated; numbers, or arrays (n_units,).

    Args:
        threshold: a value above it is active.
        ends: a value is saturated at the first and below, and at the second and above; None: at
            the smallest and largest value there is.
    """

    threshold: float | NDArray[Any]
    ends: tuple[float | NDArray[Any], float | NDArray[Any]] | None = None

    def on(self, table: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The limits (n_units, 1) in the dtype and on the device of a table (..., n_units).

        They are rounded away from the values that they let through, so that no comparison
        changes: v > t as v > (t rounded down), v >= t as v >= (t rounded up).
        """
        threshold = _placed(_rounded(self.threshold, table.dtype), table)
        if self.ends is None:
            return threshold, None
        low = _placed(_rounded(self.ends[0], table.dtype), table)
        high = _placed(-_rounded(-np.asarray(self.ends[1]), table.dtype), table)
        return threshold, (low, high)


def ends_within(
    low: float | NDArray[Any], high: float | NDArray[Any], tolerance: float
) -> tuple[float | NDArray[Any], float | NDArray[Any]]:
    """The ends moved towards each other by a share of the distance between them.

    Example:
        >>> ends_within(-1.0, 1.0, 0.25)
        (-0.5, 0.5)
    """
    return low + tolerance * (high - low), high - tolerance * (high - low)


def _rounded(limit: float | NDArray[Any], dtype: torch.dtype) -> NDArray[Any]:
    """Rounded down to the dtype."""
    exact = np.asarray(limit, dtype=np.float64)
    if dtype == torch.float64:
        return exact
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)


def _placed(limit: NDArray[Any], table: Tensor) -> Tensor:
    full = np.broadcast_to(limit, table.shape[-1:]).copy()
    return torch.from_numpy(full).to(table.device)[:, None]
