"""Pixels counted: how many are active, of a class, and both, by groups of consecutive samples.

Where few pixels are active they are found one by one (`pixels`); where many are, every pixel is
computed and counted by one product of matrices, (units, pixels) by (pixels, classes), for each
sample. Both give the same whole numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.dissection.masks import Masks
from ganprobe.dissection.pixels import pixels_above
from ganprobe.dissection.upsampling import Upsampling

__all__ = ["Tally"]

_DENSE_SHARE = 0.1  # of active pixels: from there on computing all of them is faster

Counts = NDArray[np.int64]


class Tally:
    """Whole numbers of pixels, that only grow; those of disjoint samples are merged by adding.

    Args:
        levels: (levels, units) above which a pixel is active.
        n_classes: how many classes.
        n_samples: of all parts together.
        n_groups: groups of consecutive samples, at most so many.

    Attributes:
        active: (groups, levels, units).
        intersection: (groups, levels, units, classes).
        area: (groups, classes).
    """

    def __init__(
        self, levels: NDArray[np.float64], n_classes: int, *, n_samples: int, n_groups: int
    ) -> None:
        self.levels = levels
        self.group_size = -(-n_samples // n_groups)
        shape = (-(-n_samples // self.group_size), *levels.shape)
        self.active = np.zeros(shape, np.int64)
        self.intersection = np.zeros((*shape, n_classes), np.int64)
        self.area = np.zeros((shape[0], n_classes), np.int64)

    def add(
        self,
        maps: Tensor,
        masks: Masks,
        samples: Counts,
        upsampling: Upsampling,
        *,
        share: float,
    ) -> None:
        """Take in maps (n, units, h, w) float32; about this share of the pixels is active.

        Args:
            samples: (n,) their numbers, ascending.
        """
        if share >= _DENSE_SHARE or len(self.levels) > 1:
            self._add_dense(maps, masks.unpacked(), samples, upsampling)
        else:
            self._add_sparse(maps, masks, samples, upsampling)

    def add_pixels(
        self,
        sample: Counts,
        unit: Counts,
        places: Counts,
        masks: Masks,
        samples: Counts,
        *,
        units: slice = slice(None),
    ) -> None:
        """Count active pixels (n,): their sample's place in the masks, unit, place in the image.

        Args:
            samples: (of the masks,) their numbers, ascending.
            units: those that `unit` counts.
        """
        first, last = samples[0] // self.group_size, samples[-1] // self.group_size
        groups = slice(first, last + 1)
        active, both = self.active[groups, 0, units], self.intersection[groups, 0, units]
        keys = (samples[sample] // self.group_size - first) * active.shape[1] + unit
        active += np.bincount(keys, minlength=active.size).reshape(active.shape)
        both += masks.count(sample, places, keys, active.size).reshape(both.shape)

    def add_areas(self, areas: Counts, samples: Counts) -> None:
        """Take in how many pixels of each sample are of each class, (n, classes)."""
        np.add.at(self.area, samples // self.group_size, areas)

    def merge(self, other: Tally) -> None:
        """Take in the counts of other samples."""
        self.active += other.active
        self.intersection += other.intersection
        self.area += other.area

    def _add_sparse(
        self, maps: Tensor, masks: Masks, samples: Counts, upsampling: Upsampling
    ) -> None:
        n, n_units = maps.shape[:2]
        flat = maps.cpu().contiguous().numpy().reshape(n * n_units, *upsampling.grid)
        found = pixels_above(flat, np.tile(self.levels[0], n), upsampling)
        sample, unit = np.divmod(found.maps, n_units)
        self.add_pixels(sample, unit, found.places, masks, samples)

    def _add_dense(
        self, maps: Tensor, masks: Tensor, samples: Counts, upsampling: Upsampling
    ) -> None:
        """Compute every pixel; masks (n, classes, pixels) bool."""
        levels = torch.from_numpy(self.levels).to(maps.device)
        limits = levels if not bool((levels.float() == levels).all()) else levels.float()
        on = torch.empty(upsampling.n_pixels, maps.shape[1], device=maps.device)
        for of_sample, classes, sample in zip(maps, masks, samples, strict=True):
            pixels = upsampling.by_pixel(of_sample)  # (pixels, units)
            pixels = pixels if limits is levels else _rounded_up(pixels)
            everywhere = _with_all(classes.to(maps.device))  # (classes + 1, pixels)
            found = [everywhere @ torch.gt(pixels, limit, out=on) for limit in limits]
            counts = torch.stack(found).mT.cpu().numpy().astype(np.int64)
            group = sample // self.group_size
            self.intersection[group] += counts[..., :-1]  # (levels, units, classes)
            self.active[group] += counts[..., -1]


def _with_all(masks: Tensor) -> Tensor:
    """(classes + 1, pixels) float32: the last of them is everywhere."""
    everywhere = torch.ones_like(masks[:1], dtype=torch.float32)
    return torch.cat([masks.float(), everywhere])


def _rounded_up(values: Tensor) -> Tensor:
    """float64 as the next float32: it is above a float32 where the value itself is."""
    near = values.float()
    return torch.where(near < values, near.nextafter(near.new_tensor(torch.inf)), near)
