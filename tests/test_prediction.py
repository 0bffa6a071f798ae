"""Prediction: areas that others compute too, and intervals that hold although folds depend."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ganprobe.errors import ParameterError
from ganprobe.prediction import (
    ModelName,
    Predictability,
    _auc,
    _best_half,
    _covariance,
    _independent_samples,
    _partitions,
    _wilson,
    fit_predictor,
    predictability,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def samples(n: int, slope: float, seed: int = 0, d: int = 5) -> tuple[Floats, Flags]:
    """Latents of which the first decides, as much as the slope says, whether they are good."""
    generator = np.random.default_rng((seed, n))
    z = generator.normal(size=(n, d))
    return z, generator.random(n) < 1 / (1 + np.exp(-slope * z[:, 0]))


def apart(n: int, seed: int = 0) -> tuple[Floats, Flags]:
    """Latents that are good where two of them have the same sign, mostly."""
    generator = np.random.default_rng((seed, n))
    z = generator.normal(size=(n, 3))
    return z, generator.random(n) < 1 / (1 + np.exp(-4 * z[:, 0] * z[:, 1]))


@pytest.mark.parametrize("digits", [8, 0])
def test_the_area_is_scikit_learns_also_with_ties(digits: int) -> None:
    z, is_good = samples(80, 1.0)
    scores = np.round(z[:, 0], digits)
    area, _ = _auc(scores, is_good)
    assert area == pytest.approx(roc_auc_score(is_good, scores), abs=1e-12)


@pytest.mark.parametrize("digits", [8, 0])
def test_its_variance_is_delongs_by_all_pairs(digits: int) -> None:
    z, is_good = samples(60, 1.0)
    scores = np.round(z[:, 0], digits)
    good, bad = scores[is_good], scores[~is_good]
    wins = (good[:, None] > bad) + 0.5 * (good[:, None] == bad)
    expected = wins.mean(1).var(ddof=1) / len(good) + wins.mean(0).var(ddof=1) / len(bad)
    assert _auc(scores, is_good) == pytest.approx((wins.mean(), expected), abs=1e-12)


def test_every_fold_has_as_many_samples_and_as_many_good_ones() -> None:
    is_good = np.arange(103) % 4 == 0
    partitions = list(_partitions(is_good, 5, 0, 3))
    for parts in partitions:
        assert np.ptp(np.bincount(parts)) <= 1
        assert np.ptp(np.bincount(parts[is_good])) <= 1
    assert not np.array_equal(partitions[0], partitions[1])


@pytest.mark.parametrize("model", ["logistic", "neighbours"])
def test_the_area_is_the_mean_over_folds_of_models_that_have_not_seen_them(
    model: ModelName,
) -> None:
    z, is_good = samples(120, 1.5)
    made = {"logistic": LogisticRegression(), "neighbours": KNeighborsClassifier(10)}[model]
    areas, scores = [], np.empty(120)
    (parts,) = _partitions(is_good, 5, 7, 1)
    for fold in range(5):
        seen, tried = parts != fold, parts == fold
        fitted = make_pipeline(StandardScaler(), made).fit(z[seen], is_good[seen])
        told = fitted.predict_proba(z[tried])[:, 1]
        areas.append(roc_auc_score(is_good[tried], told))
        scores[tried] = (stats.rankdata(told) - 0.5) / tried.sum()
    found = predictability(z, is_good, seed=7, model=model, partitions=1)
    assert found.auc == pytest.approx(np.mean(areas), abs=1e-12)
    np.testing.assert_allclose(found.scores, scores, atol=1e-12)


def test_what_folds_teach_each_other_is_the_product_of_both_gains() -> None:
    gains = np.random.default_rng(0).normal(size=(4, 4))
    np.fill_diagonal(gains, 0.0)
    mean = gains.sum() / 12
    pairs = [(one, other) for one in range(4) for other in range(4) if one != other]
    summed = sum((gains[pair] - mean) * (gains[pair[::-1]] - mean) for pair in pairs)
    assert _covariance(gains) == pytest.approx(summed * 12 / 11 / 16)
    assert _covariance(np.triu(gains, 1) * 0 + 0.3 * ~np.eye(4, dtype=bool)) == pytest.approx(0)


def test_the_limits_are_wilsons_of_as_many_samples_as_have_this_variance() -> None:
    is_good = np.arange(400) % 4 == 0
    n = _independent_samples(0.7, 0.7 * 0.3 / 150, is_good)
    assert n == pytest.approx(150)
    expected = stats.binomtest(105, 150).proportion_ci(0.95, method="wilson")
    assert _wilson(0.7, n, 0.95) == pytest.approx((expected.low, expected.high))
    assert _independent_samples(0.7, 1e-9, is_good) == 450
    assert _independent_samples(1.0, 0.0, is_good) == 100


@pytest.mark.parametrize("model", ["logistic", "neighbours", "mlp"])
def test_a_planted_signal_is_found_and_the_best_half_is_better(model: ModelName) -> None:
    found = predictability(*samples(300, 2.0), model=model, partitions=1)
    assert found.is_signal
    assert found.p < 1e-4
    assert found.low < found.auc < found.high
    assert found.best_half.low > found.overall.value
    assert found.lift == found.best_half.value / found.overall.value > 1.2
    assert found.best_half.n == 150
    assert found.n_unfinished == 0


@pytest.mark.parametrize("model", ["logistic", "neighbours", "mlp"])
def test_where_there_is_no_signal_none_is_said(model: ModelName) -> None:
    found = predictability(*samples(200, 0.0), model=model, partitions=1)
    assert not found.is_signal
    assert found.low < 0.5 < found.high
    assert found.p > 0.05
    assert "no signal" in found.describe()


def test_what_no_straight_line_divides_takes_another_model() -> None:
    z, is_good = apart(400)
    by_model = {
        name: predictability(z, is_good, model=name, partitions=1)
        for name in ("logistic", "neighbours", "mlp")
    }
    assert not by_model["logistic"].is_signal
    assert by_model["neighbours"].low > 0.7
    assert by_model["mlp"].low > 0.7


def test_samples_that_are_told_apart_without_fail_leave_a_width() -> None:
    is_good = np.arange(100) % 2 == 0
    found = predictability(is_good[:, None] + np.zeros((100, 2)), is_good)
    assert (found.auc, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(50 / (50 + stats.norm.ppf(0.975) ** 2))
    assert found.p < 1e-6
    assert found.best_half.value == 1


def test_features_that_do_not_vary_predict_nothing() -> None:
    is_good = np.arange(60) < 30  # in order: equal scores must not be counted in it
    found = predictability(np.ones((60, 2)), is_good)
    assert found.auc == 0.5
    assert found.low < 0.5 < found.high
    assert found.p == 0.5
    assert found.scores.tolist() == [0.5] * 60
    assert 0.3 < found.best_half.value < 0.7


def test_the_best_half_has_the_highest_scores() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.5, 0.5, 0.7, 0.2])
    found = _best_half(scores, 0)
    assert found.sum() == 3
    assert found[[1, 5]].all()
    chosen = {int(np.flatnonzero(_best_half(scores, seed)[2:5])[0]) for seed in range(20)}
    assert chosen == {0, 1, 2}


@pytest.mark.parametrize("model", ["logistic", "neighbours", "mlp"])
def test_a_seed_gives_the_same_again_and_another_seed_something_near(model: ModelName) -> None:
    z, is_good = samples(100, 1.5)
    one, again, other = (
        predictability(z, is_good, model=model, partitions=1, seed=seed) for seed in (3, 3, 4)
    )
    assert one.to_json() == again.to_json()
    assert 0 < abs(one.auc - other.auc) < 0.1


def test_the_features_unit_does_not_matter() -> None:
    z, is_good = samples(100, 1.5)
    plain = predictability(z, is_good, partitions=1)
    scaled = predictability(z * [1e6, 1e-6, 1, -1, 3] + 5, is_good, partitions=1)
    assert scaled.auc == pytest.approx(plain.auc, abs=1e-3)


def test_scores_are_of_models_that_have_not_seen_the_sample() -> None:
    generator = np.random.default_rng(1)
    z, is_good = generator.normal(size=(100, 200)), generator.random(100) < 0.5
    found = predictability(z, is_good)  # seen samples would be told apart without fail
    assert roc_auc_score(is_good, found.scores) < 0.75
    assert found.auc < 0.7


def test_fits_that_end_early_are_counted_and_not_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ganprobe.prediction._MOST_STEPS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predictability(*samples(60, 1.0), partitions=1)
    assert found.n_unfinished == 15


def test_a_prediction_is_described_with_its_interval_and_its_halves() -> None:
    found = predictability(*samples(200, 2.0), partitions=1)
    area = f"AUC {found.auc:.2f} [{found.low:.2f}, {found.high:.2f}] (p = {found.p:.2g})"
    halves = f"best half {found.best_half}, all {found.overall}"
    assert found.describe() == f"{area}; {halves}; logistic, 5 folds, 1 partitions, seed 0"
    assert repr(found).endswith("by logistic, 200 samples, seed 0>")


def test_a_prediction_is_plain_values_in_json() -> None:
    found = predictability(*samples(60, 1.0), seed=2, folds=4, partitions=2)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (told["n"], told["folds"], told["partitions"], told["seed"]) == (60, 4, 2, 2)
    assert told["scores"] == found.scores.tolist()
    assert told["best_half"]["n"] == 30
    assert isinstance(found, Predictability)


def test_a_predictor_that_has_seen_all_samples_filters_fresh_ones() -> None:
    z, is_good = samples(300, 2.0)
    predict = fit_predictor(z, is_good)
    fresh, is_fresh_good = samples(300, 2.0, seed=1)
    assert roc_auc_score(is_fresh_good, predict(fresh)) > 0.7
    with pytest.raises(ParameterError, match="the model has seen 5 features, got 4"):
        predict(fresh[:, :4])


@pytest.mark.parametrize(
    ("features", "outcomes", "message"),
    [
        (np.zeros((40, 2)), [True] * 40, "nothing to predict where all 40 outcomes are good"),
        (np.zeros((40, 2)), [False] * 40, "nothing to predict where all 40 outcomes are bad"),
        (np.zeros((40, 2)), [True] * 9 + [False] * 31, "at least 10 samples .* got 9 good and 31"),
        (np.zeros((40, 2)), [True] * 41, "of the same samples, got 40 and 41"),
        (np.zeros((40, 2)), [1.0] * 40, r"booleans of shape \(n,\), got float64 of shape"),
        (np.full((40, 2), math.nan), [True] * 40, "the features must be finite, .* 80 of 80"),
        (np.zeros(40), [True] * 40, r"the features have two axes .* got the shape \(40,\)"),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(
    features: object, outcomes: object, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        predictability(features, outcomes)  # type: ignore[arg-type]


def test_settings_that_cannot_be_meant_are_refused() -> None:
    z, is_good = samples(60, 1.0)
    with pytest.raises(ParameterError, match="number of folds is a whole number from 3 on, got 2"):
        predictability(z, is_good, folds=2)
    with pytest.raises(ParameterError, match=r"number of partitions is .* got 0"):
        predictability(z, is_good, partitions=0)
    with pytest.raises(ParameterError, match="a model is logistic, neighbours, mlp, got 'forest'"):
        predictability(z, is_good, model="forest")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="a confidence lies between 0 and 1, got 95"):
        predictability(z, is_good, confidence=95)
    with pytest.raises(ParameterError, match="a seed is a whole number from 0 on, got -1"):
        predictability(z, is_good, seed=-1)


def coverage(slope: float, n: int, d: int, n_draws: int) -> tuple[float, float]:
    """The share of draws whose interval holds the models' mean true area, and of p below 0.05."""
    hits, n_small = 0, 0
    fresh, is_fresh_good = samples(4000, slope, seed=10**6, d=d)
    for seed in range(n_draws):
        z, is_good = samples(n, slope, seed=seed, d=d)
        found = predictability(z, is_good, seed=seed)
        n_small += found.p < 0.05
        hits += found.low <= true_area(z, is_good, fresh, is_fresh_good, seed) <= found.high
    return hits / n_draws, n_small / n_draws


def true_area(z: Floats, is_good: Flags, fresh: Floats, is_fresh_good: Flags, seed: int) -> float:
    """Of the models without one fold, over all partitions, on fresh samples."""
    areas = []
    for parts in _partitions(is_good, 5, seed, 3):
        for fold in range(5):
            seen = parts != fold
            predict = fit_predictor(z[seen], is_good[seen])
            areas.append(_auc(predict(fresh), is_fresh_good)[0])
    return float(np.mean(areas))


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300])
def test_where_nothing_can_be_predicted_the_interval_holds_one_half(n: int) -> None:
    held, n_small = coverage(0.0, n, 10, 400)
    assert 0.93 <= held <= 0.985
    assert 0.01 <= n_small <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize(("slope", "n"), [(1.0, 300), (3.0, 100), (3.0, 300)])
def test_where_something_can_the_interval_holds_the_true_area(slope: float, n: int) -> None:
    held, n_small = coverage(slope, n, 10, 300)
    assert 0.925 <= held <= 0.99
    assert n_small > 0.95
