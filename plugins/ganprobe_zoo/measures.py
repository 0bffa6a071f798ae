"""What the networks behind ``digits`` and ``scenes`` say of an image, as measures."""

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


class SceneRealness(Measure):
    """The score of the discriminator that ``scenes`` was trained against, in logits."""

    name = "scene-realness"
    summary = "how real a place looks to the discriminator of 'scenes', in logits"
    columns = ("score",)
    image_shape = (3, 64, 64)

    def measure(self, images: Tensor) -> Tensor:
        from ganprobe_zoo.scenes import load_discriminator

        scores: Tensor = load_discriminator(images.device)(_signed(images))
        return scores  # (n, 1)


class DigitShape(Measure):
    """The shape of a handwritten digit, white on black, from its pixels alone.

    Images (n, 1, 28, 28), floats from black 0 to white 1. All columns are 0 without ink:

    - ``thickness``: width of the strokes in pixels, 1 to about 6 in MNIST.
    - ``slant``: degrees that the digit leans to the right, -90 to 90: the shear that its second
      moments tell. All ink has its say: the top of a 7 with an upright stem leans it left, by 17.
    - ``ink``: sum of the image, in white pixels, 0 to 784.
    - ``width``, ``height``: of the box around all ink above one half, in pixels, 0 to 28.
    - ``bar``: of a 1 or a 7, how much wider a bar in the middle of its height is than the stem, in
      pixels, 0 to 27. Of the 7s in MNIST's test part, sorted by eye, 136 of 137 crossed ones and
      1 of 891 plain ones are above 3; so are the few 1s whose flag hangs to the middle. Of other
      digits it tells nothing.

    Example:
        >>> import torch
        >>> stem = torch.zeros(1, 1, 28, 28)
        >>> stem[..., 4:24, 12:16] = 1.0
        >>> crossed = stem.clone()
        >>> crossed[..., 13:15, 8:20] = 1.0
        >>> values = DigitShape()(torch.cat([stem, crossed]))
        >>> values[:, DigitShape.columns.index("bar")].tolist()
        [0.0, 8.0]
    """

    name = "digit-shape"
    summary = "thickness, slant, ink, width, height and bar of a handwritten digit, in pixels"
    columns = ("thickness", "slant", "ink", "width", "height", "bar")
    image_shape = (1, 28, 28)

    def measure(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe_zoo.strokes import bar, box, slant, thickness

        ink = images.float().squeeze(1)  # (n, 28, 28)
        values = [thickness(ink), slant(ink), ink.sum(dim=(1, 2)), *box(ink), bar(ink)]
        return torch.stack(values, dim=1)  # (n, 6)


def _signed(images: Tensor) -> Tensor:
    return images.float() * 2.0 - 1.0  # the networks were trained on [-1, 1]
