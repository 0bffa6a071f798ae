from __future__ import annotations

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import ParameterError, ShapeError
from ganprobe.statistics import StatisticsSettings, UnitStatistics, UnitSummary, summarize

LEVELS = (0.0, 0.03, 0.5, 0.9, 1.0)
ALL = StatisticsSettings(quantiles=LEVELS, k=3, covariance_of="positions")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Case = tuple[tuple[int, ...], int]
CASES: list[Case] = [
    ((9, 4), 1),
    ((9, 1), 1),
    ((9, 4, 5), 1),
    ((9, 5, 4), 2),
    ((9, 5, 4), -1),
    ((9, 4, 3, 2), 1),
    ((9, 2, 4, 3), 2),
    ((9, 3, 2, 4), 3),
    ((9, 4, 2, 2, 3), 1),
]
shapes = st.sampled_from(CASES)
splits = st.lists(st.integers(1, 8), unique=True, max_size=5).map(sorted)
seeds = st.integers(0, 2**31)


def activations_of(shape: Sequence[int], seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal values of which a third is zero and some are equal, as behind a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    zeros = torch.rand(*shape, generator=generator) < 0.3
    coarse = torch.rand(*shape, generator=generator) < 0.3
    values = torch.where(coarse, (2 * values).round() / 2, values)
    return values.masked_fill(zeros, 0.0).to(dtype)


def by_unit(activations: Tensor, axis: int) -> NDArray[np.float64]:
    """(units, n, positions) in float64."""
    values = activations.double().movedim(axis, 0)
    return values.reshape(*values.shape[:2], -1).numpy()


def accumulated(
    activations: Tensor, cuts: Sequence[int], wanted: StatisticsSettings, samples: Sequence[int]
) -> list[UnitStatistics]:
    """One accumulator for each part between two cuts."""
    parts = []
    for start, end in itertools.pairwise([0, *cuts, len(activations)]):
        part = UnitStatistics(wanted)
        part.add(activations[start:end], samples[start:end])
        parts.append(part)
    return parts


def one_pass(
    activations: Tensor, wanted: StatisticsSettings, samples: Sequence[int] | None = None
) -> UnitSummary:
    return summarize([(activations, samples or range(len(activations)))], wanted)


def assert_same(one: UnitSummary, other: UnitSummary, rtol: float = 1e-12) -> None:
    exact = [
        "n_samples", "n_values", "n_not_finite", "minimum", "maximum", "minimum_sample",
        "maximum_sample", "share_active", "share_low", "share_high", "share_saturated",
        "top_samples", "top_scores", "n_covariance", "is_dead", "is_constant",
    ]  # fmt: skip
    for name in exact:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    scale = np.nanmax(np.abs([one.minimum, one.maximum, np.ones_like(one.mean)]), axis=0)
    np.testing.assert_allclose(one.mean / scale, other.mean / scale, rtol=rtol, atol=1e-15)
    np.testing.assert_allclose(one.variance, other.variance, rtol=rtol)
    if one.covariance is not None and other.covariance is not None:
        deviation = np.sqrt(np.diag(one.covariance))
        bound = rtol * np.outer(deviation, deviation)
        assert np.all(np.abs(one.covariance - other.covariance) <= bound)
    if one.quantiles is not None and other.quantiles is not None:
        assert one.quantiles.method == other.quantiles.method
        np.testing.assert_array_equal(one.quantiles.values, other.quantiles.values)
        np.testing.assert_array_equal(one.quantiles.error, other.quantiles.error)


@given(shapes, st.sampled_from(DTYPES), splits, seeds)
def test_everything_agrees_with_numpy_in_float64(
    case: Case, dtype: torch.dtype, cuts: list[int], seed: int
) -> None:
    shape, axis = case
    activations = activations_of(shape, seed, dtype)
    expected = by_unit(activations, axis)
    flat = expected.reshape(len(expected), -1)
    statistics = UnitStatistics(replace(ALL, unit_axis=axis))
    for start, end in itertools.pairwise([0, *cuts, len(activations)]):
        statistics.add(activations[start:end], range(start, end))
    found = statistics.result()
    assert found.covariance is not None
    np.testing.assert_allclose(found.mean, flat.mean(1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.variance, flat.var(1), rtol=1e-12)
    np.testing.assert_allclose(found.std, flat.std(1), rtol=1e-12)
    np.testing.assert_allclose(
        found.covariance, np.atleast_2d(np.cov(flat, ddof=0)), rtol=1e-10, atol=1e-14
    )
    np.testing.assert_array_equal(found.minimum, flat.min(1))
    np.testing.assert_array_equal(found.maximum, flat.max(1))
    np.testing.assert_array_equal(found.maximum_sample, expected.max(2).argmax(1))
    np.testing.assert_array_equal(found.minimum_sample, expected.min(2).argmin(1))
    np.testing.assert_allclose(found.share_active, (flat > 0).mean(1), rtol=1e-15)
    assert found.quantiles is not None
    assert found.quantiles.method == "exact"
    np.testing.assert_array_equal(found.quantiles.values, np.quantile(flat, LEVELS, axis=1).T)
    order = np.argsort(-expected.max(2), axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(found.top_samples, order)
    np.testing.assert_array_equal(
        found.top_scores, np.take_along_axis(expected.max(2), order, axis=1)
    )
    ends = (flat == flat.min(1)[:, None]) | (flat == flat.max(1)[:, None])
    np.testing.assert_allclose(found.share_saturated, ends.mean(1), rtol=1e-15)


@given(shapes, splits, seeds, st.sampled_from([2**20, 0]), st.sampled_from(["max", "mean"]))
@settings(max_examples=50)
def test_merging_in_any_order_gives_what_one_pass_gives(
    case: Case, cuts: list[int], seed: int, memory: int, score: Any
) -> None:
    shape, axis = case
    rng = np.random.default_rng(seed)
    activations = activations_of(shape, seed)
    samples = rng.permutation(40)[: shape[0]].tolist()
    wanted = replace(ALL, unit_axis=axis, memory=memory, score=score, covariance_of="samples")
    expected = one_pass(activations, wanted, samples)
    parts = accumulated(activations, cuts, wanted, samples)
    while len(parts) > 1:
        one, other = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        one.merge(other)
        parts.append(one)
    assert_same(expected, parts[0].result())


@given(seeds)
def test_a_mean_far_above_the_deviation_costs_no_accuracy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    exact = rng.integers(-50, 50, (3, 40, 6)).astype(np.float64)
    shift = np.array([2.0**40, -(2.0**45), 2.0**20])[:, None, None]
    activations = torch.from_numpy((exact * 2.0**-7 + shift).transpose(1, 0, 2))  # no rounding
    batches = [(activations[i : i + 7], range(i, min(i + 7, 40))) for i in range(0, 40, 7)]
    found = summarize(batches, replace(ALL, unit_axis=1))
    flat = exact.reshape(3, -1) * 2.0**-7
    assert found.covariance is not None
    np.testing.assert_allclose(found.variance, flat.var(1), rtol=1e-12)
    np.testing.assert_allclose(found.mean, flat.mean(1) + shift[:, 0, 0], rtol=1e-15)
    np.testing.assert_allclose(found.covariance, np.cov(flat, ddof=0), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("outlier", [1e8, -1e15])
def test_a_first_value_far_from_all_others_costs_no_accuracy(outlier: float) -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(5000, 2)))
    values[0] = outlier
    expected = values.numpy().astype(np.longdouble)
    found = summarize([(values[:1], [0]), (values[1:], range(1, 5000))], ALL)
    np.testing.assert_allclose(found.variance, expected.var(0), rtol=1e-12)
    np.testing.assert_allclose(found.mean, expected.mean(0), rtol=1e-12)


@given(shapes, splits, seeds)
def test_what_is_not_finite_is_counted_and_left_out(case: Case, cuts: list[int], seed: int) -> None:
    shape, axis = case
    activations = activations_of(shape, seed)
    hit = torch.rand(shape, generator=torch.Generator().manual_seed(seed + 1))
    for share, other in ((0.1, torch.nan), (0.06, torch.inf), (0.03, -torch.inf)):
        activations[hit < share] = other
    expected = by_unit(activations, axis)
    parts = accumulated(activations, cuts, replace(ALL, unit_axis=axis), range(len(activations)))
    for part in parts[1:]:
        parts[0].merge(part)
    found = parts[0].result()
    whole = np.isfinite(expected).all(0)
    assert found.n_covariance == whole.sum()
    if whole.any() and found.covariance is not None:
        of_whole = np.atleast_2d(np.cov(expected[:, whole], ddof=0))
        np.testing.assert_allclose(found.covariance, of_whole, rtol=1e-9, atol=1e-13)
    for unit, of_unit in enumerate(expected):
        values = of_unit[np.isfinite(of_unit)]
        assert found.n_values[unit] == values.size
        assert found.n_not_finite[unit] == of_unit.size - values.size
        if not values.size:
            assert np.isnan(found.mean[unit])
            assert np.isnan(found.maximum[unit])
            assert found.maximum_sample[unit] == -1
            assert not found.is_dead[unit]
            continue
        np.testing.assert_allclose(found.mean[unit], values.mean(), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.variance[unit], values.var(), rtol=1e-12, atol=1e-30)
        assert found.minimum[unit] == values.min()
        assert found.maximum[unit] == values.max()
        assert found.share_active[unit] == pytest.approx((values > 0).mean())
        assert found.quantiles is not None
        np.testing.assert_array_equal(found.quantiles.values[unit], np.quantile(values, LEVELS))


def test_a_unit_without_any_finite_value_is_told() -> None:
    activations = torch.tensor([[torch.nan, 1.0], [torch.inf, 2.0]])
    for memory in (2**20, 0):
        found = one_pass(activations, StatisticsSettings(memory=memory, k=2))
        assert found.n_not_finite.tolist() == [2, 0]
        assert found.top_samples.tolist() == [[-1, -1], [1, 0]]
        assert np.isnan(found.top_scores[0]).all()
        assert found.rows()[0][-1] == "no finite value"
        assert found.quantiles is not None
        assert np.isnan(found.quantiles.values[0]).all()
        assert found.quantiles.values[1].tolist() == [1.0, 1.05, 1.5, 1.95, 2.0] or memory == 0


def test_values_that_come_after_a_batch_of_nan_lose_no_accuracy() -> None:
    late = torch.from_numpy(1e9 + np.random.default_rng(0).normal(size=(50, 1)))
    first = torch.full((5, 1), torch.nan, dtype=torch.float64)
    found = summarize([(first, range(5)), (late, range(5, 55))], ALL)
    np.testing.assert_allclose(found.variance, late.numpy().var(0), rtol=1e-12)


def test_dead_constant_and_saturated_units_are_found() -> None:
    activations = torch.randn(20, 6, 8, 8, generator=torch.Generator().manual_seed(0)).tanh()
    activations[:, 1] = activations[:, 1].abs().neg()  # below zero
    activations[:, 2] = activations[:, 2].clamp_max(0)  # never above zero, mostly below
    activations[:, 3] = 0.37  # constant and active
    activations[:, 4] = 0.0  # constant and dead
    activations[:, 5, :4] = 1 - 1e-6  # half saturated
    found = one_pass(activations, StatisticsSettings(bounds=(-1, 1), tolerance=1e-3))
    assert found.is_dead.tolist() == [False, True, True, False, True, False]
    assert found.is_constant.tolist() == [False, False, False, True, True, False]
    assert found.variance[3] == 0
    flat = by_unit(activations, 1).reshape(6, -1)
    expected = (flat <= -1 + 2e-3) | (flat >= 1 - 2e-3)
    np.testing.assert_allclose(found.share_saturated, expected.mean(1), rtol=1e-12)
    assert found.share_high[5] >= 0.5
    own = one_pass(activations, StatisticsSettings())
    assert own.share_saturated[3] == own.share_saturated[4] == 1
    assert own.share_high[2] == pytest.approx((flat[2] == 0).mean())
    assert [row[-1] for row in own.rows()][3:5] == ["constant", "dead, constant"]


def test_limits_are_compared_as_real_numbers() -> None:
    activations = torch.tensor([[0.1], [0.3]])  # 0.1 as float32 is above 0.1, 0.3 above 0.3
    found = one_pass(activations, StatisticsSettings(threshold=0.1, bounds=(0.1, 0.3)))
    assert found.share_active.tolist() == [1.0]
    assert found.share_low.tolist() == [0.0]
    assert found.share_high.tolist() == [0.5]


@given(seeds, splits, st.sampled_from(["max", "mean"]), st.integers(1, 12))
def test_planted_top_samples_are_found_and_ties_go_to_the_lowest_index(
    seed: int, cuts: list[int], score: Any, k: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (9, 5)).astype(np.float32)
    samples = rng.permutation(100)[:9]
    activations = torch.from_numpy(scores)[:, :, None].expand(9, 5, 6)
    wanted = StatisticsSettings(k=k, score=score, unit_axis=1, quantiles=())
    statistics = UnitStatistics(wanted)
    for start, end in itertools.pairwise([0, *cuts, 9]):
        statistics.add(activations[start:end], samples[start:end])
    found = statistics.result().top_samples
    for unit in range(5):
        order = sorted(range(9), key=lambda row: (-scores[row, unit], samples[row]))
        expected = [int(samples[row]) for row in order][:k]
        assert found[unit].tolist() == expected + [-1] * (k - len(expected))


@pytest.mark.parametrize("last", [False, True])
def test_scores_do_not_depend_on_the_batches(last: bool) -> None:
    activations = torch.randn(70, 37, 19, generator=torch.Generator().manual_seed(1))
    if last:
        activations = activations.transpose(1, 2).contiguous()
    wanted = StatisticsSettings(k=70, score="mean", unit_axis=2 if last else 1, quantiles=())
    whole = one_pass(activations, wanted)
    one_by_one = summarize([(activations[i : i + 1], [i]) for i in reversed(range(70))], wanted)
    np.testing.assert_array_equal(whole.top_samples, one_by_one.top_samples)
    np.testing.assert_array_equal(whole.top_scores, one_by_one.top_scores)


def test_covariance_of_samples_is_that_of_their_spatial_means() -> None:
    activations = activations_of((30, 4, 5, 5), 3)
    found = one_pass(activations, replace(ALL, covariance_of="samples"))
    assert found.covariance is not None
    assert found.correlation is not None
    means = activations.double().mean((2, 3)).numpy()
    np.testing.assert_allclose(found.covariance, np.cov(means.T, ddof=0), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(found.correlation, np.corrcoef(means.T), rtol=1e-11, atol=1e-13)
    assert found.n_covariance == 30


@given(shapes, st.sampled_from(DTYPES), seeds, st.sampled_from([2**20, 40]))
@settings(max_examples=30)
def test_the_state_survives_a_file_and_goes_on(
    case: Case, dtype: torch.dtype, seed: int, memory: int
) -> None:
    shape, axis = case
    activations = activations_of(shape, seed, dtype)
    wanted = replace(ALL, unit_axis=axis, memory=memory, bounds=(-1, 1), tolerance=0.1)
    statistics = UnitStatistics(wanted)
    statistics.add(activations[:4], range(4))
    file = io.BytesIO()
    np.savez(file, **statistics.state())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        revived = UnitStatistics.from_state(arrays)
    assert revived.settings == wanted
    for one in (statistics, revived):
        one.add(activations[4:], range(4, len(activations)))
    assert_same(statistics.result(), revived.result())


def test_the_state_is_a_copy() -> None:
    statistics = UnitStatistics(ALL)
    statistics.add(activations_of((6, 3, 4), 0).transpose(1, 2), range(6))
    saved = {name: array.copy() for name, array in statistics.state().items()}
    kept = statistics.state()
    statistics.add(activations_of((6, 3, 4), 1).transpose(1, 2), range(6, 12))
    statistics.result()
    for name, array in kept.items():
        np.testing.assert_array_equal(array, saved[name], err_msg=name)


def test_an_empty_accumulator_can_be_saved_and_merged() -> None:
    empty = UnitStatistics.from_state(UnitStatistics(ALL).state())
    full = accumulated(activations_of((9, 4), 0), [], ALL, range(9))[0]
    expected = full.result()
    full.merge(empty)
    empty.merge(full)
    assert_same(expected, full.result())
    assert_same(expected, empty.result())
    with pytest.raises(ShapeError, match="no batch was added"):
        UnitStatistics().result()


def test_merging_leaves_the_other_as_it_is() -> None:
    one, other = accumulated(activations_of((9, 4), 0), [4], replace(ALL, memory=40), range(9))
    before = other.result()
    one.merge(other)
    one.add(activations_of((3, 4), 1), range(20, 23))
    assert_same(before, other.result())


def test_the_result_is_the_same_when_asked_for_twice_and_does_not_change() -> None:
    statistics = accumulated(activations_of((9, 4), 0), [], replace(ALL, memory=40), range(9))[0]
    first = statistics.result()
    copied = one_pass(activations_of((9, 4), 0), replace(ALL, memory=40))
    assert_same(first, statistics.result())
    statistics.add(activations_of((9, 4), 1), range(9, 18))
    statistics.result()
    assert_same(first, copied)


def test_the_activations_are_not_written_to_and_hold_no_graph() -> None:
    activations = activations_of((9, 4, 3, 3), 0).requires_grad_()
    before = activations.detach().clone()
    before[0, 0] = activations.detach()[0, 0]
    one_pass(activations, ALL)
    assert torch.equal(activations.detach(), before)


@pytest.mark.parametrize("layout", ["channels_last", "strided", "expanded"])
def test_the_layout_in_memory_does_not_matter(layout: str) -> None:
    activations = activations_of((8, 4, 6, 6), 5)
    laid_out = {
        "channels_last": activations.to(memory_format=torch.channels_last),
        "strided": torch.stack([activations, activations], dim=-1)[..., 0],
        "expanded": activations,
    }[layout]
    if layout == "expanded":
        activations = activations[:, :, :1].expand(8, 4, 6, 6).contiguous()
        laid_out = activations[:, :, :1].expand(8, 4, 6, 6)
    assert_same(one_pass(activations, ALL), one_pass(laid_out, ALL))


def test_large_batches_are_worked_on_in_parts() -> None:
    activations = activations_of((700, 300), 2)
    found = one_pass(activations, StatisticsSettings(k=4))
    np.testing.assert_array_equal(
        found.top_samples, np.argsort(-activations.numpy(), 0, kind="stable")[:4].T
    )
    maps = activations_of((3, 40, 90, 100), 2)  # one sample is more than a tile
    np.testing.assert_allclose(one_pass(maps, ALL).mean, maps.double().mean((0, 2, 3)), atol=1e-14)


def test_json_and_rows_hold_plain_values() -> None:
    activations = torch.cat([activations_of((9, 3), 0), torch.full((9, 1), torch.nan)], dim=1)
    found = one_pass(activations, ALL)
    read_back = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read_back["mean"][3] is None
    assert read_back["settings"]["k"] == 3
    assert read_back["quantiles"]["method"] == "exact"
    assert all(len(row) == len(found.columns) for row in found.rows())
    assert {type(value) for row in found.rows() for value in row} <= {int, float, str, type(None)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quantiles": (1.5,)}, r"level is in \[0, 1\], got 1.5"),
        ({"k": -1}, "k is a whole number from 0 on"),
        ({"score": "median"}, "score is one of max, mean, got 'median'"),
        ({"covariance_of": "units"}, "covariance_of is one of positions, samples"),
        ({"bounds": (1, -1)}, "the lower first"),
        ({"tolerance": 0.7}, r"share in \[0, 0.5\), got 0.7"),
        ({"threshold": float("nan")}, "finite number"),
        ({"memory": -5}, "whole number from 0 on, got -5"),
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        StatisticsSettings(**wrong)


def test_batches_that_do_not_fit_are_refused() -> None:
    statistics = UnitStatistics()
    statistics.add(torch.zeros(2, 3), [0, 1])
    with pytest.raises(ShapeError, match="of 3 units, got 4"):
        statistics.add(torch.zeros(2, 4), [2, 3])
    with pytest.raises(ParameterError, match=r"taken as torch\.float32, got torch\.float64"):
        statistics.add(torch.zeros(2, 3, dtype=torch.float64), [2, 3])
    with pytest.raises(ParameterError, match=r"floating point, got torch\.int64"):
        statistics.add(torch.zeros(2, 3, dtype=torch.int64), [2, 3])
    with pytest.raises(ShapeError, match="2 samples need as many indices"):
        statistics.add(torch.zeros(2, 3), [2])
    with pytest.raises(ParameterError, match="distinct"):
        statistics.add(torch.zeros(2, 3), [2, 2])
    with pytest.raises(ShapeError, match="no unit axis 0"):
        UnitStatistics(StatisticsSettings(unit_axis=0)).add(torch.zeros(2, 3), [0, 1])
    with pytest.raises(ShapeError, match="no value"):
        statistics.add(torch.zeros(2, 3, 0), [2, 3])
    with pytest.raises(ParameterError, match="one kind can be merged"):
        statistics.merge(UnitStatistics(ALL))
    with pytest.raises(ParameterError, match="use summarize_twice"):
        UnitStatistics(StatisticsSettings(tolerance=0.1))
    statistics.add(torch.zeros(0, 3), [])
    assert statistics.result().n_samples == 2
