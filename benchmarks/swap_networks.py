"""The generators of `swap_search.py`: a site in each, and by hand the way from there to the images.

StyleGAN2 is spandrel's and imported when it is asked for; the weights of it and of the DCGAN are
random, those of the others trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

import ganprobe as gp
from described import read_described
from hook_turns import dcgan

SUBJECTS = (
    "dcgan-256",
    "dcgan-128",
    "digits-256",
    "digits-128",
    "described-256",
    "described-128",
    "stylegan2",
)

Step = Callable[[Tensor], Tensor]
Normalisation = Literal["eval", "sample", "batch"]


@dataclass(frozen=True)
class Tail:
    """What comes after a site, in two steps that any batch size can be put through.

    Args:
        linear: the site's feature maps -> what the first linear layer after it returns.
        rest: what that layer returned -> images.
    """

    linear: Step
    rest: Step

    def whole(self, maps: Tensor) -> Tensor:
        """Feature maps -> images."""
        return self.rest(self.linear(maps))


@dataclass(frozen=True, eq=False)
class Subject:
    """A generator and the units that are searched.

    Args:
        name: its heading.
        layer: the layer at which units are swapped.
        tail: latents of one sample -> what comes after that layer.
        n_picks, n_quick: how many units are picked, and how many where it must go quickly.
        n_searched: only so many units, the first, are candidates; None: all.
    """

    name: str
    generator: gp.Generator
    layer: str
    tail: Callable[[Tensor], Tail]
    n_picks: int
    n_quick: int
    n_searched: int | None = None

    @property
    def site(self) -> str:
        """The layer and its units, as ganprobe spells it."""
        return self.layer + (f"#0-{self.n_searched - 1}" if self.n_searched else "")

    def images(self, latents: Tensor) -> Tensor:
        """A plain forward."""
        returned = self.generator.module(latents)
        images: Tensor = returned[0] if isinstance(returned, tuple) else returned
        return images

    def maps(self, latents: Tensor) -> Tensor:
        """What the layer returns in a plain forward."""
        kept: list[Tensor] = []
        layer = self.generator.module.get_submodule(self.layer)
        handle = layer.register_forward_hook(lambda layer, given, maps: kept.append(maps.clone()))
        try:
            self.generator.module(latents)
        finally:
            handle.remove()
        return kept[0]


def read_subject(key: str, described: Path | None, device: str) -> Subject:
    """The subject of this name, in eval mode and without gradients.

    Raises:
        ImportError: spandrel is not installed.
    """
    torch.manual_seed(0)
    family, _, units = key.partition("-")
    match family:
        case "dcgan":
            subject = _dcgan(int(units))
        case "digits":
            subject = _digits(int(units))
        case "described":
            assert described is not None  # the command line has seen to it
            return described_subject(described, int(units), "eval", device)
        case _:
            subject = _style_gan2()
    subject.generator.module.requires_grad_(False).to(device)
    return subject


def described_subject(
    description: Path, n_units: int, normalisation: Normalisation, device: str
) -> Subject:
    """A described generator, at its last layer that returns so many feature maps."""
    generator = read_described(description).with_normalisation(normalisation)
    generator.module.requires_grad_(False)
    activation, names = generator.sample(1).z, list[str]()
    for name, layer in _in_order(generator.module):
        activation = layer(activation)
        if activation.ndim == 4 and activation.shape[1] == n_units:
            names.append(name)
    subject = _in_sequence(f"`{generator.name}`", generator, names[-1], picks=(20, 10))
    generator.module.to(device)
    return subject


def tiny() -> Subject:
    """A subject that costs nothing."""
    layers = [nn.Linear(8, 9), nn.Unflatten(1, (1, 3, 3)), nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1)]
    generator = gp.Generator.from_module(nn.Sequential(*layers).eval(), latent=8, name="tiny")
    return _in_sequence("tiny", generator, "2", picks=(1, 1))


def _dcgan(n_units: int) -> Subject:
    layer = {256: "main.5", 128: "main.8"}[n_units]
    module = _drawn(dcgan()).eval()
    generator = gp.Generator.from_module(module, latent=(100, 1, 1), name="dcgan")
    return _in_sequence("DCGAN-64", generator, layer, picks=(10, 3))


def _digits(n_units: int) -> Subject:
    layer = {256: "fc1", 128: "conv2"}[n_units]
    return _in_sequence("`digits`", gp.load("digits"), layer, picks=(20, 10))


def _style_gan2() -> Subject:
    """512 latent dimensions and 128 feature maps up to 64 px; two fifths of it after the site.

    Half of the units are candidates, so that a search takes seconds.
    """
    from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import StyleGAN2GeneratorClean

    module = OneStyle(_drawn(StyleGAN2GeneratorClean(out_size=64, narrow=1 / 4))).eval()
    return Subject(
        "StyleGAN2, 64 px",
        gp.Generator.from_module(module, latent=512, name="stylegan2", output=0),
        "network.style_convs.6",
        module.tail,
        n_picks=3,
        n_quick=1,
        n_searched=64,
    )


class OneStyle(nn.Module):
    """A StyleGAN2 for one latent a sample, with the noise that it holds."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, z: Tensor) -> tuple[Tensor, None]:
        returned: tuple[Tensor, None] = self.network([z], randomize_noise=False)
        return returned

    def tail(self, latents: Tensor) -> Tail:
        """The last style convolution and the last step to colours, as its forward does them."""
        conv, to_rgb = self.network.style_convs[7], self.network.to_rgbs[3]
        given = _given(self, latents, {"conv": conv, "to_rgb": to_rgb})
        (_, style), (_, colour_style, skip) = given["conv"], given["to_rgb"]
        noise = self.network.noises.noise8

        def linear(maps: Tensor) -> Tensor:
            convolved: Tensor = conv.modulated_conv(maps, style.expand(len(maps), -1))
            return convolved

        def rest(convolved: Tensor) -> Tensor:
            n = len(convolved)
            maps = conv.activate(convolved * 2**0.5 + conv.weight * noise + conv.bias)
            images: Tensor = to_rgb(maps, colour_style.expand(n, -1), skip.expand(n, -1, -1, -1))
            return images

        return Tail(linear, rest)


def _given(
    module: nn.Module, latents: Tensor, layers: dict[str, nn.Module]
) -> dict[str, tuple[Any, ...]]:
    """The positional arguments of each of these layers in a plain forward."""
    kept: dict[str, tuple[Any, ...]] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda layer, given: kept.update({name: given})

    handles = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    try:
        module(latents)
    finally:
        for handle in handles:
            handle.remove()
    return kept


def _in_sequence(name: str, generator: gp.Generator, layer: str, picks: tuple[int, int]) -> Subject:
    """Of a module that is layers one after the other."""
    after = list[nn.Module]()
    for one, module in _in_order(generator.module):
        after = [] if f"{one}.".startswith(f"{layer}.") else [*after, module]
    kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    first = next(number for number, module in enumerate(after) if isinstance(module, kinds))
    tail = Tail(nn.Sequential(*after[: first + 1]), nn.Sequential(*after[first + 1 :]))
    return Subject(name, generator, layer, lambda latents: tail, *picks)


def _in_order(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of sequences within sequences, with their dotted names."""
    if not isinstance(module, nn.Sequential):
        yield name, module
        return
    for part, child in module.named_children():
        yield from _in_order(child, f"{name}.{part}".lstrip("."))


@torch.no_grad()
def _drawn(network: nn.Module) -> nn.Module:
    """The network with random weights: a DCGAN's as published, its statistics as if trained.

    Elsewhere only gains and biases are drawn, which start at 0 or 1.
    """
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            layer.weight.normal_(0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.normal_(1.0, 0.02)
            layer.get_buffer("running_mean").normal_(0.0, 0.1)
            layer.get_buffer("running_var").uniform_(0.04, 0.16)
        else:
            for parameter in layer.parameters(recurse=False):
                if parameter.ndim == 1:
                    parameter.uniform_(0.2, 1.0)
    return network
