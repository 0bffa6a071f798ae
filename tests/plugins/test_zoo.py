"""What ships: the generator, its judges, and the reader of MNIST's files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg

import ganprobe
from ganprobe import Probe
from ganprobe_zoo.digits import WEIGHTS
from ganprobe_zoo.measures import Digit, DigitRealness
from ganprobe_zoo.training.mnist import read_mnist
from ganprobe_zoo.training.quality import frechet_distance


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
