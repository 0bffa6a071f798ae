"""Statistics: what each unit of a site does over many samples, in one pass and constant memory.

    moments      mean and variance, robust where the mean is far larger than the deviation
    covariance   between units, over positions or over samples
    extremes     minimum and maximum, exact, and the samples where they occur
    quantiles    exact while the values fit the memory, else from a sketch with a guaranteed
                 error; exact in any case where the values can be read more than once
    top          the samples with the highest scores
    counts       the shares of active and of saturated values; dead and constant units

Samples are taken in by batches of any size and order, and accumulators of disjoint samples are
merged, to one and the same result: counts, extremes, top samples and quantiles exactly, moments
to float64 rounding.
"""

from __future__ import annotations

from ganprobe.statistics.accumulator import UnitStatistics
from ganprobe.statistics.quantiles import Quantiles
from ganprobe.statistics.reading import Batches, summarize, summarize_twice
from ganprobe.statistics.settings import CovarianceOf, Score, StatisticsSettings
from ganprobe.statistics.summary import UnitSummary

__all__ = [
    "Batches",
    "CovarianceOf",
    "Quantiles",
    "Score",
    "StatisticsSettings",
    "UnitStatistics",
    "UnitSummary",
    "summarize",
    "summarize_twice",
]
