"""The study: every method on every image, and how near each comes.

Costs one image for each sample of the pool; for a descent a forward and a backward of every image,
start and step, of which halving leaves a fifth; for the encoder 16 pairs a training step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Latents
from ganprobe_inversion import InversionParams
from ganprobe_inversion.descent import ENOUGH, descend
from ganprobe_inversion.encoder import Encoder, train_encoder
from ganprobe_inversion.plan import Plan, make_plan
from ganprobe_inversion.pool import Nearest, nearest_of_pool

Floats = NDArray[np.float64]

RECOVERED = 0.01
"""Of the nearest random sample's error: an image counts as recovered with no more."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method found for every image.

    Args:
        points: (images, \\*shape) of the space.
        images: (images, channels, height, width) that they give, in [0, 1].
        errors: (images,) mean squared difference to the targets.
        path: (steps + 1, images) the error of the best so far, of a descent; else None.
    """

    method: str
    points: Tensor
    images: Tensor
    errors: Floats
    path: Floats | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Args:
        outcomes: by method; `pool` is the first.
        encoder: where one was trained.
    """

    plan: Plan
    nearest: Nearest
    outcomes: dict[str, Outcome]
    encoder: Encoder | None

    @property
    def random_errors(self) -> Floats:
        """(images,) of the nearest random sample."""
        return self.outcomes["pool"].errors

    def ratios(self, outcome: Outcome) -> Floats:
        """(images,) its errors as shares of those of the nearest random sample."""
        least = np.maximum(self.random_errors, np.finfo(np.float64).tiny)
        return outcome.errors / least

    def is_recovered(self, outcome: Outcome) -> NDArray[np.bool_]:
        """(images,) whether its error is at most 1 % of the nearest random sample's."""
        found: NDArray[np.bool_] = outcome.errors <= RECOVERED * self.random_errors
        return found

    @cached_property
    def best(self) -> tuple[str, ...]:
        """The method that came nearest to each image; of equals the first."""
        names = list(self.outcomes)
        errors = np.stack([self.outcomes[name].errors for name in names])
        return tuple(names[place] for place in errors.argmin(0))

    @cached_property
    def found(self) -> Outcome:
        """The best of all methods for each image."""
        chosen = [self.outcomes[name] for name in self.best]
        return Outcome(
            "best of all",
            torch.stack([one.points[row] for row, one in enumerate(chosen)]),
            torch.stack([one.images[row] for row, one in enumerate(chosen)]),
            np.array([one.errors[row] for row, one in enumerate(chosen)]),
        )


def study_inversion(context: Context, params: InversionParams) -> Study:
    """Make the plan, draw the pool, and look for every image in every way.

    Raises:
        ParameterError, UnknownNameError, SiteError: as `make_plan`.
    """
    plan = make_plan(context, params)
    n_kept = params.n_starts if "pool+gradient" in plan.methods else 1
    nearest = nearest_of_pool(plan, n_kept)
    needs_encoder = any(name.startswith("encoder") for name in plan.methods)
    encoder = train_encoder(plan) if needs_encoder else None
    first = _outcome(plan, "pool", nearest.latents[:, 0])
    starts: dict[str, Callable[[], Tensor]] = {
        "gradient": lambda: _random_starts(plan),
        "pool+gradient": lambda: nearest.latents,
        "encoder": lambda: _encoded(plan, encoder),
        "encoder+gradient": lambda: _encoded(plan, encoder),
    }
    outcomes = {"pool": first}
    for name in plan.methods:
        outcomes[name] = _method(plan, name, starts[name](), first.errors)
    return Study(plan, nearest, outcomes, encoder)


def _method(plan: Plan, name: str, starts: Tensor, nearest: Floats) -> Outcome:
    if name == "encoder":
        return _outcome(plan, name, starts[:, 0])
    enough = torch.from_numpy(ENOUGH * nearest).to(starts)
    found = descend(plan, starts, enough, f"steps of {name}")
    images = _images(plan, found.points, found.beside)
    errors = _errors(plan, images)
    return Outcome(name, found.points, images, errors, found.errors)


def _outcome(plan: Plan, name: str, latents: Tensor) -> Outcome:
    points = plan.space.points(Latents(latents))
    images = _images(plan, points, latents)
    return Outcome(name, points, images, _errors(plan, images))


def _images(plan: Plan, points: Tensor, beside: Tensor) -> Tensor:
    images = plan.space.images(points, Latents(beside), batch_size=plan.n_rows)
    return plan.context.generator.to_unit_range(images)


def _errors(plan: Plan, images: Tensor) -> Floats:
    differences = (images - plan.targets.images).double().square().flatten(1)
    return np.asarray(differences.mean(1).cpu().numpy(), np.float64)


def _random_starts(plan: Plan) -> Tensor:
    """(images, 1, \\*latent shape): for each image a random latent of its own."""
    z = plan.sample("random start", len(plan.targets)).z
    return z.to(plan.context.device, plan.context.probe.dtype)[:, None]


def _encoded(plan: Plan, encoder: Encoder | None) -> Tensor:
    assert encoder is not None
    return encoder.latents(plan.targets.images)[:, None]
