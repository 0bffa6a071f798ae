"""Interpolation: straight and along the sphere, against angles and norms in float64."""

from __future__ import annotations

import math

import pytest
import torch

from ganprobe import ShapeError, lerp, renormalised, slerp

SHARES = torch.linspace(0, 1, 7)


def two_points(seed: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(*shape), 2 * torch.randn(*shape)


@pytest.mark.parametrize("shape", [(5,), (100, 1, 1), (3, 4)])
@pytest.mark.parametrize("way", [lerp, slerp])
def test_the_ends_are_the_points_to_the_last_bit(way: object, shape: tuple[int, ...]) -> None:
    start, end = two_points(1, *shape)
    points = way(start, end, SHARES)  # type: ignore[operator]
    assert points.shape == (7, *shape)
    assert points.dtype == start.dtype
    assert torch.equal(points[0], start)
    assert torch.equal(points[-1], end)


def test_the_way_along_the_sphere_has_even_angles_and_even_norms() -> None:
    start, end = (point.double() for point in two_points(2, 40))
    points = slerp(start, end, SHARES.double())
    whole = math.acos(float(start @ end / start.norm() / end.norm()))
    for share, point in zip(SHARES.tolist(), points, strict=True):
        angle = math.acos(min(1.0, float(point @ start / point.norm() / start.norm())))
        assert angle == pytest.approx(share * whole, abs=1e-6)
        norm = (1 - share) * start.norm() + share * end.norm()
        assert float(point.norm()) == pytest.approx(float(norm), rel=1e-9)


def test_a_straight_line_is_affine_and_goes_on_beyond_its_ends() -> None:
    start, end = two_points(3, 6)
    points = lerp(start, end, torch.tensor([-1.0, 0.25, 2.0]))
    assert torch.allclose(points, torch.stack([2 * start - end, 0.75 * start + 0.25 * end,
                                               2 * end - start]))  # fmt: skip


def test_points_of_one_direction_are_joined_by_a_straight_line() -> None:
    start, _ = two_points(4, 8)
    assert torch.allclose(slerp(start, 3 * start, SHARES), lerp(start, 3 * start, SHARES))


def test_the_middle_of_two_normal_latents_keeps_its_norm_along_the_sphere_only() -> None:
    start, end = torch.randn(2, 2000, generator=torch.Generator().manual_seed(5))
    middle = torch.tensor([0.5])
    assert float(slerp(start, end, middle).norm()) == pytest.approx(2000**0.5, rel=0.05)
    assert float(lerp(start, end, middle).norm()) == pytest.approx(1000**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (torch.ones(3), torch.ones(4), r"of one shape, got \(3,\) and \(4,\)"),
        (torch.ones(3), torch.zeros(3), "a point that is all 0"),
        (torch.ones(3), -2 * torch.ones(3), "between opposite points"),
    ],
)
def test_points_without_one_way_between_them_are_refused(
    start: torch.Tensor, end: torch.Tensor, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        slerp(start, end, SHARES)


def test_points_get_the_norm_that_is_asked_for_and_zero_stays() -> None:
    points = torch.cat([two_points(6, 4, 2, 3)[0], torch.zeros(1, 2, 3)])
    norms = renormalised(points, 5.0).flatten(1).norm(dim=1)
    assert torch.allclose(norms, torch.tensor([5.0, 5, 5, 5, 0]))
