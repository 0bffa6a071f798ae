from __future__ import annotations

import pytest
import torch
from torch import nn

from ganprobe import ForwardError, Generator, LatentSpace, ParameterError, Probe, UsageError
from subjects import random_network


def test_any_module_becomes_a_generator() -> None:
    network = random_network(0)
    generator = Generator.from_module(network, latent=5)
    latents = generator.sample(3, seed=1)
    assert generator.name == "TinyNetwork"
    assert torch.equal(generator.forward(latents), network(latents.z))


@pytest.mark.parametrize("latent", [5, (5,), LatentSpace((5,), "uniform")])
def test_the_latent_can_be_a_size_a_shape_or_a_space(latent: int | LatentSpace) -> None:
    generator = Generator.from_module(random_network(0), latent=latent)
    assert generator.sample(2).z.shape == (2, 5)


def test_latents_of_several_axes_reach_the_module_in_their_shape() -> None:
    module = nn.ConvTranspose2d(10, 3, 4).eval()
    generator = Generator.from_module(module, latent=(10, 1, 1))
    assert generator.forward(generator.sample(2)).shape == (2, 3, 4, 4)


def test_flat_images_get_the_shape_that_is_given() -> None:
    module = nn.Sequential(nn.Linear(4, 12), nn.Tanh()).eval()
    generator = Generator.from_module(module, latent=4)
    with pytest.raises(ForwardError, match=r"returned \(2, 12\).*image_shape"):
        generator.forward(generator.sample(2))
    generator = Generator.from_module(module, latent=4, image_shape=(3, 2, 2))
    assert generator.forward(generator.sample(2)).shape == (2, 3, 2, 2)


def test_train_mode_is_refused_by_the_layers_name() -> None:
    with pytest.raises(
        UsageError, match=r"the module \(TinyNetwork\) is in train mode.*call module\.eval"
    ):
        Generator.from_module(random_network(0).train(), latent=5)


def test_train_mode_that_comes_later_is_refused_before_anything_changes() -> None:
    network = random_network(0)
    generator = Generator.from_module(network, latent=5)
    probe = Probe(generator)
    probe.layers()
    before = generator.weights_sha256()
    network.train()
    with pytest.raises(UsageError, match="is in train mode"):
        probe.images(generator.sample(2))
    assert generator.weights_sha256() == before


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_torchscript_is_refused_with_the_way_out() -> None:
    scripted = torch.jit.trace(random_network(0), torch.zeros(2, 5))
    with pytest.raises(UsageError, match="is TorchScript, whose layers cannot be hooked"):
        Generator.from_module(scripted.eval(), latent=5)


def test_an_empty_image_range_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"\(black, white\), got \(1.0, 1.0\)"):
        Generator.from_module(random_network(0), latent=5, image_range=(1.0, 1.0))


def test_the_hash_is_of_the_weights_and_of_nothing_else() -> None:
    first, same, other = (
        Generator.from_module(random_network(seed), latent=5, name=name)
        for seed, name in ((0, "a"), (0, "b"), (1, "a"))
    )
    assert first.weights_sha256() == same.weights_sha256()
    assert first.weights_sha256() != other.weights_sha256()
    before = first.weights_sha256()
    with torch.no_grad():
        first.module.get_parameter("0.bias")[0] += 1e-3
    assert first.weights_sha256() != before


def test_images_go_to_the_unit_range_and_are_clipped() -> None:
    generator = Generator.from_module(random_network(0), latent=5, image_range=(0.0, 255.0))
    images = torch.tensor([-1.0, 0.0, 127.5, 255.0, 300.0])
    assert generator.to_unit_range(images).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
