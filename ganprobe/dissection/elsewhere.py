"""What place alone explains: the IoU of active areas with the class masks of other samples.

A unit that is active at the top of every image overlaps with the sky of any image. Within each
batch the active area of every sample is compared with the masks of all others; what is left of the
IoU is what a unit reaches without knowing the sample. It costs one more reading, or forward, of
the samples that are compared, and about as much counting as they cost before: a few hundred do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganprobe.dissection.maps import MapSite, find_map_sites
from ganprobe.dissection.masks import Masks
from ganprobe.dissection.pixels import pixels_above
from ganprobe.dissection.result import Dissection
from ganprobe.dissection.upsampling import Upsampling
from ganprobe.indices import check_count
from ganprobe.progress import Progress, silent
from ganprobe.runs import Run
from ganprobe.segmenters import Segmenter

if TYPE_CHECKING:
    from ganprobe.probe import Probe

__all__ = ["Overlap", "overlap_elsewhere"]

Floats = NDArray[np.float64]

_PIXELS = 2**22  # that may be active at once


@dataclass(frozen=True, eq=False)
class Overlap:
    """Pixel counts of pairs of different samples: active areas of one, class masks of another.

    Args:
        both: (units, classes) float64, pixels that are active and of the class: the mean over the
            other samples, summed over samples.
        either: (units, classes) float64, pixels that are one of them or both, likewise.
        n_samples: how many were compared; 0 where no batch had two, and then all is NaN.
    """

    both: Floats
    either: Floats
    n_samples: int

    @property
    def iou(self) -> Floats:
        """(units, classes): 0 where neither has a pixel, NaN where there was no pair."""
        return self.both / np.where(self.either == 0, 1.0, self.either)


def overlap_elsewhere(
    probe: Probe,
    segmenter: Segmenter,
    dissections: Sequence[Dissection],
    *,
    n_samples: int,
    read: Callable[..., Iterator[Run]],
    progress: Progress = silent,
) -> tuple[Overlap, ...]:
    """For each dissection, what its active areas have in common with masks of other samples.

    Args:
        dissections: of sites of this probe, whose thresholds are taken.
        n_samples: how many samples are compared, those of a batch with each other.
        read: gives activations and images, as `Context.activations` does.

    Raises:
        ParameterError: fewer than one sample.
        UnknownNameError, SiteError: the probe has no such site.
    """
    check_count(n_samples, "the number of samples")
    sites = [find_map_sites(probe.layers(), one.site)[0] for one in dissections]
    counters = [_Counter(*one) for one in zip(sites, dissections, strict=True)]
    with progress(n_samples, "masks of other samples") as bar:
        for run in read([site.site for site in sites], n_samples, images=True):
            masks = segmenter(probe.generator.to_unit_range(run.images))
            if len(masks) > 1:
                by_place = masks.sum(0).flatten(1).double().cpu().numpy()  # (classes, pixels)
                for counter in counters:
                    counter.add(run, Masks.of(masks), by_place)
            bar.advance(len(masks))
    return tuple(counter.overlap() for counter in counters)


class _Counter:
    """Of one site: sums over samples of what each has in common with the mean other one."""

    def __init__(self, site: MapSite, dissection: Dissection) -> None:
        n_classes = len(dissection.classes)
        threshold = np.where(dissection.dead, np.inf, dissection.threshold.T)
        self.site = site
        self.levels = threshold.reshape(-1, len(dissection.units))  # (1 or classes, units)
        self.upsampling = Upsampling(site.grid, dissection.image_size)
        self.both = np.zeros((len(dissection.units), n_classes))
        self.active = np.zeros_like(self.both)
        self.area = np.zeros(n_classes)
        self.n_compared = 0

    def add(self, run: Run, masks: Masks, by_place: Floats) -> None:
        """One batch, of two samples or more."""
        maps = self.site.maps(run[self.site.site]).cpu().numpy()
        self.area += by_place.sum(1)
        self.n_compared += len(maps)
        step = max(1, _PIXELS // (len(maps) * self.upsampling.n_pixels))
        for first in range(0, maps.shape[1], step):
            units = slice(first, first + step)
            some = np.ascontiguousarray(maps[:, units])
            for place, level in enumerate(self.levels):
                of = slice(None) if len(self.levels) == 1 else slice(place, place + 1)
                both, active = _pairs(some, level[units], self.upsampling, masks, by_place)
                self.both[units, of] += both[:, of]
                self.active[units, of] += active[:, None]

    def overlap(self) -> Overlap:
        """What was counted."""
        if not self.n_compared:
            nothing = np.full_like(self.both, np.nan)
            return Overlap(nothing, nothing, 0)
        return Overlap(self.both, self.active + self.area - self.both, self.n_compared)


def _pairs(
    maps: NDArray[np.float32], level: Floats, upsampling: Upsampling, masks: Masks, by_place: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Of maps (n, units, h, w): (units, classes) in common with a mean other mask, (units,) active.

    Over all pairs of samples, active pixels and those of a class meet as often as the products of
    their numbers at each place say; what each sample has in common with itself is taken off.
    """
    n, n_units = maps.shape[:2]
    flat = maps.reshape(n * n_units, *maps.shape[2:])
    found = pixels_above(flat, np.tile(level, n), upsampling)
    sample, unit = np.divmod(found.maps, n_units)
    n_pixels = upsampling.n_pixels
    often = np.bincount(unit * n_pixels + found.places, minlength=n_units * n_pixels)
    every = often.reshape(n_units, n_pixels).astype(np.float64) @ by_place.T
    own = masks.count(sample, found.places, unit, n_units)
    return (every - own) / (n - 1), np.bincount(unit, minlength=n_units)
