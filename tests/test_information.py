"""Mutual information by neighbours: the estimate of others, and an error that holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import digamma, ndtri
from sklearn.feature_selection import mutual_info_regression

from ganprobe.information import (
    _Scale,
    _terms,
    chance_information,
    mutual_information,
    places,
)

Floats = NDArray[np.float64]


def normal_pair(n: int, rho: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    first, noise = generator.normal(size=(2, n))
    return first, rho * first + math.sqrt(1 - rho**2) * noise


def placed(first: Floats, second: Floats, seed: int = 0) -> tuple[NDArray[np.intp], ...]:
    generator = np.random.default_rng((seed, 99))
    return places(first, generator), places(second, generator)


def by_hand(first: Floats, second: Floats) -> float:
    """Equation 8 of Kraskov et al. as it stands, by all distances."""
    n = len(first)
    across, along = (np.abs(row[:, None] - row) for row in (first, second))
    distances = np.sort(np.maximum(across, along), axis=1)[:, 3]  # the first is 0
    within = distances[:, None] * (1 - 1e-10)
    counts = [(axis < within).sum(1) for axis in (across, along)]  # itself included
    return float(digamma(3) + digamma(n) - np.mean(digamma(counts[0]) + digamma(counts[1])))


def test_the_estimate_is_that_of_kraskov_by_all_distances() -> None:
    generator = np.random.default_rng(0)
    first, second = placed(*normal_pair(80, 0.6, generator))
    scores = ndtri((np.arange(80) + 0.5) / 80)
    expected = by_hand(scores[first], scores[second])
    assert mutual_information(first, second).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_the_estimate_is_scikit_learns(rho: float) -> None:
    generator = np.random.default_rng(1)
    first, second = placed(*normal_pair(400, rho, generator))
    scores = ndtri((np.arange(400) + 0.5) / 400)
    expected = mutual_info_regression(
        scores[first, None], scores[second], discrete_features=False, random_state=0
    )
    assert mutual_information(first, second).value == pytest.approx(expected[0], abs=5e-3)


@pytest.mark.parametrize("n", [20, 60])
def test_the_value_without_a_sample_is_that_of_the_others(n: int) -> None:
    first, second = placed(*normal_pair(n, 0.7, np.random.default_rng(2)))
    scale = _Scale.of(n)
    terms, without_each = _terms(scale, first, second)
    assert terms.mean() == pytest.approx(mutual_information(first, second).value)
    points = scale.points(first, second)
    for sample in range(n):
        others = np.delete(points, sample, axis=0)
        assert without_each[sample] == pytest.approx(by_hand(*others.T), abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_it_is_what_a_normal_pair_has(rho: float) -> None:
    found = mutual_information(*placed(*normal_pair(4000, rho, np.random.default_rng(3))))
    assert found.value == pytest.approx(-0.5 * math.log(1 - rho**2), abs=3 * found.error)
    assert 0.01 < found.error < 0.03


def test_a_monotone_change_of_either_row_changes_nothing() -> None:
    first, second = normal_pair(200, 0.7, np.random.default_rng(4))
    plain = mutual_information(*placed(first, second))
    assert mutual_information(*placed(np.exp(5 * first), second**3)) == plain
    assert mutual_information(*placed(second, first)).value == pytest.approx(plain.value)


def test_equal_values_are_placed_at_random_and_tell_nothing_of_themselves() -> None:
    values = np.repeat([0.0, 1.0], 500)
    first = places(values, np.random.default_rng(0))
    second = places(values, np.random.default_rng(1))
    assert sorted(first) == list(range(1000))
    assert set(first[:500]) == set(range(500))
    assert not np.array_equal(first, second)
    found = mutual_information(first, second)  # a label and itself: ln 2
    assert found.value == pytest.approx(math.log(2), abs=3 * found.error)


def test_independent_rows_give_what_chance_gives() -> None:
    generator = np.random.default_rng(5)
    by_chance = chance_information(60, 0, 400)
    drawn = [
        mutual_information(*placed(*normal_pair(60, 0.0, generator), seed)).value
        for seed in range(400)
    ]
    assert np.array_equal(by_chance, np.sort(by_chance))
    assert abs(by_chance.mean()) < 0.02
    for level in (0.1, 0.5, 0.9):
        assert np.mean(drawn < np.quantile(by_chance, level)) == pytest.approx(level, abs=0.08)


def test_the_error_is_the_deviation_over_draws_or_a_little_more() -> None:
    generator = np.random.default_rng(6)
    found = [
        mutual_information(*placed(*normal_pair(200, 0.6, generator), seed)) for seed in range(300)
    ]
    values, errors = np.array(found).T
    assert 0.95 <= float(np.sqrt((errors**2).mean()) / values.std()) <= 1.25


def parabola(n: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    first, noise = generator.normal(size=(2, n))
    return first, first**2 + 0.5 * noise


def label(n: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    first = generator.normal(size=n)
    return first, (generator.random(n) < 1 / (1 + np.exp(-3 * first))).astype(np.float64)


def coverage(draw: str, n: int, n_draws: int) -> float:
    """The share of draws whose 95 % interval holds the true information."""
    truth = {"parabola": 0.8027, "label": 0.3326, "0": 0.0, "0.3": 0.04716, "0.8": 0.51083}[draw]
    hits = 0
    for seed in range(n_draws):
        generator = np.random.default_rng((seed, n))
        if draw in ("parabola", "label"):
            pair = (parabola if draw == "parabola" else label)(n, generator)
        else:
            pair = normal_pair(n, float(draw), generator)
        value, error = mutual_information(*placed(*pair, seed))
        hits += abs(value - truth) <= 1.96 * error
    return hits / n_draws


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["0", "0.3", "0.8", "label", "parabola"])
@pytest.mark.parametrize("n", [500, 1000])
def test_a_95_percent_interval_holds_the_information_in_93_to_98_percent(draw: str, n: int) -> None:
    assert 0.925 <= coverage(draw, n, 1000) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["0", "0.3", "0.8", "label"])
@pytest.mark.parametrize("n", [100, 200])
def test_so_it_does_with_fewer_samples_where_the_relation_is_monotone(draw: str, n: int) -> None:
    assert 0.92 <= coverage(draw, n, 1500) <= 0.98


@pytest.mark.slow
def test_of_a_parabola_few_samples_see_too_little() -> None:
    assert 0.73 <= coverage("parabola", 100, 1500) <= 0.85
