"""Small networks with known insides, for tests to probe."""

from __future__ import annotations

import torch
from torch import nn

from ganprobe import Generator, Probe


def probe_of(module: nn.Module, latent: int = 5) -> Probe:
    """A probe of a module of your own, put in eval mode."""
    return Probe(Generator.from_module(module.eval(), latent=latent, name="subject"))


class TinyNetwork(nn.Sequential):
    """Latents (n, 5) to images (n, 1, 8, 8); layers 0 to 6, one of them writing in place."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(5, 8 * 2 * 2),
            nn.Unflatten(1, (8, 2, 2)),
            nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(6, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )


def random_network(seed: int) -> TinyNetwork:
    """Random weights and running statistics, in eval mode."""
    torch.manual_seed(seed)
    network = TinyNetwork()
    norm = network[3]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    return network.eval()
