"""A generator in which one unit draws doors, on walls only; and segmenters that know them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe import Generator, Probe, Segmenter

DOOR = 2
"""The unit of `maps` that draws doors."""
N_UNITS, CELLS, PIXELS = 6, 4, 8


class Doors(nn.Module):
    """Latents (n, 4) to images (n, 3, 8, 8): doors, walls, and what no segmenter looks at.

    The left half is wall where the first latent is above zero, else the right one. Unit 2 of
    `maps`, of 4 x 4 cells, draws a door in each of its cells where it is above one half, on walls
    only; other units shine in the third channel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        made = 0.1 * torch.sigmoid(z[:, :1]) * torch.arange(1, N_UNITS + 1)  # (n, units)
        maps = cast(Tensor, self.maps(made[:, :, None, None].repeat(1, 1, CELLS, CELLS)))
        wide = maps.repeat_interleave(2, 2).repeat_interleave(2, 3)
        wall = walls(z).to(wide)
        other = wide.sum(1) - wide[:, DOOR]
        return torch.stack([wide[:, DOOR] * wall, wall, other], 1).clamp(0, 1)


def walls(z: Tensor) -> Tensor:
    """(n, 8, 8) bool."""
    is_left = torch.arange(PIXELS) < PIXELS // 2
    half = torch.where(z[:, :1] > 0, is_left, ~is_left)  # (n, 8)
    return half[:, None].expand(-1, PIXELS, -1)


class Masonry(Segmenter):
    """Doors where the first channel is above one half, walls where the second is; else nothing."""

    name, summary, classes = "masonry", "doors and walls", ("door", "wall")

    def segment(self, images: Tensor) -> Tensor:
        door = images[:, 0] > 0.5
        return torch.stack([door, (images[:, 1] > 0.5) & ~door], 1)


class SoftMasonry(Masonry):
    """The same, and how much of each."""

    name = "soft masonry"

    def soft(self, images: Tensor) -> Tensor:
        door = torch.sigmoid(20 * (images[:, 0] - 0.5))
        return torch.stack([door, images[:, 1] * (1 - door)], 1)


class Bands(Segmenter):
    """Three bands of the mean brightness, that share no pixel and leave some out."""

    name, summary, classes = "bands", "bands of brightness", ("dark", "middle", "bright")

    def segment(self, images: Tensor) -> Tensor:
        grey = images.mean(1)
        ends = [(0.0, 0.47), (0.47, 0.5), (0.51, 1.01)]
        return torch.stack([(grey >= low) & (grey < high) for low, high in ends], 1)


def doors() -> Probe:
    """A probe of `Doors`."""
    generator = Generator.from_module(
        Doors().eval(), latent=4, image_range=(0.0, 1.0), name="doors"
    )
    return Probe(generator)


class TwoHalves(nn.Module):
    """A random network in float64 that can be run by hand: `front`, then `back`.

    Latents (n, 5), `front` gives (n, 6, 4, 5), images are (n, 1, 8, 10).
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.front = nn.Sequential(nn.Linear(5, 120), nn.Unflatten(1, (6, 4, 5)), nn.Tanh())
        self.back = nn.Sequential(nn.ConvTranspose2d(6, 1, 4, stride=2, padding=1), nn.Tanh())
        self.double().eval()

    def forward(self, z: Tensor) -> Tensor:
        return cast(Tensor, self.back(self.front(z)))


def two_halves(seed: int = 0) -> Probe:
    """A probe of `TwoHalves`."""
    generator = Generator.from_module(TwoHalves(seed), latent=5, name="halves")
    return Probe(generator)


def upsampled(maps: Tensor, height: int, width: int) -> Tensor:
    """As dissection does it."""
    return functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
