"""What every game of a generator against its discriminator needs: steps, averages, checkpoints."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def adam(network: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999), fused=True)


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


@torch.no_grad()
def average(kept: nn.Module, current: nn.Module, averaging: float, done: int) -> None:
    """Move the kept parameters towards the current ones, faster in the first steps."""
    weight = min(averaging, (1 + done) / (10 + done))
    for one, other in zip(kept.parameters(), current.parameters(), strict=True):
        one.lerp_(other, 1.0 - weight)


@torch.no_grad()
def measured_afresh(generator: M, latent_size: int) -> M:
    """A copy in eval mode whose normalisation statistics are those of 10 000 samples."""
    measured = copy.deepcopy(generator)
    norms = [module for module in measured.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative: every batch counts the same
    measured.train()
    source = torch.Generator().manual_seed(0)
    for _ in range(20):
        measured(torch.randn(500, latent_size, generator=source))
    return measured.eval()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write all of it or nothing, with the state of the random numbers."""
    torch.save(state | {"rng": torch.get_rng_state()}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, or None; random numbers go on from there."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    torch.set_rng_state(state.pop("rng"))
    return state


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in network.state_dict().items()}
