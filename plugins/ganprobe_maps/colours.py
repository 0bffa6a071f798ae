"""Scales of colours: which values have which colour, for all units alike or each its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganprobe_maps.activations import SiteMaps

Kind = Literal["source", "donor", "difference"]

CLIPPED = 0.001  # of the values, at each end of a scale for all units
_LEAST_CLIPPED = 2000  # of fewer values none is left out


@dataclass(frozen=True)
class Colours:
    """A scale of colours.

    Args:
        low, high: the values at its ends.
        label: what the values are.
        is_clipped: values beyond the ends are there, and have the colours of the ends.
        is_signed: it is a difference, with white at 0.
    """

    low: float
    high: float
    label: str
    is_clipped: bool = False
    is_signed: bool = False


def colours_of(maps: SiteMaps, kind: Kind, sample: int) -> Colours:
    """Of a sheet."""
    if kind == "difference":
        return difference_scale(maps, sample)
    if is_relative(maps, kind):
        return Colours(0.0, 1.0, "activation, of each unit's own range")
    return site_scale(maps, sample)


def is_relative(maps: SiteMaps, kind: Kind) -> bool:
    """Whether each map has a scale of its own."""
    return kind != "difference" and maps.params.scale == "unit" and maps.has_space


def site_scale(maps: SiteMaps, sample: int) -> Colours:
    """One scale for all units that are drawn, in source and donor, without a few extremes."""
    held = [one.values[sample, list(maps.shown)] for one in (maps.source, maps.donor) if one]
    values = np.concatenate([one.ravel() for one in held])
    low, high, is_clipped = _range_of(values, (CLIPPED, 1 - CLIPPED), maps.has_space)
    return Colours(low, high, f"activation at {maps.tensor.site}", is_clipped)


def difference_scale(maps: SiteMaps, sample: int) -> Colours:
    """One scale for the differences of all units that are drawn, as far to both sides of 0."""
    assert maps.difference is not None
    values = maps.difference[sample, list(maps.shown)]
    _, high, is_clipped = _range_of(np.abs(values).ravel(), (0.0, 1 - CLIPPED), maps.has_space)
    label = f"difference of activation at {maps.tensor.site}, donor − source"
    return Colours(-high, high, label, is_clipped, is_signed=True)


def relative(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Each map (unit, y, x) from 0 at its smallest to 1 at its largest value; constant ones 0."""
    is_finite = np.isfinite(maps)
    low = np.where(is_finite, maps, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(is_finite, maps, -np.inf).max(axis=(1, 2), keepdims=True)
    spread = np.where(high > low, high - low, 1)
    return np.where(is_finite, (maps - low) / spread, np.nan)


def _range_of(
    values: NDArray[np.floating], shares: tuple[float, float], may_clip: bool
) -> tuple[float, float, bool]:
    """(low, high, whether something lies beyond) of the quantiles at `shares`; never empty."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0, False
    least, most = float(finite.min()), float(finite.max())
    if may_clip and len(finite) >= _LEAST_CLIPPED:
        low, high = (float(edge) for edge in np.quantile(finite, shares))
        if high > low:
            return low, high, low > least or high < most
    return (least, most, False) if most > least else (least, least + 1.0, False)
