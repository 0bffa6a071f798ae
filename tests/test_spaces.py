"""Spaces: points of z, w and sites, their images, coordinates and extent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from ganprobe import (
    Generator,
    Latents,
    LatentSpace,
    ParameterError,
    Probe,
    ShapeError,
    SiteError,
    Space,
    UnknownNameError,
)


class Mapped(nn.Module):
    """z (n, 4) to w (n, 3), then to images; `beside` adds z again after the site."""

    def __init__(self, *, beside: bool = False) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
        self.drawing = nn.Linear(3, 2 * 4 * 4)
        self.beside = nn.Linear(4, 2 * 4 * 4) if beside else None

    def forward(self, z: Tensor) -> Tensor:
        images = self.drawing(self.mapping(z))
        if self.beside is not None:
            images = images + self.beside(z)
        return torch.as_tensor(images.view(-1, 2, 4, 4))


def mapped(*, beside: bool = False, w_site: str | None = "mapping") -> Probe:
    torch.manual_seed(0)
    module = Mapped(beside=beside).eval()
    return Probe(Generator.from_module(module, latent=4, w_site=w_site))


def test_a_point_of_z_is_a_latent_and_its_image_the_generators(network_probe: Probe) -> None:
    space = Space.of(network_probe, "z")
    latents = network_probe.generator.sample(5, seed=2)
    assert space.is_latent
    assert (space.shape, space.n_axes, space.axis_name(3)) == ((5,), 5, "z[3]")
    assert torch.equal(space.points(latents), latents.z)
    assert torch.equal(space.images(latents.z), network_probe.images(latents))


@pytest.mark.parametrize("name", ["0", "1", "2", "2:in", "4"])
def test_a_sites_own_points_give_the_base_image_bit_for_bit(
    network_probe: Probe, name: str
) -> None:
    space = Space.of(network_probe, name)
    latents = network_probe.generator.sample(5, seed=2)
    images = space.images(space.points(latents), latents)
    assert torch.equal(images, network_probe.images(latents))


def test_w_is_where_the_generator_says_and_what_lies_beside_comes_from_the_latents() -> None:
    probe = mapped(beside=True)
    space = Space.of(probe, "w")
    assert (space.name, space.shape, space.axis_name(1)) == ("w", (3,), "w[1]")
    first, other = probe.generator.sample(4, seed=0), probe.generator.sample(4, seed=1)
    module = probe.generator.module
    assert isinstance(module, Mapped)
    assert module.beside is not None
    with torch.no_grad():
        by_hand = module.drawing(module.mapping(first.z)) + module.beside(other.z)
    made = space.images(space.points(first), other).flatten(1)
    assert torch.allclose(made, by_hand, atol=1e-6)


def test_w_that_nobody_named_is_refused_with_the_way_out() -> None:
    with pytest.raises(ParameterError, match="does not say where its w is; give the site of its"):
        Space.of(mapped(w_site=None), "w")


def test_one_latent_goes_with_all_points_and_other_numbers_are_refused() -> None:
    space = Space.of(mapped(beside=True), "w")
    one = space.probe.generator.sample(1)
    points = torch.randn(6, 3)
    many = space.images(points, one)
    for index in range(6):
        assert torch.allclose(many[index], space.images(points[index : index + 1], one)[0])
    with pytest.raises(ShapeError, match="6 points go with 6 latents or with one, got 2"):
        space.images(points, space.probe.generator.sample(2))
    with pytest.raises(ShapeError, match="points of a site need latents"):
        space.images(points)
    with pytest.raises(ShapeError, match=r"points of this space are .*, got \(6, 4\)"):
        space.images(torch.randn(6, 4), one)


@pytest.mark.parametrize("name", ["z", "2"])
def test_batches_of_any_size_give_the_same_images(network_probe: Probe, name: str) -> None:
    space = Space.of(network_probe, name)
    latents = network_probe.generator.sample(7, seed=4)
    points = space.points(latents) + 0.1
    whole = space.images(points, latents)
    parts = list(space.image_batches(points, latents, batch_size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


@pytest.mark.parametrize("name", ["z", "0", "2", "3"])
def test_moving_along_axes_moves_the_coordinates_by_as_much(
    network_probe: Probe, name: str
) -> None:
    space = Space.of(network_probe, name)
    points = space.points(network_probe.generator.sample(3)).double()
    weights = torch.randn(3, space.n_axes, dtype=torch.float64)
    moved = space.coordinates(points + space.along(weights))
    assert torch.allclose(moved, space.coordinates(points) + weights)
    assert space.along(weights).shape == points.shape


@pytest.mark.parametrize("name", ["z", "2"])
def test_gradients_reach_the_points_and_no_parameter(network_probe: Probe, name: str) -> None:
    space = Space.of(network_probe, name)
    latents = network_probe.generator.sample(3)
    points = space.points(latents).clone().requires_grad_()
    space.image_of(points, latents).square().sum().backward()
    assert points.grad is not None
    step = torch.zeros_like(points)
    step[1].view(-1)[2] = 1e-2

    def total(moved: Tensor) -> float:
        return float(space.images(moved.detach(), latents).double().square().sum())

    slope = (total(points + step) - total(points - step)) / 2e-2
    assert float(points.grad[1].view(-1)[2]) == pytest.approx(slope, rel=0.05, abs=1e-3)
    images = space.images(points.detach(), latents)
    assert not images.requires_grad


def test_the_extent_of_normal_latents_is_exact() -> None:
    probe = Probe(Generator.from_module(nn.Unflatten(1, (1, 8, 8)).eval(), latent=64))
    extent = Space.of(probe, "z").extent(probe.generator.sample(2000))
    assert extent.typical_norm == pytest.approx(float(stats.chi.mean(64)), rel=0.01)
    assert extent.norm_limits == pytest.approx(stats.chi.ppf([0.0005, 0.9995], 64))
    assert extent.usual_range(3) == (-3.0, 3.0)
    assert torch.allclose(extent.deviations, torch.ones(64, dtype=torch.float64), atol=0.08)
    fresh = probe.generator.sample(5000, seed=1).z
    assert extent.is_outside(fresh).mean() < 0.004
    assert extent.is_outside(fresh[:100].mean(0, keepdim=True)).all()  # a mean is too short
    assert extent.is_outside(2 * fresh[:10]).all()


def test_a_uniform_prior_ends_at_its_bound() -> None:
    space = LatentSpace((6, 1, 1), "uniform")
    module = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 2, 3))).eval()
    probe = Probe(Generator.from_module(module, latent=space))
    extent = Space.of(probe, "z").extent(probe.generator.sample(500))
    fresh = probe.generator.sample(2000, seed=1).z
    assert not extent.is_outside(fresh).any()
    fresh[7, 2] = 1.01
    assert list(np.flatnonzero(extent.is_outside(fresh))) == [7]
    assert extent.usual_range(0) == (-1.0, 1.0)


def test_the_extent_of_a_site_is_that_of_its_samples(network_probe: Probe) -> None:
    space = Space.of(network_probe, "2")
    latents = network_probe.generator.sample(200)
    points = space.points(latents).double()
    extent = space.extent(latents)
    assert torch.allclose(extent.mean, points.mean(0))
    assert torch.allclose(extent.deviations, points.mean(dim=(2, 3)).std(0))
    norms = points.flatten(1).norm(dim=1)
    assert extent.norm_limits == (float(norms.min()), float(norms.max()))
    assert not extent.is_outside(points).any()
    low, high = extent.usual_range(1)
    assert high - low == pytest.approx(6 * float(extent.deviations[1]))
    assert math.isclose((low + high) / 2, float(points[:, 1].mean()), rel_tol=1e-6)


def test_axes_are_checked_and_sites_that_are_no_space_refused(network_probe: Probe) -> None:
    space = Space.of(network_probe, "2")
    assert space.check_axes(None) == tuple(range(6))
    with pytest.raises(ParameterError, match="no dimension of 2 9: there are 6, numbered 0-5"):
        space.check_axes((1, 9))
    with pytest.raises(ParameterError, match="no latent dimension 5: there are 5, numbered 0-4"):
        Space.of(network_probe, "z").check_axes((5,))
    with pytest.raises(SiteError, match="a space is a whole site, got '2#1'"):
        Space.of(network_probe, "2#1")
    with pytest.raises(UnknownNameError, match="no layer 'conv9'"):
        Space.of(network_probe, "conv9")


def test_latents_with_their_own_device_and_dtype_are_taken(tiny: Generator) -> None:
    space = Space.of(Probe(tiny), "z")
    doubled = Latents(tiny.sample(2).z.double())
    assert space.points(doubled).dtype == torch.float32
