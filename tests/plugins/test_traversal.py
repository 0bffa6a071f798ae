"""Traversal against planted generators whose answer is known."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Context,
    ForwardError,
    Generator,
    LatentSpace,
    Measure,
    ParameterError,
    PluginError,
    Probe,
)
from ganprobe_traversal import Traversal, TraversalParams
from ganprobe_traversal.walk import Walks, walk_dimensions, walked_latents
from subjects import random_network


class Brightness(Measure):
    name, summary = "brightness", "Mean of all pixels."
    columns: ClassVar[tuple[str, ...]] = ("mean",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3)).unsqueeze(1)


class OtherShape(Brightness):
    image_shape = (3, 64, 64)


def linear_generator(weight: Tensor, **space: Any) -> Generator:
    """Images (n, 1, 4, 4) = z @ weight; its range is wide enough that nothing is clipped."""
    linear = nn.Linear(len(weight), 16, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight.T)
    module = nn.Sequential(linear, nn.Unflatten(1, (1, 4, 4)))
    latent = LatentSpace((len(weight),), **space)
    return Generator.from_module(module.eval(), latent=latent, image_range=(-100.0, 100.0))


def context_of(generator: Generator, seed: int = 0, measure: Measure | None = None) -> Context:
    def find(name: str) -> Measure:
        assert measure is not None
        return measure

    return Context(Probe(generator), seed, find)


def walk(generator: Generator, seed: int = 0, **params: Any) -> Walks:
    return walk_dimensions(context_of(generator, seed), TraversalParams(**params))


@pytest.mark.parametrize("seed", range(3))
def test_effects_of_a_linear_generator_are_the_known_ones(seed: int) -> None:
    weight = torch.randn(6, 16, generator=torch.Generator().manual_seed(seed)).double()
    generator = linear_generator(weight)
    walks = walk(generator, seed, bases=5, steps=7)
    own = generator.sample(5, seed=seed).z.double()  # (base, dim)
    steps = torch.linspace(-3, 3, 7, dtype=torch.float64)
    distance = (steps - own.T.unsqueeze(2)).abs()  # (dim, base, step)
    expected = distance * (weight.square().mean(dim=1).sqrt() / 200).view(-1, 1, 1)
    assert np.allclose(walks.effects, expected.numpy(), rtol=1e-6, atol=1e-9)
    assert walks.ranking == np.argsort(-expected.mean(dim=(1, 2)).numpy()).tolist()


def test_a_linear_generators_walk_is_affine() -> None:
    walks = walk(linear_generator(torch.randn(4, 16).double()), bases=3, steps=9, figures=4)
    images = walks.images[:, :, 1:].astype(np.float64)
    second_difference = np.diff(images, n=2, axis=2)
    assert np.abs(second_difference).max() < 1e-6


def test_a_dimension_that_does_nothing_ranks_last_with_no_effect() -> None:
    weight = torch.randn(5, 16)
    weight[3] = 0.0
    walks = walk(linear_generator(weight), bases=4)
    assert walks.ranking[-1] == 3
    assert walks.mean_effects[3] == 0.0


@pytest.mark.parametrize("dim", [0, 3, 4])
def test_a_step_at_the_base_value_is_the_base_image_bit_for_bit(dim: int) -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    own = float(generator.sample(1, seed=2).z[0, dim])
    walks = walk(generator, 2, dims=(dim,), bases=1, low=own, high=own + 1.0, steps=4)
    assert np.array_equal(walks.images[0, 0, 1], walks.images[0, 0, 0])
    assert walks.effects[0, 0, 0] == 0.0
    assert (walks.effects[0, 0, 1:] > 0).all()


def test_walked_latents_differ_from_their_base_in_one_coordinate() -> None:
    bases = LatentSpace((3, 2, 1)).sample(range(4), seed=0)
    values = np.array([-1.0, 0.5])
    latents = walked_latents(bases, [(5, 3), (0, 1)], values)
    assert latents.shape == (2, 3, 3, 2, 1)
    for job, (dim, base) in enumerate([(5, 3), (0, 1)]):
        flat, own = latents[job].flatten(1), bases.z[base].flatten()
        others = [other for other in range(6) if other != dim]
        assert torch.equal(flat[0], own)
        assert torch.equal(flat[1:, others], own[others].expand(2, -1))
        assert flat[1:, dim].tolist() == values.tolist()


def test_steps_follow_the_prior_and_those_outside_are_marked() -> None:
    generator = linear_generator(torch.randn(3, 16), distribution="uniform")
    inside = walk(generator, bases=1, steps=3)
    assert inside.values.tolist() == [-1.0, 0.0, 1.0]
    assert not inside.is_outside.any()
    wide = Traversal().run(
        context_of(generator), TraversalParams(bases=1, steps=5, low=-2.0, high=2.0)
    )
    assert "Steps -2, 2 lie outside the prior's usual range [-1, 1]" in wide.findings[-1]


def test_a_measure_is_followed_along_the_walk() -> None:
    weight = torch.zeros(3, 16)
    weight[1] = 20.0
    context = context_of(linear_generator(weight), measure=Brightness())
    params = TraversalParams(bases=4, steps=3, measure=("brightness",))
    result = Traversal().run(context, params)
    followed = result.arrays["measure_brightness"]
    assert followed.dims == ("dim", "base", "column", "brightness_column")
    expected = [(20.0 * step + 100.0) / 200.0 for step in (-3.0, 0.0, 3.0)]
    assert np.allclose(followed.values[1, :, 1:, 0], expected, atol=1e-6)
    assert "Dimension 1: brightness 'mean' 0.20 to 0.80." in result.findings


def test_a_measure_for_other_images_is_refused_by_name() -> None:
    context = context_of(linear_generator(torch.randn(3, 16)), measure=OtherShape())
    with pytest.raises(PluginError, match=r"takes images \(3, 64, 64\), but .* makes \(1, 4, 4\)"):
        Traversal().run(context, TraversalParams(bases=1, measure=("brightness",)))


class Miscounting(Brightness):
    columns: ClassVar[tuple[str, ...]] = ("one", "two")


def test_a_measure_that_breaks_its_word_is_named() -> None:
    context = context_of(linear_generator(torch.randn(3, 16)), measure=Miscounting())
    with pytest.raises(PluginError, match=r"'brightness' gave \(40, 1\) for 40 images and 2 col"):
        Traversal().run(context, TraversalParams(bases=4, dims=(0,), measure=("brightness",)))


def test_a_walk_that_leaves_the_numbers_is_named() -> None:
    generator = linear_generator(torch.full((2, 16), 1e30))
    with pytest.raises(ForwardError, match=r"gave NaN or infinity on a walk along dimensions \[0"):
        walk(generator, bases=1, high=1e30)


def test_a_result_holds_the_ranking_arrays_and_figures() -> None:
    generator = linear_generator(torch.randn(6, 16))
    params = TraversalParams(bases=3, steps=4, rows=2, figures=2)
    result = Traversal().run(context_of(generator), params)
    ranking = result.tables["ranking"]
    effects = [row[ranking.columns.index("mean_effect")] for row in ranking.rows]
    assert effects == sorted(effects, reverse=True)  # type: ignore[type-var]
    assert result.arrays["effect"].values.shape == (6, 3, 4)
    assert result.arrays["image"].values.shape == (2, 2, 5, 1, 4, 4)
    first, second = (row[1] for row in ranking.rows[:2])
    assert list(result.figures) == ["ranking", f"dimension-{first:03d}", f"dimension-{second:03d}"]
    assert result.findings[0].startswith(f"Dimension {first} changes the image")
    assert "n = 3 base samples, seed 0" in result.findings[0]


def test_one_base_and_colour_images_work() -> None:
    module = nn.Sequential(nn.Linear(4, 48), nn.Unflatten(1, (3, 4, 4)), nn.Tanh()).eval()
    generator = Generator.from_module(module, latent=4)
    result = Traversal().run(context_of(generator), TraversalParams(bases=1, steps=2))
    assert result.arrays["image"].values.shape[3] == 3


def test_the_same_seed_gives_the_same_result() -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    one, two, other = (walk(generator, seed, bases=3, steps=3) for seed in (4, 4, 5))
    assert np.array_equal(one.effects, two.effects)
    assert not np.array_equal(one.effects, other.effects)


def test_impossible_walks_are_refused() -> None:
    generator = linear_generator(torch.randn(3, 16))
    with pytest.raises(ParameterError, match="no latent dimension 3: this generator has 3"):
        walk(generator, dims=(0, 3))
    with pytest.raises(ParameterError, match="--low must be below --high, got 2 and 1"):
        walk(generator, low=2.0, high=1.0)
