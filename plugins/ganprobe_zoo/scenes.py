"""``scenes``, its segmenter and its discriminator, from the weights that ship with this package."""

from __future__ import annotations

import functools

import torch
from safetensors.torch import load_file

from ganprobe import Generator
from ganprobe_zoo.scene_networks import ScenesDiscriminator, ScenesGenerator, ScenesSegmenter
from ganprobe_zoo.weights_folder import WEIGHTS, ready


def load_generator() -> Generator:
    """The generator ``scenes``: latents from N(0, 1) to images (n, 3, 64, 64) in [-1, 1]."""
    module = ScenesGenerator()
    module.load_state_dict(load_file(WEIGHTS / "scenes-generator.safetensors"))
    return Generator.from_module(module.eval(), latent=module.latent_size, name="scenes")


@functools.cache
def load_segmenter(device: torch.device) -> ScenesSegmenter:
    """The segmenter of painted places, in eval mode; read once for each device.

    Its weights lie channels last, with which a processor takes 4 ms for an image and not 9.
    """
    segmenter = ready(ScenesSegmenter(), "scenes-segmenter.safetensors", device)
    return segmenter.to(memory_format=torch.channels_last)


@functools.cache
def load_discriminator(device: torch.device) -> ScenesDiscriminator:
    """The discriminator that ``scenes`` was trained against; read once for each device."""
    return ready(ScenesDiscriminator(), "scenes-discriminator.safetensors", device)
