"""A published digit classifier as a judge, where a copy of its weights is at hand."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from described import read_network
from ganprobe import Measure

BESIDE = Path(__file__).parents[2] / "shared" / "data"
FOLDER = Path(os.environ.get("GANPROBE_TEST_WEIGHTS", BESIDE))
GENERATOR = FOLDER / "mnist_swap_gan.json"
CLASSIFIER = FOLDER / "mnist_lenet.json"
ARE_AT_HAND = GENERATOR.exists() and CLASSIFIER.exists()


class LeNet(Measure):
    """The probability of each digit; it takes images of 32 x 32, bilinearly enlarged."""

    name, summary = "lenet", "Probability of each digit, by LeNet-5."
    columns = tuple("0123456789")
    image_shape = (1, 28, 28)

    def measure(self, images: Tensor) -> Tensor:
        resized = functional.interpolate(images, (32, 32), mode="bilinear", align_corners=False)
        probabilities: Tensor = _network()(resized).exp()
        return probabilities


@cache
def _network() -> nn.Sequential:
    return read_network(CLASSIFIER).requires_grad_(False)
