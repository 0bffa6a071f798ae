"""Moves: elements and random directions moved and differentiated, and what measures make of it.

Costs, for d elements, r random directions and n base samples: n (d + r + 1) forwards for the
steps and about as many for the derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganprobe import (
    ImageChanges,
    NotDifferentiableError,
    PairedEffects,
    difference_images,
    gather_changes,
    jvp_images,
    paired_effects,
    small_step,
)
from ganprobe_sensitivity.acts import Acts, observe
from ganprobe_sensitivity.plan import Floats, Plan

_COMPARED_SAMPLES, _COMPARED_ELEMENTS = 4, 32


@dataclass(frozen=True, eq=False)
class Moves:
    """What elements and random directions of the same length do, by one method.

    Args:
        elements, random: for one standard deviation.
        effects: (element,) of the elements' change less the mean random direction's, paired.
    """

    elements: Acts
    random: Acts
    effects: PairedEffects


@dataclass(frozen=True, eq=False)
class Caused:
    """What a step of each element does to each column of the measures.

    Args:
        by_sample: (element, column, n) change of the column for one deviation upward.
        effects: of all elements and columns, in one row.
        q: (element, column) p after Benjamini-Hochberg over all of these.
    """

    by_sample: Floats
    effects: PairedEffects
    q: Floats

    def told(self, name: str) -> Floats:
        """``"mean"``, ``"low"``, ``"high"`` or ``"p"`` of the effects, (element, column)."""
        values: Floats = getattr(self.effects, name)
        return values.reshape(self.by_sample.shape[:2])


def move_by_steps(plan: Plan) -> tuple[Moves, Caused | None]:
    """The changes by finite steps toward the middle, of images and of measures."""
    watching = _Measured(plan)
    elements = _observe(plan, _steps(plan, plan.weights, plan.unit()), len(plan.axes), watching)
    random = _observe(plan, _steps(plan, plan.random_weights, plan.random), len(plan.random))
    return _moves(plan, elements, random), watching.result()


def differentiate(plan: Plan) -> Moves:
    """The derivatives.

    Raises:
        NotDifferentiableError: the generator has none in forward mode.
    """
    elements = _observe(plan, _slopes(plan, plan.weights), len(plan.axes))
    random = _observe(plan, _slopes(plan, plan.random_weights), len(plan.random))
    return _moves(plan, elements, random)


def disagreement(plan: Plan) -> float:
    """How far derivatives are from central differences at a small step.

    Length of the difference, of a few samples and elements, as a share of the derivatives' own.
    """
    n = min(_COMPARED_SAMPLES, len(plan.base))
    directions = plan.directions(plan.weights[:_COMPARED_ELEMENTS])
    given = plan.space, plan.points[:n], plan.base[:n], directions
    step = small_step(plan.points.dtype)
    slopes = gather_changes(jvp_images(*given)).double()
    steps = gather_changes(difference_images(*given, step=step, is_central=True)).double()
    length = float(slopes.norm())
    return float((slopes - steps).norm()) / length if length else float(steps.norm())


def try_to_differentiate(plan: Plan) -> tuple[Moves | None, str]:
    """The derivatives, or None and why there are none."""
    try:
        return differentiate(plan), ""
    except NotDifferentiableError as error:
        return None, str(error)


def _steps(plan: Plan, weights: Tensor, unit: Tensor) -> Iterator[ImageChanges]:
    directions = plan.directions(weights)
    step = plan.steps(unit)
    return difference_images(plan.space, plan.points, plan.base, directions, step=step)


def _slopes(plan: Plan, weights: Tensor) -> Iterator[ImageChanges]:
    return jvp_images(plan.space, plan.points, plan.base, plan.directions(weights))


class _Measured:
    """The measures of images that stepped elements made, block by block."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        generator = plan.context.generator
        images = plan.space.images(plan.points, plan.base)
        black, white = generator.image_range
        self._images = (images - black) / (white - black)  # not clipped: changes come on top
        self._base = column_values(plan, self._images.clamp(0, 1))  # (n, columns)
        self._steps = plan.steps(plan.unit()).to(images)
        self._changes = np.zeros((len(plan.axes), len(plan.columns), len(plan.points)))

    def __call__(self, block: ImageChanges) -> None:
        if not self._plan.columns:
            return
        steps = self._steps[block.directions, block.samples]
        moved = self._images[block.samples] + block.values * steps[:, :, None, None, None]
        values = column_values(self._plan, moved.clamp(0, 1).flatten(0, 1))
        values = values.reshape(*block.values.shape[:2], -1)  # (k, n, columns)
        change = (values - self._base[block.samples]) / steps.double().cpu().numpy()[:, :, None]
        self._changes[block.directions, :, block.samples] = np.moveaxis(change, 2, 1)

    def result(self) -> Caused | None:
        """None where nothing is measured."""
        if not self._plan.columns:
            return None
        flat = self._changes.reshape(-1, self._changes.shape[2])
        effects = _effects(self._plan, flat)
        return Caused(self._changes, effects, effects.q.reshape(self._changes.shape[:2]))


def column_values(plan: Plan, images: Tensor) -> Floats:
    """(n, columns) of images (n, channels, height, width) in [0, 1]; each measure runs once."""
    measured = {
        measure.name: measure(images).double().cpu().numpy()
        for measure in {column.measure.name: column.measure for column in plan.columns}.values()
    }
    columns = [measured[column.measure.name][:, column.place] for column in plan.columns]
    return np.stack(columns, 1) if columns else np.empty((len(images), 0))


def _observe(
    plan: Plan, blocks: Iterator[ImageChanges], n_directions: int, watching: _Measured | None = None
) -> Acts:
    n = len(plan.base)
    with plan.context.progress(n_directions * n, "changes of images") as bar:

        def on_block(block: ImageChanges) -> None:
            if watching is not None:
                watching(block)
            bar.advance(block.values.shape[:2].numel())

        return observe(blocks, n_directions, n, on_block=on_block)


def _moves(plan: Plan, elements: Acts, random: Acts) -> Moves:
    beyond = elements.by_sample - random.by_sample.mean(0)
    return Moves(elements, random, _effects(plan, beyond))


def _effects(plan: Plan, differences: Floats) -> PairedEffects:
    return paired_effects(
        differences,
        seed=plan.context.seed,
        n_resamples=plan.n_resamples,
        confidence=plan.params.confidence,
    )


def shown_images(plan: Plan, places: list[int], n_rows: int) -> Tensor:
    """(element, row, 3, channels, y, x) in [0, 1]: each element low, in the middle, and high.

    All other coordinates stay those of the first base samples.
    """
    targets = torch.tensor([-plan.reach, 0.0, plan.reach], dtype=torch.float64)
    made = []
    for place in places:
        direction = plan.directions(plan.weights[place : place + 1])
        standing = plan.standing[:n_rows, plan.axes[place]]
        length = (targets[None] - standing[:, None]).to(direction)  # (row, 3)
        moved = length.reshape(n_rows, 3, *[1] * len(plan.space.shape)) * direction
        points = (plan.points[:n_rows, None] + moved).flatten(0, 1)
        beside = plan.base.take([row for row in range(n_rows) for _ in range(3)])
        images = plan.space.images(points, beside)
        made.append(plan.context.generator.to_unit_range(images).float().cpu())
    together = torch.stack(made)  # (element, row * 3, channels, y, x)
    return together.reshape(len(made), n_rows, 3, *together.shape[2:])
