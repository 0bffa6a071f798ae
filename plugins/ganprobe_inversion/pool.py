"""The pool: random samples, of which the nearest to each image are kept.

One generation serves all images. Memory is that of a batch and of what is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe_inversion.plan import Plan


@dataclass(frozen=True, eq=False)
class Nearest:
    """The samples of the pool that are nearest to each image, the nearest first.

    Args:
        errors: (images, k) float64, the mean squared differences, on the CPU.
        indices: (images, k) of the samples.
        latents: (images, k, \\*latent shape), on the probe's device and in its dtype.
    """

    errors: Tensor
    indices: Tensor
    latents: Tensor


def nearest_of_pool(plan: Plan, n_kept: int) -> Nearest:
    """The nearest samples of the pool to each target."""
    context, n_pool = plan.context, plan.params.n_pool
    errors = torch.full((len(plan.targets), 0), torch.inf, dtype=torch.float64)
    indices = torch.zeros((len(plan.targets), 0), dtype=torch.int64)
    with context.progress(n_pool, "random samples of the pool") as bar:
        for start in range(0, n_pool, plan.n_rows):
            n = min(plan.n_rows, n_pool - start)
            images = context.probe.images(plan.sample("pool", n, start))
            found = differences(plan.targets.images, context.generator.to_unit_range(images))
            errors = torch.cat([errors, found.cpu()], 1)
            indices = torch.cat([indices, torch.arange(start, start + n).expand(len(errors), n)], 1)
            errors, place = errors.sort(dim=1, stable=True)
            errors, indices = errors[:, :n_kept], indices.gather(1, place)[:, :n_kept]
            bar.advance(n)
    return Nearest(errors, indices, _latents(plan, indices))


def differences(targets: Tensor, images: Tensor) -> Tensor:
    """(targets, images) float64, the mean squared difference of each two."""
    first, second = targets.double().flatten(1), images.double().flatten(1)
    products = first @ second.T
    squares = first.square().sum(1)[:, None] + second.square().sum(1)[None]
    return ((squares - 2 * products) / first.shape[1]).clamp(min=0)


def _latents(plan: Plan, indices: Tensor) -> Tensor:
    space = plan.latent_space
    drawn = space.sample(indices.flatten().tolist(), seed=plan.seed("pool")).z
    shaped = drawn.view(*indices.shape, *space.shape)
    return shaped.to(plan.context.device, plan.context.probe.dtype)
