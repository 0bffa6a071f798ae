"""``digits`` and its judges, from the weights that ship with this package."""

from __future__ import annotations

import functools

import torch
from safetensors.torch import load_file

from ganprobe import Generator
from ganprobe_zoo.networks import DigitsClassifier, DigitsDiscriminator, DigitsGenerator
from ganprobe_zoo.weights_folder import WEIGHTS, ready


def load_generator() -> Generator:
    """The generator ``digits``: latents from N(0, 1) to images (n, 1, 28, 28) in [-1, 1]."""
    weights = load_file(WEIGHTS / "digits-generator.safetensors")
    module = DigitsGenerator(latent_size=weights["fc1.linear.weight"].shape[1])
    module.load_state_dict(weights)
    return Generator.from_module(module.eval(), latent=module.latent_size, name="digits")


@functools.cache
def load_classifier(device: torch.device) -> DigitsClassifier:
    """The digit classifier, in eval mode; read once for each device."""
    return ready(DigitsClassifier(), "digits-classifier.safetensors", device)


@functools.cache
def load_discriminator(device: torch.device) -> DigitsDiscriminator:
    """The discriminator that ``digits`` was trained against; read once for each device."""
    return ready(DigitsDiscriminator(), "digits-discriminator.safetensors", device)
