"""How much being active tells about being of a class: mutual information over joint entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["IQR_SHARES", "information_quality"]

IQR_SHARES = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075),
    *(0.01, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
)
"""The grid of the domain ``iqr``: shares of a unit's raw values that are above its levels."""


def information_quality(
    intersection: NDArray[Any], active: NDArray[Any], area: NDArray[Any], n_pixels: int
) -> NDArray[np.float64]:
    """MI / H of two yes-or-no questions of a pixel, in [0, 1]; 0 where the joint entropy is 0.

    Args:
        intersection: pixels of which both are true, (..., classes).
        active: pixels of which the first is true, broadcast to it.
        area: (classes,) pixels of which the second is true.

    Example:
        >>> information_quality(np.array([2, 1]), np.array([2, 2]), np.array([2, 2]), 4).tolist()
        [1.0, 0.0]
    """
    active, area = np.broadcast_arrays(active, area)
    cells = (
        intersection,
        active - intersection,
        area - intersection,
        n_pixels - active - area + intersection,
    )
    joint = sum(_entropy_term(cell / n_pixels) for cell in cells)
    alone = sum(
        _entropy_term(part / n_pixels)
        for part in (active, n_pixels - active, area, n_pixels - area)
    )
    mutual = np.maximum(alone - joint, 0.0)
    return np.divide(mutual, joint, out=np.zeros(np.shape(joint)), where=np.asarray(joint) > 0)


def _entropy_term(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """-p log p, 0 at 0."""
    return -share * np.log(share, out=np.zeros_like(share), where=share > 0)
