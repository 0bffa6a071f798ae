"""Effects: intervals that hold what they say, and p values that chance alone rarely makes small."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ganprobe.effects import (
    PairedEffects,
    Share,
    control_band,
    mean_interval,
    paired_effects,
    ratio_of_means,
    share,
)
from ganprobe.errors import ParameterError

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]


def normal(generator: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return generator.normal(0.3, 1.0, shape)


def skewed(generator: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return generator.exponential(1.0, shape) - 0.7


def three_valued(generator: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """A label after less the label before: mean 0.35 - 0.05."""
    places = np.searchsorted([0.05, 0.65], generator.random(shape))
    return places.astype(np.float64) - 1.0


def coverage_of(draw: Draw, n: int, n_effects: int, *, mean: float = 0.3, seed: int = 1) -> float:
    """The share of effects whose 95 % interval holds the true mean."""
    rows = draw(np.random.default_rng((seed, n)), (n_effects, n))
    _, low, high = mean_interval(rows, seed=seed)
    return float(((low <= mean) & (mean <= high)).mean())


def by_hand(row: Floats, seed: int, n_resamples: int) -> tuple[float, float]:
    """The bootstrap-t interval as the book has it, one resample after the other."""
    n = len(row)
    drawn = np.random.default_rng((seed, 0)).integers(n, size=(n_resamples, n))
    t = [
        (row[places].mean() - row.mean()) / (row[places].std(ddof=1) / math.sqrt(n))
        for places in drawn
    ]
    se = row.std(ddof=1) / math.sqrt(n)
    t_low, t_high = stats.mstats.mquantiles(t, [0.025, 0.975], alphap=0, betap=0)
    return float(row.mean() - t_high * se), float(row.mean() - t_low * se)


@pytest.mark.parametrize("n", [20, 50, 100])
@pytest.mark.parametrize("draw", [normal, skewed, three_valued])
def test_a_95_percent_interval_holds_the_mean_in_93_to_97_percent(draw: Draw, n: int) -> None:
    assert 0.93 <= coverage_of(draw, n, 2000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 50, 100])
@pytest.mark.parametrize("draw", [normal, skewed, three_valued])
def test_coverage_is_the_same_over_many_seeds(draw: Draw, n: int) -> None:
    found = [coverage_of(draw, n, 2000, seed=seed) for seed in range(10)]
    assert 0.935 <= float(np.mean(found)) <= 0.965


@pytest.mark.parametrize("n", [4, 6, 10])
def test_few_samples_give_wide_intervals_that_still_hold(n: int) -> None:
    assert coverage_of(normal, n, 2000) >= 0.93
    assert coverage_of(skewed, n, 2000) >= 0.91


def test_rare_effects_have_finite_intervals_that_hold_at_100_samples() -> None:
    def rare(generator: np.random.Generator, shape: tuple[int, int]) -> Floats:
        return (generator.random(shape) < 0.1) * generator.exponential(1.0, shape)

    _, low, high = mean_interval(rare(np.random.default_rng(0), (500, 50)))
    assert np.isfinite(low).all()
    assert np.isfinite(high).all()
    assert 0.94 <= coverage_of(rare, 100, 1000, mean=0.1) <= 0.99


def test_the_interval_is_that_of_the_book() -> None:
    rows = np.random.default_rng(3).gamma(2.0, size=(3, 15))
    mean, low, high = mean_interval(rows, seed=5, n_resamples=400)
    np.testing.assert_allclose(mean, rows.mean(1), rtol=1e-12)
    for row, one_low, one_high in zip(rows, low, high, strict=True):
        assert (one_low, one_high) == pytest.approx(by_hand(row, 5, 400), rel=1e-9)


@pytest.mark.parametrize("n", [20, 48, 400])
def test_a_row_of_nearly_one_value_has_limits_within_a_few_deviations(n: int) -> None:
    row = 1e-8 * np.random.default_rng(n).normal(size=n)
    row[0] = 0.9  # as the probability of a class that one sample in n changes to
    mean, low, high = mean_interval(row)
    assert low[0] < mean[0] < high[0]
    assert high[0] - low[0] < 3 * row.std()


def test_a_resample_of_one_value_counts_as_one_draw_a_deviation_off() -> None:
    row = np.array([1.0] + [0.0] * 9)
    _, low, high = mean_interval(row)
    spread = row.std()
    # more than 2.5 % of the resamples miss the 1, so that these are the upper limit
    t = -0.1 / (spread / math.sqrt(10))
    assert high[0] == pytest.approx(0.1 - t * spread)
    assert low[0] < 0.1


def test_the_interval_narrows_with_less_confidence() -> None:
    row = normal(np.random.default_rng(0), (1, 30))
    width = [
        float((high - low)[0])
        for _, low, high in (
            mean_interval(row, confidence=confidence) for confidence in (0.5, 0.9, 0.99)
        )
    ]
    assert width == sorted(width)


def test_chance_alone_is_below_5_percent_in_5_percent() -> None:
    for n in (20, 50):
        rows = np.random.default_rng(n).normal(size=(2000, n))
        assert 0.035 <= float((paired_effects(rows).p < 0.05).mean()) <= 0.065


def test_p_of_few_samples_is_that_of_all_sign_patterns() -> None:
    rows = np.random.default_rng(0).normal(0.5, 1.0, (6, 7))
    found = paired_effects(rows).p
    for row, p in zip(rows, found, strict=True):
        means = [abs(np.mean(row * signs)) for signs in product([-1, 1], repeat=7)]
        n_as_far = sum(mean >= abs(row.mean()) - 1e-12 for mean in means)
        assert p == n_as_far / 2**7


@pytest.mark.parametrize("values", ["continuous", "with ties"])
def test_p_agrees_with_scipy_where_all_patterns_are_tried(values: str) -> None:
    rows = np.random.default_rng(1).normal(0.4, 1.0, (5, 8))
    if values == "with ties":
        rows = np.round(rows) * 0.1
    for row, p in zip(rows, paired_effects(rows).p, strict=True):
        expected = stats.permutation_test(
            (row,), np.mean, permutation_type="samples", n_resamples=2**8
        )
        assert p == pytest.approx(expected.pvalue, abs=1e-12)


def test_p_of_random_signs_is_near_that_of_all() -> None:
    rows = np.random.default_rng(2).normal(0.3, 1.0, (20, 12))
    exact = paired_effects(rows, n_resamples=2**12).p
    drawn = paired_effects(rows, n_resamples=2**12 - 1).p
    assert not np.array_equal(exact, drawn)
    np.testing.assert_allclose(drawn, exact, atol=4 * 0.5 / 2**6)


def test_p_is_never_zero() -> None:
    effects = paired_effects(np.random.default_rng(0).normal(9.0, 1.0, 50), n_resamples=999)
    assert effects.p[0] == 1 / 1000


def test_q_is_p_after_benjamini_and_hochberg() -> None:
    shifts = np.linspace(0.0, 0.8, 12)[:, None]
    effects = paired_effects(np.random.default_rng(4).normal(size=(12, 40)) + shifts)
    order = np.argsort(effects.p)
    raised = effects.p[order] * 12 / np.arange(1, 13)
    expected = np.minimum.accumulate(raised[::-1])[::-1]
    np.testing.assert_allclose(effects.q[order], np.minimum(expected, 1.0), rtol=1e-12)
    np.testing.assert_array_equal(effects.q, stats.false_discovery_control(effects.p))


def test_planted_effects_are_found_among_many_that_are_none() -> None:
    rows = np.random.default_rng(6).normal(size=(200, 60))
    rows[:20] -= 1.0
    effects = paired_effects(rows, n_resamples=4000)
    assert (effects.q[:20] < 0.05).all()
    assert int((effects.q[20:] < 0.05).sum()) <= 4
    assert (effects.high[:20] < 0).all()


def test_a_seed_gives_the_same_again_and_another_seed_something_near() -> None:
    rows = normal(np.random.default_rng(0), (4, 40))
    one, again, other = (paired_effects(rows, seed=seed) for seed in (7, 7, 8))
    for name in ("mean", "low", "high", "p", "q"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.low, other.low)
    np.testing.assert_allclose(one.low, other.low, atol=0.1)


@pytest.mark.parametrize("n", [5, 40])
def test_an_effect_does_not_depend_on_the_others(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = skewed(np.random.default_rng(0), (9, n))
    whole = paired_effects(rows)
    for index, row in enumerate(rows):
        alone = paired_effects(row)
        for name in ("mean", "low", "high", "p"):
            expected = getattr(whole, name)[index]
            assert getattr(alone, name)[0] == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr("ganprobe.effects._CHUNK", 4000)  # two effects at a time
    in_chunks = paired_effects(rows)
    for name in ("mean", "low", "high", "p", "q"):
        np.testing.assert_allclose(getattr(in_chunks, name), getattr(whole, name), rtol=1e-10)


@pytest.mark.parametrize("factor", [1e-200, -1.0, 1e200])
def test_effects_scale_with_their_unit(factor: float) -> None:
    rows = skewed(np.random.default_rng(0), (3, 30))
    plain, scaled = paired_effects(rows), paired_effects(rows * factor)
    limits = (plain.low, plain.high) if factor > 0 else (plain.high, plain.low)
    np.testing.assert_allclose(scaled.mean, plain.mean * factor, rtol=1e-10)
    np.testing.assert_allclose(scaled.low, limits[0] * factor, rtol=1e-9)
    np.testing.assert_allclose(scaled.high, limits[1] * factor, rtol=1e-9)
    np.testing.assert_array_equal(scaled.p, plain.p)


@pytest.mark.parametrize("n", [4, 10, 11, 100])
@pytest.mark.parametrize("value", [0.0, 0.1, -0.3])
def test_equal_differences_have_that_value_for_limits(value: float, n: int) -> None:
    effects = paired_effects(np.full((2, n), value))
    for found in (effects.mean, effects.low, effects.high):
        assert found.tolist() == [value, value]
    if value == 0:
        assert effects.p.tolist() == effects.q.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_than_four_samples_have_no_interval(n: int) -> None:
    effects = paired_effects(np.arange(1.0, n + 1))
    assert effects.mean.tolist() == [(n + 1) / 2]
    assert np.isnan([effects.low, effects.high]).all()
    assert effects.p.tolist() == [2 / 2**n]
    assert effects.to_json()["low"] == [None]
    assert "[no interval]" in effects.describe(0)


def test_one_row_is_one_effect() -> None:
    row = normal(np.random.default_rng(0), (1, 25))
    assert paired_effects(row[0]).to_json() == paired_effects(row.tolist()).to_json()
    assert len(paired_effects(row[0])) == 1


def test_an_effect_is_described_with_its_interval_and_its_chance() -> None:
    mean, low, high, p, q = (
        np.array([0.0, number]) for number in (-0.412, -0.455, -0.371, 0.0005, 0.00204)
    )
    effects = PairedEffects(mean, low, high, p, q, n=100, n_resamples=2000, seed=0)
    assert effects.describe(1) == "-0.412 [-0.455, -0.371] (p = 0.0005, q = 0.002, n = 100)"
    with pytest.raises(ParameterError, match="there are 2 effects, counted from 0, got 2"):
        effects.describe(2)


def test_effects_are_plain_values_in_json() -> None:
    effects = paired_effects(normal(np.random.default_rng(0), (2, 20)), seed=3)
    found = json.loads(json.dumps(effects.to_json(), allow_nan=False))
    assert found["mean"] == effects.mean.tolist()
    assert (found["n"], found["n_resamples"], found["seed"]) == (20, 2000, 3)
    assert found["confidence"] == 0.95


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ([[1.0, float("nan")], [2.0, float("inf")]], "NaN or infinity at 2 of 4 places"),
        ([], r"at least one row and one sample, got the shape \(0,\)"),
        (np.zeros((3, 0)), r"got the shape \(3, 0\)"),
        (np.zeros((0, 3)), r"got the shape \(0, 3\)"),
        (1.0, r"have the shape \(rows, n\) or \(n,\), got \(\)"),
        (np.zeros((2, 2, 2)), r"got \(2, 2, 2\)"),
        (["much", "little"], r"are an array of numbers, got \['much', 'little'\]"),
    ],
)
def test_differences_that_cannot_be_meant_are_refused(differences: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        paired_effects(differences)  # type: ignore[arg-type]


def test_settings_that_cannot_be_meant_are_refused() -> None:
    row = np.arange(8.0)
    with pytest.raises(ParameterError, match=r"of confidence 0\.95 need at least 39 resamples"):
        paired_effects(row, n_resamples=38)
    assert len(paired_effects(row, n_resamples=39)) == 1
    with pytest.raises(ParameterError, match="a confidence lies between 0 and 1, got 95"):
        paired_effects(row, confidence=95)
    with pytest.raises(ParameterError, match="a seed is a whole number from 0 on, got -1"):
        paired_effects(row, seed=-1)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 50), (7, 9), (91, 100), (100, 100)])
def test_a_share_has_the_limits_of_wilson(successes: int, n: int) -> None:
    z, value = stats.norm.ppf(0.975), successes / n
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    found = Share(successes, n)
    assert found.value == value
    assert found.low == pytest.approx(centre - half, abs=1e-12)
    assert found.high == pytest.approx(centre + half, abs=1e-12)


def test_a_share_is_written_with_its_limits_and_counts() -> None:
    assert str(Share(91, 100)) == "0.91 [0.84, 0.95] (91 of 100)"
    found = json.loads(json.dumps(share(np.arange(4) > 0).to_json()))
    assert (found["successes"], found["n"], found["value"]) == (3, 4, 0.75)
    assert found["low"] < 0.75 < found["high"]


def test_shares_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ParameterError, match="at least one sample, got none"):
        share([])
    with pytest.raises(ParameterError, match=r"the number of samples of a share is .* got 0"):
        Share(0, 0)
    with pytest.raises(ParameterError, match="more successes than samples, got 3 of 2"):
        Share(3, 2)
    with pytest.raises(ParameterError, match=r"booleans of shape \(n,\), got float64 of"):
        share([0.5, 1.0])
    with pytest.raises(ParameterError, match=r"got bool of shape \(1, 2\)"):
        share([[True, False]])


def test_another_draw_lies_in_the_control_band_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).exponential(size=(100, 4000))
    low, high = control_band(draws[:99])
    assert 0.94 <= float(((low <= draws[99]) & (draws[99] <= high)).mean()) <= 0.96
    low, high = control_band(draws[:10])
    assert float(((low <= draws[10]) & (draws[10] <= high)).mean()) == pytest.approx(
        9 / 11, abs=0.02
    )


@pytest.mark.parametrize("n_draws", [1, 2, 10, 39])
def test_the_control_band_of_few_draws_is_the_least_and_the_largest(n_draws: int) -> None:
    draws = np.random.default_rng(0).normal(size=(n_draws, 3, 2))
    low, high = control_band(draws)
    np.testing.assert_allclose(low, draws.min(0), rtol=1e-12)
    np.testing.assert_allclose(high, draws.max(0), rtol=1e-12)


def test_control_bands_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"and a draw, got \(0, 3\)"):
        control_band(np.zeros((0, 3)))
    with pytest.raises(ParameterError, match="the values of random draws must be finite"):
        control_band([[float("nan")]])
    with pytest.raises(ParameterError, match=r"a coverage lies between 0 and 1, got 1\.0"):
        control_band([[1.0]], coverage=1.0)


def test_a_ratio_of_means_is_exact_where_every_sample_has_the_same_ratio() -> None:
    base = np.array([0.0, 0.5, 0.25, 0.0, 1.0])
    ratio, low, high = ratio_of_means([0.4 * base, base], base)
    for found in (ratio, low, high):
        assert found == pytest.approx([0.4, 1.0], abs=1e-12)


def test_the_interval_of_a_ratio_of_means_does_not_depend_on_units_or_order() -> None:
    rng = np.random.default_rng(1)
    base, values = rng.exponential(size=30), rng.exponential(size=(2, 30))
    plain = ratio_of_means(values, base)
    assert np.array(ratio_of_means(100 * values, 100 * base)) == pytest.approx(np.array(plain))
    assert np.array(ratio_of_means(values[::-1], base))[:, ::-1] == pytest.approx(np.array(plain))
    assert plain[0] == pytest.approx(values.mean(1) / base.mean())


@pytest.mark.parametrize("base", [[1.0, 2.0], [1.0, -1.0, 0.0], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]])
def test_a_base_of_another_length_or_of_mean_0_is_refused(base: list[float]) -> None:
    with pytest.raises(ParameterError, match="base"):
        ratio_of_means([1.0, 2.0, 3.0], base)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 60, 150])
def test_intervals_of_a_ratio_of_means_hold_the_true_ratio(n: int) -> None:
    rng, held = np.random.default_rng(n), 0
    for trial in range(600):
        before = rng.exponential(1.0, n) * (rng.random(n) < 0.8)
        after = before * rng.beta(4, 6, (1, n))  # mean 0.4, whatever there was
        _, low, high = ratio_of_means(after, before, seed=trial)
        held += int(low[0] <= 0.4 <= high[0])
    assert 0.91 <= held / 600 <= 0.975


def test_a_ratio_of_means_of_three_samples_has_no_interval() -> None:
    ratio, low, high = ratio_of_means([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert ratio[0] == 1.0
    assert np.isnan([low[0], high[0]]).all()
