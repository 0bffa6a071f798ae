"""Appearance, against images whose looks are known because they were drawn so."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ganprobe import Probe, find_measure, load
from ganprobe_appearance import Appearance

COLUMNS = Appearance.columns
PLACE = ("centre-x", "centre-y", "size")


def look(images: Tensor, *names: str) -> Tensor:
    """Some columns (n, len(names)) of the measure, or the only one (n,)."""
    values = Appearance()(images)[:, [COLUMNS.index(name) for name in names]]
    return values[:, 0] if len(names) == 1 else values


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def rectangles(n_images: int, seed: int) -> Tensor:
    """Images (n, 3, 24, 32), each with three rectangles of random colours on a random one."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n_images, 3, 1, 1, generator=generator).expand(-1, -1, 24, 32).clone()
    for image in images:
        for _ in range(3):
            top, left = (int(torch.randint(0, 16, (), generator=generator)) for _ in range(2))
            height, width = (int(torch.randint(3, 12, (), generator=generator)) for _ in range(2))
            colour = torch.rand(3, 1, 1, generator=generator)
            image[:, top : top + height, left : left + width] = colour
    return images


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images under a Gaussian of `sigma` pixels."""
    reach = math.ceil(3 * sigma)
    bell = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    kernel = torch.outer(bell, bell)[None, None] / bell.sum() ** 2
    padded = functional.pad(images, (reach,) * 4, mode="replicate").flatten(0, 1)
    return functional.conv2d(padded[:, None], kernel).view(images.shape)


def test_brightness_and_contrast_are_mean_and_deviation_of_luminance() -> None:
    halves = torch.zeros(1, 1, 6, 8)
    halves[..., :4] = 1.0
    assert look(halves, "brightness", "contrast")[0].tolist() == pytest.approx([0.5, 0.5])
    colours = torch.eye(3).view(3, 3, 1, 1).expand(-1, -1, 5, 7)
    assert look(colours, "brightness").tolist() == pytest.approx([0.299, 0.587, 0.114])
    two_channels = torch.tensor([0.2, 0.6]).view(1, 2, 1, 1).expand(-1, -1, 4, 4)
    assert look(two_channels, "brightness").item() == pytest.approx(0.4)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_a_ramp_is_as_sharp_as_it_is_steep(width: int) -> None:
    ramp = ((torch.arange(20) - 5) / width).clamp(0, 1).expand(1, 1, 12, 20)
    assert look(ramp, "sharpness").item() == pytest.approx(1 / width, rel=1e-5)
    assert look(ramp.mT, "sharpness").item() == pytest.approx(1 / width, rel=1e-5)


def test_blurred_images_and_averages_of_images_are_less_sharp() -> None:
    sharp = rectangles(40, seed=1)
    sharpness = look(sharp, "sharpness")
    slightly, strongly = (look(blurred(sharp, sigma), "sharpness") for sigma in (0.7, 2.0))
    assert (slightly < 0.9 * sharpness).all()
    assert (strongly < 0.7 * slightly).all()
    averages = look(sharp.view(8, 5, 3, 24, 32).mean(dim=1), "sharpness")
    assert averages.max() < sharpness.min()


@given(seed=st.integers(0, 10**6), scale=st.floats(0.02, 1.0), share=st.floats(0.0, 1.0))
def test_neither_brightness_nor_contrast_changes_sharpness_and_symmetry(
    seed: int, scale: float, share: float
) -> None:
    images = random_images(2, 1, 9, 11, seed=seed)
    changed = images * scale + share * (1 - scale)
    names = ("sharpness", "symmetry")
    assert torch.allclose(look(changed, *names), look(images, *names), atol=2e-3)


def test_colourfulness_is_the_published_one() -> None:
    grey = random_images(2, 1, 8, 8).expand(-1, 3, -1, -1)
    assert look(grey, "colourfulness").abs().max() < 1e-3
    assert look(grey[:, :1], "colourfulness").tolist() == [0.0, 0.0]
    red_and_green = torch.zeros(1, 3, 4, 8)
    red_and_green[:, 0, :, :4] = 1.0
    red_and_green[:, 1, :, 4:] = 1.0
    assert look(red_and_green, "colourfulness").item() == pytest.approx(255 + 0.3 * 127.5)
    dull = 0.5 + 0.2 * (red_and_green - 0.5)
    assert look(dull, "colourfulness").item() == pytest.approx(0.2 * (255 + 0.3 * 127.5))


def test_symmetry_is_one_for_a_mirror_image_of_itself_and_minus_one_for_its_opposite() -> None:
    halves = random_images(3, 3, 10, 6)
    both = torch.cat([halves, halves.flip(3)], dim=3)
    opposed = torch.cat([halves, 1 - halves.flip(3)], dim=3)
    assert look(both, "symmetry").tolist() == pytest.approx([1.0] * 3)
    assert look(opposed, "symmetry").tolist() == pytest.approx([-1.0] * 3, abs=0.05)
    assert look(random_images(20, 1, 32, 32), "symmetry").abs().max() < 0.2


@given(
    left=st.integers(1, 10),
    top=st.integers(1, 8),
    width=st.integers(1, 12),
    height=st.integers(1, 9),
    tones=st.permutations([0.0, 0.3, 0.9]),
)
def test_centre_and_size_are_those_of_a_drawn_rectangle(
    left: int, top: int, width: int, height: int, tones: list[float]
) -> None:
    images = torch.full((1, 3, 20, 24), tones[0])
    images[..., top : top + height, left : left + width] = tones[1]
    side = math.sqrt(((width / 24) ** 2 + (height / 20) ** 2) / 2)
    expected = [(left + width / 2) / 24, (top + height / 2) / 20, side]
    assert look(images, *PLACE)[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_an_object_as_bright_as_its_background_is_found_by_its_colour() -> None:
    images = torch.full((1, 3, 16, 16), 0.5)
    red, green = 0.5 + 0.3 * 0.587, 0.5 - 0.3 * 0.299
    images[:, :, 2:6, 8:12] = torch.tensor([red, green, 0.5]).view(3, 1, 1)
    assert look(images, "contrast").item() < 1e-5
    assert look(images, *PLACE)[0].tolist() == pytest.approx([10 / 16, 4 / 16, 0.25], abs=1e-4)


def test_noise_hardly_pulls_the_centre_to_the_middle() -> None:
    generator = torch.Generator().manual_seed(3)
    images = 0.2 + 0.05 * torch.randn(20, 1, 64, 64, generator=generator)
    images[..., 8:28, 36:56] += 0.5
    centres = look(images, "centre-x", "centre-y")
    assert (centres - torch.tensor([46 / 64, 18 / 64])).abs().max() < 0.03


@pytest.mark.parametrize("n_turns", range(4))
def test_a_border_that_an_object_covers_in_part_is_still_background(n_turns: int) -> None:
    images = torch.zeros(1, 1, 20, 20)
    images[..., :9] = 1.0
    turned = images.rot90(n_turns, (2, 3))
    x, y = [(0.225, 0.5), (0.5, 0.775), (0.775, 0.5), (0.5, 0.225)][n_turns]
    size = math.sqrt((0.45**2 + 1) / 2)
    assert look(turned, *PLACE)[0].tolist() == pytest.approx([x, y, size], abs=1e-4)


@pytest.mark.parametrize(("dim", "centre"), [(3, "centre-x"), (2, "centre-y")])
def test_mirroring_changes_the_centre_and_nothing_else(dim: int, centre: str) -> None:
    images = rectangles(10, seed=4)
    expected = Appearance()(images)
    expected[:, COLUMNS.index(centre)] = 1 - expected[:, COLUMNS.index(centre)]
    assert torch.allclose(Appearance()(images.flip(dim)), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 5), (2, 7, 3), (3, 16, 16), (4, 64, 48)])
@pytest.mark.parametrize("tone", [0.0, 0.1, 0.7, 1.0])
def test_an_image_of_one_tone_has_brightness_and_nothing_else(
    shape: tuple[int, int, int], tone: float
) -> None:
    values = dict(zip(COLUMNS, Appearance()(torch.full((2, *shape), tone))[1], strict=True))
    assert values.pop("brightness").item() == pytest.approx(tone, abs=1e-6)
    expected = dict.fromkeys(("contrast", "sharpness", "colourfulness", "size"), 0.0)
    expected |= {"symmetry": 1.0, "centre-x": 0.5, "centre-y": 0.5}
    found = {name: value.item() for name, value in values.items()}
    assert found == pytest.approx(expected, abs=1e-4)


@given(
    seed=st.integers(0, 10**6),
    channels=st.integers(1, 5),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
)
def test_every_value_is_in_its_range(seed: int, channels: int, height: int, width: int) -> None:
    images = random_images(6, channels, height, width, seed=seed)
    images[3:] = (images[3:] > 0.8).float()
    values = Appearance()(images)
    lower = torch.tensor([0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0])
    upper = torch.tensor([1.0, 0.5, 2**0.5, 450.0, 1.0, 1.0, 1.0, 1.74])
    assert ((values >= lower - 1e-4) & (values <= upper + 1e-4)).all()


def test_an_image_is_measured_alike_alone_and_in_a_batch() -> None:
    images = rectangles(12, seed=5)
    alone = torch.cat([Appearance()(image[None]) for image in images])
    assert torch.allclose(Appearance()(images), alone, rtol=1e-5, atol=1e-5)
    assert Appearance()(images[:0]).shape == (0, len(COLUMNS))
    halved = Appearance()(images.half())
    assert torch.allclose(halved, alone, rtol=0.02, atol=0.02)


def test_it_judges_the_generator_that_ships() -> None:
    digits = load("digits")
    images = digits.to_unit_range(Probe(digits).images(digits.sample(50, seed=0)))
    measure = find_measure("appearance")
    assert measure.fits(images.shape[1:])
    means = dict(zip(measure.columns, measure(images).mean(dim=0).tolist(), strict=True))
    assert 0.05 < means["brightness"] < 0.25
    assert means["centre-x"] == pytest.approx(0.5, abs=0.05)
    assert means["centre-y"] == pytest.approx(0.5, abs=0.05)
    assert measure(images).std(dim=0)[COLUMNS.index("colourfulness")] == 0
