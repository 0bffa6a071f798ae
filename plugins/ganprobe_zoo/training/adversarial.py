"""The game of a generator against its discriminator: rates, averages, penalties, checkpoints."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
D = TypeVar("D", bound=nn.Module)


@dataclass(kw_only=True)
class Game(Generic[M, D]):
    """Two players, their optimisers, and the running average of the generator that is kept.

    Args:
        steps: rounds that will be played; the rates fall in the second half.
        done: rounds that were.

    Source: non-saturating logistic loss, Goodfellow et al. 2014 (arXiv 1406.2661); gradient
    penalty on real images, R1 of Mescheder et al. 2018 (arXiv 1801.04406), on every 16th batch
    as in Karras et al. 2020 (arXiv 1912.04958); averaged generator, Yazıcı et al. 2019
    (arXiv 1806.04498).
    """

    latent_size: int
    generator: M
    average: M
    discriminator: D
    generator_optimiser: torch.optim.Adam
    discriminator_optimiser: torch.optim.Adam
    steps: int
    done: int = 0

    averaging: ClassVar = 0.999
    penalised_every: ClassVar = 16
    rate: ClassVar[float]
    last_rate: ClassVar[float]

    @classmethod
    def players(cls, generator: M, discriminator: D) -> dict[str, Any]:
        """Two networks with their optimisers, as a game takes them."""
        generator.to(memory_format=torch.channels_last)
        discriminator.to(memory_format=torch.channels_last)
        return {
            "generator": generator,
            "average": copy.deepcopy(generator),
            "discriminator": discriminator,
            "generator_optimiser": _adam(generator, cls.rate),
            "discriminator_optimiser": _adam(discriminator, cls.rate),
        }

    def penalty(self, real: Tensor) -> Tensor:
        """The gradient penalty of this round for all the rounds that go without; often 0."""
        if self.done % self.penalised_every:
            return torch.zeros(())
        return self.penalised_every * steepness(self.discriminator, real)

    def set_rates(self) -> None:
        """Constant for the first half, then down to `last_rate`: the last epochs sharpen."""
        remaining = min(1.0, 2.0 * (1.0 - self.done / self.steps))
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = self.rate * max(remaining, self.last_rate)

    @torch.no_grad()
    def end_round(self) -> None:
        """Move the kept parameters towards the current ones, faster in the first rounds."""
        weight = min(self.averaging, (1 + self.done) / (10 + self.done))
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for kept, current in pairs:
            kept.lerp_(current, 1.0 - weight)
        self.done += 1

    @torch.no_grad()
    def averaged_generator(self) -> M:
        """The average in eval mode, its normalisation statistics those of 10 000 samples."""
        measured = copy.deepcopy(self.average)
        norms = [module for module in measured.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative: every batch counts the same
        measured.train()
        source = torch.Generator().manual_seed(0)
        for _ in range(20):
            measured(torch.randn(500, self.latent_size, generator=source))
        return measured.eval()

    def save(self, path: Path, epochs_done: int) -> None:
        """Write a checkpoint, all of it or nothing."""
        state = {name: getattr(self, name).state_dict() for name in _PARTS}
        progress = {"done": self.done, "epochs_done": epochs_done, "rng": torch.get_rng_state()}
        torch.save(state | progress, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> int:
        """Go on from a checkpoint where there is one; returns the epochs already played."""
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["rng"])
        self.done = state["done"]
        return int(state["epochs_done"])


_PARTS = (
    "generator",
    "average",
    "discriminator",
    "generator_optimiser",
    "discriminator_optimiser",
)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def steepness(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Half the squared gradient of the score at real images, averaged over them.

    Source: R1 of Mescheder et al. 2018 (arXiv 1801.04406), equation 9.
    """
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in network.state_dict().items()}


def _adam(network: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999), fused=True)
