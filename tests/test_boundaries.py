"""Boundaries against planted directions, and against attributes that are not there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ganprobe import (
    ParameterError,
    attribute_boundary,
    conditional_direction,
    extreme_rows,
)

Floats = NDArray[np.float64]


def unit(random: np.random.Generator, size: int) -> Floats:
    drawn = random.standard_normal(size)
    return np.asarray(drawn / np.linalg.norm(drawn))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("size", "scale"), [(4, 1.0), (10, 1e-4), (20, 300.0)])
def test_a_planted_direction_is_found(seed: int, size: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    planted = unit(random, size)
    points = scale * random.standard_normal((10_000, size))
    least, most = extreme_rows(np.exp(points @ planted / scale), 0.02)
    rows = np.concatenate([least, most])
    found = attribute_boundary(points[rows], np.arange(400) >= 200, seed=seed)
    assert found.normal @ planted > 0.99
    assert np.linalg.norm(found.normal) == pytest.approx(1.0)
    assert found.accuracy.value == 1.0
    assert found.is_found


def test_distances_are_measured_from_the_boundary() -> None:
    random = np.random.default_rng(0)
    points = random.standard_normal((3000, 5)) + 4.0
    planted = unit(random, 5)
    level = np.median(points @ planted)
    found = attribute_boundary(points, points @ planted > level)
    assert found.distance(points) == pytest.approx(points @ planted - level, abs=0.15)
    assert found.distance(points.reshape(-1, 5, 1, 1)) == pytest.approx(found.distance(points))
    assert found.distances == pytest.approx(found.distance(points), abs=0.2)


@pytest.mark.parametrize("size", [3, 120])
def test_an_attribute_that_is_not_in_the_points_has_no_boundary(size: int) -> None:
    found = []
    for seed in range(80):
        points = np.random.default_rng(seed).standard_normal((60, size))
        found.append(attribute_boundary(points, np.arange(60) % 2 == 0, seed=seed))
    assert np.mean([one.is_found for one in found]) <= 0.05
    assert np.mean([one.accuracy.value for one in found]) == pytest.approx(0.5, abs=0.03)


def test_the_same_seed_gives_the_same_boundary() -> None:
    points = np.random.default_rng(0).standard_normal((100, 4))
    sides = points[:, 0] + points[:, 1] > 0.2
    one, again = (attribute_boundary(points, sides, seed=3) for _ in range(2))
    assert np.array_equal(one.normal, again.normal)
    assert np.array_equal(one.distances, again.distances)


@pytest.mark.parametrize("seed", range(3))
def test_a_conditional_direction_is_orthogonal_to_all_others(seed: int) -> None:
    random = np.random.default_rng(seed)
    direction = random.standard_normal((6, 2, 1))
    others = [random.standard_normal((6, 2, 1)) for _ in range(4)]
    others += [others[0] * 3 + others[1], others[2] + 1e-9 * direction]  # nothing new
    found = conditional_direction(direction, others)
    assert found.shape == (6, 2, 1)
    assert np.linalg.norm(found) == pytest.approx(1.0)
    for other in others:
        assert abs(found.ravel() @ other.ravel()) < 1e-6
    spanned, *_ = np.linalg.lstsq(
        np.stack([one.ravel() for one in others[:4]]).T, direction.ravel(), rcond=None
    )
    left = direction.ravel() - np.stack([one.ravel() for one in others[:4]]).T @ spanned
    assert found.ravel() == pytest.approx(left / np.linalg.norm(left), abs=1e-8)


def test_a_direction_within_the_span_of_others_is_refused() -> None:
    with pytest.raises(ParameterError, match="lies within the span of 2 others; project out fewer"):
        conditional_direction([1.0, 2.0, 0.0], [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])


def test_the_rows_with_least_and_most_are_found_in_any_order() -> None:
    random = np.random.default_rng(0)
    values = random.permutation(1000).astype(float)
    values[:40] = np.nan
    least, most = extreme_rows(values, 0.05)
    there = np.sort(values[40:])
    assert len(least) == len(most) == 48
    assert sorted(values[least]) == there[:48].tolist()
    assert sorted(values[most]) == there[-48:].tolist()


@pytest.mark.parametrize(
    ("values", "extreme", "reason"),
    [
        (np.arange(100.0), 0.02, "needs 5 samples or more on either side, got 2: 2 % of 100"),
        (np.arange(100.0), 0.6, "the extreme share lies above 0 and up to 0.5, got 0.6"),
        (np.ones(1000), 0.1, "overlap at the value 1: what is measured hardly varies"),
        (np.full(1000, np.nan), 0.1, "got 0: 10 % of 0"),
    ],
)
def test_what_has_no_extremes_is_refused(values: Floats, extreme: float, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        extreme_rows(values, extreme)


def test_too_few_points_on_a_side_are_refused() -> None:
    with pytest.raises(ParameterError, match="5 points or more on either side"):
        attribute_boundary(np.zeros((20, 2)), np.arange(20) < 3)
