"""The networks behind ``digits``: a generator, its discriminator and a digit classifier.

Small enough for a laptop's CPU: 1.2, 0.5 and 0.1 million parameters, under 8 MB of float32
weights together. Building one draws random weights; `ganprobe.load("digits")` reads the
trained ones.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

LEAK = 0.2


class DigitsGenerator(nn.Sequential):
    """Latents (n, latent_size) to images (n, 1, 28, 28) in [-1, 1], float32.

    Four blocks whose outputs are the feature maps that the classic swap experiments exchange:
    ``fc1`` (256 units, 7 x 7), ``conv2`` (128, 7 x 7), ``conv3`` (64, 14 x 14) and ``conv4``,
    the image. Inside a block the steps have names too: ``conv2.conv``, ``conv2.norm``,
    ``conv2.act``.

    Source: Radford et al. 2016 (arXiv 1511.06434), transposed convolutions with batch
    normalisation; the sizes are those of the student projects on feature-map swapping.
    """

    def __init__(self, latent_size: int) -> None:
        super().__init__(
            OrderedDict(
                fc1=nn.Sequential(
                    OrderedDict(
                        linear=nn.Linear(latent_size, 256 * 7 * 7),
                        maps=nn.Unflatten(1, (256, 7, 7)),  # (n, 256, 7, 7)
                        norm=nn.BatchNorm2d(256),
                        act=nn.LeakyReLU(LEAK),
                    )
                ),
                conv2=_upward(256, 128, stride=1),  # (n, 128, 7, 7)
                conv3=_upward(128, 64, stride=2),  # (n, 64, 14, 14)
                conv4=nn.Sequential(
                    OrderedDict(
                        conv=_transposed(64, 1, stride=2),
                        act=nn.Tanh(),  # (n, 1, 28, 28)
                    )
                ),
            )
        )
        self.latent_size = latent_size


class DigitsDiscriminator(nn.Module):
    """Images (n, 1, 28, 28) in [-1, 1] to scores (n, 1): the higher, the more real it looks.

    A second head, `digit`, tells the ten digits apart; it is used in training only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 64, 5, stride=2, padding=2),  # (n, 64, 14, 14)
                act1=nn.LeakyReLU(LEAK),
                conv2=nn.Conv2d(64, 128, 5, stride=2, padding=2),  # (n, 128, 7, 7)
                act2=nn.LeakyReLU(LEAK),
                conv3=nn.Conv2d(128, 256, 3, stride=2, padding=1),  # (n, 256, 4, 4)
                act3=nn.LeakyReLU(LEAK),
                flat=nn.Flatten(),
            )
        )
        self.score = nn.Linear(256 * 4 * 4, 1)
        self.digit = nn.Linear(256 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        score: Tensor = self.score(self.maps(images))
        return score  # (n, 1)

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (n, 1) and logits of the ten digits (n, 10)."""
        maps = self.maps(images)
        return self.score(maps), self.digit(maps)


class DigitsClassifier(nn.Module):
    """Images (n, 1, 28, 28) in [-1, 1] to logits (n, 10) of the digits 0 to 9."""

    feature_size = 128

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            *_convolved(1, 32),
            *_convolved(32, 32),
            nn.MaxPool2d(2),  # (n, 32, 14, 14)
            *_convolved(32, 64),
            *_convolved(64, 64),
            nn.MaxPool2d(2),  # (n, 64, 7, 7)
            *_convolved(64, self.feature_size),
        )
        self.dropout = nn.Dropout(0.3)
        self.logits = nn.Linear(self.feature_size, 10)

    def features(self, images: Tensor) -> Tensor:
        """The (n, 128) float32 values, at least 0, that the last layer decides on."""
        maps: Tensor = self.maps(images)  # (n, 128, 7, 7)
        return maps.mean(dim=(2, 3))  # (n, 128)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.dropout(self.features(images)))
        return logits  # (n, 10)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights from N(0, 0.02) and normalisation gains from N(1, 0.02), biases zero.

    Source: Radford et al. 2016 (arXiv 1511.06434), section 4.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)


def _transposed(channels_in: int, channels_out: int, *, stride: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(
        channels_in, channels_out, 5, stride=stride, padding=2, output_padding=stride - 1
    )


def _upward(channels_in: int, channels_out: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=_transposed(channels_in, channels_out, stride=stride),
            norm=nn.BatchNorm2d(channels_out),
            act=nn.LeakyReLU(LEAK),
        )
    )


def _convolved(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(channels_out), nn.ReLU()
