"""Associations: coefficients that others find too, and intervals that hold what they say."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from ganprobe.association import (
    Associations,
    associations,
    cosines,
    effective_number,
    finite_matrix,
)
from ganprobe.errors import ParameterError

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


def correlations(elements: Floats, values: Floats, confidence: float = 0.95) -> Associations:
    return associations(elements, values, mutual_information=False, confidence=confidence)


def normal(rho: float) -> Draw:
    def draw(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        z, noise = generator.normal(size=(2, n))
        return z, rho * z + math.sqrt(1 - rho**2) * noise

    return draw


def parabola(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    z, noise = generator.normal(size=(2, n))
    return z, z**2 + 0.5 * noise


def growing_errors(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    z, noise = generator.normal(size=(2, n))
    return z, 0.5 * z + np.abs(z) * noise


def probabilities(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Of a classifier: nearly all near 0, some near 1."""
    z, noise = generator.normal(size=(2, n))
    return z, expit(8 * (0.7 * z + 0.7 * noise - 1.5))


def rare_label(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    return generator.normal(size=n), (generator.random(n) < 0.1).astype(np.float64)


def exponential(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    z = generator.normal(size=n)
    return z, np.exp(z / 2)


DRAWS: dict[str, tuple[Draw, float, float]] = {  # with Pearson's and Spearman's true values
    "normal 0": (normal(0.0), 0.0, 0.0),
    "normal 0.3": (normal(0.3), 0.3, 6 / math.pi * math.asin(0.15)),
    "normal 0.8": (normal(0.8), 0.8, 6 / math.pi * math.asin(0.4)),
    "parabola": (parabola, 0.0, 0.0),
    "growing errors": (growing_errors, 0.5 / math.sqrt(1.25), 0.4288),
    "probabilities": (probabilities, 0.4196, 6 / math.pi * math.asin(math.sqrt(0.5) / 2)),
    "rare label": (rare_label, 0.0, 0.0),
}


def coverage(draw: Draw, truth: tuple[float, float], n: int, n_draws: int) -> list[float]:
    """The shares of draws whose 95 % intervals, Pearson's and Spearman's, hold the true values."""
    hits = np.zeros(2)
    for seed in range(n_draws):
        found = correlations(*draw(np.random.default_rng((seed, n)), n))
        for index, told in enumerate((found.pearson, found.spearman)):
            hits[index] += told.low[0, 0] <= truth[index] <= told.high[0, 0]
    return list(hits / n_draws)


@pytest.mark.parametrize("name", DRAWS)
def test_a_95_percent_interval_holds_the_correlation_in_93_to_97_percent(name: str) -> None:
    draw, *truth = DRAWS[name]
    for held in coverage(draw, (truth[0], truth[1]), 200, 250):
        assert 0.905 <= held <= 0.985  # as wide as 250 draws make it


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 200, 500, 1000])
@pytest.mark.parametrize("name", DRAWS)
def test_coverage_is_the_same_over_many_draws(name: str, n: int) -> None:
    draw, *truth = DRAWS[name]
    for held in coverage(draw, (truth[0], truth[1]), n, 3000):
        assert 0.925 <= held <= 0.97


@pytest.mark.slow
def test_where_values_grow_exponentially_it_is_spearmans_that_holds() -> None:
    truth = 0.5 / math.sqrt(math.exp(0.25) - 1)
    for n in (100, 500):
        pearson, spearman = coverage(exponential, (truth, 1.0), n, 2000)
        assert 0.80 <= pearson <= 0.91
        assert spearman == 1.0


def jackknife_by_hand(z: Floats, values: Floats) -> tuple[float, float]:
    """The limits of Pearson's interval, one sample left out after the other."""
    n, r = len(z), stats.pearsonr(z, values)[0]
    left = np.arctanh([stats.pearsonr(np.delete(z, i), np.delete(values, i))[0] for i in range(n)])
    about = left - left.mean()
    freedom = min(n - 2, 2 * n / (stats.kurtosis(left, fisher=False) - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt((n - 1) / n * (about**2).sum())
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def influences_by_hand(z: Floats, values: Floats) -> Floats:
    """(n,) the derivative of Spearman's for a little more weight on each sample."""

    def weighted(weights: Floats) -> float:
        shares = []
        for row in (z, values):
            below = (weights * (row < row[:, None])).sum(1)
            shares.append(below + (weights * (row == row[:, None])).sum(1) / 2)
        middle = [share - (weights * share).sum() for share in shares]
        covariance = (weights * middle[0] * middle[1]).sum()
        variances = [(weights * one**2).sum() for one in middle]
        return float(covariance / math.sqrt(variances[0] * variances[1]))

    n, step = len(z), 1e-6
    even = np.full(n, 1 / n)
    return np.array(
        [(weighted(even * (1 - step) + step * np.eye(n)[i]) - weighted(even)) / step
         for i in range(n)]
    )  # fmt: skip


def test_the_correlations_are_scipys() -> None:
    generator = np.random.default_rng(0)
    elements = generator.normal(size=(50, 4))
    values = np.stack([elements[:, 0] ** 3, np.round(elements @ [1.0, 2.0, 0.0, 1.0])], axis=1)
    found = correlations(elements, values)
    for element in range(4):
        for column in range(2):
            pair = elements[:, element], values[:, column]
            at = element, column
            assert found.pearson.value[at] == pytest.approx(stats.pearsonr(*pair)[0], abs=1e-12)
            assert found.spearman.value[at] == pytest.approx(stats.spearmanr(*pair)[0], abs=1e-12)


@pytest.mark.parametrize("name", ["normal 0.8", "growing errors", "rare label"])
def test_pearsons_limits_are_those_of_the_jackknife(name: str) -> None:
    z, values = DRAWS[name][0](np.random.default_rng(1), 60)
    found = correlations(z, values).pearson
    limits = float(found.low[0, 0]), float(found.high[0, 0])
    assert limits == pytest.approx(jackknife_by_hand(z, values), rel=1e-8)


@pytest.mark.parametrize("name", ["normal 0.8", "growing errors", "rare label"])
def test_spearmans_limits_are_those_of_its_influences(name: str) -> None:
    z, values = DRAWS[name][0](np.random.default_rng(2), 60)
    influences = influences_by_hand(z, values)
    r = stats.spearmanr(z, values)[0]
    freedom = min(58, 120 / (stats.kurtosis(influences, fisher=False) - 1))
    error = math.sqrt((influences**2).sum() / 60 / 59) / (1 - r**2)
    half = stats.t.ppf(0.975, freedom) * error
    found = correlations(z, values).spearman
    expected = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    assert (float(found.low[0, 0]), float(found.high[0, 0])) == pytest.approx(expected, rel=1e-4)
    p = 2 * stats.t.sf(abs(math.atanh(r)) / error, freedom)
    assert found.p[0, 0] == pytest.approx(p, rel=1e-3)


def test_p_is_near_that_of_permutations_under_independence() -> None:
    generator = np.random.default_rng(3)
    elements, values = generator.normal(size=(400, 6)), generator.normal(size=400)
    shuffled = np.stack([generator.permutation(values) for _ in range(500)])
    by_chance = correlations(elements, shuffled.T).pearson.value
    found = correlations(elements, values).pearson
    expected = (np.abs(by_chance) >= np.abs(found.value)).mean(1)
    np.testing.assert_allclose(found.p[:, 0], expected, atol=0.1)


@pytest.mark.parametrize("draw", [normal(0.0), parabola], ids=["independent", "dependent"])
def test_a_correlation_of_0_is_below_5_percent_in_5_percent(draw: Draw) -> None:
    found = [correlations(*draw(np.random.default_rng((seed, 5)), 200)) for seed in range(300)]
    for name in ("pearson", "spearman"):
        p = np.array([getattr(one, name).p[0, 0] for one in found])
        assert 0.02 <= float((p < 0.05).mean()) <= 0.09


def test_p_is_small_where_the_interval_leaves_0_out() -> None:
    generator = np.random.default_rng(6)
    elements = generator.normal(size=(100, 40))
    found = correlations(elements, elements @ generator.normal(size=(40, 3)))
    for told in (found.pearson, found.spearman):
        np.testing.assert_array_equal(told.p < 0.05, (told.low > 0) | (told.high < 0))


def test_q_is_p_after_benjamini_and_hochberg_over_the_elements_of_each_column() -> None:
    generator = np.random.default_rng(7)
    elements = generator.normal(size=(60, 9))
    found = associations(elements, elements[:, :2] + generator.normal(size=(60, 2)), n_resamples=99)
    for told in (found.pearson, found.spearman, found.mutual_information):
        assert told is not None
        for column in range(2):
            expected = stats.false_discovery_control(told.p[:, column])
            np.testing.assert_array_equal(told.q[:, column], expected)


def test_a_planted_relation_is_found_by_the_coefficient_that_can_see_it() -> None:
    generator = np.random.default_rng(8)
    z = generator.normal(size=(400, 6))
    values = np.stack([z[:, 1] + z[:, 4], np.cos(2 * z[:, 2]), np.exp(4 * z[:, 3])], axis=1)
    found = associations(z, values + generator.normal(size=values.shape) * 0.1, n_resamples=399)
    assert found.mutual_information is not None
    assert np.flatnonzero(found.pearson.q[:, 0] < 0.05).tolist() == [1, 4]
    assert np.flatnonzero(found.mutual_information.q[:, 1] < 0.05).tolist() == [2]
    assert found.pearson.p[2, 1] > 0.05
    assert int(found.spearman.value[:, 2].argmax()) == 3
    assert found.spearman.value[3, 2] > 0.8 > found.pearson.value[3, 2]


def test_mutual_information_has_its_chance_beside_it() -> None:
    z, values = normal(0.0)(np.random.default_rng(9), 200)
    found = associations(np.stack([z, values], axis=1), values + 0.1 * z, n_resamples=199)
    assert found.mutual_information is not None
    assert found.chance_level is not None
    assert found.mutual_information.value[0, 0] < found.chance_level < 0.2
    assert found.mutual_information.value[1, 0] > 1
    assert found.mutual_information.p[1, 0] == 1 / 200
    assert found.mutual_information.p[0, 0] > 0.05
    assert (found.mutual_information.low >= 0).all()
    assert associations(z, values, mutual_information=False).mutual_information is None


def test_constant_numbers_go_with_nothing() -> None:
    z = np.random.default_rng(10).normal(size=(30, 3))
    z[:, 1] = 0.1
    found = associations(z, np.stack([z[:, 0], np.full(30, 0.3), np.zeros(30)], axis=1))
    for told in (found.pearson, found.spearman, found.mutual_information):
        assert told is not None
        is_constant = np.array([[False, True, True], [True] * 3, [False, True, True]])
        assert (told.value[is_constant] == 0).all()
        assert (told.p[is_constant] == 1).all()
        assert (told.q[is_constant] == 1).all()
        np.testing.assert_array_equal(np.isnan(told.low), is_constant)
        np.testing.assert_array_equal(np.isnan(told.high), is_constant)
        assert "[no interval]" in told.describe(1, 0)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["pearson"]["low"][1] == [None, None, None]


def test_a_spread_that_is_rounding_is_none() -> None:
    z = np.random.default_rng(11).normal(size=30)
    found = correlations(z, 0.3 + 1e-16 * np.sign(z))
    assert found.pearson.value.tolist() == found.spearman.value.tolist() == [[0.0]]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_relation_without_error_has_limits_without_width(sign: float) -> None:
    z = np.random.default_rng(12).normal(size=40)
    found = correlations(z, sign * 3 * z + 7)
    grown = correlations(z, sign * np.exp(z))
    for told in (found.pearson, found.spearman, grown.spearman):
        assert (told.value[0, 0], told.low[0, 0], told.high[0, 0]) == (sign, sign, sign)
        assert told.p[0, 0] == 0


def test_one_sample_that_alone_differs_is_no_certainty() -> None:
    z = np.random.default_rng(13).normal(size=30)
    single = (np.arange(30) == 4).astype(np.float64)
    for values in (single, z + 1e9 * single):
        found = correlations(z, values).pearson
        assert found.low[0, 0] < 0 < found.high[0, 0]
        assert found.p[0, 0] > 0.05
    alike = correlations(single, single + 0.0).pearson
    assert alike.value[0, 0] == 1


def test_a_pair_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(14)
    elements = np.round(generator.normal(size=(40, 5)), 1)
    values = np.round(elements[:, :3] + generator.normal(size=(40, 3)), 1)
    whole = associations(elements, values, n_resamples=99)
    alone = associations(elements[:, 3], values[:, 2], n_resamples=99)
    monkeypatch.setattr("ganprobe.association._CHUNK", 2 * values.size)
    in_chunks = associations(elements, values, n_resamples=99)
    for name in ("pearson", "spearman", "mutual_information"):
        for field in ("value", "low", "high", "p"):
            expected = getattr(getattr(whole, name), field)
            found = getattr(getattr(alone, name), field)[0, 0]
            assert found == pytest.approx(expected[3, 2], rel=1e-9)
            again = getattr(getattr(in_chunks, name), field)
            np.testing.assert_allclose(again, expected, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-200, -1.0, 1e200])
def test_associations_do_not_depend_on_the_units(factor: float) -> None:
    z, values = growing_errors(np.random.default_rng(15), 50)
    plain, scaled = correlations(z, values), correlations(z, values * factor)
    for name in ("pearson", "spearman"):
        one, other = getattr(plain, name), getattr(scaled, name)
        np.testing.assert_allclose(other.value, one.value * np.sign(factor), rtol=1e-9)
        low = one.low if factor > 0 else -one.high
        np.testing.assert_allclose(other.low, low, rtol=1e-9)
        np.testing.assert_allclose(other.p, one.p, rtol=1e-9)


def test_a_seed_gives_the_same_again_and_another_seed_something_near() -> None:
    z, values = normal(0.5)(np.random.default_rng(16), 100)
    labels = np.round(values)
    one, again, other = (associations(z, labels, seed=seed, n_resamples=99) for seed in (3, 3, 4))
    assert one.to_json() == again.to_json()
    assert one.mutual_information is not None
    assert other.mutual_information is not None
    assert one.pearson.to_json() == other.pearson.to_json()
    near = one.mutual_information.value - other.mutual_information.value
    assert 0 < abs(near[0, 0]) < 0.1


def test_the_interval_narrows_with_less_confidence() -> None:
    z, values = normal(0.5)(np.random.default_rng(17), 60)
    for name in ("pearson", "spearman", "mutual_information"):
        widths = []
        for confidence in (0.5, 0.9, 0.99):
            told = getattr(associations(z, values, confidence=confidence, n_resamples=99), name)
            widths.append(float((told.high - told.low)[0, 0]))
        assert widths == sorted(widths)


def test_a_pair_is_described_with_its_intervals_and_its_chance() -> None:
    z, values = normal(0.8)(np.random.default_rng(18), 100)
    found = associations(z, values, n_resamples=99)
    assert repr(found) == "<Associations: 1 by 1 over 100 samples, seed 0>"
    words = found.describe(0, 0)
    assert words.startswith(f"Pearson {found.pearson.value[0, 0]:.2g} [")
    assert "; Spearman " in words
    assert words.endswith(f"by chance {found.chance_level:.2g}; n = 100")
    assert "information" not in correlations(z, values).describe(0, 0)
    with pytest.raises(ParameterError, match="there are 1 elements, counted from 0, got 1"):
        found.describe(1, 0)
    with pytest.raises(ParameterError, match="there are 1 columns, counted from 0, got 2"):
        found.describe(0, 2)


def test_associations_are_plain_values_in_json() -> None:
    z, values = normal(0.3)(np.random.default_rng(19), 40)
    found = json.loads(json.dumps(associations(z, values, n_resamples=99, seed=2).to_json()))
    assert (found["n"], found["n_resamples"], found["seed"]) == (40, 99, 2)
    assert set(found["mutual_information"]) == {"value", "low", "high", "p", "q"}


@pytest.mark.parametrize(
    ("elements", "values", "message"),
    [
        (np.zeros((30, 2)), np.zeros(29), "of the same samples, got 30 and 29"),
        (np.zeros((19, 2)), np.zeros(19), "at least 20 samples, got 19"),
        (np.zeros((30, 2)), [math.nan] * 30, "the values must be finite, .* at 30 of 30 places"),
        (np.zeros((30, 2, 2)), np.zeros(30), r"the elements have two axes .* got the shape"),
        (np.zeros((30, 0)), np.zeros(30), r"at least one number, got the shape \(30, 0\)"),
        ("many", np.zeros(30), "the elements are an array of numbers, got 'many'"),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(
    elements: object, values: object, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        associations(elements, values)  # type: ignore[arg-type]


def test_settings_that_cannot_be_meant_are_refused() -> None:
    z, values = normal(0.3)(np.random.default_rng(20), 30)
    with pytest.raises(ParameterError, match=r"needs at least 19 resamples, got 18"):
        associations(z, values, n_resamples=18)
    with pytest.raises(ParameterError, match="a confidence lies between 0 and 1, got 95"):
        associations(z, values, confidence=95)
    with pytest.raises(ParameterError, match="a seed is a whole number from 0 on, got -1"):
        associations(z, values, seed=-1)


def test_cosines_are_those_of_the_angles_between_effects() -> None:
    effects = np.random.default_rng(21).normal(size=(5, 40))
    effects[3] = -2 * effects[1]
    effects[4] = 0
    found = cosines(effects)
    for one in range(4):
        for other in range(4):
            lengths = np.linalg.norm(effects[one]) * np.linalg.norm(effects[other])
            expected = effects[one] @ effects[other] / lengths
            assert found[one, other] == pytest.approx(expected, abs=1e-12)
    assert found[1, 3] == -1
    assert found[4].tolist() == found[:, 4].tolist() == [0.0] * 5
    np.testing.assert_allclose(cosines(effects * 1e-200), found, rtol=1e-12)


def test_the_effective_number_is_the_participation_ratio_of_the_eigenvalues() -> None:
    effects = np.random.default_rng(22).normal(size=(12, 30))
    eigenvalues = np.linalg.eigvalsh(cosines(effects))
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert effective_number(effects) == pytest.approx(expected)
    assert expected == pytest.approx(12 * 30 / 41, rel=0.1)


def test_the_effective_number_counts_directions() -> None:
    axes = np.eye(6)
    assert effective_number(axes * np.arange(1, 7)[:, None]) == pytest.approx(6)
    assert effective_number(np.concatenate([axes[:2], -axes[:2], np.zeros((3, 6))])) == 2
    assert effective_number(np.zeros((3, 6))) == 0


def test_effects_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"effects have two axes .* got the shape \(3,\)"):
        cosines([1.0, 2.0, 3.0])
    with pytest.raises(ParameterError, match="effects must be finite"):
        effective_number([[math.inf]])
    assert finite_matrix([[1]], "numbers").dtype == np.float64
