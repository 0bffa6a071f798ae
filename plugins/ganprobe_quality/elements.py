"""Elements: which numbers of a latent, and which norms, go with good images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import mean_interval
from ganprobe_quality.ranks import Rank, rank_correlations

Floats = NDArray[np.float64]

_BINS = 10
_FEWEST_IN_BIN = 5


@dataclass(frozen=True, eq=False)
class ByNorm:
    """Samples in bins of equal number, by their norm.

    Args:
        norm: (bin,) the mean of each.
        mean, low, high: (bin,) of the score, with the limits of its 95 % interval.
    """

    norm: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Elements:
    """How a judge's ranks go with the latent's.

    Args:
        value: of each element, its rank correlation with goodness; `size`: of its distance from
            0. Their q are over elements and both.
        norm: of the Euclidean norm, alone.
        by_norm: the scores by norm.
    """

    value: tuple[Rank, ...]
    size: tuple[Rank, ...]
    norm: Rank
    by_norm: ByNorm


def study_elements(z: Floats, goodness: Floats, scores: Floats, *, seed: int) -> list[Elements]:
    """Of each judge, from latents z (n, element) and goodness and scores (judge, n)."""
    norms = np.linalg.norm(z, axis=1)
    n_elements = z.shape[1]
    found = []
    for better, own in zip(goodness, scores, strict=True):
        ranks = rank_correlations(np.concatenate([z, np.abs(z)], 1), better, seed=seed)
        (norm,) = rank_correlations(norms[:, None], better, seed=seed)
        by_norm = _by_norm(norms, own, seed)
        found.append(Elements(ranks[:n_elements], ranks[n_elements:], norm, by_norm))
    return found


def _by_norm(norms: Floats, scores: Floats, seed: int) -> ByNorm:
    n_bins = max(1, min(_BINS, len(norms) // _FEWEST_IN_BIN))
    bins: Sequence[NDArray[np.int64]] = np.array_split(np.argsort(norms, kind="stable"), n_bins)
    limits = np.array([mean_interval(scores[rows], seed=seed) for rows in bins])[..., 0]  # (bin, 3)
    middle = np.array([norms[rows].mean() for rows in bins])
    return ByNorm(middle, *limits.T)
