"""`dissect`: samples are read, segmented and counted, once where they fit the memory, else twice.

It takes 1 s of one core for 1 000 samples of 128 units at 16 x 16 and images of 64 x 64, where the
generator takes 3 s (`benchmarks/dissection.py`); the domain ``iqr``, which looks at every pixel at
16 levels, 10 times that. A second pass costs another run of a live generator: `Dissection.passes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ganprobe.dissection.counts import Tally
from ganprobe.dissection.information import IQR_SHARES
from ganprobe.dissection.kept import Kept
from ganprobe.dissection.levels import DissectionLevels, Levels
from ganprobe.dissection.maps import MapSite, find_map_sites
from ganprobe.dissection.masks import Masks, areas_of
from ganprobe.dissection.overview import Overview
from ganprobe.dissection.parts import DissectionCounts, finished, tally_for
from ganprobe.dissection.result import Dissection
from ganprobe.dissection.settings import DissectionSettings
from ganprobe.dissection.upsampling import Upsampling
from ganprobe.errors import PluginError
from ganprobe.indices import check_count
from ganprobe.progress import Bar, Progress, silent
from ganprobe.runs import Run
from ganprobe.segmenters import Segmenter
from ganprobe.sites import Site

if TYPE_CHECKING:
    from ganprobe.probe import Probe

__all__ = ["dissect"]

Read = Callable[..., Iterator[Run]]


def dissect(
    probe: Probe,
    segmenter: Segmenter,
    sites: str | Site | Sequence[str | Site],
    *,
    n_samples: int,
    read: Read,
    settings: DissectionSettings | None = None,
    progress: Progress = silent,
) -> tuple[Dissection, ...]:
    """How well each unit of sites agrees with each class of a segmenter, over `n_samples` samples.

    Where the activations of all sites fit `settings.memory`, the samples are read once; else
    twice, first without images. What is counted is the same to the last bit, as long as the
    thresholds are exact.

    Args:
        probe: of the generator.
        segmenter: says of each pixel of which classes it is.
        sites: of shape (n, units, height, width), or (n, units), which are taken as constant
            over the image; a pattern stands for each site that it matches.
        read: as `Context.activations`: ``read(sites, n_samples, images=True)`` gives runs.

    Returns:
        One dissection for each site, in order.

    Raises:
        UnknownNameError, SiteError: there is no such site, or it has no maps.
        NotFiniteError: there are NaN or infinite activations.
        PluginError: the segmenter has no classes, or gave something else than masks.

    Example::

        found, = dissect(context.probe, context.segmenter("scenes"), ["conv3"],
                         n_samples=1000, read=context.activations)
        found.labelled("tree")
    """
    settings = settings or DissectionSettings()
    check_count(n_samples, "the number of samples")
    if not segmenter.classes:
        raise PluginError(f"segmenter {segmenter.name!r} has no classes; give it at least one")
    found = find_map_sites(probe.layers(), sites)
    plan = _Plan(probe, segmenter, found, n_samples, settings)
    if plan.is_kept:
        return _read_once(plan, read, progress)
    return _read_twice(plan, read, progress)


@dataclass(frozen=True)
class _Plan:
    """What is to be dissected, and whether all of it fits the memory."""

    probe: Probe
    segmenter: Segmenter
    sites: tuple[MapSite, ...]
    n_samples: int
    settings: DissectionSettings

    @cached_property
    def image_size(self) -> tuple[int, int]:
        height, width = self.probe.image_shape[-2:]
        return height, width

    @cached_property
    def upsamplings(self) -> tuple[Upsampling, ...]:
        return tuple(Upsampling(site.grid, self.image_size) for site in self.sites)

    @property
    def n_kept_bytes(self) -> int:
        """Of all activations and masks, where these exclude each other, or eight at most."""
        masks = self.n_samples * self.image_size[0] * self.image_size[1]
        return masks + sum(
            Kept.n_bytes(len(site.units), self.n_samples, upsampling)
            for site, upsampling in zip(self.sites, self.upsamplings, strict=True)
        )

    @property
    def is_kept(self) -> bool:
        return self.n_kept_bytes <= self.settings.memory

    @property
    def memory_left(self) -> int:
        return self.settings.memory - self.n_kept_bytes

    def masks_of(self, run: Run) -> Tensor:
        """(n, classes, height, width) bool."""
        return self.segmenter(self.probe.generator.to_unit_range(run.images))

    def of(
        self, which: int, levels: Levels, overview: Overview, tally: Tally, passes: int
    ) -> Dissection:
        """The dissection of a site."""
        site = self.sites[which]
        return finished(
            levels,
            overview,
            tally,
            site=str(site.site),
            units=site.units,
            classes=tuple(self.segmenter.classes),
            settings=self.settings,
            n_samples=self.n_samples,
            image_size=self.image_size,
            passes=passes,
        )


def _read_once(plan: _Plan, read: Read, progress: Progress) -> tuple[Dissection, ...]:
    n_classes, n_top = len(plan.segmenter.classes), plan.settings.n_top
    kept = [
        Kept(len(site.units), plan.n_samples, upsampling)
        for site, upsampling in zip(plan.sites, plan.upsamplings, strict=True)
    ]
    overviews = [Overview(len(site.units), n_classes, n_top) for site in plan.sites]
    packed, areas = [], []
    with progress(plan.n_samples, "samples read") as bar:
        for first, run in _numbered(plan, read, bar, images=True):
            masks = plan.masks_of(run)
            packed.append(Masks.of(masks))
            areas.append(areas_of(masks))
            samples = np.arange(first, first + len(masks))
            for site, store, overview in zip(plan.sites, kept, overviews, strict=True):
                maps = site.maps(run[site.site])
                ends = overview.add(maps, masks, samples, store.upsampling)
                store.add(maps, ends, first)
    together, of_all = Masks.joined(packed), np.concatenate(areas)
    packed.clear()
    found = []
    with progress(sum(len(site.units) for site in plan.sites), "units counted") as bar:
        for which, overview in enumerate(overviews):
            levels, tally = _counted(plan, kept[which], together, bar)
            tally.add_areas(of_all, np.arange(plan.n_samples))
            found.append(plan.of(which, levels, overview, tally, passes=1))
    return tuple(found)


def _counted(plan: _Plan, kept: Kept, masks: Masks, bar: Bar) -> tuple[Levels, Tally]:
    """Levels and counts of activations that are kept."""
    settings = plan.settings
    if settings.domain != "iqr" and kept.fits(settings.share, max(plan.memory_left, 2**26)):
        return _counted_by_units(plan, kept, masks, bar)
    shares = (*(IQR_SHARES if settings.domain == "iqr" else (settings.share,)), settings.share)
    raw = kept.raw_levels(shares)
    levels = Levels(raw[:-1], np.zeros_like(raw[:-1]), "exact", raw[-1])
    if settings.domain == "upsampled":
        levels = _levels_of_kept(plan, kept)
    tally = tally_for(levels, len(plan.segmenter.classes), plan.n_samples, settings)
    for rows, maps in kept.batches():
        samples = np.arange(plan.n_samples)[rows]
        tally.add(maps, masks[rows], samples, kept.upsampling, share=settings.share)
    bar.advance(len(kept.maps))
    return levels, tally


def _counted_by_units(plan: _Plan, kept: Kept, masks: Masks, bar: Bar) -> tuple[Levels, Tally]:
    share, n_units = plan.settings.share, len(kept.maps)
    levels = Levels(np.empty((1, n_units)), np.zeros((1, n_units)), "exact", np.empty(n_units))
    tally = tally_for(levels, len(plan.segmenter.classes), plan.n_samples, plan.settings)
    samples = np.arange(plan.n_samples)
    for units in kept.blocks():
        if plan.settings.domain == "upsampled":
            level, pixels = kept.pixel_levels(units, share)
            peak = kept.peaks(units, share, level)
        else:
            level = peak = kept.raw_levels((share,), units)[0]
            pixels = kept.pixels_above(units, level)
        levels.threshold[0, units], levels.peak[units] = level, peak
        unit, sample = np.divmod(pixels.maps, plan.n_samples)
        tally.add_pixels(sample, unit, pixels.places, masks, samples, units=units)
        bar.advance(len(level))
    return levels, tally


def _levels_of_kept(plan: _Plan, kept: Kept) -> Levels:
    found = _level_search(plan, len(kept.maps), kept.upsampling, plan.memory_left)
    for _, maps in kept.batches():
        found.add(maps)
    return found.result()


def _read_twice(plan: _Plan, read: Read, progress: Progress) -> tuple[Dissection, ...]:
    share = plan.settings.memory // len(plan.sites)
    searches = [
        _level_search(plan, len(site.units), upsampling, share)
        for site, upsampling in zip(plan.sites, plan.upsamplings, strict=True)
    ]
    with progress(plan.n_samples, "samples read for thresholds") as bar:
        for _, run in _numbered(plan, read, bar, images=False):
            for site, search in zip(plan.sites, searches, strict=True):
                search.add(site.maps(run[site.site]))
    levels = [search.result() for search in searches]
    searches.clear()
    counts = [
        DissectionCounts(
            level,
            len(site.units),
            plan.segmenter.classes,
            grid=site.grid,
            image_size=plan.image_size,
            n_samples=plan.n_samples,
            settings=plan.settings,
        )
        for site, level in zip(plan.sites, levels, strict=True)
    ]
    with progress(plan.n_samples, "samples read for counts") as bar:
        for first, run in _numbered(plan, read, bar, images=True):
            masks = plan.masks_of(run)
            for site, count in zip(plan.sites, counts, strict=True):
                count.add(site.maps(run[site.site]), masks, range(first, first + len(masks)))
    return tuple(
        count.result(str(site.site), site.units)
        for site, count in zip(plan.sites, counts, strict=True)
    )


def _level_search(
    plan: _Plan, n_units: int, upsampling: Upsampling, memory: int
) -> DissectionLevels:
    return DissectionLevels(
        n_units,
        upsampling.grid,
        upsampling.size,
        n_samples=plan.n_samples,
        settings=plan.settings,
        memory=memory,
    )


def _numbered(plan: _Plan, read: Read, bar: Bar, *, images: bool) -> Iterator[tuple[int, Run]]:
    """Runs and the number of the first sample of each."""
    first = 0
    for run in read([site.site for site in plan.sites], plan.n_samples, images=images):
        yield first, run
        first += len(run.latents)
        bar.advance(len(run.latents))
