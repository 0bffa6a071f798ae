"""How sure labels are: groups of samples drawn anew, by multinomial weights and matrix products.

It costs n_resamples * n_groups * units * classes multiplications, in chunks of units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.dissection.result import iou_of, labels_of

__all__ = ["Sureness", "sureness"]

_CHUNK = 2**22  # numbers in one array of a chunk of units


@dataclass(frozen=True, eq=False)
class Sureness:
    """Of each unit's label, all (units,) float64; NaN without a label.

    Args:
        stability: the share of resamples that keep it.
        low, high: limits of the 95 % interval of its IoU.
    """

    stability: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def sureness(
    intersection: NDArray[Any],
    active: NDArray[Any],
    area: NDArray[Any],
    dead: NDArray[np.bool_],
    *,
    n_resamples: int,
    seed: int,
) -> Sureness:
    """By the percentiles of resamples of groups.

    Args:
        intersection: (groups, units, classes) pixels.
        active: (groups, units), or as the intersection.
        area: (groups, classes).
    """
    n_groups, n_units, n_classes = intersection.shape
    drawn = np.random.default_rng(seed).multinomial(
        n_groups, [1 / n_groups] * n_groups, n_resamples
    )
    weights = drawn.astype(np.float64)  # (n_resamples, groups)
    label = labels_of(iou_of(*(one.sum(0) for one in (intersection, active, area))), dead)
    found = np.full((3, n_units), np.nan)
    areas = weights @ area
    size = max(1, _CHUNK // max(1, n_resamples * n_classes))
    for first in range(0, n_units, size):
        units = slice(first, first + size)
        again = iou_of(
            _weighted(weights, intersection[:, units]), _weighted(weights, active[:, units]), areas
        )
        found[:, units] = _of_label(again, label[units], dead[units])
    return Sureness(*found)


def _weighted(weights: NDArray[np.float64], counts: NDArray[Any]) -> NDArray[np.float64]:
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    return (weights @ flat).reshape(-1, *counts.shape[1:])


def _of_label(
    iou: NDArray[np.float64], label: NDArray[np.int64], dead: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Stability and interval (3, units) of resampled IoU (n_resamples, units, classes)."""
    found = np.full((3, len(label)), np.nan)
    has = np.flatnonzero(label >= 0)
    if len(has):
        found[0, has] = (labels_of(iou[:, has], dead[has]) == label[has]).mean(axis=0)
        own = np.take_along_axis(iou[:, has], label[None, has, None], axis=2)[..., 0]
        found[1:, has] = np.quantile(own, (0.025, 0.975), axis=0)
    return found
