"""The network of a planted generator: ordinary layers with weights that are zero or known."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ganprobe.testing.layout import CELLS, CHOSEN
from ganprobe.testing.wiring import Wiring

__all__ = ["FIRES", "LIT", "PlantedNetwork"]

FIRES = 1.0
"""A unit of the early site is above this, or 0."""
LIT = 1 / 16
"""A channel of a pixel that is above this belongs to the colour of a class."""

_STUCK = 1.5  # what a constant unit always is
_STEEPNESS = 2.0  # a class covers what is beneath it from a unit at 1 / _STEEPNESS on
_BRIGHTNESS = 1 / 4  # of a pixel for each unit of its evidence, up to 1


class PlantedNetwork(nn.Module):
    """Latents (n, latents) to images (n, 3, size, size) in [0, 1], on black.

    Args:
        wiring: who does what.
        noise: (noise units, cells, noise latents), how noise units mix their latents.
        size: of an image, a multiple of 16.
    """

    def __init__(self, wiring: Wiring, noise: torch.Tensor, size: int) -> None:
        super().__init__()
        n_early, n_late = len(wiring.early), len(wiring.late)
        self.project = nn.Linear(wiring.n_latents, n_early * CELLS**2)
        self.grid = nn.Unflatten(1, (n_early, CELLS, CELLS))
        self.early = nn.Threshold(FIRES, 0.0)
        self.widen = nn.ConvTranspose2d(n_early, n_late, 2, stride=2, bias=False)
        self.late = nn.ReLU()
        self.evidence = nn.Conv2d(n_late, len(wiring.things), 1, bias=False)
        self.enlarge = nn.Upsample(scale_factor=size // (2 * CELLS), mode="nearest")
        self.cover = nn.Hardtanh(0.0, 1.0)
        self.shade = nn.Hardtanh(0.0, 1.0)
        names = [thing.name for thing in wiring.things]
        self.gates = [names.index(one.gate) if one.gate else None for one in wiring.things]
        self.register_buffer("colours", torch.tensor([one.colour for one in wiring.things]).float())
        redundant = [[[4.0 if one.feature == "pair" else 1.0]] for one in wiring.things]
        self.register_buffer("brightness", _BRIGHTNESS * torch.tensor(redundant))
        with torch.no_grad():
            self._plant(wiring, noise)

    def forward(self, z: Tensor) -> Tensor:
        """Fire, widen, and paint one class over the other."""
        maps = self.early(self.grid(self.project(z)))  # (n, units, 8, 8)
        maps = self.late(self.widen(maps))  # (n, units, 16, 16)
        evidence = self.enlarge(self.evidence(maps))  # (n, classes, size, size)
        cover = self.cover(_STEEPNESS * evidence)
        shade = self.shade(self.brightness * evidence)
        return self._paint(cover, shade)

    def _paint(self, cover: Tensor, shade: Tensor) -> Tensor:
        image = torch.zeros_like(cover[:, :1]).expand(-1, 3, -1, -1)
        colours = cast(Tensor, self.colours).view(-1, 3, 1, 1)
        for place, gate in enumerate(self.gates):
            mask = cover[:, place : place + 1]
            if gate is not None:
                mask = mask * cover[:, gate : gate + 1]
            image = image * (1 - mask) + mask * shade[:, place : place + 1] * colours[place]
        return image

    def _plant(self, wiring: Wiring, noise: Tensor) -> None:
        """Set all weights."""
        reach = FIRES / CHOSEN  # a power of two: that a place is taken is exact
        weight = reach * _numbers(wiring.fires).movedim(1, 3)  # (units, 8, 8, latents)
        weight = weight.reshape(len(wiring.early), CELLS**2, wiring.n_latents)
        bias = torch.zeros(len(wiring.early), CELLS**2)
        for unit, role in enumerate(wiring.early):
            if role.job == "noise":
                weight[unit][:, list(wiring.noise_latents)] = noise[role.number]
            if role.job == "constant":
                bias[unit] = _STUCK
        self.project.weight.copy_(weight.flatten(0, 1))
        self.project.bias.copy_(bias.flatten())
        self.widen.weight.copy_(_numbers(wiring.feeds).transpose(0, 1))  # (early, late, 2, 2)
        self.evidence.weight.copy_(_numbers(wiring.draws)[:, :, None, None])


def _numbers(table: np.ndarray) -> Tensor:
    return torch.from_numpy(table.astype(np.float32))
