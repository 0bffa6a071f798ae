"""Predicting: whether a verdict can be told from the latent alone, and by which model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ganprobe import Context, Share, fit_predictor, predictability
from ganprobe_quality import Model, QualityParams
from ganprobe_quality.features import features_of, method_of

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

UNLIKELY = 0.05
_POWER = 0.8
_FEWEST_OF_A_KIND = 20


@dataclass(frozen=True, eq=False)
class Foreseen:
    """How well a model tells good from other samples that it has not learned from.

    Args:
        auc: area under the ROC curve, 0.5 for guessing; `low`, `high`: its 95 % interval.
        p: one-sided, of so large an AUC by guessing.
        corrected_p: after Holm, over all judges and models of the run.
        scores: (n,) in (0, 1), how high the model, fitted without it, ranked each sample.
        best_half: the share of good ones among the half that is ranked highest.
        all: the share of good ones.
    """

    model: Model
    auc: float
    low: float
    high: float
    p: float
    scores: Floats
    best_half: Share
    all: Share
    corrected_p: float = math.nan

    @property
    def has_signal(self) -> bool:
        """Whether it is better than guessing, with all that was tried counted."""
        return self.auc > 0.5 and self.low > 0.5 and self.corrected_p < UNLIKELY


@dataclass(frozen=True, eq=False)
class Foresight:
    """Every model on one verdict.

    Args:
        models: none where there are too few of a kind.
        visible: the AUC that would have been seen in 8 of 10 such runs.
    """

    models: tuple[Foreseen, ...]
    n_good: int
    n_other: int
    visible: float

    @property
    def best(self) -> Foreseen | None:
        """The model with the largest AUC of those with signal; None: none has."""
        seen = [one for one in self.models if one.has_signal]
        return max(seen, key=lambda one: one.auc) if seen else None


def foresee(context: Context, params: QualityParams, z: Floats, good: Booleans) -> list[Foresight]:
    """Of each verdict: every model, from latents z (n, element) and good (verdict, n)."""
    seen = [_is_worth_trying(one, params.folds) for one in good]
    n_tests = sum(seen) * len(params.model)
    found: list[list[Foreseen]] = []
    with context.progress(max(n_tests, 1), "models tried") as bar:
        for verdict, is_tried in zip(good, seen, strict=True):
            found.append([])
            for model in params.model if is_tried else ():
                found[-1].append(_foresee(z, verdict, model, params, context.seed))
                bar.advance()
    corrected = _corrected(found)
    return [
        Foresight(tuple(models), int(one.sum()), int((~one).sum()), _visible(one, n_tests))
        for models, one in zip(corrected, good, strict=True)
    ]


def predict(model: Model, known: Floats, good: Booleans, z: Floats, *, seed: int) -> Floats:
    """(n,) how sure a model is that each of z (n, element) is good.

    Args:
        known: latents that it is fitted on, which are `good` or not.
    """
    fitted = fit_predictor(features_of(known, model), good, model=method_of(model), seed=seed)
    return fitted(features_of(z, model))


def _is_worth_trying(good: Booleans, folds: int) -> bool:
    least = max(_FEWEST_OF_A_KIND, 2 * folds)
    return min(int(good.sum()), int((~good).sum())) >= least


def _foresee(z: Floats, good: Booleans, model: Model, params: QualityParams, seed: int) -> Foreseen:
    found = predictability(
        features_of(z, model),
        good,
        seed=seed,
        folds=params.folds,
        model=method_of(model),
        partitions=params.partitions,
    )
    halves = found.best_half, found.overall
    return Foreseen(model, found.auc, found.low, found.high, found.p, found.scores, *halves)


def _corrected(found: Sequence[Sequence[Foreseen]]) -> list[list[Foreseen]]:
    """The same with Holm's p over all."""
    p = np.array([one.p for models in found for one in models])
    order = np.argsort(p, kind="stable")
    holm = np.empty(len(p))
    holm[order] = np.maximum.accumulate(np.minimum(p[order] * np.arange(len(p), 0, -1), 1.0))
    left = iter(holm.tolist())
    return [[replace(one, corrected_p=next(left)) for one in models] for models in found]


def _visible(good: Booleans, n_tests: int) -> float:
    """The AUC that n samples tell from 0.5 in 8 of 10 runs, with all tests counted.

    Source: Hanley and McNeil 1982, whose variance at 0.5 it takes.
    """
    n_good, n_other = int(good.sum()), int((~good).sum())
    if not (n_good and n_other):
        return math.nan
    error = math.sqrt((n_good + n_other + 1) / (12 * n_good * n_other))
    tail = UNLIKELY / max(n_tests, 2)  # one-sided; of a single test the interval asks for half
    return float(min(1.0, 0.5 + (stats.norm.isf(tail) + stats.norm.ppf(_POWER)) * error))
