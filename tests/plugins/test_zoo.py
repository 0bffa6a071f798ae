"""What ships: the generator, its judges, and the reader of MNIST's files."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, ndimage
from torch import Tensor
from torch.nn import functional

import ganprobe
from ganprobe import Probe
from ganprobe_zoo.measures import Digit, DigitRealness, DigitShape
from ganprobe_zoo.strokes import depth
from ganprobe_zoo.training.mnist import read_mnist
from ganprobe_zoo.training.quality import frechet_distance
from ganprobe_zoo.weights_folder import WEIGHTS


def test_digits_are_mostly_digits_of_every_class() -> None:
    digits = ganprobe.load("digits")
    images = digits.to_unit_range(Probe(digits).images(digits.sample(500, seed=1)))
    probabilities = Digit()(images)
    shares = torch.bincount(probabilities.argmax(dim=1), minlength=10) / 500
    assert (probabilities.amax(dim=1) > 0.9).float().mean() > 0.85
    assert shares.min() > 0.03
    assert shares.max() < 0.2


def test_digits_do_not_repeat() -> None:
    digits = ganprobe.load("digits")
    images = Probe(digits).images(digits.sample(100, seed=1)).flatten(1)
    distances = torch.cdist(images, images) + 1e3 * torch.eye(100)
    assert distances.min() > 1.0


def test_measures_give_their_columns() -> None:
    images = torch.rand(3, 1, 28, 28)
    probabilities = Digit()(images)
    assert probabilities.shape == (3, len(Digit.columns))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(3))
    assert DigitRealness()(images).shape == (3, len(DigitRealness.columns))


def test_the_discriminator_prefers_digits_to_two_digits_on_top_of_each_other() -> None:
    digits = ganprobe.load("digits")
    drawn = digits.to_unit_range(Probe(digits).images(digits.sample(200, seed=2)))
    realness = DigitRealness()
    overlaid = (drawn[:100] + drawn[100:]) / 2
    assert realness(drawn).mean() > realness(overlaid).mean() + 0.3


def test_the_weights_fit_their_budget() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.glob("digits-*")) < 8_000_000


@pytest.mark.parametrize("is_zipped", [False, True])
def test_idx_files_are_read(tmp_path: Path, is_zipped: bool) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    labels = np.array([5, 0, 9], dtype=np.uint8)
    for name, magic, values in (("images-idx3", 0x803, pixels), ("labels-idx1", 0x801, labels)):
        shape = struct.pack(f">{values.ndim}I", *values.shape)
        content = struct.pack(">I", magic) + shape + values.tobytes()
        path = tmp_path / f"train-{name}-ubyte{'.gz' if is_zipped else ''}"
        path.write_bytes(gzip.compress(content) if is_zipped else content)
    digits = read_mnist(tmp_path, "train")
    assert np.array_equal(digits.pixels.numpy(), pixels)
    assert digits.labels.tolist() == [5, 0, 9]
    signed = torch.from_numpy(pixels / 127.5 - 1).unsqueeze(1).float()
    assert torch.allclose(digits.images(), signed, atol=1e-6)


def test_files_that_are_not_idx_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte"):
        read_mnist(tmp_path, "train")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"PNG, not IDX")
    with pytest.raises(ValueError, match="is not an IDX file"):
        read_mnist(tmp_path, "train")
    content = struct.pack(">4I", 0x803, 3, 28, 28) + bytes(100)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=r"should hold \(3, 28, 28\) bytes but holds 100"):
        read_mnist(tmp_path, "train")


def test_the_frechet_distance_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(3)
    one = torch.randn(400, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    other = torch.randn(300, 6, generator=generator) + 0.5
    first, second = (np.cov(part.double().numpy(), rowvar=False) for part in (one, other))
    crossed = linalg.sqrtm(first @ second).real
    shift = (one.double().mean(0) - other.double().mean(0)).square().sum().item()
    expected = shift + np.trace(first + second - 2 * crossed)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-9)


Stroke = tuple[float, float, float, float]
"""From x, y to x, y, in pixels from the left and the top of a 28 x 28 image."""

STEM: list[Stroke] = [(14, 4, 14, 24)]
SEVEN: list[Stroke] = [(6, 5, 21, 5), (21, 5, 12, 24)]
CROSS: list[Stroke] = [(6, 14, 22, 14), (14, 4, 14, 24)]
RING: list[Stroke] = [
    (*(14 + 7 * math.cos(a), 14 + 9 * math.sin(a)), *(14 + 7 * math.cos(b), 14 + 9 * math.sin(b)))
    for a, b in ((k * math.pi / 12, (k + 1) * math.pi / 12) for k in range(24))
]


def drawn(
    strokes: list[Stroke], *, width: float = 2.5, shear: float = 0.0, finer: int = 8
) -> Tensor:
    """Strokes (1, 1, 28, 28) with round ends, `width` pixels wide, white on black, anti-aliased.

    All that is drawn is then sheared to the right, by `shear` pixels for each pixel of height.
    """
    places = (torch.arange(28 * finer) + 0.5) / finer
    y = places[:, None]
    x = places[None, :] + shear * (y - 14)
    image = torch.zeros(28 * finer, 28 * finer)
    for x0, y0, x1, y1 in strokes:
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / math.hypot(x1 - x0, y1 - y0) ** 2
        along = along.clamp(0, 1)
        distance = torch.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        image[distance <= width / 2] = 1.0
    return functional.avg_pool2d(image[None, None], finer)


def sheared(strokes: list[Stroke], shear: float) -> list[Stroke]:
    """The strokes, to be drawn as wide, leaning by `shear` pixels for each pixel of height."""
    return [(x0 - shear * (y0 - 14), y0, x1 - shear * (y1 - 14), y1) for x0, y0, x1, y1 in strokes]


def shape_of(images: Tensor, column: str) -> Tensor:
    """One column (n,) of the measure."""
    return DigitShape()(images)[:, DigitShape.columns.index(column)]


@pytest.mark.parametrize("width", [1.5, 2.0, 2.7, 3.5, 5.0])
@pytest.mark.parametrize("strokes", [STEM, SEVEN, CROSS, RING, sheared(STEM, 0.4)])
def test_thickness_is_the_width_that_strokes_were_drawn_with(
    strokes: list[Stroke], width: float
) -> None:
    image = drawn(strokes, width=width)
    assert shape_of(image, "thickness").item() == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99, 1.0])
def test_depth_is_the_distance_transform(share: float) -> None:
    generator = torch.Generator().manual_seed(4)
    is_ink = torch.rand(6, 30, 40, generator=generator) < share
    is_ink[:, [0, -1]] = False
    is_ink[:, :, [0, -1]] = False
    is_ink[3:, 2:28, :12] = False
    expected = [torch.from_numpy(ndimage.distance_transform_edt(one.numpy())) for one in is_ink]
    assert torch.allclose(depth(is_ink).double(), torch.stack(expected), atol=1e-5)
    assert torch.equal(depth(is_ink[4:5])[0], depth(is_ink)[4])


@pytest.mark.parametrize("shear", [-0.6, -0.2, 0.0, 0.1, 0.5])
@pytest.mark.parametrize("strokes", [STEM, CROSS, RING])
def test_slant_is_the_shear_that_an_upright_glyph_was_drawn_with(
    strokes: list[Stroke], shear: float
) -> None:
    slant = shape_of(drawn(strokes, shear=shear), "slant").item()
    assert math.tan(math.radians(slant)) == pytest.approx(shear, abs=0.01)


def test_shearing_a_glyph_of_any_slant_adds_to_it() -> None:
    images = torch.cat([drawn(SEVEN, shear=shear) for shear in (-0.3, 0.0, 0.3)])
    shears = shape_of(images, "slant").deg2rad().tan()
    assert shears.diff().tolist() == pytest.approx([0.3, 0.3], abs=0.01)


@given(
    left=st.integers(0, 20),
    top=st.integers(0, 20),
    width=st.integers(1, 8),
    height=st.integers(1, 8),
)
def test_ink_width_and_height_are_those_of_a_drawn_rectangle(
    left: int, top: int, width: int, height: int
) -> None:
    image = torch.full((1, 1, 28, 28), 0.01)
    image[..., top : top + height, left : left + width] = 0.9
    values = dict(zip(DigitShape.columns, DigitShape()(image)[0].tolist(), strict=True))
    area = width * height
    assert values["ink"] == pytest.approx(0.9 * area + 0.01 * (784 - area), rel=1e-4)
    assert (values["width"], values["height"]) == (width, height)


@pytest.mark.parametrize("length", [8, 12, 16])
@pytest.mark.parametrize("shear", [-0.3, 0.0, 0.4])
def test_a_bar_is_as_much_wider_than_the_stem_as_it_was_drawn(length: int, shear: float) -> None:
    seven = sheared([(8, 5, 19, 5), (19, 5, 13, 24)], shear)
    x = 16.2 - length / 2
    crossed = drawn([*seven, (x, 14, x + length, 14)])
    stem = 2.5 * math.hypot(1, 6 / 19 + shear)
    assert shape_of(crossed, "bar").item() == pytest.approx(length + 2.5 - stem, abs=1.3)
    assert shape_of(drawn(seven), "bar").item() < 1.1


def test_a_glyph_without_a_bar_has_none() -> None:
    drooping: list[Stroke] = [(6, 12, 18, 5), (18, 5, 14, 24)]
    hooked: list[Stroke] = [(6, 11, 6, 5), (6, 5, 20, 5), (20, 5, 12, 24)]
    footed: list[Stroke] = [(14, 4, 14, 24), (8, 24, 20, 24)]
    bent: list[Stroke] = [(7, 5, 20, 6), (20, 6, 17, 15), (17, 15, 16, 24)]
    heeled: list[Stroke] = [(14, 4, 14, 20), (10, 20, 18, 20), (10, 22, 18, 22), (13, 24, 15, 24)]
    glyphs = [STEM, sheared(STEM, 0.8), drooping, hooked, footed, bent, heeled]
    images = torch.cat([drawn(strokes, width=width) for strokes in glyphs for width in (2.0, 3.5)])
    assert shape_of(images, "bar").max() < 1.6


def test_the_crossed_sevens_among_the_digits_have_a_bar() -> None:
    digits = ganprobe.load("digits")
    crossed, plain = [753, 4987], [140, 145, 402, 831, 2283, 2943, 4046, 4308, 4737]
    z = digits.sample(5000, seed=0).z[crossed + plain]
    images = digits.to_unit_range(Probe(digits).images(z))
    assert Digit()(images)[:, 7].min() > 0.5
    bars = shape_of(images, "bar")
    assert bars[:2].min() > 8.0
    assert bars[2:].max() < 2.0


@pytest.mark.parametrize("strokes", [SEVEN, CROSS, RING])
def test_a_digit_has_the_same_shape_wherever_it_stands(strokes: list[Stroke]) -> None:
    image = drawn(strokes)
    moved = torch.cat([image.roll((down, right), (2, 3)) for down, right in ((-2, 3), (2, -4))])
    expected = DigitShape()(image).expand(2, -1)
    assert torch.allclose(DigitShape()(moved), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("tone", [0.0, 0.5, 1.0])
def test_images_without_strokes_have_finite_shapes(tone: float) -> None:
    values = DigitShape()(torch.full((2, 1, 28, 28), tone))
    assert values.isfinite().all()
    assert (values[0] == values[1]).all()
    without_ink = values[:, [0, 1, 3, 4, 5]]  # all but the sum of what is there
    assert (without_ink.abs() < 1e-3).all() == (tone <= 0.5)


@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 1.0))
def test_the_shape_of_noise_is_in_its_range_and_alike_alone_and_in_a_batch(
    seed: int, share: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(5, 1, 28, 28, generator=generator)
    images *= torch.rand(5, 1, 28, 28, generator=generator) < share
    values = DigitShape()(images)
    lower = torch.tensor([0.0, -90.0, 0.0, 0.0, 0.0, 0.0])
    upper = torch.tensor([28.0, 90.0, 784.0, 28.0, 28.0, 27.0])
    assert ((values >= lower) & (values <= upper)).all()
    alone = torch.cat([DigitShape()(image[None]) for image in images])
    assert torch.allclose(values, alone, rtol=1e-5, atol=1e-4)


def test_more_images_than_are_measured_at_once_keep_their_order() -> None:
    images = torch.cat([drawn(STEM, width=1.5 + 0.05 * k) for k in range(70)])
    values = DigitShape()(images)
    alone = torch.cat([DigitShape()(image[None]) for image in images])
    assert torch.allclose(values, alone, rtol=1e-5, atol=1e-4)
    assert DigitShape()(images[:0]).shape == (0, len(DigitShape.columns))
