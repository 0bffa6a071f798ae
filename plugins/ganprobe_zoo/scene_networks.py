"""The networks behind ``scenes``: a generator, its discriminator and a segmenter.

1.6, 1.2 and 0.2 million parameters, about 12 MB of float32 weights together. Building one draws
random weights; `ganprobe.load("scenes")` reads the trained ones.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from .networks import LEAK

LATENT_SIZE = 64


class ScenesGenerator(nn.Sequential):
    """Latents (n, 64) to images (n, 3, 64, 64) in [-1, 1], float32.

    ``fc1`` (256 units, 4 x 4), ``conv2`` (192, 8 x 8), ``conv3`` (128, 16 x 16), ``conv4`` (64,
    32 x 32) and ``conv5``, the image. Inside a block the steps have names too: ``conv2.conv``,
    ``conv2.norm``, ``conv2.act``.

    Source: Radford et al. 2016 (arXiv 1511.06434), figure 1, with fewer units.
    """

    def __init__(self) -> None:
        super().__init__(
            OrderedDict(
                fc1=nn.Sequential(
                    OrderedDict(
                        linear=nn.Linear(LATENT_SIZE, 256 * 4 * 4, bias=False),
                        maps=nn.Unflatten(1, (256, 4, 4)),  # (n, 256, 4, 4)
                        norm=nn.BatchNorm2d(256),
                        act=nn.ReLU(),
                    )
                ),
                conv2=_upward(256, 192),  # (n, 192, 8, 8)
                conv3=_upward(192, 128),  # (n, 128, 16, 16)
                conv4=_upward(128, 64),  # (n, 64, 32, 32)
                conv5=nn.Sequential(
                    OrderedDict(conv=_doubled(64, 3, bias=True), act=nn.Tanh())  # (n, 3, 64, 64)
                ),
            )
        )
        self.latent_size = LATENT_SIZE


class ScenesDiscriminator(nn.Module):
    """Images (n, 3, 64, 64) in [-1, 1] to scores (n, 1): the higher, the more real it looks.

    Beside what it sees in an image, it sees how much the images of a group of four differ, so that
    a generator that draws few places is found out. In eval mode that is as it is for paintings, so
    that the score of an image depends on it alone.

    Source: minibatch standard deviation of Karras et al. 2018 (arXiv 1710.10196), section 3.
    """

    group = 4

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            OrderedDict(
                conv1=_halved(3, 48),  # (n, 48, 32, 32)
                act1=nn.LeakyReLU(LEAK),
                conv2=_halved(48, 96),  # (n, 96, 16, 16)
                act2=nn.LeakyReLU(LEAK),
                conv3=_halved(96, 192),  # (n, 192, 8, 8)
                act3=nn.LeakyReLU(LEAK),
                conv4=_halved(192, 256),  # (n, 256, 4, 4)
                act4=nn.LeakyReLU(LEAK),
            )
        )
        self.score = nn.Linear((256 + 1) * 4 * 4, 1)
        self.usual_spread: Tensor
        self.register_buffer("usual_spread", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps(images)
        usual = self.usual_spread.expand(len(maps), 1, *maps.shape[2:])
        spread = (self.spread(maps) if self.training else usual).to(maps.dtype)
        score: Tensor = self.score(torch.cat([maps, spread], dim=1).flatten(1))
        return score  # (n, 1)

    def spread(self, maps: Tensor) -> Tensor:
        """(n, 1, 4, 4): one number, how much the images of its group differ; 0 for a lone one."""
        n, _, height, width = maps.shape
        group = self.group if n % self.group == 0 else 1
        grouped = maps.float().reshape(group, n // group, -1)
        deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=1)  # (groups,)
        return deviation.repeat(group)[:, None, None, None].expand(n, 1, height, width)


class ScenesSegmenter(nn.Module):
    """Images (n, 3, 64, 64) in [-1, 1] to logits (n, 11, 64, 64) of the painter's classes.

    Source: encoder and decoder with skips, Ronneberger et al. 2015 (arXiv 1505.04597).
    """

    def __init__(self, n_classes: int = 11) -> None:
        super().__init__()
        self.down0 = nn.Sequential(*_convolved(3, 16), *_convolved(16, 16))  # (n, 16, 64, 64)
        self.down1 = _lowered(16, 32)  # (n, 32, 32, 32)
        self.down2 = _lowered(32, 64)  # (n, 64, 16, 16)
        self.down3 = _lowered(64, 96)  # (n, 96, 8, 8)
        self.up2 = nn.Sequential(*_convolved(96 + 64, 64))
        self.up1 = nn.Sequential(*_convolved(64 + 32, 32))
        self.up0 = nn.Sequential(*_convolved(32 + 16, 24))
        self.logits = nn.Conv2d(24, n_classes, 1)
        self.finer = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, images: Tensor) -> Tensor:
        fine = self.down0(images)
        half = self.down1(fine)
        quarter = self.down2(half)
        decoded = self.finer(self.down3(quarter))
        decoded = self.finer(self.up2(torch.cat([decoded, quarter], dim=1)))
        decoded = self.finer(self.up1(torch.cat([decoded, half], dim=1)))
        logits: Tensor = self.logits(self.up0(torch.cat([decoded, fine], dim=1)))
        return logits  # (n, 11, 64, 64)


def _doubled(channels_in: int, channels_out: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)


def _upward(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=_doubled(channels_in, channels_out),
            norm=nn.BatchNorm2d(channels_out),
            act=nn.ReLU(),
        )
    )


def _halved(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)


def _convolved(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(channels_out), nn.ReLU()


def _lowered(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.MaxPool2d(2), *_convolved(channels_in, channels_out))
