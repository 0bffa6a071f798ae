"""What has been seen of a site's units: one of each statistic, and how they go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ganprobe.errors import ParameterError, ShapeError
from ganprobe.statistics.batches import UnitBatch
from ganprobe.statistics.counts import Counts
from ganprobe.statistics.covariance import Covariance
from ganprobe.statistics.extremes import Extreme, Extremes
from ganprobe.statistics.limits import Limits, ends_within
from ganprobe.statistics.moments import Moments
from ganprobe.statistics.quantiles import QuantileKeeper
from ganprobe.statistics.settings import StatisticsSettings
from ganprobe.statistics.summary import UnitSummary
from ganprobe.statistics.tables import SampleTable, tabulate
from ganprobe.statistics.top import TopSamples

__all__ = ["SeenUnits"]


@dataclass
class SeenUnits:
    """The statistics so far of units whose values were widened to one dtype."""

    dtype: torch.dtype
    moments: Moments
    counts: Counts
    extremes: Extremes
    top: TopSamples
    covariance: Covariance | None
    keeper: QuantileKeeper | None

    @classmethod
    def empty(cls, n_units: int, dtype: torch.dtype, settings: StatisticsSettings) -> Self:
        """Of no sample."""
        return cls(
            dtype,
            Moments.empty(n_units),
            Counts.empty(n_units),
            Extremes.empty(n_units),
            TopSamples.empty(n_units, settings.k),
            Covariance(n_units) if settings.covariance_of else None,
            QuantileKeeper(n_units, settings.memory, dtype) if settings.quantiles else None,
        )

    @property
    def n_units(self) -> int:
        """How many units."""
        return len(self.moments.n)

    def check(self, n_units: int, dtype: torch.dtype) -> None:
        """Raise `ShapeError` or `ParameterError` unless these can be taken in."""
        if n_units != self.n_units:
            raise ShapeError(f"these statistics are of {self.n_units} units, got {n_units}")
        if dtype != self.dtype:
            raise ParameterError(
                f"the values so far were taken as {self.dtype}, got {dtype}; convert them first"
            )

    def add(self, batch: UnitBatch, settings: StatisticsSettings) -> None:
        """Take a batch in."""
        for part in batch.parts():
            self._add(part, settings)
        if self.keeper is not None:
            self.keeper.add(batch.rows)

    def _add(self, batch: UnitBatch, settings: StatisticsSettings) -> None:
        table, moments = self._tabulated(batch, settings)
        self.moments = self.moments.merged(moments)
        self.counts = self.counts.merged(Counts.of(table, batch.n_positions))
        self.extremes = self.extremes.merged(Extremes.of(table, batch.samples))
        self.top = self.top.updated(table.scores(settings.score), batch.samples)
        if self.covariance is not None and settings.covariance_of == "samples":
            assert table.mean is not None
            self.covariance.add(torch.from_numpy(table.mean.T))
        elif self.covariance is not None:
            all_finite = bool((table.n_finite == batch.n_positions).all())
            for values in batch.whole_tiles():
                by_unit = values.transpose(0, 1).flatten(1)  # (n_units, n)
                self.covariance.add(by_unit, all_finite=all_finite)

    def merge(self, other: SeenUnits) -> None:
        """Take in what was seen elsewhere."""
        self.moments = self.moments.merged(other.moments)
        self.counts = self.counts.merged(other.counts)
        self.extremes = self.extremes.merged(other.extremes)
        self.top = self.top.merged(other.top)
        if self.keeper is not None and other.keeper is not None:
            self.keeper.merge(other.keeper)
        if self.covariance is not None and other.covariance is not None:
            self.covariance.merge(other.covariance)

    def summary(self, n_samples: int, settings: StatisticsSettings) -> UnitSummary:
        """What it comes to."""
        n, ends = self.moments.n, (self.extremes.minimum, self.extremes.maximum)
        n_low, n_high, n_saturated = self._saturated(settings)
        is_constant = ends[0] == ends[1]
        return UnitSummary(
            n_samples=n_samples,
            n_values=n.astype(np.int64),
            n_not_finite=self.counts.n_not_finite.astype(np.int64),
            mean=self.moments.mean,
            variance=np.where(is_constant, 0.0, self.moments.variance),
            minimum=ends[0],
            maximum=ends[1],
            minimum_sample=self.extremes.negated.sample,
            maximum_sample=self.extremes.upper.sample,
            share_active=_share(self.counts.n_active, n),
            share_low=_share(n_low, n),
            share_high=_share(n_high, n),
            share_saturated=_share(n_saturated, n),
            quantiles=self.keeper.quantiles(settings.quantiles, n, ends) if self.keeper else None,
            top_samples=self.top.samples.copy(),
            top_scores=np.where(self.top.samples < 0, np.nan, self.top.scores),
            covariance=self.covariance.matrix if self.covariance else None,
            n_covariance=self.covariance.n if self.covariance else 0,
            settings=settings,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays by name."""
        named = {"dtype": np.asarray(str(self.dtype).removeprefix("torch."))}
        for name in ("moments", "counts", "extremes", "top"):
            named.update(_flat(name, getattr(self, name)))
        for name, keeper in (("covariance", self.covariance), ("keeper", self.keeper)):
            held = {} if keeper is None else keeper.state()
            named.update({f"{name}.{key}": array for key, array in held.items()})
        return named

    @classmethod
    def from_arrays(cls, named: Mapping[str, NDArray[Any]]) -> Self:
        """Back from `arrays`."""
        covariance, keeper = _under("covariance", named), _under("keeper", named)
        return cls(
            getattr(torch, str(named["dtype"])),
            Moments(**_under("moments", named)),
            Counts(**_under("counts", named)),
            Extremes(
                Extreme(**_under("extremes.negated", named)),
                Extreme(**_under("extremes.upper", named)),
            ),
            TopSamples(**_under("top", named)),
            Covariance.from_state(covariance) if covariance else None,
            QuantileKeeper.from_state(keeper) if keeper else None,
        )

    def _tabulated(
        self, batch: UnitBatch, settings: StatisticsSettings
    ) -> tuple[SampleTable, Moments]:
        """A batch's table and its moments, summed around the means so far.

        Where those are far from the batch's own, as they can be at the beginning, it is
        tabulated once more, around what it gave.
        """
        bounds = settings.bounds
        limits = Limits(settings.threshold, bounds and ends_within(*bounds, settings.tolerance))
        with_means = settings.score == "mean" or settings.covariance_of == "samples"
        shift = self.moments.centre
        table = tabulate(batch, shift=shift, limits=limits, with_means=with_means)
        moments = Moments.of(table, shift)
        is_far = moments.is_cancelled(self.moments.merged(moments))
        if is_far.any():
            near = np.clip(moments.mean, table.lowest.min(0), table.highest.max(0))
            shift = np.where(is_far, near, shift)
            table = tabulate(batch, shift=shift, limits=limits, with_means=with_means)
            moments = Moments.of(table, shift)
        return table, moments

    def _saturated(self, settings: StatisticsSettings) -> tuple[NDArray[np.float64], ...]:
        """How many values are at the lower end, at the upper one, and at either."""
        if settings.bounds is not None:
            low, high = self.counts.n_low, self.counts.n_high
            return low, high, low + high
        return self.extremes.negated.count, self.extremes.upper.count, self.extremes.count


def _share(count: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(n > 0, count / np.maximum(n, 1), np.nan)


def _flat(name: str, held: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    if not is_dataclass(held):
        yield name, held
        return
    for field in fields(held):
        yield from _flat(f"{name}.{field.name}", getattr(held, field.name))


def _under(name: str, named: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with this one, by the rest of their names."""
    start = f"{name}."
    return {key.removeprefix(start): named[key] for key in named if key.startswith(start)}
