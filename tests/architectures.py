"""Generators as others published them, small and with random weights, for tests to probe.

Their packages are imported when a generator is first built: importing diffusers takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe import Generator

__all__ = ["ARCHITECTURES", "Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A published architecture, and what is known of its insides.

    Args:
        build: makes the generator of a seed, in eval mode.
        middle: the name of a layer half-way that returns feature maps.
        middle_shape: of what it returns, for one sample.
        late: the name of a layer shortly before the images.
        calls: how often these two run in one forward.
        units: some units of `middle`.
        cut: a site through which all that the latents decide must pass: their own, if no other.
        draws_noise: each forward draws noise.
    """

    build: Callable[[int], Generator]
    middle: str
    middle_shape: tuple[int, ...]
    late: str
    calls: int = 1
    units: tuple[int, ...] = (0, 3, 5)
    cut: str = ":in"
    draws_noise: bool = False

    def sites(self, layer: str) -> list[str]:
        """What `middle` or `late` returns, as one site for each of its calls."""
        return [layer] if self.calls == 1 else [f"{layer}@{call}" for call in range(self.calls)]


class OneClass(nn.Module):
    """A BigGAN for latents alone: one class, one truncation."""

    def __init__(self, network: nn.Module, label: Tensor, truncation: float) -> None:
        super().__init__()
        self.network = network
        self.truncation = truncation
        self.register_buffer("label", label)
        self.label: Tensor

    def forward(self, z: Tensor) -> Tensor:
        labels = self.label.expand(len(z), -1)  # (n, classes)
        images: Tensor = self.network(z, labels, self.truncation)
        return images


class OneStyle(nn.Module):
    """A StyleGAN2 for one latent a sample; it returns its images in a tuple, with None."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> tuple[Tensor, None]:
        returned: tuple[Tensor, None] = self.network([z])
        return returned


class Decoding(nn.Module):
    """The decoding half of an autoencoder; it returns its images as `sample` of a dataclass."""

    def __init__(self, autoencoder: nn.Module) -> None:
        super().__init__()
        self.autoencoder: Any = autoencoder

    def forward(self, z: Tensor) -> object:
        return self.autoencoder.decode(z)


class Denoising(nn.Module):
    """A diffusion model's deterministic way from noise to images, in a few steps.

    Source: DDIM, Song et al. 2021 (arXiv 2010.02502), equation 12 with σ = 0.
    """

    def __init__(self, unet: nn.Module, *, first: int, n_steps: int) -> None:
        super().__init__()
        self.unet = unet
        kept = torch.cumprod(1.0 - torch.linspace(1e-4, 0.02, 1000), dim=0)  # ᾱ of each timestep
        timesteps = torch.linspace(first, 0, n_steps + 1).long()
        self.register_buffer("kept", kept)
        self.register_buffer("timesteps", timesteps)
        self.kept: Tensor
        self.timesteps: Tensor

    def forward(self, z: Tensor) -> Tensor:
        images = z
        for now, then in pairwise(self.timesteps):
            noise = self.unet(images, timestep=now).sample
            clean = (images - (1.0 - self.kept[now]).sqrt() * noise) / self.kept[now].sqrt()
            images = self.kept[then].sqrt() * clean + (1.0 - self.kept[then]).sqrt() * noise
        return images


def big_gan(seed: int) -> Generator:
    """BigGAN-deep of pytorch-pretrained-biggan: (8,) to (3, 32, 32)."""
    from pytorch_pretrained_biggan.config import BigGANConfig
    from pytorch_pretrained_biggan.model import BigGAN

    blocks = [(False, 16, 16), (True, 16, 8), (True, 8, 4), (False, 4, 2), (True, 2, 1)]
    config = BigGANConfig(
        output_dim=32,
        z_dim=8,
        class_embed_dim=8,
        channel_width=8,
        num_classes=4,
        layers=blocks,
        attention_layer_position=3,
        n_stats=3,
    )
    torch.manual_seed(seed)
    label = torch.eye(4)[2:3]
    module = OneClass(_randomised(BigGAN(config)), label, truncation=0.4)
    with torch.no_grad():
        for _ in range(3):  # in train mode a forward estimates the norms that divide the weights
            module(torch.zeros(1, 8))
    return Generator.from_module(module.eval(), latent=8, name="biggan")


def style_gan2(seed: int) -> Generator:
    """StyleGAN2 of spandrel, which needs no compiler: (8,) to (3, 32, 32), with noise."""
    from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import StyleGAN2GeneratorClean

    torch.manual_seed(seed)
    network = StyleGAN2GeneratorClean(out_size=32, num_style_feat=8, num_mlp=3, narrow=1 / 64)
    module = OneStyle(_randomised(network))
    return Generator.from_module(module.eval(), latent=8, name="stylegan2", output=0)


def vae(seed: int) -> Generator:
    """The decoder of diffusers' AutoencoderKL: (4, 4, 4) to (3, 16, 16)."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(seed)
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 24),
        latent_channels=4,
        norm_num_groups=4,
    )
    module = Decoding(_randomised(autoencoder))
    return Generator.from_module(module.eval(), latent=(4, 4, 4), name="vae", output="sample")


def vq_vae(seed: int) -> Generator:
    """The decoder of diffusers' VQModel, codebook included: (4, 4, 4) to (3, 8, 8)."""
    from diffusers.models.autoencoders.vq_model import VQModel

    torch.manual_seed(seed)
    autoencoder = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 24),
        latent_channels=4,
        num_vq_embeddings=32,
        norm_num_groups=4,
    )
    module = Decoding(_randomised(autoencoder))
    with torch.no_grad():
        autoencoder.quantize.embedding.weight.normal_()
    return Generator.from_module(module.eval(), latent=(4, 4, 4), name="vqvae", output="sample")


def diffusion(seed: int) -> Generator:
    """Four steps with diffusers' UNet2DModel: (3, 8, 8) to (3, 8, 8)."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    torch.manual_seed(seed)
    unet = UNet2DModel(
        sample_size=8,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 24),
        norm_num_groups=4,
    )
    module = Denoising(_randomised(unet), first=400, n_steps=4)
    return Generator.from_module(module.eval(), latent=(3, 8, 8), name="diffusion")


ARCHITECTURES = {
    "biggan": Architecture(
        big_gan,
        middle="network.generator.layers.2",
        middle_shape=(32, 16, 16),
        late="network.generator.conv_to_rgb",
    ),
    "stylegan2": Architecture(
        style_gan2,
        middle="network.style_convs.1",
        middle_shape=(8, 8, 8),
        late="network.style_convs.5",
        cut="network.style_mlp",
        draws_noise=True,
    ),
    "vae": Architecture(
        vae,
        middle="autoencoder.decoder.mid_block",
        middle_shape=(24, 4, 4),
        late="autoencoder.decoder.conv_norm_out",
        cut="autoencoder.decoder.mid_block",
    ),
    "vqvae": Architecture(
        vq_vae,
        middle="autoencoder.decoder.up_blocks.0",
        middle_shape=(24, 8, 8),
        late="autoencoder.decoder.conv_norm_out",
        cut="autoencoder.quantize:out[0]",
    ),
    "diffusion": Architecture(
        diffusion,
        middle="unet.mid_block",
        middle_shape=(24, 4, 4),
        late="unet.conv_norm_out",
        calls=4,
    ),
}


@torch.no_grad()
def _randomised(network: nn.Module) -> nn.Module:
    """The network with gains, biases and statistics drawn: some start at 0, or as they come."""
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.uniform_(0.2, 1.0)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_means", "running_vars")):
            buffer.uniform_(0.2, 1.0)
    return network
