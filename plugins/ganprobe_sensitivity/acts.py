"""Acts: what directions do to images, summed up while the changes stream past.

Holds for each direction one number a sample, one map, and one row of cosines: never the changes
of more than one block, or of all directions at one sample, whichever is more. Images of more than
128 pixels are averaged to that size for maps and cosines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganprobe import ImageChanges, cosines
from ganprobe_sensitivity.plan import Floats

_MOST_PIXELS = 128  # of a side of a map


@dataclass(frozen=True, eq=False)
class Acts:
    """What k directions do to the images of n samples, for one unit of each.

    Args:
        by_sample: (k, n) root mean square over pixels and channels; black to white is 1.
        where: (k, y, x) mean absolute change over samples and channels.
        cosines: (k, k) cosine of the changes by two directions, mean over samples.
        absolute: (k, k) mean absolute cosine.
        independent: (n,) the participation ratio, `ganprobe.effective_number`: as how many
            directions of orthogonal effects they count.
        how: as `ImageChanges` tells.
    """

    by_sample: Floats
    where: Floats
    cosines: Floats
    absolute: Floats
    independent: Floats
    how: str


def observe(
    blocks: Iterable[ImageChanges],
    n_directions: int,
    n_samples: int,
    *,
    on_block: Callable[[ImageChanges], None] = lambda block: None,
) -> Acts:
    """Sum up blocks that come as `jvp_images` and `difference_images` give them."""
    by_sample = np.zeros((n_directions, n_samples))
    kept: list[Tensor] = []
    where: Tensor | None = None
    alike = _Likeness(n_directions)
    how = ""
    for block in blocks:
        how = block.how
        by_sample[block.directions, block.samples] = _size(block.values)
        small = _small(block.values)  # (k, n, channels, y, x)
        if where is None:
            where = torch.zeros(n_directions, *small.shape[-2:], dtype=torch.float64)
        where[block.directions] += small.abs().double().mean(2).sum(1).cpu()
        kept.append(small.flatten(2))
        if block.directions.stop == n_directions:
            alike.add(torch.cat(kept))
            kept.clear()
        on_block(block)
    assert where is not None  # there is a block, as there is a direction and a sample
    maps: Floats = (where / n_samples).numpy()
    return Acts(by_sample, maps, *alike.result(), how)


class _Likeness:
    """Cosines of the changes by each two directions, over samples."""

    def __init__(self, n_directions: int) -> None:
        self._sum, self._absolute, self._n = np.zeros((3, n_directions, n_directions))
        self._independent: list[float] = []

    def add(self, changes: Tensor) -> None:
        """Of all directions (k, n, numbers) at some samples."""
        for one in changes.movedim(1, 0):
            found = cosines(one.double().cpu().numpy())
            is_there = np.diagonal(found)  # 1, or 0 where a direction has no effect
            self._sum += found
            self._absolute += np.abs(found)
            self._n += np.outer(is_there, is_there)
            squares = float((found**2).sum())
            self._independent.append(is_there.sum() ** 2 / squares if squares else 0.0)

    def result(self) -> tuple[Floats, Floats, Floats]:
        """Mean, mean absolute, and participation ratios."""
        n = np.maximum(self._n, 1)
        return self._sum / n, self._absolute / n, np.array(self._independent)


def _size(changes: Tensor) -> Floats:
    """(k, n) root mean square of changes (k, n, channels, y, x)."""
    size: Floats = changes.double().square().mean((2, 3, 4)).sqrt().cpu().numpy()
    return size


def _small(changes: Tensor) -> Tensor:
    """At most 128 pixels a side, by averages."""
    height, width = changes.shape[-2:]
    if max(height, width) <= _MOST_PIXELS:
        return changes
    scale = _MOST_PIXELS / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    flat = functional.interpolate(changes.flatten(0, 1), size, mode="area")
    return flat.reshape(*changes.shape[:3], *size)
