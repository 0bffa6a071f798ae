"""Agreement: whether two judges rank the samples alike, and call the same ones good."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ganprobe import Share, share
from ganprobe_quality.ranks import Rank, rank_correlations

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Of two judges.

    Args:
        one, other: their places.
        rank: correlation of their ranks, better ones higher.
        both: of those that are good by the first, the share that is good by the second; None:
            none is good by the first.
        chance: the share of all samples that is good by the second.
        p: of Fisher's exact test, two-sided: the first's verdict says nothing of the second's.
    """

    one: int
    other: int
    rank: Rank
    both: Share | None
    chance: Share
    p: float


def agreements(goodness: Floats, good: NDArray[np.bool_], *, seed: int) -> list[Agreement]:
    """Of each pair of judges, from goodness and good (judge, n)."""
    return [
        Agreement(
            one,
            other,
            rank_correlations(goodness[[one]].T, goodness[other], seed=seed)[0],
            share(good[other][good[one]]) if good[one].any() else None,
            share(good[other]),
            _fisher(good[one], good[other]),
        )
        for one, other in combinations(range(len(goodness)), 2)
    ]


def _fisher(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    counts = [[int((a & b).sum()) for b in (other, ~other)] for a in (one, ~one)]
    return float(np.asarray(stats.fisher_exact(np.array(counts))[1]))
