"""Descent: points whose images come nearer, by Adam, from several starts of each image at once.

Half of the starts, those with the larger loss, are given up at a sixteenth, an eighth, a quarter
and half of the steps; an image that is reproduced takes no more. A step costs a forward and a
backward of every start that is left. Gradients are taken for the points alone: the module keeps
none.

Source: Adam, Kingma and Ba 2015 (arXiv 1412.6980), with decays of 0.9 and 0.99.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Latents
from ganprobe_inversion.plan import Plan, squared_error

ENOUGH = 1e-4
"""Of the nearest random sample's error: what is reproduced so well takes no more steps."""

_DECAYS = (0.9, 0.99)
_HALVED_AT = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the steps
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Descended:
    """Where a descent came to.

    Args:
        points: (images, \\*shape), the best of all starts and steps.
        beside: (images, \\*latent shape), the latents of the start that led there.
        errors: (steps + 1, images) float64, the mean squared difference of the best so far.
    """

    points: Tensor
    beside: Tensor
    errors: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Starts:
    """Starts on their way: (images, starts, ...) each but `images`, which says which are left.

    `mean` and `square` are Adam's; `best`, `loss` and `error` are of the best point so far.
    """

    images: Tensor
    points: Tensor
    beside: Tensor
    mean: Tensor
    square: Tensor
    best: Tensor
    loss: Tensor
    error: Tensor

    def of_images(self, kept: Tensor) -> _Starts:
        """Those of some images, where `kept` (images,) is true."""
        return _Starts(*(getattr(self, one.name)[kept] for one in fields(self)))

    def best_starts(self, n: int) -> _Starts:
        """The `n` of each image with the least loss, the best first."""
        if n == self.loss.shape[1]:
            return self
        place = self.loss.topk(n, 1, largest=False).indices
        rows = torch.arange(len(place), device=place.device)[:, None]
        images, *others = (getattr(self, one.name) for one in fields(self))
        return _Starts(images, *(value[rows, place] for value in others))


def descend(plan: Plan, starts: Tensor, enough: Tensor, what: str) -> Descended:
    """Descend from latents, for every target.

    Args:
        starts: (images, starts, \\*latent shape).
        enough: (images,), an image whose error is no more takes no more steps.
        what: is done, as the progress bar says it.
    """
    n_steps, n_starts = plan.params.n_steps, starts.shape[1]
    left = _begin(plan, starts)
    points, beside, error = (one[:, 0].clone() for one in (left.points, starts, left.error))
    errors = np.zeros((n_steps + 1, len(starts)))
    with plan.context.progress(n_steps + 1, what) as bar:
        for step in range(n_steps + 1):
            if len(left.images):
                left = _stepped(plan, left, step)
                first = left.best_starts(1)
                points[first.images], beside[first.images] = first.best[:, 0], first.beside[:, 0]
                error[first.images] = first.error[:, 0]
                left = left.of_images(first.error[:, 0] > enough[first.images])
                left = left.best_starts(n_left(n_starts, step, n_steps))
            errors[step] = error.double().cpu().numpy()
            bar.advance()
    return Descended(points, beside, errors)


def n_left(n_starts: int, step: int, n_steps: int) -> int:
    """How many starts go on after a step."""
    n_halved = sum(step + 1 >= share * n_steps for share in _HALVED_AT)
    return max(1, -(-n_starts >> n_halved))


def _begin(plan: Plan, starts: Tensor) -> _Starts:
    n, k = starts.shape[:2]
    points = plan.space.points(Latents(starts.flatten(0, 1))).clone().view(n, k, *plan.space.shape)
    points = plan.within(points.flatten(0, 1)).view_as(points)
    still = torch.zeros_like(points)
    unknown = torch.full((n, k), torch.inf, device=points.device, dtype=points.dtype)
    rows = torch.arange(n, device=points.device)
    return _Starts(rows, points, starts, still, still, points, unknown, unknown)


def _stepped(plan: Plan, left: _Starts, step: int) -> _Starts:
    """Evaluated where they are, the best kept, and a step further."""
    loss, error, gradient = _evaluated(plan, left)
    is_better = loss < left.loss
    best = torch.where(_as(is_better, left.best), left.points, left.best)
    mean = torch.lerp(gradient, left.mean, _DECAYS[0])
    square = torch.lerp(gradient.square(), left.square, _DECAYS[1])
    slope = mean / (1 - _DECAYS[0] ** (step + 1))
    size = (square / (1 - _DECAYS[1] ** (step + 1))).sqrt() + _TINY
    moved = left.points - _rate(plan, step) * slope / size
    return _Starts(
        left.images,
        plan.within(moved.flatten(0, 1)).view_as(moved),
        left.beside,
        mean,
        square,
        best,
        torch.where(is_better, loss, left.loss),
        torch.where(is_better, error, left.error),
    )


def _as(mask: Tensor, values: Tensor) -> Tensor:
    return mask.view(*mask.shape, *([1] * (values.ndim - mask.ndim)))


def _rate(plan: Plan, step: int) -> float:
    """How far a step goes: along a cosine, from the learning rate to 0."""
    share = step / plan.params.n_steps
    return plan.params.learning_rate * plan.deviation * (1 + math.cos(math.pi * share)) / 2


def _evaluated(plan: Plan, left: _Starts) -> tuple[Tensor, Tensor, Tensor]:
    """(images, starts) loss and error, and the loss's gradient for the points."""
    n_starts = left.points.shape[1]
    points, beside = left.points.flatten(0, 1), left.beside.flatten(0, 1)
    of = left.images.repeat_interleave(n_starts)
    parts = [
        _gradient(plan, *part)
        for part in zip(
            points.split(plan.n_rows), beside.split(plan.n_rows), of.split(plan.n_rows), strict=True
        )
    ]
    loss, error, gradient = (torch.cat(values) for values in zip(*parts, strict=True))
    shape = left.loss.shape
    return loss.view(shape), error.view(shape), gradient.view_as(left.points)


def _gradient(plan: Plan, points: Tensor, beside: Tensor, of: Tensor) -> tuple[Tensor, ...]:
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        error = squared_error(plan.unit_images(points, beside), plan.targets.images[of])
        size = (points / plan.deviation).square().flatten(1).mean(1)
        loss = error + plan.params.prior_weight * size
        (gradient,) = torch.autograd.grad(loss.sum(), points)
    return loss.detach(), error.detach(), gradient
