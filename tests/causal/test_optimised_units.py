"""Optimised units: the planted ones are found, with gradients and without any."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Generator,
    NotDifferentiableError,
    OptimisedUnits,
    ParameterError,
    Probe,
    Segmenter,
    optimise_units,
)
from ganprobe.causal.optimisation import _Gradient, _Perturbations
from ganprobe.causal.places import Places
from ganprobe.causal.target import Target
from planted_doors import DOOR, Masonry, SoftMasonry, doors


def optimised(segmenter: Segmenter, **how: object) -> OptimisedUnits:
    probe = doors()
    how = {"window": 2, "n_steps": 20, "rate": 0.1, "batch_size": 8, "n_pairs": 6} | how
    latents = probe.generator.sample(16, seed=0)
    return optimise_units(probe, latents, "maps", 0.9, segmenter, "door", **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("segmenter", [Masonry(), SoftMasonry()], ids=lambda one: one.name)
def test_only_the_unit_that_draws_doors_is_kept(segmenter: Segmenter) -> None:
    found = optimised(segmenter, penalty=0.1)
    others = np.delete(found.alpha, DOOR)
    assert found.alpha[DOOR] > 0.65
    assert others.max() < 0.35
    assert found.top(1) == (DOOR,)
    assert found.way == ("gradient" if segmenter.is_differentiable else "perturbations")
    assert len(found.effect) == len(found.loss) == 20


def test_a_segmenter_with_soft_masks_can_be_taken_without_them() -> None:
    found = optimised(SoftMasonry(), way="perturbations", n_steps=2)
    assert found.way == "perturbations"
    assert "antithetic perturbations" in found.how
    with pytest.raises(NotDifferentiableError, match="'masonry' has no soft masks"):
        optimised(Masonry(), way="gradient", n_steps=1)


def test_it_begins_at_the_start_and_stays_within_0_and_1() -> None:
    start = np.linspace(0, 1, 6)
    found = optimised(SoftMasonry(), start=start, n_steps=1, rate=0.01)
    assert np.array_equal(found.start, start)
    assert np.abs(found.alpha - start).max() <= 0.01 + 1e-12
    assert found.alpha.min() >= 0
    assert found.alpha.max() <= 1
    with pytest.raises(ParameterError, match="a number in \\[0, 1\\] for each of 6 units"):
        optimised(Masonry(), start=[2.0] * 6)


def test_units_that_are_not_looked_at_stay_as_they_are() -> None:
    found = optimised(Masonry(), units=(4, DOOR), n_steps=5)
    assert found.units == (4, DOOR)
    assert found.alpha.shape == (2,)
    assert found.top(1) == (DOOR,)


def test_the_same_seed_gives_the_same() -> None:
    first, again = (optimised(Masonry(), n_steps=2, seed=3) for _ in range(2))
    assert np.array_equal(first.alpha, again.alpha)
    assert not np.array_equal(first.alpha, optimised(Masonry(), n_steps=2, seed=4).alpha)


class Sums(nn.Module):
    """Latents (n, 2); the image is the sum of four units, each a quarter as bright as it."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        maps: Tensor = self.maps(z.sigmoid()[:, :1, None, None].double().repeat(1, 4, 2, 2))
        return maps.mul(torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None]).sum(1, keepdim=True)


class Brightness(Segmenter):
    """One class, which is there as much as a pixel is bright."""

    name, summary, classes = "brightness", "as bright as it is", ("bright",)

    def segment(self, images: Tensor) -> Tensor:
        return images > 0.5

    def soft(self, images: Tensor) -> Tensor:
        return images


def sums() -> Target:
    module = Sums().eval()
    generator = Generator.from_module(module, latent=2, image_range=(0.0, 1.0), name="sums")
    return Target.of(Probe(generator), "maps", None, [1.0, 0.5, 1.0, 0.25], Brightness(), "bright")


def test_the_gradient_is_that_of_the_edit_algebra() -> None:
    target = sums()
    places = Places.over(target.tensor, (1, 2, 2), window=1)
    latents = target.probe.generator.sample(3)
    alpha = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
    effect, gradient = _Gradient(target, places)(latents, torch.tensor([0, 3, 1]), alpha)
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64) * target.levels
    assert effect == pytest.approx(float((weight * alpha).sum()))  # x (1 - a) cancels
    assert gradient.tolist() == pytest.approx(weight.tolist())


def test_perturbations_estimate_the_gradient_of_what_is_linear_without_bias() -> None:
    target = sums()
    places = Places.over(target.tensor, (1, 2, 2), window=1)
    latents, alpha = target.probe.generator.sample(2), torch.tensor([0.1, 0.5, 0.5, 0.95]).double()
    estimate = _Perturbations(target, places, 4, seed=0, memory=2**28)
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64) * target.levels

    def swept(latents: object, variants: list[list[object]]) -> Tensor:
        """The soft masks in place of the hard ones: then the effect is linear."""
        images = [target.probe.run(latents, variant).images.double() for variant in variants]  # type: ignore[arg-type]
        own = torch.stack([image.flatten(1) for image in images]) / 4
        return torch.cat([own.sum(2, keepdim=True), own], 2)

    estimate._swept = swept  # type: ignore[method-assign,assignment]
    drawn = torch.tensor([2, 0])
    found = torch.stack([estimate(latents, drawn, alpha)[1] for _ in range(60)])
    error = found.std(0) / 60**0.5
    assert (error < 0.04).all()
    assert ((found.mean(0) - weight).abs() < 4 * error).all()
