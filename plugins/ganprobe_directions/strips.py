"""Strips: samples moved along a direction, step by step, with themselves in the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ganprobe import Latents
from ganprobe_directions.columns import Attribute
from ganprobe_directions.families import Family, Floats
from ganprobe_directions.plan import Plan


@dataclass(frozen=True, eq=False)
class Strips:
    """Images of the first directions of a family.

    Args:
        steps: in deviations; 0 is the base.
        images: (direction, row, step, channel, y, x) in [0, 1].
        is_outside: (direction, row, step) whether the samples hardly ever are there.
        values: (direction, row, step) of the direction's attribute; None: it has none.
        labels: of each direction's attribute.
    """

    steps: Floats
    images: NDArray[np.float32]
    is_outside: NDArray[np.bool_]
    values: Floats | None
    labels: tuple[str, ...]


def walk_strips(plan: Plan, family: Family) -> Strips:
    """The strips of a family's first directions on the first bases."""
    params = plan.params
    steps = np.linspace(-params.reach, params.reach, params.steps)
    steps[params.steps // 2] = 0.0
    latents = plan.bases[: params.n_shown]
    moves = family.moves()[: params.n_figures]
    walked = [_walk(plan, family, move, latents, steps) for move in moves]
    images = np.stack([one for one, _ in walked])
    attributes = attributes_of(family)[: len(moves)]
    pairs = zip(attributes, images, strict=False)
    values = [_value(attribute, strip, plan.context.device) for attribute, strip in pairs]
    return Strips(
        steps,
        images,
        np.stack([one for _, one in walked]),
        np.stack(values) if values else None,
        tuple(one.label for one in attributes),
    )


def _walk(
    plan: Plan, family: Family, move: torch.Tensor, latents: Latents, steps: Floats
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Images (row, step, channel, y, x) in [0, 1], and which are outside (row, step)."""
    n_rows, n_steps = len(latents), len(steps)
    bases = family.space.points(latents).repeat_interleave(n_steps, 0)
    far = torch.from_numpy(np.tile(steps, n_rows)).to(bases)
    moved = bases + far.reshape(-1, *[1] * move.ndim) * move
    points = torch.where(far.reshape(-1, *[1] * move.ndim) == 0, bases, moved)
    beside = latents.take([row for row in range(n_rows) for _ in range(n_steps)])
    images = plan.context.generator.to_unit_range(family.space.images(points, beside))
    outside = family.extent.is_outside(points).reshape(n_rows, n_steps)
    shaped = images.reshape(n_rows, n_steps, *images.shape[1:])
    return shaped.float().cpu().numpy(), outside


def attributes_of(family: Family) -> list[Attribute]:
    """The one that each direction is of; directions without others are named after it."""
    known = {one.attribute.name: one.attribute for one in family.boundaries}
    return [known[name.split("-without-")[0]] for name in family.set.names] if known else []


def _value(attribute: Attribute, images: NDArray[np.float32], device: torch.device) -> Floats:
    """(row, step) of the attribute of images (row, step, channel, y, x)."""
    unit = torch.from_numpy(images).flatten(0, 1).to(device)
    values = attribute.measure(unit)[:, attribute.place].double().cpu().numpy()
    return values.reshape(images.shape[:2])
