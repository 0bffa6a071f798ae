"""The encoder: a small network trained to tell the latents of the generator's images.

It is trained on fresh pairs of image and latent, each seen a few times; loss is the mean squared
error of a latent's number, in units of the prior's variance: 1 is what knowing nothing gives.
Memory is that of one chunk of pairs, at most 256 MiB of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from ganprobe import LatentSpace
from ganprobe_inversion.plan import Plan

_BATCH = 64
_PASSES = 4  # that each pair is seen
_CHUNK = 4096  # pairs
_MOST_PIXELS = 1 << 26  # in a chunk
_HELD_OUT = 256
_N_CHECKS = 25
_RATE = 2e-3
_HIDDEN = 256
_WIDTHS = (32, 64, 128, 192, 256, 256, 256, 256)
_SMALLEST = 4  # a side that is halved no more


@dataclass(frozen=True, eq=False)
class Encoder:
    """A trained encoder.

    Args:
        steps: (checks,) after which its loss was taken.
        training: (checks,) the loss over the batches since the check before.
        held_out: (checks,) the loss on pairs that it is not trained on.
    """

    network: nn.Module
    plan: Plan
    steps: NDArray[np.int64]
    training: NDArray[np.float64]
    held_out: NDArray[np.float64]

    def latents(self, images: Tensor) -> Tensor:
        """(n, \\*latent shape) what it says of images in [0, 1], brought back to the prior."""
        space = self.plan.latent_space
        with torch.no_grad():
            found = torch.cat([self.network(part) for part in images.float().split(_BATCH)])
        z = deviation_of(space) * found.view(-1, *space.shape).to(self.plan.context.probe.dtype)
        return self.plan.within(z) if self.plan.space.is_latent else z


def deviation_of(prior: LatentSpace) -> float:
    """The standard deviation of one number of a latent."""
    if prior.distribution == "uniform":
        return prior.bound / math.sqrt(3)
    if prior.distribution == "truncated":
        return float(stats.truncnorm.std(-prior.bound, prior.bound))
    return 1.0


def train_encoder(plan: Plan) -> Encoder:
    """Train one on pairs of the seed; the same seed gives the same encoder on one machine."""
    network = _network(plan)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    n_steps = plan.params.encoder_steps
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    held_out = _pairs(plan, "held out", 0, _HELD_OUT)
    checks, losses, since = set(_checks(n_steps)), list[tuple[int, float, float]](), list[float]()
    with plan.context.progress(n_steps, "training steps of the encoder") as bar:
        for step, (images, wanted) in enumerate(_batches(plan, n_steps), 1):
            loss = (network(images) - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
            since.append(float(loss.detach()))
            if step in checks:
                losses.append((step, float(np.mean(since)), _loss(network, *held_out)))
                since = []
            bar.advance()
    steps, training, unseen = zip(*losses, strict=True)
    return Encoder(network, plan, np.array(steps), np.array(training), np.array(unseen))


def _checks(n_steps: int) -> list[int]:
    places = np.linspace(0, n_steps, _N_CHECKS + 1).round().astype(int).tolist()
    return sorted(set(places) - {0})


def _loss(network: nn.Module, images: Tensor, wanted: Tensor) -> float:
    with torch.no_grad():
        found = torch.cat([network(part) for part in images.split(_BATCH)])
    return float((found - wanted).double().square().mean())


def _batches(plan: Plan, n_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of pairs, each pair in a few of them, in an order of the seed."""
    order = np.random.default_rng((plan.context.seed, 0))
    n_pairs = max(_BATCH, min(_CHUNK, _MOST_PIXELS // plan.n_values, n_steps * _BATCH // _PASSES))
    n_given, start = 0, 0
    while n_given < n_steps:
        images, wanted = _pairs(plan, "pairs", start, n_pairs)
        start += n_pairs
        for _ in range(_PASSES):
            for rows in torch.from_numpy(order.permutation(n_pairs)).split(_BATCH):
                if n_given < n_steps:
                    n_given += 1
                    yield images[rows.to(images.device)], wanted[rows.to(wanted.device)]


def _pairs(plan: Plan, stream: str, start: int, n: int) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and their flat latents in deviations of the prior, float32."""
    latents, generator = plan.sample(stream, n, start), plan.context.generator
    batches = (plan.context.probe.images(batch) for batch in latents.split(plan.n_rows))
    images = torch.cat([generator.to_unit_range(batch).float() for batch in batches])
    wanted = latents.z.flatten(1) / deviation_of(plan.latent_space)
    return images, wanted.float().to(images.device)


def _network(plan: Plan) -> nn.Sequential:
    """Convolutions that halve the image down to a few pixels, then two linear layers."""
    channels, *sides = plan.context.probe.image_shape
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.seed("pairs") % 2**63)
        for width in _WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, 2, 1), nn.GroupNorm(8, width), nn.ReLU()]
            channels, sides = width, [-(-side // 2) for side in sides]
            if max(sides) <= _SMALLEST:
                break
        layers += [nn.Flatten(), nn.Linear(channels * sides[0] * sides[1], _HIDDEN), nn.ReLU()]
        layers.append(nn.Linear(_HIDDEN, plan.latent_space.n_dimensions))
    return nn.Sequential(*layers).to(plan.context.device)
