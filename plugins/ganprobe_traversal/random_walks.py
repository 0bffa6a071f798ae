"""Random walks: smooth ways through a space that stay where the prior's points are.

Each is a Gaussian process: at every step it is distributed as the prior's points are. Numbers of a
bounded prior are mapped to a normal distribution and back.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special
from torch import Tensor

from ganprobe import LatentSpace

__all__ = ["from_normal", "random_walk", "to_normal"]

_STEP = 0.15  # of the prior's standard deviation, root mean square, in one step
_TAIL = 1e-12  # of a distribution: what lies at a bound stays finite


def random_walk(start: Tensor, fresh: Tensor, n_steps: int, seed: int) -> Tensor:
    """A smooth stationary Gaussian process that begins at a point.

    Args:
        start: (\\*shape) float64, with mean 0 and the covariance of the fresh ones.
        fresh: (2 * waves, \\*shape) of which it is made.

    Returns:
        (steps, \\*shape): a sum of waves cos and sin with random frequencies, whose amplitudes have
        the points' covariance, given that they add up to `start` at step 0.

    Source: Rahimi and Recht 2007 (random Fourier features of a Gaussian process).
    """
    n_waves = len(fresh) // 2
    weight = 1.0 / math.sqrt(n_waves)
    cosines, sines = fresh[:n_waves], fresh[n_waves:]
    cosines = cosines + weight * (start - weight * cosines.sum(0))
    frequencies = np.random.default_rng((seed, n_waves)).normal(size=n_waves)
    frequencies *= _STEP / np.sqrt((frequencies**2).mean())
    angles = torch.from_numpy(np.outer(np.arange(n_steps), frequencies)).to(start)  # (step, wave)
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)  # (step, 2 * wave)
    amplitudes = torch.cat([cosines, sines])
    return (weight * waves @ amplitudes.flatten(1)).reshape(n_steps, *start.shape)


def to_normal(z: Tensor, prior: LatentSpace) -> Tensor:
    """Numbers of a prior as those of a normal distribution at the same quantiles, float64."""
    values = z.double().cpu().numpy()
    if prior.distribution == "normal":
        return z.double()
    if prior.distribution == "uniform":
        shares = (values / prior.bound + 1) / 2
    else:
        least = _below(prior)
        shares = (special.ndtr(values) - least) / (1 - 2 * least)
    return torch.from_numpy(special.ndtri(shares.clip(_TAIL, 1 - _TAIL))).to(z.device)


def from_normal(values: Tensor, prior: LatentSpace) -> Tensor:
    """The inverse of `to_normal`."""
    if prior.distribution == "normal":
        return values
    below, least = special.ndtr(values.cpu().numpy()), _below(prior)
    if prior.distribution == "uniform":
        z = (2 * below - 1) * prior.bound
    else:
        z = special.ndtri(least + below * (1 - 2 * least))
    return torch.from_numpy(z).to(values.device).clamp(-prior.bound, prior.bound)


def _below(prior: LatentSpace) -> float:
    """The share of a normal distribution below the bound of a truncated one."""
    return float(special.ndtr(-prior.bound))
