from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ganprobe.statistics import StatisticsSettings, summarize, summarize_twice

LEVELS = (0.0, 0.001, 0.05, 1 / 3, 0.5, 0.77, 0.95, 0.999, 1.0)
SKETCHED = StatisticsSettings(quantiles=LEVELS, memory=0, k=0)

RNG = np.random.default_rng(0)
WIDE = np.sort(RNG.integers(0, 2**32, 3000, dtype=np.uint32).view(np.float32))
DISTRIBUTIONS: dict[str, NDArray[np.floating]] = {
    "normal": RNG.normal(size=3000),
    "shifted": RNG.normal(1e6, 1e-2, 3000),
    "negative": -RNG.exponential(size=3000),
    "relu": np.maximum(RNG.normal(size=3000), 0),
    "negative zeros": np.minimum(RNG.normal(size=3000), 0) * -0.0,
    "cauchy": RNG.standard_cauchy(3000) ** 3,
    "log-uniform": np.exp(RNG.uniform(-90, 88, 3000)) * RNG.choice([-1, 1], 3000),
    "denormal": RNG.integers(-4000, 4000, 3000) * 2.0**-149,
    "few": RNG.choice([-1e30, -1.0, 0.0, 1e-40, 3e38], 3000),
    "two bits": np.where(np.arange(3000) % 2, 1.0, 1.0 + 2.0**-23),
    "edges": np.repeat(2.0 ** np.arange(-20, 10), 100) * (1 - 2.0**-24),
    "constant": np.full(3000, -math.pi),
    "any bits": WIDE[np.isfinite(WIDE)],
    "one": np.array([2.5]),
    "two": np.array([-1.0, 1.0]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_stated_error_is_never_exceeded(name: str, dtype: torch.dtype) -> None:
    values = torch.from_numpy(DISTRIBUTIONS[name].astype(np.float64)).to(dtype)
    found = summarize([(values[:, None], range(len(values)))], SKETCHED).quantiles
    assert found is not None
    assert found.method == "sketch"
    ordered = np.sort(values.double().numpy())
    expected = np.quantile(ordered, LEVELS)
    assert (np.abs(found.values[0] - expected) <= found.error[0]).all()
    place = np.asarray(LEVELS) * (len(ordered) - 1)
    around = np.abs([ordered[np.floor(place).astype(int)], ordered[np.ceil(place).astype(int)]])
    promised = around.max(0) / (256 if dtype == torch.float32 else 255) + 2.0**-133
    assert (found.error[0] <= promised * (1 + 1e-12)).all()


def test_the_ends_and_a_constant_unit_are_exact_also_in_a_sketch() -> None:
    values = torch.tensor([[1.234, 7.7, 0.0], [5.678, 7.7, 0.0], [-3.21, 7.7, 0.0]])
    found = summarize([(values, range(3))], replace(SKETCHED, quantiles=(0, 0.5, 1))).quantiles
    assert found is not None
    np.testing.assert_allclose(found.values[0, [0, 2]], values[[2, 1], 0].double(), rtol=4e-3)
    np.testing.assert_array_equal(found.values[1:], values.double()[:, 1:].T)
    np.testing.assert_array_equal(found.error[1:], 0)


def test_numbers_beyond_float32_have_an_error_that_holds() -> None:
    values = torch.tensor([1e-300, 1.0, -1e300, 1e299, 1e300, 1e60], dtype=torch.float64)
    found = summarize([(values[:, None], range(6))], SKETCHED).quantiles
    assert found is not None
    expected = np.quantile(values.numpy(), LEVELS)
    assert (np.abs(found.values[0] - expected) <= found.error[0]).all()


@given(st.integers(0, 2**31), st.integers(0, 40), st.integers(1, 40))
@settings(max_examples=40)
def test_quantiles_are_exact_if_and_only_if_all_values_fit(
    seed: int, capacity: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.normal(size=(30, 2)).astype(np.float32))
    wanted = replace(SKETCHED, memory=capacity * 2 * 4)
    batches = [(values[i : i + size], range(i, min(i + size, 30))) for i in range(0, 30, size)]
    found = summarize(batches, wanted).quantiles
    assert found is not None
    assert found.method == ("exact" if capacity >= 30 else "sketch")
    whole = summarize([(values, range(30))], wanted).quantiles
    assert whole is not None
    np.testing.assert_array_equal(found.values, whole.values)
    np.testing.assert_array_equal(found.error, whole.error)


def test_many_values_are_counted_as_few_are() -> None:
    values = torch.randn(3, 70_000, generator=torch.Generator().manual_seed(0))
    values[0, :9] = torch.tensor([torch.nan, -torch.nan, torch.inf, -torch.inf] + [0.0] * 5)
    whole = summarize([(values.T, range(70_000))], SKETCHED).quantiles
    parts = [(values.T[i : i + 10_000], range(i, i + 10_000)) for i in range(0, 70_000, 10_000)]
    in_parts = summarize(parts, SKETCHED).quantiles
    assert whole is not None
    assert in_parts is not None
    np.testing.assert_array_equal(whole.values, in_parts.values)
    for unit in range(3):
        finite = values[unit].double().numpy()
        expected = np.quantile(finite[np.isfinite(finite)], LEVELS)
        assert (np.abs(whole.values[unit] - expected) <= whole.error[unit]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("memory", [0, 2**11, 2**20])
@pytest.mark.parametrize("axis", [1, 2])
def test_reading_again_makes_every_quantile_exact(
    dtype: torch.dtype, memory: int, axis: int
) -> None:
    generator = torch.Generator().manual_seed(memory + axis)
    maps = torch.randn(20, 6, 30, generator=generator).mul(10).to(dtype)
    maps[:, 1] = maps[:, 1].relu()
    maps[:, 2] = 0.0
    maps[:, 3] *= 1e-3
    maps[3, 4, :5] = torch.nan
    maps[4, 4, :5] = -torch.inf
    maps[:, 5] = torch.nan
    activations = maps if axis == 1 else maps.transpose(1, 2)
    wanted = StatisticsSettings(quantiles=LEVELS, memory=min(memory, 2**13), unit_axis=axis)
    n_reads = 0

    def read() -> list[tuple[torch.Tensor, range]]:
        nonlocal n_reads
        n_reads += 1
        return [(activations[i : i + 7], range(i, min(i + 7, 20))) for i in (0, 7, 14)]

    found = summarize_twice(read, wanted).quantiles
    assert found is not None
    assert found.method == "exact"
    assert not found.error[:5].any()
    for unit in range(5):
        values = maps[:, unit].double().numpy()
        expected = np.quantile(values[np.isfinite(values)], LEVELS)
        np.testing.assert_array_equal(found.values[unit], expected)
    assert np.isnan(found.values[5]).all()
    assert 2 <= n_reads <= (65 if dtype == torch.float64 else 17)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_selection_is_exact_for_any_distribution(name: str, dtype: torch.dtype) -> None:
    values = torch.from_numpy(DISTRIBUTIONS[name].astype(np.float64)).to(dtype)[:, None]
    found = summarize_twice(lambda: [(values, range(len(values)))], SKETCHED).quantiles
    assert found is not None
    assert found.method == "exact"
    expected = np.quantile(values.double().numpy()[:, 0], LEVELS)
    np.testing.assert_array_equal(found.values[0], expected)


def test_a_tolerance_around_a_units_own_ends_is_counted_in_a_second_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.randn(40, 3, 50, generator=generator).transpose(1, 2).contiguous()
    activations[..., 0] = activations[..., 0].clamp(-0.5, 0.7)
    activations[..., 1] = 4.25
    activations[..., 2][0] = torch.nan
    wanted = StatisticsSettings(tolerance=0.1, k=2)
    found = summarize_twice(lambda: [(activations, range(40))], wanted)
    values = activations[..., 0].double().numpy()
    low, high = values.min(), values.max()
    is_low = values <= low + 0.1 * (high - low)
    is_high = values >= high - 0.1 * (high - low)
    assert found.share_low[0] == pytest.approx(is_low.mean())
    assert found.share_high[0] == pytest.approx(is_high.mean())
    assert found.share_saturated[0] == pytest.approx((is_low | is_high).mean())
    assert found.share_saturated[1] == 1
    assert found.settings == wanted


def test_one_pass_is_enough_where_the_values_fit() -> None:
    reads = iter([[(torch.arange(6.0)[:, None], range(6))]])
    assert summarize_twice(lambda: next(reads)).quantiles is not None
