"""Location: units inserted at one place that was asked for, beside random sets of equal size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganprobe import (
    Ablate,
    Measure,
    PairedEffects,
    ParameterError,
    Segmenter,
    paired_effects,
    read_region,
)
from ganprobe_ablation.insertion.plan import Floats, InsertionPlan


@dataclass(frozen=True, eq=False)
class Location:
    """What inserting units at one place did.

    Areas are shares of the image.

    Args:
        written: the place, as it was asked for.
        is_region: it is a region, not a window around a point.
        region: (y, x) on the site's grid, the share of each cell that is set.
        pixels: (y, x) the share of each pixel of the image that lies there.
        base, after: (2, n) the class's area in the image and at the place.
        effects: of the change in the image and at the place.
        random: (draws, 2) mean changes by random sets.
    """

    written: str
    is_region: bool
    region: Tensor
    pixels: Floats
    base: Floats
    after: Floats
    effects: PairedEffects
    random: Floats


def insert_at(plan: InsertionPlan) -> Location | None:
    """Insert at the place that was asked for; None: none was.

    Raises:
        ParameterError: it is neither a point nor a region.
    """
    if plan.params.at is None:
        return None
    written = plan.params.at.strip()
    region, pixels = _region(plan, written)
    sets = [plan.units, *plan.draws]
    levels = [plan.levels[list(units)] for units in sets]
    edits = [
        [Ablate(plan.tensor.site, units=units, to=level, region=region)]
        for units, level in zip(sets, levels, strict=True)
    ]
    reading = _ClassUnder(plan.segmenter, plan.name, pixels)
    sweep = plan.context.probe.sweep(
        plan.samples.measured, [[], *edits], reading, progress=plan.context.progress
    )
    values = sweep.values.cpu().double().numpy()  # (2 + draws, n, 2)
    base, after, *drawn = values
    change = (after - base).T
    seed, n_resamples = plan.context.seed, plan.params.n_resamples
    return Location(
        written,
        _point(written) is None,
        region,
        pixels.numpy(),
        base.T,
        after.T,
        paired_effects(change, seed=seed, n_resamples=n_resamples),
        np.stack([(one - base).mean(0) for one in drawn]),
    )


def _region(plan: InsertionPlan, written: str) -> tuple[Tensor, Tensor]:
    """On the site's grid, and in pixels."""
    places = plan.places
    point = _point(written)
    if point is None:
        try:
            pixels = read_region(written, places.image)
            return read_region(written, places.site), _like_image(pixels, places.image)
        except ParameterError as error:
            told = str(error).replace("--region", "--at")
            raise ParameterError(
                f"{told}; or a point X,Y in shares of the image, as in 0.5,0.6"
            ) from error
    place = places.at(*point)
    rows, columns = places.window_weights()
    row, column = divmod(place, places.grid[1])
    return places.masks()[place].float(), torch.outer(rows[row], columns[column]).float()


def _point(written: str) -> tuple[float, float] | None:
    try:
        x, y = map(float, written.split(","))
    except ValueError:
        return None
    return x, y


def _like_image(mask: Tensor, image: tuple[int, int]) -> Tensor:
    """A mask of any resolution at that of the image."""
    if mask.shape == image:
        return mask
    return torch.nn.functional.interpolate(mask[None, None], image, mode="area")[0, 0]


class _ClassUnder(Measure):
    """The share of the image that a class covers: in all of it, and under a mask (y, x)."""

    name, summary = "class at the place", "share of the image that a class covers"
    columns: ClassVar[tuple[str, ...]] = ("image", "place")

    def __init__(self, segmenter: Segmenter, class_name: str, pixels: Tensor) -> None:
        self._segmenter, self._pixels = segmenter, pixels
        self._place = segmenter.place_of(class_name)

    def measure(self, images: Tensor) -> Tensor:
        mask = self._segmenter(images)[:, self._place].float()
        under = mask * self._pixels.to(mask)
        return torch.stack([mask.mean((1, 2)), under.mean((1, 2))], 1)
