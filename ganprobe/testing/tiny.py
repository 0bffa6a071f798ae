"""A tiny generator: ordinary layers with random weights, to try things on.

A forward of one sample takes about 0.2 ms on one core. Its sites have the same names whatever it
is asked to be:

    fc      Linear            (n, units x height/4 x width/4)
    grid    Unflatten         (n, 8, height/4, width/4)
    norm1   BatchNorm2d       act1  LeakyReLU
    conv1   ConvTranspose2d   (n, 6, height/2, width/2)
    norm2   BatchNorm2d       act2  LeakyReLU
    noise   where it draws noise
    conv2   ConvTranspose2d   (n, channels, height, width)
    squash  Tanh
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganprobe.errors import ParameterError
from ganprobe.generators import Generator
from ganprobe.indices import check_count
from ganprobe.latents import LatentSpace

__all__ = ["tiny_generator"]

_UNITS = (8, 6)
_GAIN = 1.1  # of each layer: images go from nearly black to nearly white
_NOISE = 0.1  # its standard deviation


def tiny_generator(
    *,
    seed: int = 0,
    n_classes: int = 0,
    image_shape: tuple[int, int, int] = (3, 16, 16),
    latent_shape: tuple[int, ...] = (8,),
    draws_noise: bool = False,
) -> Generator:
    """A generator of ordinary layers with random weights, for tests: small and quick.

    Args:
        seed: of its weights.
        n_classes: of which it is conditional; 0: it is not.
        image_shape: (channels, height, width); height and width are multiples of 4.
        latent_shape: of its latents, from a normal prior.
        draws_noise: it adds noise to its feature maps in every forward.

    Returns:
        A `Generator` in eval mode on the CPU, with images in [-1, 1]. Its weights depend on the
        arguments alone.

    Raises:
        ParameterError: an image shape or number that cannot be.

    Example:
        >>> generator = tiny_generator(image_shape=(1, 8, 8), n_classes=3)
        >>> generator.forward(generator.sample(4, seed=1)).shape
        torch.Size([4, 1, 8, 8])
    """
    check_count(n_classes, "the number of classes", least=0)
    channels, *sides = image_shape
    if channels < 1 or len(sides) != 2 or any(side < 4 or side % 4 for side in sides):
        raise ParameterError(
            "images of a tiny generator are (channels, height, width), both sides multiples of 4,"
            f" got {image_shape}"
        )
    space = LatentSpace(latent_shape)
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from it
        network = _TinyNetwork(space.n_dimensions, image_shape, n_classes, draws_noise=draws_noise)
    _set_weights(network, torch.Generator().manual_seed(seed))
    return Generator.from_module(
        network.eval(), latent=space, name="tiny", classes=n_classes or None
    )


class _TinyNetwork(nn.Module):
    """Latents (n, \\*shape), and labels (n,) where there are classes, to images in [-1, 1]."""

    def __init__(
        self,
        n_latents: int,
        image_shape: tuple[int, int, int],
        n_classes: int,
        *,
        draws_noise: bool,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        first, second = _UNITS
        cells = (first, height // 4, width // 4)
        self.fc = nn.Linear(n_latents, math.prod(cells))
        self.label = nn.Embedding(n_classes, math.prod(cells)) if n_classes else None
        self.grid = nn.Unflatten(1, cells)
        self.norm1, self.act1 = nn.BatchNorm2d(first), nn.LeakyReLU(0.2)
        self.conv1 = nn.ConvTranspose2d(first, second, 4, stride=2, padding=1)
        self.norm2, self.act2 = nn.BatchNorm2d(second), nn.LeakyReLU(0.2)
        self.noise = _Noise() if draws_noise else None
        self.conv2 = nn.ConvTranspose2d(second, channels, 4, stride=2, padding=1)
        self.squash = nn.Tanh()

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, channels, height, width)."""
        hidden = self.fc(z.flatten(1))
        if self.label is not None:
            hidden = hidden + self.label(label)
        maps = self.act1(self.norm1(self.grid(hidden)))  # (n, 8, height / 4, width / 4)
        maps = self.act2(self.norm2(self.conv1(maps)))  # (n, 6, height / 2, width / 2)
        if self.noise is not None:
            maps = self.noise(maps)
        images: Tensor = self.squash(self.conv2(maps))
        return images


class _Noise(nn.Module):
    """Adds normal noise to every number of its own."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps + _NOISE * torch.randn_like(maps)


def _set_weights(network: nn.Module, stream: torch.Generator) -> None:
    """Draw all parameters and running statistics."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0.0, 0.3, generator=stream)
                layer.running_var.uniform_(0.5, 1.5, generator=stream)
                layer.weight.uniform_(0.7, 1.3, generator=stream)
                layer.bias.normal_(0.0, 0.3, generator=stream)
            elif isinstance(layer, nn.Linear | nn.ConvTranspose2d):
                assert layer.bias is not None
                layer.weight.normal_(0.0, _GAIN / math.sqrt(_fan_in(layer)), generator=stream)
                layer.bias.normal_(0.0, 0.1, generator=stream)
            elif isinstance(layer, nn.Embedding):
                layer.weight.normal_(generator=stream)


def _fan_in(layer: nn.Linear | nn.ConvTranspose2d) -> int:
    """How many numbers each number that it gives is a sum of."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    return layer.in_channels * math.prod(layer.kernel_size) // math.prod(layer.stride)
