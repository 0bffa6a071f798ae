"""Generators of other people's packages, saved as those packages save them, and how they load.

Each is the package's own code with random weights, in two sizes: small for tests, and as it is
used. `ThirdParty.save` writes its files, `spec` and
`flags` are what a user would write on the command line, and `theirs` is the same network loaded
again and called by the package's own means, which knows nothing of ganprobe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe import Generator, Latents, load
from ganprobe.loading.factories import read_argument

__all__ = ["THIRD_PARTY", "Theirs", "ThirdParty", "third_party"]


@dataclass(frozen=True)
class Theirs:
    """A network as its package loads it.

    Args:
        network: with its layers.
        images: of the latents on it, as the package says that it is called.
    """

    network: nn.Module
    images: Callable[[Latents], Tensor]


@dataclass(frozen=True)
class ThirdParty:
    """One generator of another package.

    Args:
        package: as it is called in the package index.
        model: the class that makes it.
        loaded_by: what a user has of it, in a few words.
        save: writes its files into a folder.
        theirs: loads those.
        spec: what is written for it, with ``{folder}``.
        flags: what is written after that.
        site: of a convolution or so that is edited, as ganprobe calls it.
        layer: the same layer in `Theirs.network`.
        latent: the shape that its latents have.
        n_classes: 0 where it is not class-conditional.
        draws_noise: in its forward.
    """

    package: str
    model: str
    loaded_by: str
    save: Callable[[Path], None]
    theirs: Callable[[Path], Theirs]
    spec: str
    flags: tuple[str, ...]
    site: str
    layer: str
    latent: tuple[int, ...]
    n_classes: int = 0
    draws_noise: bool = False

    def arguments(self, folder: Path) -> list[str]:
        """What is written on the command line."""
        return [self.spec.format(folder=folder), *(one.format(folder=folder) for one in self.flags)]

    def load(self, folder: Path) -> Generator:
        """The generator, by the same words."""
        spec, *written = self.arguments(folder)
        flags = iter(written)
        options: dict[str, Any] = {}
        for flag in flags:
            if flag == "--trust":
                options["trust"] = True
            elif flag == "--set":
                options.setdefault("arguments", {}).update([read_argument(next(flags))])
            else:
                options[flag.removeprefix("--").replace("-", "_")] = next(flags)
        return load(spec, **options)


@torch.no_grad()
def randomised(network: nn.Module) -> nn.Module:
    """With gains, biases and statistics drawn: some start at 0, or as they come."""
    for parameter in network.parameters():
        if parameter.ndim <= 1:
            parameter.uniform_(0.2, 1.0)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_means", "running_vars", "running_mean", "running_var")):
            buffer.uniform_(0.2, 1.0)
    return network


# BigGAN: a folder with pytorch_model.bin and config.json

_BIG_GAN = """\
import json
from pathlib import Path

from pytorch_pretrained_biggan import BigGAN, BigGANConfig


def make():
    return BigGAN(BigGANConfig.from_json_file(Path(__file__).with_name("config.json")))
"""

_BIG_GAN_SMALL = {
    "output_dim": 32,
    "z_dim": 8,
    "class_embed_dim": 8,
    "channel_width": 8,
    "num_classes": 4,
    "layers": [(False, 16, 16), (True, 16, 8), (True, 8, 4), (False, 4, 2), (True, 2, 1)],
    "attention_layer_position": 3,
    "n_stats": 3,
}
# BigGAN-deep of 128 px, half as wide
_BIG_GAN_USUAL = {"num_classes": 4, "n_stats": 3, "channel_width": 64}

_BIG_GAN_TOML = """\
[generator]
name = "biggan"
factory = "biggan.py:make"
weights = "pytorch_model.bin"

[latent]
size = {size}
distribution = "truncated"
bound = 2.0

[classes]
names = ["tench", "goldfish", "shark", "ray"]

[images]
range = [-1, 1]

[call]
arguments = ["$z", "$one-hot", "$truncation"]
"""


def _save_big_gan(sizes: dict[str, Any], folder: Path) -> None:
    from pytorch_pretrained_biggan import BigGAN, BigGANConfig

    config = BigGANConfig(**sizes)
    torch.manual_seed(0)
    network: Any = randomised(BigGAN(config))
    with torch.no_grad():
        for _ in range(3):  # in train mode a forward estimates the norms that divide the weights
            network(torch.zeros(1, config.z_dim), torch.eye(4)[:1], 0.4)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(config.to_json_string())
    (folder / "biggan.py").write_text(_BIG_GAN)
    (folder / "ganprobe.toml").write_text(_BIG_GAN_TOML.replace("{size}", str(config.z_dim)))


def _their_big_gan(folder: Path) -> Theirs:
    from pytorch_pretrained_biggan import BigGAN

    network: Any = BigGAN.from_pretrained(str(folder)).eval()

    def images(latents: Latents) -> Tensor:
        assert latents.labels is not None
        classes = torch.eye(4).to(latents.z)[latents.labels]
        drawn: Tensor = network(latents.z, classes, 1.0)
        return drawn

    return Theirs(network, images)


# StyleGAN2: a state dict of which there are two, and the class that it is of

_STYLE_GAN = "spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch"
_STYLE_SMALL = {"out_size": 32, "num_style_feat": 8, "num_mlp": 3, "narrow": 1 / 64}
_STYLE_USUAL = {"out_size": 128, "num_style_feat": 512, "num_mlp": 8, "narrow": 0.25}


def _style_network(sizes: dict[str, Any]) -> Any:
    from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import StyleGAN2GeneratorClean

    return StyleGAN2GeneratorClean(**sizes)


def _as_flags(sizes: dict[str, Any]) -> Iterator[str]:
    for name, value in sizes.items():
        yield from ("--set", f"{name}={value}")


def _save_style_gan(sizes: dict[str, Any], folder: Path) -> None:
    torch.manual_seed(0)
    states = {
        name: randomised(_style_network(sizes)).state_dict() for name in ("params", "params_ema")
    }
    torch.save(states, folder / "StyleGAN2.pth")


def _their_style_gan(sizes: dict[str, Any], folder: Path) -> Theirs:
    network = _style_network(sizes).eval()
    network.load_state_dict(torch.load(folder / "StyleGAN2.pth")["params_ema"])

    def images(latents: Latents) -> Tensor:
        drawn: Tensor = network([latents.z])[0]
        return drawn

    return Theirs(network, images)


# An autoencoder of diffusers: the folder that it saves


_VAE_SMALL = {
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (8, 16, 24),
    "norm_num_groups": 4,
    "sample_size": 16,
}
_VAE_USUAL = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (32, 64, 128, 128),
    "layers_per_block": 2,
    "sample_size": 128,
}


def _save_autoencoder(sizes: dict[str, Any], folder: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(0)
    network: Any = AutoencoderKL(latent_channels=4, **sizes)
    randomised(network)
    network.save_pretrained(folder)


def _their_autoencoder(folder: Path) -> Theirs:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    network: Any = AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False).eval()

    def images(latents: Latents) -> Tensor:
        decoded: Tensor = network.decode(latents.z / network.config.scaling_factor).sample
        return decoded

    return Theirs(network, images)


# GANs whose code is a class with a function that makes it, and a state dict


def _save_small_gan(package: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        torch.manual_seed(0)
        network = randomised(_small_gan(package))
        torch.save(network.state_dict(), folder / "g-mnist.pth")

    return save


def _small_gan(package: str) -> nn.Module:
    made: nn.Module = __import__(package).Generator.from_name("g-mnist")
    return made


def _their_small_gan(package: str) -> Callable[[Path], Theirs]:
    def load(folder: Path) -> Theirs:
        network: Any = _small_gan(package).eval()
        network.load_state_dict(torch.load(folder / "g-mnist.pth"))
        return Theirs(network, lambda latents: network(latents.z))

    return load


def _of_mnist(package: str, model: str, site: str, latent: tuple[int, ...]) -> ThirdParty:
    return ThirdParty(
        package.replace("_", "-"),
        model,
        "factory and state dict",
        _save_small_gan(package),
        _their_small_gan(package),
        f"{package}:Generator.from_name",
        ("--set", "model_name=g-mnist", "--weights", "{folder}/g-mnist.pth"),
        site=site,
        layer=site,
        latent=latent,
    )


def third_party(*, is_small: bool) -> dict[str, ThirdParty]:
    """All of them, as small as tests want them, or as they are used."""
    big_gan = _BIG_GAN_SMALL if is_small else _BIG_GAN_USUAL
    style = _STYLE_SMALL if is_small else _STYLE_USUAL
    vae: dict[str, Any] = _VAE_SMALL if is_small else _VAE_USUAL
    return {
        "biggan": ThirdParty(
            "pytorch-pretrained-biggan",
            "BigGAN",
            "its folder, with ganprobe.toml",
            partial(_save_big_gan, big_gan),
            _their_big_gan,
            "{folder}",
            ("--trust",),  # its description names code that lies beside it
            site="generator.layers.2",
            layer="generator.layers.2",
            latent=(8 if is_small else 128,),
            n_classes=4,
        ),
        "stylegan2": ThirdParty(
            "spandrel",
            "StyleGAN2GeneratorClean",
            "class and state dict",
            partial(_save_style_gan, style),
            partial(_their_style_gan, style),
            f"{_STYLE_GAN}:StyleGAN2GeneratorClean",
            (*_as_flags(style), "--weights", "{folder}/StyleGAN2.pth"),
            site=f"synthesis.style_convs.{3 if is_small else 7}",
            layer=f"style_convs.{3 if is_small else 7}",
            latent=(8 if is_small else 512,),
            draws_noise=True,
        ),
        "vae": ThirdParty(
            "diffusers",
            "AutoencoderKL",
            "its folder, as it saves it",
            partial(_save_autoencoder, vae),
            _their_autoencoder,
            "{folder}",
            (),
            site="model.decoder.up_blocks.1",
            layer="decoder.up_blocks.1",
            latent=(4, 4, 4) if is_small else (4, 16, 16),
        ),
        "mlp": _of_mnist("wgan_pytorch", "Generator (MLP)", "main.6", (100,)),
        "dcgan": _of_mnist("dcgan_pytorch", "Generator (DCGAN)", "main.4", (100, 1, 1)),
    }


THIRD_PARTY = third_party(is_small=True)
