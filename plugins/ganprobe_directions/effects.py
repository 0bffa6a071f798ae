"""Effects: what a step along each direction does to the image and to every measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import PairedEffects, control_band, paired_effects
from ganprobe_directions.families import Family, Floats
from ganprobe_directions.plan import BATCH, Plan

SIGNIFICANT = 0.05

_SCALE_SAMPLES = 500
_ALIKE = 1.05  # lengths within this factor share their random directions
_MISSING = 0.2  # of the bases that may have no value before a column is left out


@dataclass(frozen=True, eq=False)
class Scale:
    """The standard deviation of every column over samples, which effects are told in.

    Args:
        deviations: (columns,); NaN where a column does not vary.
    """

    deviations: Floats
    n: int


@dataclass(frozen=True, eq=False)
class Effects:
    """What the directions of a family do, from behind a sample to ahead of it.

    Args:
        by_base: (direction, base, column) in the column's own unit.
        image: (direction, base) RMS change of the image, in shares of black to white.
        found: (direction x column) mean, interval, p and q; None where there is no column.
        control: (direction, column) which no more than 5 % of random directions of the same
            length exceed in absolute mean effect; with fewer than 39, the largest.
        control_image: (direction, draw) mean RMS change of random directions of its length.
        outside: (direction,) share of the moved points outside the usual range of the samples.
        columns: places of those that have values.
        n_left_out: bases without a value in one of them.
        same_class: by measure of classes: (direction, base) whether the most probable class is
            the same behind and ahead.
        control_class: by measure of classes: (direction, draw) share of bases where it is.
    """

    by_base: Floats
    image: Floats
    found: PairedEffects | None
    control: Floats
    control_image: Floats
    outside: Floats
    columns: tuple[int, ...]
    n_left_out: int
    same_class: Mapping[str, NDArray[np.bool_]]
    control_class: Mapping[str, Floats]

    def table(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of `found` as (direction, column)."""
        return values.reshape(len(self.image), -1)

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """(direction, column) q < 0.05 and more than random directions do."""
        if self.found is None:
            return np.zeros((len(self.image), 0), bool)
        mean, q = self.table(self.found.mean), self.table(self.found.q)
        return (q < SIGNIFICANT) & (np.abs(mean) > self.control)


def measure_scale(plan: Plan) -> Scale:
    """Over samples of the seed, whichever directions were found in."""
    context, latents = plan.context, plan.prior[:_SCALE_SAMPLES]
    if not len(plan.columns):
        return Scale(np.empty(0), len(latents))
    rows = [
        plan.columns.values(context.probe.images(batch), context.generator)
        for batch in latents.split(BATCH)
    ]
    values = np.concatenate(rows)
    spread = np.array([_deviation(column) for column in values.T])
    return Scale(spread, len(latents))


def _deviation(values: Floats) -> float:
    there = values[np.isfinite(values)]
    spread = float(there.std(ddof=1)) if len(there) > 1 else 0.0
    return spread if spread > 1e-9 * max(1e-9, float(np.abs(there).max(initial=0))) else np.nan


def measure_effects(
    plan: Plan, family: Family, scale: Scale, advance: Callable[[int], None]
) -> Effects:
    """Effects of all directions of a family, and of random ones of the same lengths."""
    walker = _Walker.of(plan, family)
    crossings = []
    for move in family.moves():
        crossings.append(walker.across(move))
        advance(1)
    by_base = np.stack([one.change for one in crossings])  # (direction, base, column)
    columns, kept = _with_values(by_base, scale)
    rows = by_base[:, kept][:, :, columns].transpose(0, 2, 1)  # (direction, column, base)
    found = None
    if rows.size:
        flat = rows.reshape(-1, rows.shape[2])
        found = paired_effects(flat, seed=plan.context.seed, n_resamples=plan.params.n_resamples)
    control = _Control.of(walker, columns, kept)
    return Effects(
        by_base[:, :, columns],
        np.stack([one.image for one in crossings]),
        found,
        control.effect,
        control.image,
        np.array([one.outside for one in crossings]),
        columns,
        len(kept) - int(kept.sum()),
        _stacked([one.same_class for one in crossings]),
        control.same_class,
    )


@dataclass(frozen=True, eq=False)
class _Crossing:
    """What changes from behind the bases to ahead of them, along one direction.

    Args:
        change: (base, column).
        image: (base,) RMS.
        outside: share of the points behind and ahead.
        same_class: (base,) by measure of classes.
    """

    change: Floats
    image: Floats
    outside: float
    same_class: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class _Walker:
    """The bases, and what is measured of the way between two points about each."""

    plan: Plan
    family: Family
    points: Tensor

    @classmethod
    def of(cls, plan: Plan, family: Family) -> _Walker:
        points = [family.space.points(batch) for batch in plan.bases.split(BATCH)]
        return cls(plan, family, torch.cat(points))

    def across(self, move: Tensor) -> _Crossing:
        """From as far behind each base as ahead of it."""
        step = self.plan.params.effect_at * move
        behind, ahead = self.points - step, self.points + step
        generator, columns = self.plan.context.generator, self.plan.columns
        images = [self._images(points) for points in (behind, ahead)]
        before, after = (columns.values(one, generator) for one in images)
        dark, light = (generator.to_unit_range(one).double() for one in images)
        rms = (light - dark).square().flatten(1).mean(1).sqrt()
        outside = self.family.extent.is_outside(torch.cat([behind, ahead])).mean()
        same = {
            name: before[:, places].argmax(1) == after[:, places].argmax(1)
            for name, places in columns.classes(np.concatenate([before, after])).items()
        }
        return _Crossing(after - before, rms.cpu().numpy(), float(outside), same)

    def _images(self, points: Tensor) -> Tensor:
        return self.family.space.images(points, self.plan.bases, batch_size=BATCH)

    def random_moves(self, length: float) -> Tensor:
        """Of this length, in the same way that the directions of the family are."""
        space, params = self.family.space, self.plan.params
        is_means = params.pca_of == "means" and "pca" in self.plan.methods
        is_alike = is_means and space.unit_axis is not None
        random = torch.Generator().manual_seed(self.plan.context.seed)
        shape = (space.n_axes,) if is_alike else space.shape
        drawn = torch.randn(params.n_random, *shape, generator=random, dtype=torch.float64)
        moves = space.along(drawn) if is_alike else drawn
        sizes = moves.flatten(1).norm(dim=1).reshape(-1, *[1] * len(space.shape))
        scaled: Tensor = moves / sizes * length
        return scaled.to(space.probe.device, space.probe.dtype)


def _with_values(by_base: Floats, scale: Scale) -> tuple[tuple[int, ...], NDArray[np.bool_]]:
    """Columns that vary and have values, and the bases (n,) that have one in each of these."""
    there = np.asarray(np.isfinite(by_base).all(axis=0))  # (base, column)
    enough = (there.mean(0) >= 1 - _MISSING) & np.isfinite(scale.deviations)
    columns = tuple(np.flatnonzero(enough).tolist())
    return columns, np.asarray(there[:, columns].all(axis=1))


@dataclass(frozen=True, eq=False)
class _Control:
    """What random directions of the length of each direction do; lengths alike share them.

    Args:
        effect: (direction, column).
        image: (direction, draw).
        same_class: by measure of classes, (direction, draw).
    """

    effect: Floats
    image: Floats
    same_class: Mapping[str, Floats]

    @classmethod
    def of(cls, walker: _Walker, columns: tuple[int, ...], kept: NDArray[np.bool_]) -> _Control:
        lengths = walker.family.lengths
        effect: list[Floats] = [np.empty(0)] * len(lengths)
        image, same = [*effect], [dict[str, Floats]()] * len(lengths)
        for group in groups_of_lengths(lengths):
            length = float(np.exp(np.log(lengths[group]).mean()))
            drawn = [walker.across(move) for move in walker.random_moves(length)]
            changes = np.stack([one.change[:, columns] for one in drawn])  # (draw, base, column)
            means = np.abs(_means(changes[:, kept]))
            for place in group:
                effect[place] = control_band(means, coverage=0.9)[1] if columns else np.empty(0)
                image[place] = np.array([one.image.mean() for one in drawn])
                shared = _stacked([one.same_class for one in drawn])
                same[place] = {name: held.mean(1) for name, held in shared.items()}
        return cls(np.stack(effect), np.stack(image), _stacked(same))


def _stacked(rows: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """By name, where all have it."""
    names = [name for name in rows[0] if all(name in one for one in rows)]
    return {name: np.stack([one[name] for one in rows]) for name in names}


def groups_of_lengths(lengths: Floats) -> list[list[int]]:
    """Places of lengths that are within 5 % of the largest of their group."""
    groups: list[list[int]] = []
    for place in np.argsort(-lengths, kind="stable").tolist():
        if groups and lengths[groups[-1][0]] <= _ALIKE * lengths[place]:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _means(values: Floats) -> Floats:
    """(draw, column) over the bases that have a value."""
    there = np.isfinite(values)
    summed: Floats = np.where(there, values, 0.0).sum(axis=1)
    return np.asarray(summed / np.maximum(1, there.sum(axis=1)))
