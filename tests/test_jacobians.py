"""Jacobians against matrices that are known, against each other, and on modules that refuse."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Generator,
    Latents,
    LatentSpace,
    NotDifferentiableError,
    ParameterError,
    Probe,
    ShapeError,
    Space,
    difference_images,
    gather_changes,
    jvp_images,
    small_step,
)
from subjects import TinyNetwork, random_network


def space_of(module: nn.Module, latent: Any = 5, name: str = "z", **how: Any) -> Space:
    generator = Generator.from_module(module.eval(), latent=latent, name="subject", **how)
    return Space.of(Probe(generator), name)


def linear(weight: Tensor, side: int) -> nn.Module:
    """Images (n, 1, side, side) = z @ weight."""
    layer = nn.Linear(len(weight), side * side, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
    return nn.Sequential(layer, nn.Unflatten(1, (1, side, side)))


def smooth(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4))
    ).double()  # fmt: skip


def jvp(space: Space, latents: Latents, directions: Tensor, **how: Any) -> Tensor:
    return gather_changes(jvp_images(space, space.points(latents), latents, directions, **how))


def difference(space: Space, latents: Latents, directions: Tensor, **how: Any) -> Tensor:
    points = space.points(latents)
    return gather_changes(difference_images(space, points, latents, directions, **how))


@pytest.mark.parametrize("seed", range(3))
def test_derivatives_and_steps_of_a_linear_generator_are_its_matrix(seed: int) -> None:
    weight = torch.randn(6, 16, generator=torch.Generator().manual_seed(seed)).double()
    space = space_of(linear(weight, 4), 6, image_range=(-2.0, 3.0))
    latents = space.probe.generator.sample(4, seed=seed)
    expected = (weight / 5).reshape(6, 1, 1, 4, 4).expand(-1, 4, -1, -1, -1)
    for found in (
        jvp(space, latents, torch.eye(6)),
        difference(space, latents, torch.eye(6), step=1.7),
        difference(space, latents, torch.eye(6), step=0.3, is_central=True),
    ):
        assert torch.allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["z", "1", "2"])
def test_derivatives_are_those_of_the_reverse_mode(name: str) -> None:
    space = space_of(smooth(1), name=name)
    latents = space.probe.generator.sample(3, seed=5)
    points = space.points(latents)
    directions = space.along(torch.randn(7, space.n_axes, dtype=torch.float64))
    for row in range(3):
        beside = latents[row : row + 1]

        def image(point: Tensor, beside: Latents = beside) -> Tensor:
            return space.image_of(point[None], beside)[0]

        jacobian = torch.autograd.functional.jacobian(image, points[row])
        expected = cast(Tensor, jacobian).flatten(3) @ directions.flatten(1).T / 2
        found = jvp(space, latents, directions)[:, row]
        assert torch.allclose(found, expected.movedim(-1, 0), atol=1e-12)


def test_a_central_difference_goes_to_the_derivative_with_the_square_of_the_step() -> None:
    space = space_of(smooth(2))
    latents, directions = space.probe.generator.sample(4), torch.eye(5)
    slopes = jvp(space, latents, directions)
    errors = [
        float((difference(space, latents, directions, step=step, is_central=True) - slopes).norm())
        for step in (0.1, 0.01, 0.001)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(100, rel=0.2)
    one_sided = [
        float((difference(space, latents, directions, step=step) - slopes).norm())
        for step in (0.1, 0.01)
    ]
    assert one_sided[0] / one_sided[1] == pytest.approx(10, rel=0.2)


def test_the_small_step_is_near_the_best_in_single_precision() -> None:
    space = space_of(smooth(3).float())
    exact = space_of(smooth(3))
    latents, directions = space.probe.generator.sample(8), torch.eye(5)
    slopes = jvp(exact, latents, directions)

    def error(step: float) -> float:
        found = difference(space, latents, directions, step=step, is_central=True)
        return float((found - slopes).norm() / slopes.norm())

    chosen = error(small_step(torch.float32))
    assert chosen < 3e-4
    assert chosen < 0.1 * min(error(1e-5), error(0.3))
    assert small_step(torch.float64) == pytest.approx(6.06e-6, rel=1e-2)


@pytest.mark.parametrize("name", ["z", "0", "2", "5"])
@pytest.mark.parametrize("n_at_once", [1, 3, 7, 500])
def test_any_block_size_and_both_ways_give_the_same(name: str, n_at_once: int) -> None:
    space = space_of(random_network(4), name=name)
    latents = space.probe.generator.sample(5, seed=1)
    directions = space.along(torch.randn(6, space.n_axes))
    expected = jvp(space, latents, directions, sharing="repeated")
    found = jvp(space, latents, directions, n_at_once=n_at_once, sharing="shared")
    assert torch.allclose(found, expected, atol=1e-5)
    steps = difference(space, latents, directions, n_at_once=n_at_once)
    whole = difference(space, latents, directions)
    assert torch.allclose(steps, whole, atol=1e-5)


def test_no_block_holds_more_than_was_allowed_and_samples_come_one_after_the_other() -> None:
    space = space_of(random_network(4))
    points = torch.randn(5, 5)
    blocks = list(jvp_images(space, points, None, torch.randn(9, 5), n_at_once=4))
    assert max(block.values.shape[:2].numel() for block in blocks) <= 4
    assert sum(block.values.shape[:2].numel() for block in blocks) == 45
    starts = [block.samples.start for block in blocks]
    assert starts == sorted(starts)
    assert {block.how for block in blocks} == {"shared"}


@pytest.mark.parametrize("normalisation", ["eval", "sample"])
def test_convolutions_norms_and_writes_in_place_agree_with_differences(normalisation: Any) -> None:
    module = random_network(2).double()
    space = space_of(module, normalisation=normalisation)
    latents, directions = space.probe.generator.sample(4, seed=3), torch.eye(5)
    slopes = jvp(space, latents, directions)
    steps = difference(space, latents, directions, step=1e-6, is_central=True)
    assert torch.allclose(slopes, steps, atol=1e-6)


def test_a_direction_without_effect_changes_nothing_at_all() -> None:
    weight = torch.randn(5, 16)
    weight[3] = 0
    space = space_of(linear(weight, 4))
    latents = space.probe.generator.sample(3)
    for found in (jvp(space, latents, torch.eye(5)), difference(space, latents, torch.eye(5))):
        assert (found[3] == 0).all()
        assert (found[[0, 1, 2, 4]] != 0).any(-1).all()


def test_a_step_of_each_sample_may_be_its_own_and_go_back() -> None:
    space = space_of(smooth(4))
    latents = space.probe.generator.sample(3)
    points = space.points(latents)
    steps = torch.tensor([[0.5, -1.0, 2.0], [-0.25, 0.75, -3.0]])
    directions = torch.eye(5)[[1, 4]].double()
    found = difference(space, latents, directions, step=steps)
    for k in range(2):
        for row in range(3):
            length = float(steps[k, row])
            ahead = space.images((points[row] + length * directions[k])[None])
            base = space.images(points[row : row + 1])
            expected = (ahead - base)[0] / (2 * length)
            assert torch.allclose(found[k, row], expected, atol=1e-12)


class Noisy(nn.Module):
    """z plus noise of its own, through a square, so that the derivative depends on the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, z: Tensor) -> Tensor:
        return (self.scale * (z + torch.randn_like(z))).square().reshape(-1, 1, 1, 5)


@pytest.mark.parametrize("n_at_once", [2, 100])
def test_noise_is_the_same_for_all_directions_and_for_steps(n_at_once: int) -> None:
    space = space_of(Noisy().double())
    latents = space.probe.generator.sample(4)
    how = {"n_at_once": n_at_once}
    directions = torch.eye(5).double()
    slopes = jvp(space, latents, directions, **how)
    repeated = jvp(space, latents, directions, sharing="repeated", **how)
    steps = difference(space, latents, directions, step=1e-5, is_central=True, **how)
    assert torch.allclose(slopes, steps, atol=1e-8)
    assert torch.allclose(repeated, steps, atol=1e-8)
    others = slopes[:, :, 0, 0][~torch.eye(5, dtype=torch.bool).unsqueeze(1).expand(-1, 4, -1)]
    assert (others == 0).all()


class Deciding(nn.Module):
    """Decides by what it has computed, writes into parts, and picks by a condition."""

    def forward(self, z: Tensor) -> Tensor:
        made = torch.zeros(len(z), 1, 1, 5, dtype=z.dtype)
        made[:, 0, 0] = z.sin() if z.abs().sum().item() > 0 else z
        return torch.where(made > 0.0, made, 3 * made)


def test_what_a_forward_decides_and_where_it_writes_is_differentiated() -> None:
    space = space_of(Deciding())
    latents = space.probe.generator.sample(6)
    for sharing in ("shared", "repeated"):
        found = jvp(space, latents, torch.eye(5), sharing=sharing)
        slope = torch.where(latents.z.sin() > 0, 1.0, 3.0) * latents.z.cos() / 2
        assert torch.allclose(found.flatten(2), torch.diag_embed(slope).movedim(1, 0), atol=1e-6)


class Sine(torch.autograd.Function):
    """Has a forward-mode derivative, but cannot be run for many directions at once."""

    @staticmethod
    def forward(given: Tensor) -> Tensor:
        return given.sin()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return tangents[0] * ctx.saved_tensors[0].cos()


class Alone(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = Sine.apply(z)
        return made.reshape(-1, 1, 1, 5)


def test_what_cannot_be_shared_is_repeated() -> None:
    space = space_of(Alone())
    latents = space.probe.generator.sample(3)
    points = space.points(latents)
    blocks = list(jvp_images(space, points, latents, torch.eye(5), n_at_once=4))
    assert {block.how for block in blocks} == {"repeated"}
    expected = torch.diag_embed(points.cos() / 2).movedim(1, 0)
    assert torch.allclose(gather_changes(blocks).flatten(2), expected, atol=1e-6)
    with pytest.raises(NotDifferentiableError, match="does not have vmap support"):
        jvp(space, latents, torch.eye(5), sharing="shared")


class NoForwardMode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        return given.sin()

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return gradient[0]


class Refusing(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = NoForwardMode.apply(z)
        return made.reshape(-1, 1, 1, 5)


def test_a_module_without_forward_mode_is_refused_with_the_reason_and_the_way_out() -> None:
    space = space_of(Refusing())
    latents = space.probe.generator.sample(3)
    with pytest.raises(
        NotDifferentiableError, match=r"'subject' has no forward-mode derivative along z: .*; take"
    ):
        jvp(space, latents, torch.eye(5))
    steps = difference(space, latents, torch.eye(5))
    assert (steps != 0).any(-1).sum() == 15


class Root(nn.Module):
    """The square root of |z - z|, whose derivative at 0 is not finite."""

    def forward(self, z: Tensor) -> Tensor:
        return (z * 0).square().sum(1).sqrt().reshape(-1, 1, 1, 1)


def test_a_derivative_that_is_not_finite_is_refused() -> None:
    space = space_of(Root())
    with pytest.raises(NotDifferentiableError, match="a derivative is NaN or infinite"):
        jvp(space, space.probe.generator.sample(3), torch.eye(5))


def test_what_does_not_fit_is_refused_ahead() -> None:
    space = space_of(TinyNetwork())
    latents, points = space.probe.generator.sample(3), torch.zeros(3, 5)
    with pytest.raises(ShapeError, match=r"directions of z are \(n, 5\), got \(2, 4\)"):
        next(jvp_images(space, points, latents, torch.zeros(2, 4)))
    with pytest.raises(ShapeError, match="3 points go with as many latents, got 2"):
        next(jvp_images(space, points, latents[:2], torch.eye(5)))
    with pytest.raises(ParameterError, match="a step is a finite number that is not 0"):
        next(difference_images(space, points, latents, torch.eye(5), step=0.0))
    with pytest.raises(ShapeError, match=r"steps are one number or \(5, 3\), got \(3,\)"):
        next(difference_images(space, points, latents, torch.eye(5), step=torch.ones(3)))
    batchwise = space_of(TinyNetwork(), normalisation="batch")
    with pytest.raises(ParameterError, match="normalisation 'batch', where a step of one sample"):
        next(jvp_images(batchwise, points, latents, torch.eye(5)))


def test_nothing_is_left_on_the_module_and_no_gradient_on_its_parameters() -> None:
    space = space_of(random_network(1), name="2")
    latents = space.probe.generator.sample(3)
    found = jvp(space, latents, space.along(torch.eye(space.n_axes)))
    assert not found.requires_grad
    assert all(one.grad is None for one in space.probe.generator.module.parameters())
    assert not any(one._forward_hooks for one in space.probe.generator.module.modules())


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated"])
@pytest.mark.parametrize("bound", [0.7, 2.0])
def test_the_deviation_of_a_prior_is_that_of_its_samples(distribution: Any, bound: float) -> None:
    space = LatentSpace((50,), distribution, bound=bound)
    drawn = space.sample(range(4000), seed=1).z.double()
    assert float(drawn.std()) == pytest.approx(space.deviation, rel=0.01)
    assert math.isfinite(space.deviation)
    assert np.isclose(LatentSpace((3,)).deviation, 1.0)
