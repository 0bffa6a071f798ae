"""Principal components against numpy's, and against linear maps whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import ParameterError, carried_back, components, principal_components

Floats = NDArray[np.float64]


def in_batches(points: Tensor, size: int = 64) -> Callable[[], list[Tensor]]:
    return lambda: list(points.split(size))


def plain_components(points: Tensor) -> tuple[Floats, Floats]:
    """All of them, by numpy: variances and vectors, largest first."""
    flat = points.flatten(1).double().numpy()
    variances, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
    return variances[::-1], vectors.T[::-1]


def cosines(one: Floats, other: Floats) -> Floats:
    flat, others = one.reshape(len(one), -1), other.reshape(len(other), -1)
    products = (flat * others[: len(flat)]).sum(1)
    return np.asarray(products / np.linalg.norm(flat, axis=1) / np.linalg.norm(others, axis=1))


def drawn(n: int, scales: list[float], seed: int) -> Tensor:
    """Normal points of known deviations along random orthonormal directions."""
    random = torch.Generator().manual_seed(seed)
    size = len(scales)
    turned = torch.linalg.qr(torch.randn(size, size, generator=random).double()).Q
    normal = torch.randn(n, size, generator=random, dtype=torch.float64)
    points: Tensor = normal * torch.tensor(scales) @ turned
    return points


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(12,), (3, 2, 2)])
def test_components_are_numpys_whatever_the_batches(seed: int, shape: tuple[int, ...]) -> None:
    points = drawn(301, [5, 4, 3, 2.5, 2, 1.5, 1, 0.9, 0.8, 0.7, 0.6, 0.5], seed).reshape(
        -1, *shape
    )
    variances, vectors = plain_components(points)
    for size in (1, 50, 301):
        found = principal_components(in_batches(points, size), 5)
        assert (found.n, found.method, found.residual) == (301, "covariance", 0.0)
        assert found.variances == pytest.approx(variances[:5], rel=1e-10)
        assert np.abs(cosines(found.vectors, vectors[:5])) == pytest.approx(np.ones(5), abs=1e-10)
        assert found.shares == pytest.approx(variances[:5] / variances.sum(), rel=1e-10)
        assert found.mean == pytest.approx(points.flatten(1).mean(0).numpy(), abs=1e-12)


def test_components_of_a_linear_map_are_its_singular_vectors() -> None:
    random = torch.Generator().manual_seed(0)
    weight = drawn(4, [8.0, 4.0, 2.0, 1.0], 1).T.contiguous()
    weight = torch.linalg.qr(torch.randn(40, 4, generator=random).double()).Q @ weight.T
    latents = torch.randn(20_000, 4, generator=random, dtype=torch.float64)
    left, sizes, _ = torch.linalg.svd(weight, full_matrices=False)
    found = principal_components(in_batches(latents @ weight.T, 4096), 4)
    assert np.abs(cosines(found.vectors, left.T.numpy())).min() > 0.99
    assert found.deviations == pytest.approx(sizes.numpy(), rel=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_the_randomised_method_gives_what_the_exact_one_gives(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = drawn(400, [1.0 + 30 / (1 + place) for place in range(80)], seed) + 7.0
    exact = principal_components(in_batches(points), 4)
    monkeypatch.setattr(components, "MOST_EXACT", 20)
    found = principal_components(in_batches(points, 90), 4, seed=seed)
    assert (found.method, exact.method) == ("randomised", "covariance")
    assert found.residual < 1e-6
    assert found.variances == pytest.approx(exact.variances, rel=1e-9)
    assert cosines(found.vectors, exact.vectors) == pytest.approx(np.ones(4), abs=1e-9)
    assert found.total_variance == pytest.approx(exact.total_variance, rel=1e-10)


def test_more_numbers_than_points_have_as_many_components_as_there_can_be() -> None:
    points = torch.randn(9, 3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = principal_components(in_batches(points, 4), 100)
    assert len(found) == 8
    assert found.vectors @ found.vectors.T == pytest.approx(np.eye(8), abs=1e-8)
    assert found.variances.sum() == pytest.approx(found.total_variance, rel=1e-9)


def test_points_far_from_zero_lose_no_precision() -> None:
    points = drawn(300, [3.0, 2.0, 1.0], 0)
    near, far = (principal_components(in_batches(points + offset), 3) for offset in (0.0, 1e6))
    assert far.variances == pytest.approx(near.variances, rel=1e-8)
    assert cosines(far.vectors, near.vectors) == pytest.approx(np.ones(3), abs=1e-9)


def test_signs_are_the_same_for_the_same_points_turned_around() -> None:
    points = drawn(200, [4.0, 2.0, 1.0], 3)
    one, other = (principal_components(in_batches(each), 3) for each in (points, -points))
    assert other.vectors == pytest.approx(one.vectors, abs=1e-9)
    largest = np.abs(one.vectors).argmax(1)
    assert (one.vectors[range(3), largest] > 0).all()


def test_components_of_like_variance_are_not_told_apart() -> None:
    points = drawn(2000, [6.0, 2.0, 2.0, 0.5], 0)
    assert principal_components(in_batches(points), 4).is_apart.tolist() == [True, False, True]


def test_what_a_linear_generator_does_is_carried_back_whole() -> None:
    random = torch.Generator().manual_seed(1)
    latents = torch.randn(500, 3, generator=random, dtype=torch.float64)
    weight = torch.randn(3, 20, generator=random, dtype=torch.float64)
    points = latents @ weight + 2.0
    found = principal_components(in_batches(points), 3)
    back = carried_back(found, zip(points.split(64), latents.split(64), strict=True))
    assert back.explained == pytest.approx(np.ones(3), abs=1e-6)
    moved = back.directions @ weight.numpy()  # what one deviation's latent does to the points
    steps = found.vectors * found.deviations[:, None]
    assert moved == pytest.approx(steps, abs=1e-8)


def test_what_no_latent_does_is_not_carried_back() -> None:
    random = torch.Generator().manual_seed(2)
    latents = torch.randn(2000, 10, 1, 1, generator=random)
    points = drawn(2000, [3.0, 2.0], 5)
    found = principal_components(in_batches(points), 2)
    back = carried_back(found, zip(points.split(300), latents.split(300), strict=True))
    assert back.directions.shape == (2, 10)
    assert (back.explained < 0.01).all()


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (torch.ones(1, 3), "need two points or more, got 1"),
        (torch.full((5, 3), 0.1), "the 5 points are all the same"),
        (torch.tensor([[1.0], [float("nan")]]), "need finite points"),
    ],
)
def test_what_has_no_components_is_refused(points: Tensor, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        principal_components(in_batches(points), 2)
