"""What is shown: a few samples as they are, with the class's units removed, and with them inserted.

Costs three forwards of the samples that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganprobe import Intervention, Latents
from ganprobe_dissection.insertion import Insertion
from ganprobe_dissection.question import Floats, Question
from ganprobe_dissection.removal import Removal

N_COLUMNS = 8
_LARGE = 0.5  # of the mean area: a sample that shows the class


@dataclass(frozen=True, eq=False)
class Picture:
    """The same samples under one edit.

    Args:
        images: (n, channels, y, x) in [0, 1].
        masks: (n, y, x) where the class is.
    """

    images: NDArray[np.float32]
    masks: NDArray[np.bool_]

    @property
    def areas(self) -> Floats:
        """(n,) the share of each image that the class covers."""
        return np.asarray(self.masks.mean((1, 2)), np.float64)


@dataclass(frozen=True, eq=False)
class Shown:
    """Some of the measured samples, before and after.

    Args:
        rows: their places among the measured ones.
        numbers: of the samples; None: latents without a number.
        active: (n, y, x) where at least one of the class's own units is above its threshold.
    """

    rows: tuple[int, ...]
    numbers: tuple[int, ...] | None
    before: Picture
    active: NDArray[np.bool_]
    removed: Picture
    inserted: Picture


def show(removal: Removal, insertion: Insertion) -> Shown:
    """The first samples that show the class, then others, as they are and edited."""
    question = removal.question
    rows = shown_rows(removal.base[:, question.column])
    latents = _some(question.measured, rows)
    return Shown(
        rows,
        latents.indices,
        _picture(question, latents, ()),
        active_area(question, latents),
        _picture(question, latents, [question.removal(removal.chosen.units)]),
        _picture(question, latents, [insertion.edit]),
    )


def _some(latents: Latents, rows: Sequence[int]) -> Latents:
    return latents.take(list(rows))


def shown_rows(areas: Floats) -> tuple[int, ...]:
    """The first eight samples of at least half the mean area; then those of the largest."""
    is_large = areas >= _LARGE * areas.mean()
    first = np.flatnonzero(is_large & (areas > 0))[:N_COLUMNS].tolist()
    others = [int(row) for row in np.argsort(-areas, kind="stable") if row not in first]
    return tuple((first + others)[:N_COLUMNS])


def _picture(question: Question, latents: Latents, edits: Sequence[Intervention]) -> Picture:
    run = question.context.probe.run(latents, edits)
    images = question.context.generator.to_unit_range(run.images)
    masks = question.segmenter(images)[:, question.column]
    return Picture(images.float().cpu().numpy(), masks.cpu().numpy())


def active_area(question: Question, latents: Latents) -> NDArray[np.bool_]:
    """(n, y, x) where at least one of the class's own units is above its threshold."""
    dissection, tensor = question.dissection, question.tensor
    run = question.context.probe.run(latents, record=[tensor.site])
    maps = run[tensor.site].movedim(tensor.unit_axis, 1)[:, list(question.own_units)]
    places = [dissection.units.index(unit) for unit in question.own_units]
    threshold = dissection.threshold[places]
    if threshold.ndim == 2:
        threshold = threshold[:, question.column]
    return _above(maps, torch.from_numpy(threshold), run.images.shape[-2:]).any(1).cpu().numpy()


def _above(maps: Tensor, threshold: Tensor, size: Sequence[int]) -> Tensor:
    """(n, units, y, x) where maps, as large as the image, are above the threshold of each unit."""
    large = functional.interpolate(maps.float(), tuple(size), mode="bilinear", align_corners=False)
    return large > threshold.to(large)[:, None, None]
