"""The samples with the highest scores at each unit: exact, whatever the order of the batches.

Of equal scores the sample with the lowest index comes first. Most batches hold no sample that
enters, and cost one comparison for each sample and unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe.statistics.extremes import NOWHERE

__all__ = ["TopSamples"]

_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class TopSamples:
    """The best k samples of each unit, best first.

    Args:
        scores: (n_units, k) float64; -infinity where there are fewer samples.
        samples: (n_units, k) int64; -1 there.
    """

    scores: NDArray[np.float64]
    samples: NDArray[np.int64]

    @classmethod
    def empty(cls, n_units: int, k: int) -> TopSamples:
        """Of no sample."""
        return cls(np.full((n_units, k), -np.inf), np.full((n_units, k), NOWHERE, np.int64))

    def updated(self, scores: NDArray[np.float64], samples: NDArray[np.int64]) -> TopSamples:
        """With a batch: scores (n, n_units), -infinity where a sample has none; indices (n,)."""
        if not self.scores.shape[1] or not len(samples):
            return self
        units = np.flatnonzero(scores.max(0) >= self.scores[:, -1])
        entering, worst = scores.T[units], self.scores[units, -1:]
        is_tie = (entering == worst) & (samples < self.samples[units, -1:])
        enters = ((entering > worst) | is_tie).any(1)
        indices = np.broadcast_to(samples, entering[enters].shape)
        return self._with(units[enters], TopSamples(entering[enters], indices))

    def merged(self, other: TopSamples) -> TopSamples:
        """Of the samples of both, which have no sample in common."""
        return self._with(np.arange(len(self.scores)), other)

    def _with(self, units: NDArray[np.int64], entering: TopSamples) -> TopSamples:
        k = self.scores.shape[1]
        scores = np.concatenate([self.scores[units], entering.scores], axis=1)
        samples = np.concatenate([self.samples[units], entering.samples], axis=1)
        samples = np.where(scores == -np.inf, NOWHERE, samples)
        last = np.where(samples == NOWHERE, _LAST, samples)
        order = np.lexsort((last, -scores), axis=1)[:, :k]
        kept = TopSamples(self.scores.copy(), self.samples.copy())
        kept.scores[units] = np.take_along_axis(scores, order, axis=1)
        kept.samples[units] = np.take_along_axis(samples, order, axis=1)
        return kept
