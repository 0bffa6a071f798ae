"""The tiny generator and the planted one are generators like any other."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import ClassVar

import pytest
import torch

from ganprobe import Generator, ParameterError, Probe
from ganprobe.testing import (
    GeneratorTests,
    SegmenterTests,
    planted_generator,
    tiny_generator,
)

SITES = ("fc", "grid", "norm1", "act1", "conv1", "norm2", "act2", "conv2", "squash")


class TestTiny(GeneratorTests):
    def make_generator(self) -> Generator:
        return tiny_generator()


class TestTinyWithClasses(GeneratorTests):
    def make_generator(self) -> Generator:
        return tiny_generator(seed=2, n_classes=3, latent_shape=(4, 2, 1))


class TestTinyWithNoise(GeneratorTests):
    def make_generator(self) -> Generator:
        return tiny_generator(image_shape=(1, 8, 20), draws_noise=True)


class TestPlantedGenerator(GeneratorTests):
    excused: ClassVar[dict[str, str]] = {
        "test_gradients_reach_its_latents": "its units are far from where they begin to fire",
    }

    def make_generator(self) -> Generator:
        return planted_generator().generator


class TestPlantedSegmenter(SegmenterTests):
    segmenter = planted_generator().segmenter

    def make_images(self, shape: tuple[int, int, int], n: int) -> torch.Tensor:
        planted = planted_generator()
        return Probe(planted.generator).images(planted.generator.sample(n))


def test_a_tiny_generator_has_the_same_sites_whatever_it_is_asked_to_be() -> None:
    kinds = (
        tiny_generator(),
        tiny_generator(n_classes=4, image_shape=(1, 8, 12)),
        tiny_generator(latent_shape=(5, 1, 1), draws_noise=True),
    )
    for generator in kinds:
        names = [layer.name for layer in Probe(generator).layers() if layer.name]
        assert [name for name in names if name not in ("label", "noise")] == list(SITES)


def test_the_weights_of_a_tiny_generator_depend_on_its_arguments_alone() -> None:
    before = torch.get_rng_state()
    first = tiny_generator(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert tiny_generator(seed=3).weights_sha256() == first.weights_sha256()
    assert tiny_generator(seed=4).weights_sha256() != first.weights_sha256()


def test_a_tiny_generator_takes_less_than_a_millisecond_or_so() -> None:
    generator = tiny_generator()
    latents = generator.sample(1)
    with torch.no_grad():
        took = []
        for _ in range(50):
            begun = time.perf_counter()
            generator.forward(latents)
            took.append(time.perf_counter() - begun)
    assert min(took) < 2e-3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image_shape": (3, 10, 16)}, "both sides multiples of 4, got"),
        ({"image_shape": (0, 16, 16)}, "got"),
        ({"n_classes": -1}, "number of classes"),
        ({"latent_shape": ()}, "a latent's shape"),
    ],
)
def test_a_tiny_generator_that_cannot_be_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        tiny_generator(**given)  # type: ignore[arg-type]


def test_the_test_doubles_need_no_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import ganprobe.testing as testing\n"
        "print(testing.tiny_generator().name, 'click' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "tiny"
