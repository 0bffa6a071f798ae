"""Filtering: the best model lets fresh samples pass, which are then judged: what that is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ganprobe import Context, Latents, Share, share
from ganprobe_quality import QualityParams
from ganprobe_quality.judging import Judged, judge_samples
from ganprobe_quality.predicting import Foreseen, Foresight, predict
from ganprobe_quality.standards import Standard

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Filtered:
    """Fresh samples, let pass or turned away before any was seen.

    Args:
        by: the model that did.
        judged: all of them; images are shown by what was predicted.
        predicted: (n,) by the model, larger where it is surer that a sample is good.
        passes: (n,) which were let pass: the surest ones.
        is_good: (n,) which turned out good.
    """

    by: Foreseen
    judged: Judged
    predicted: Floats
    passes: NDArray[np.bool_]
    is_good: NDArray[np.bool_]

    @property
    def all(self) -> Share:
        """The share of all that are good."""
        return share(self.is_good)

    @property
    def passed(self) -> Share:
        """The share of those that were let pass that are good."""
        return share(self.is_good[self.passes])

    @property
    def turned_away(self) -> Share:
        """The share of the others that are good."""
        return share(self.is_good[~self.passes])

    @property
    def p(self) -> float:
        """Of Fisher's exact test, two-sided, of those let pass against the others."""
        counts = [[one.successes, one.n - one.successes] for one in (self.passed, self.turned_away)]
        return float(np.asarray(stats.fisher_exact(np.array(counts))[1]))

    def kept(self, n: int) -> NDArray[np.int64]:
        """Places of the n that were let pass most surely, surest first."""
        order = np.argsort(-self.predicted, kind="stable")
        return np.asarray(order[self.passes[order]][:n])


def filter_fresh(
    context: Context,
    params: QualityParams,
    standard: Standard,
    foresight: Foresight,
    *,
    learned_from: tuple[Floats, NDArray[np.bool_]],
    fresh: Callable[[], Latents],
    n_shown: int,
) -> Filtered | None:
    """Fit the best model on all judged samples, filter fresh ones, and judge these.

    Args:
        learned_from: latents (n, element) and whether they were good.

    Returns:
        None where no model has signal.
    """
    best = foresight.best
    if best is None:
        return None
    latents = fresh()
    z = np.asarray(latents.z.flatten(1).double().cpu().numpy())
    predicted = predict(best.model, *learned_from, z, seed=context.seed)
    judged = judge_samples(
        context,
        standard.judges,
        latents,
        n_shown=max(1, min(n_shown, len(latents) // 2)),
        orders=predicted[None],
    )
    passes = _surest(predicted, params.accept)
    is_good = standard.good(judged.scores)[standard.kept]
    return Filtered(best, judged, predicted, passes, is_good)


def _surest(predicted: Floats, accept: float) -> NDArray[np.bool_]:
    n = len(predicted)
    n_passing = min(max(1, round(accept * n)), n - 1)
    passes = np.zeros(n, np.bool_)
    passes[np.argsort(-predicted, kind="stable")[:n_passing]] = True
    return passes
