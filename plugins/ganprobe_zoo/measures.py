"""What the networks behind ``digits`` say of an image, as measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganprobe import Measure

if TYPE_CHECKING:
    from torch import Tensor


class Digit(Measure):
    """The probability of each of the ten digits, by a classifier trained on MNIST."""

    name = "digit"
    summary = "probability of each digit 0-9, by a classifier that is right on 99.5 % of MNIST"
    columns = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    image_shape = (1, 28, 28)

    def measure(self, images: Tensor) -> Tensor:
        from ganprobe_zoo.digits import load_classifier

        classifier = load_classifier(images.device)
        probabilities: Tensor = classifier(_signed(images)).softmax(dim=1)
        return probabilities  # (n, 10)


class DigitRealness(Measure):
    """The score of the discriminator that ``digits`` was trained against, in logits."""

    name = "digit-realness"
    summary = "how real a digit looks to the discriminator of 'digits', in logits"
    columns = ("score",)
    image_shape = (1, 28, 28)

    def measure(self, images: Tensor) -> Tensor:
        from ganprobe_zoo.digits import load_discriminator

        scores: Tensor = load_discriminator(images.device)(_signed(images))
        return scores  # (n, 1)


def _signed(images: Tensor) -> Tensor:
    return images.float() * 2.0 - 1.0  # the networks were trained on [-1, 1]
