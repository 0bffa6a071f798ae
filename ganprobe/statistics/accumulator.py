"""`UnitStatistics`: all statistics of the units of a site, batch by batch, in constant memory.

What is kept: some 30 numbers and 2 k for each unit, the values that fit the memory for exact
quantiles (`StatisticsSettings.memory`) or the sketch that follows them (`sketch`), and n_units²
numbers where the covariance is asked for. Batches may come in any order and size, and
accumulators of disjoint samples can be merged, in any order and across processes.

Costs, in GB of float32 taken in per second by one thread (64 normal samples of 128 units at
16 x 16 in a batch, seed 0; the median of some 100 batches and the best of them, on a two-core
server processor that had other work too):

    without quantiles                         0.8   1.2
    with quantiles, values kept               0.6   0.8
    with quantiles, values sketched           0.4   0.5    with the time to count what was kept
    covariance of positions, no quantiles     0.3   0.5    falls with 1 / n_units
    (n, n_units) without positions            0.1   0.1

Each value is read from memory once for the tables, and stays in the cache for all of their sums;
the floor is that reading, about 20 GB/s. Quantiles add a copy and a counting, covariance a
product of matrices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import ParameterError, ShapeError
from ganprobe.statistics.batches import UnitBatch
from ganprobe.statistics.seen import SeenUnits
from ganprobe.statistics.settings import StatisticsSettings
from ganprobe.statistics.sketch import Sketch
from ganprobe.statistics.summary import UnitSummary

__all__ = ["UnitStatistics"]


class UnitStatistics:
    """Streaming, mergeable statistics of the units of one site.

    NaN and infinite values are counted and otherwise left out. The same samples must not be
    added twice, nor be in two accumulators that are merged; within a batch that is checked.

    Args:
        settings: what is kept; None: the defaults.

    Raises:
        ParameterError: a tolerance around a unit's own ends, which takes two passes.

    Example:
        >>> import torch
        >>> statistics = UnitStatistics(StatisticsSettings(k=1))
        >>> statistics.add(torch.tensor([[1.0, -2.0], [3.0, -4.0]]), [0, 1])
        >>> summary = statistics.result()
        >>> summary.mean.tolist(), summary.top_samples.tolist(), summary.is_dead.tolist()
        ([2.0, -3.0], [[1], [0]], [False, True])
    """

    def __init__(self, settings: StatisticsSettings | None = None) -> None:
        self.settings = settings or StatisticsSettings()
        if self.settings.tolerance and self.settings.bounds is None:
            raise ParameterError(
                f"a tolerance of {self.settings.tolerance:g} around each unit's own ends takes two"
                " passes; use summarize_twice, or give bounds"
            )
        self.n_samples = 0
        self._seen: SeenUnits | None = None

    def add(self, activations: Tensor, samples: Sequence[int] | NDArray[Any]) -> None:
        """Take a batch in; nothing of it is kept but copies.

        Args:
            activations: (n, n_units, *space), or units on the axis that the settings name;
                float16, bfloat16, float32 or float64, on any device.
            samples: n distinct indices.

        Raises:
            ShapeError: the shape does not fit, or another number of units came before.
            ParameterError: the dtype is not of floating point, or the batches so far were
                widened to another; the indices are not distinct.
        """
        batch = UnitBatch.of(activations, samples, self.settings.unit_axis)
        if self._seen is None:
            self._seen = SeenUnits.empty(batch.n_units, batch.dtype, self.settings)
        self._seen.check(batch.n_units, batch.dtype)
        if batch.n_samples:
            self._seen.add(batch, self.settings)
            self.n_samples += batch.n_samples

    def merge(self, other: UnitStatistics) -> None:
        """Take in what another has seen of other samples; `other` is left as it is.

        Raises:
            ParameterError: its settings or dtype differ.
            ShapeError: its number of units differs.
        """
        if other.settings != self.settings:
            raise ParameterError(
                f"statistics of one kind can be merged, got {other.settings} into {self.settings}"
            )
        if other._seen is None:
            return
        if self._seen is None:
            self._seen = SeenUnits.empty(other._seen.n_units, other._seen.dtype, self.settings)
        self._seen.check(other._seen.n_units, other._seen.dtype)
        self._seen.merge(other._seen)
        self.n_samples += other.n_samples

    def result(self) -> UnitSummary:
        """The statistics of what was added so far; more can be added after it.

        Raises:
            ShapeError: nothing was added, so that there are no units.
        """
        if self._seen is None:
            raise ShapeError("no batch was added; add one before asking for the result")
        return self._seen.summary(self.n_samples, self.settings)

    @property
    def sketch(self) -> Sketch | None:
        """The histogram that stands for the quantiles, where values did not fit the memory."""
        keeper = None if self._seen is None else self._seen.keeper
        return None if keeper is None else keeper.settled()

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays by name, as ``numpy.savez`` takes them, without pickles."""
        settings = np.asarray(json.dumps(asdict(self.settings)))
        own = {"settings": settings, "n_samples": np.asarray(self.n_samples)}
        return own if self._seen is None else own | self._seen.arrays()

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> UnitStatistics:
        """Back from `state`, on the host; it goes on as if it had never stopped."""
        given = json.loads(str(state["settings"]))
        if given["bounds"] is not None:
            given["bounds"] = tuple(given["bounds"])
        statistics = cls(StatisticsSettings(**given))
        statistics.n_samples = int(state["n_samples"])
        if len(state) > 2:
            statistics._seen = SeenUnits.from_arrays(state)
        return statistics
