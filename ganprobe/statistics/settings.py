"""What is asked of the units of a site: declared once, checked once, the same for every batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ganprobe.errors import ParameterError
from ganprobe.indices import check_count

__all__ = ["CovarianceOf", "Score", "StatisticsSettings"]

Score = Literal["max", "mean"]
CovarianceOf = Literal["positions", "samples"]


@dataclass(frozen=True, kw_only=True)
class StatisticsSettings:
    """What `UnitStatistics` keeps of each unit.

    Args:
        unit_axis: the axis of the units, from the end where it is negative; None: by custom, 1,
            but last for (n, tokens, units).
        quantiles: levels in [0, 1]; none: no values are kept.
        k: how many top samples of each unit; 0: none.
        memory: bytes of values kept for exact quantiles, in all units together; beyond it
            quantiles come from a sketch with a guaranteed error.
        score: of a sample at a unit: its largest or its mean value over space.
        covariance_of: between units, over all "positions" of all samples, over the "samples"'
            spatial means, or None. Keeps n_units² float64.
        threshold: a value above it is active.
        bounds: the two ends at which a value is saturated, as (-1, 1) of tanh; None: the unit's
            own minimum and maximum.
        tolerance: how near to an end a value still is saturated, as a share of the distance
            between the ends, in [0, 0.5). Around a unit's own ends it takes two passes
            (`summarize_twice`).

    Raises:
        ParameterError: one of them is outside its range.
    """

    unit_axis: int | None = None
    quantiles: tuple[float, ...] = (0.0, 0.05, 0.5, 0.95, 1.0)
    k: int = 9
    memory: int = 256 * 2**20
    score: Score = "max"
    covariance_of: CovarianceOf | None = None
    threshold: float = 0.0
    bounds: tuple[float, float] | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantiles", tuple(map(float, self.quantiles)))
        check_count(self.k, "k", least=0)
        check_count(self.memory, "the memory for exact quantiles, in bytes,", least=0)
        _check_choice("score", self.score, get_args(Score))
        if self.covariance_of is not None:
            _check_choice("covariance_of", self.covariance_of, get_args(CovarianceOf))
        outside = [level for level in self.quantiles if not 0 <= level <= 1]
        if outside:
            raise ParameterError(f"a quantile's level is in [0, 1], got {outside[0]:g}")
        if not math.isfinite(self.threshold):
            raise ParameterError(f"the threshold is a finite number, got {self.threshold}")
        if not 0 <= self.tolerance < 0.5:
            raise ParameterError(f"the tolerance is a share in [0, 0.5), got {self.tolerance:g}")
        if self.bounds is not None:
            object.__setattr__(self, "bounds", _checked_bounds(self.bounds))


def _checked_bounds(bounds: Iterable[float]) -> tuple[float, float]:
    low, high = map(float, bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(f"bounds are two finite numbers, the lower first, got {low}, {high}")
    return low, high


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ParameterError(f"{name} is one of {', '.join(choices)}, got {value!r}")
