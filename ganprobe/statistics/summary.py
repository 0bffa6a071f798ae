"""What the statistics say: plain arrays, one entry for each unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.statistics.quantiles import Quantiles
from ganprobe.statistics.settings import StatisticsSettings

__all__ = ["UnitSummary"]

_Floats = NDArray[np.float64]
_COLUMNS = (
    "unit",
    "mean",
    "std",
    "minimum",
    "maximum",
    "minimum sample",
    "maximum sample",
    "share active",
    "share saturated",
    "not finite",
    "note",
)


@dataclass(frozen=True, eq=False)
class UnitSummary:
    """Statistics of each unit over the finite values of all samples and positions.

    Arrays are (n_units,) unless another shape stands there; floating-point ones are float64 and
    in the activation's own unit, NaN where a unit has no finite value.

    Args:
        n_samples: how many samples were seen.
        n_values: int64, how many finite values.
        n_not_finite: int64, how many NaN and infinities; they count nowhere else.
        mean: of the values.
        variance: their mean squared deviation from it (divided by n, not n - 1); exactly 0 for
            a constant unit.
        minimum: exact.
        maximum: exact.
        minimum_sample: int64, the lowest index of a sample that has it; -1 where there is none.
        maximum_sample: likewise.
        share_active: of the values above the threshold, in [0, 1].
        share_low: of the values that are saturated at the lower end: at the bound or beyond, or,
            without bounds, equal to the unit's own minimum.
        share_high: likewise at the upper end.
        share_saturated: of the values at either end; 1 for a unit that is constant, where the
            ends are its own.
        quantiles: with their guaranteed errors; None where none was asked for.
        top_samples: (n_units, k) int64, best first; -1 where there are fewer samples.
        top_scores: (n_units, k), NaN where there are fewer samples.
        covariance: (n_units, n_units), divided by n; None where it was not asked for.
        n_covariance: over how many observations, those with a value that is not finite left out.
        settings: what was asked for.
    """

    n_samples: int
    n_values: NDArray[np.int64]
    n_not_finite: NDArray[np.int64]
    mean: _Floats
    variance: _Floats
    minimum: _Floats
    maximum: _Floats
    minimum_sample: NDArray[np.int64]
    maximum_sample: NDArray[np.int64]
    share_active: _Floats
    share_low: _Floats
    share_high: _Floats
    share_saturated: _Floats
    quantiles: Quantiles | None
    top_samples: NDArray[np.int64]
    top_scores: _Floats
    covariance: _Floats | None
    n_covariance: int
    settings: StatisticsSettings

    @property
    def n_units(self) -> int:
        """How many units."""
        return len(self.mean)

    @property
    def std(self) -> _Floats:
        """The square root of the variance."""
        return np.sqrt(self.variance)

    @property
    def is_dead(self) -> NDArray[np.bool_]:
        """Never active: it has finite values, and none is above the threshold."""
        return np.asarray((self.n_values > 0) & (self.maximum <= self.settings.threshold))

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """All its finite values are equal, and there is one."""
        return np.asarray((self.n_values > 0) & (self.minimum == self.maximum))

    @property
    def correlation(self) -> _Floats | None:
        """(n_units, n_units) in [-1, 1], NaN for constant units; None without covariance."""
        if self.covariance is None:
            return None
        std = np.sqrt(np.diag(self.covariance))
        scale = np.where(std > 0, std, np.nan)
        return np.clip(self.covariance / scale[:, None] / scale, -1, 1)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what is in a row."""
        levels = () if self.quantiles is None else self.quantiles.levels
        named = tuple(f"quantile {level:g}" for level in levels)
        return (*_COLUMNS[:5], *named, *_COLUMNS[5:])

    def rows(self) -> tuple[tuple[str | int | float | None, ...], ...]:
        """A row of plain values for each unit, under `columns`; None where there is no value."""
        return tuple(self._row(unit) for unit in range(self.n_units))

    def to_json(self) -> dict[str, Any]:
        """All of it as what JSON can hold; None in place of NaN.

        Example:
            >>> import torch
            >>> from ganprobe.statistics import summarize
            >>> summary = summarize([(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), [0, 1])])
            >>> summary.to_json()["mean"], summary.to_json()["is_dead"]
            ([2.0, 0.0], [False, True])
        """
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        held |= {name: getattr(self, name) for name in ("std", "is_dead", "is_constant")}
        held["quantiles"] = None if self.quantiles is None else vars(self.quantiles)
        held["settings"] = vars(self.settings)
        plain: dict[str, Any] = _plain(held)
        return plain

    def _row(self, unit: int) -> tuple[str | int | float | None, ...]:
        quantiles = () if self.quantiles is None else tuple(self.quantiles.values[unit])
        row = (
            unit,
            *(array[unit] for array in (self.mean, self.std, self.minimum, self.maximum)),
            *quantiles,
            *(_sample(array[unit]) for array in (self.minimum_sample, self.maximum_sample)),
            self.share_active[unit],
            self.share_saturated[unit],
            self.n_not_finite[unit],
            self._note(unit),
        )
        return tuple(_plain(value) for value in row)

    def _note(self, unit: int) -> str:
        if not self.n_values[unit]:
            return "no finite value"
        notes = {"dead": self.is_dead[unit], "constant": self.is_constant[unit]}
        return ", ".join(note for note, holds in notes.items() if holds)


def _sample(index: int) -> int | None:
    return None if index < 0 else index


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
