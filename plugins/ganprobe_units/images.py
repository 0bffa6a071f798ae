"""The images of the top samples, generated again from their indices, with the units' maps.

Costs one forward of each sample that is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganprobe import Context
from ganprobe_units.behaviour import Behaviour, as_rows, score_samples

_LEAST, _LARGEST = 112, 256  # pixels: so many a figure can show


@dataclass(frozen=True, eq=False)
class TopImages:
    """Images and maps of the top samples of some units, best first.

    Args:
        shown: positions of the units.
        images: (unit, rank, channel, y, x) in [0, 1], in a resolution for figures: large ones are
            shrunk, the pixels of small ones repeated; NaN where a unit has no such sample.
        maps: (unit, rank, y, x) the unit's activation, bilinearly in the same resolution; None
            where the site has no two axes of space.
        scores: (unit, rank) as this run gave them.
    """

    shown: tuple[int, ...]
    images: NDArray[np.float32]
    maps: NDArray[np.float32] | None
    scores: NDArray[np.float64]


def generate_top_images(context: Context, behaviour: Behaviour, shown: Sequence[int]) -> TopImages:
    """Generate the images of the top samples of some units."""
    top_samples = behaviour.scores.top_samples[list(shown)]  # (unit, rank)
    needed = np.unique(top_samples[top_samples >= 0])
    size = _size_shown(context.probe.image_shape)
    images = np.full((*top_samples.shape, context.probe.image_shape[0], *size), np.nan, np.float32)
    maps = np.full((*top_samples.shape, *size), np.nan, np.float32)
    scores = np.full(top_samples.shape, np.nan)
    axis, has_space = behaviour.tensor.unit_axis, len(behaviour.tensor.spatial_shape) == 2
    with context.progress(len(needed), "top images") as bar:
        for start in range(0, len(needed), behaviour.params.batch_size):
            batch = needed[start : start + behaviour.params.batch_size].tolist()
            latents = context.generator.samples(batch, seed=context.seed)
            run = context.probe.run(latents, record=[behaviour.site])
            activation = run[behaviour.site].movedim(axis, 1)
            drawn = context.generator.to_unit_range(run.images)
            reached = score_samples(as_rows(activation, 1))
            for slot, rank in np.argwhere(np.isin(top_samples, batch)).tolist():
                row, unit = batch.index(top_samples[slot, rank]), shown[slot]
                images[slot, rank] = _resized(drawn[row], size, repeats=True)
                scores[slot, rank] = float(reached[row, unit])
                if has_space:
                    maps[slot, rank] = _resized(activation[row, unit][None], size)[0]
            bar.advance(len(batch))
    return TopImages(tuple(shown), images, maps if has_space else None, scores)


def _size_shown(image_shape: Sequence[int]) -> tuple[int, int]:
    height, width = image_shape[-2:]
    longest = max(height, width)
    if longest <= _LARGEST:
        times = max(1, -(-_LEAST // longest))
        return height * times, width * times
    return max(1, height * _LARGEST // longest), max(1, width * _LARGEST // longest)


def _resized(maps: Tensor, size: tuple[int, int], *, repeats: bool = False) -> NDArray[np.float32]:
    """(channel, y, x) in another resolution: bilinearly, or, if larger, with pixels repeated."""
    as_batch = maps[None].float()
    if repeats and size[0] >= maps.shape[1]:
        as_batch = functional.interpolate(as_batch, size, mode="nearest")
    else:
        as_batch = functional.interpolate(as_batch, size, mode="bilinear", antialias=True)
    resized: NDArray[np.float32] = as_batch[0].cpu().numpy()
    return resized
