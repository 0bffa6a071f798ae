"""The context map: units inserted at each place of each sample, and what became of the class.

One sweep over all places; each place of each sample costs an image and its segmentation. Memory is
bounded: samples are taken a few at a time, and kept are some numbers for each place of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ganprobe.causal.places import Places
from ganprobe.causal.portions import portions, within
from ganprobe.causal.readings import ClassAtPlaces, ClassesAtCells
from ganprobe.causal.target import Levels, Target
from ganprobe.effects import Share, mean_interval, paired_effects
from ganprobe.errors import SiteError
from ganprobe.latents import Latents
from ganprobe.probe import Probe
from ganprobe.progress import Progress, silent
from ganprobe.segmenters import Segmenter
from ganprobe.sites import Site

__all__ = ["ContextEffect", "ContextMap", "context_map"]

Floats = NDArray[np.float64]

NOTHING = "none of them"
"""What is there where no class is."""
ANYWHERE = "anywhere"

_ABSENT = 1e-9  # a share of the image that is none


@dataclass(frozen=True)
class ContextEffect:
    """What insertion does where one class was: each sample counts once, by its own mean.

    Args:
        there: what was there before: a class, ``"none of them"`` or ``"anywhere"``.
        mean, low, high: change of the class's share of the image, with its 95 % interval over
            samples; NaN limits with fewer than four samples.
        p, q: of the change by sign flips over samples, and after Benjamini-Hochberg over what was
            there; q is NaN for ``"anywhere"``, which is not one of these.
        here: mean change under the window alone.
        took, took_low, took_high: share of the places without the class where it appeared, with
            its interval over samples; NaN where it was at every place.
        n_cells, n_samples: places where that was there, and the samples that have one.
        n_absent, n_took: of these places those whose window had nothing of the class, and those
            of them where it appeared.
    """

    there: str
    mean: float
    low: float
    high: float
    p: float
    q: float
    here: float
    took: float
    took_low: float
    took_high: float
    n_cells: int
    n_samples: int
    n_absent: int
    n_took: int


@dataclass(frozen=True, eq=False)
class ContextMap:
    """What inserting units at each place of each sample did to a class.

    Areas and their changes are shares of the image, in [0, 1] and [-1, 1].

    Args:
        site, units: that were inserted.
        levels: (units,) float64 that they were set to.
        class_name, classes: the class, and all that the segmenter knows.
        places: where: the grid of places, and the window that is set at each.
        base: (n,) the class's area in the unedited image.
        change: (n, y, x) of the class's area in the whole image.
        change_here: (n, y, x) of the class's area under the window alone.
        before_here: (n, y, x) the class's area under the window before.
        there: (n, y, x) int: the class that covers most of the place's own cell in the unedited
            image, the first of equals; -1 where most of it is in no class.
        least_share: of a window that the class covers where it appeared.
        by_class: by what was there, the most frequent first.
        anywhere: over all places.
        seed, n_resamples: of intervals and p values.
        how: how the images were evaluated.
    """

    site: str
    units: tuple[int, ...]
    levels: Floats
    class_name: str
    classes: tuple[str, ...]
    places: Places
    base: Floats
    change: Floats
    change_here: Floats
    before_here: Floats
    there: NDArray[np.int64]
    least_share: float
    by_class: tuple[ContextEffect, ...]
    anywhere: ContextEffect
    seed: int
    n_resamples: int
    how: str

    @property
    def n_samples(self) -> int:
        """How many samples."""
        return len(self.base)

    @property
    def n_pixels(self) -> int:
        """Of one image: a share of the image times this is an area in pixels."""
        return self.places.image[0] * self.places.image[1]

    @property
    def took(self) -> NDArray[np.bool_]:
        """(n, y, x): the window had nothing of the class, and then at least `least_share`."""
        return _took(self.before_here, self.change_here, self.places, self.least_share)

    def name_of(self, there: int) -> str:
        """What a number in `there` stands for."""
        return NOTHING if there < 0 else self.classes[there]


def context_map(
    probe: Probe,
    latents: Latents,
    site: str | Site,
    units: Iterable[int] | None,
    levels: Levels,
    segmenter: Segmenter,
    class_name: str,
    *,
    grid: int | tuple[int, int] | None = None,
    window: int | tuple[int, int] | None = None,
    least_share: float = 0.1,
    seed: int = 0,
    n_resamples: int = 2000,
    memory: int = 2**28,
    progress: Progress = silent,
) -> ContextMap:
    """Set units to their levels at each place of each sample: where does the class appear?

    Each edited image is compared with the unedited one of the same latents. What was there is
    read from the unedited image.

    Args:
        units: None: those that the site names, or all of it.
        levels: one number, one for each unit of the site, or one for each of `units`; as
            `insertion_levels` gives.
        grid: places along y and x; None: the site's own cells, at most 16 along an axis.
        window: cells of the site that are set at a place, along y and x; None: 3/16 of each axis.
        least_share: of a window that the class covers where it is said to have appeared.
        seed, n_resamples: of intervals and p values.
        memory: bytes of measured values, and of images at once.
        progress: shows how far it is.

    Raises:
        SiteError: the site has no axes y and x.
        UnknownNameError, ParameterError: there is no such site, unit or class, or a level, grid or
            window does not fit.

    Source: Bau et al. 2020 (PNAS), "Understanding the role of individual units in a deep neural
    network", where a door can be inserted.
    """
    target = Target.of(probe, site, units, levels, segmenter, class_name)
    if len(target.tensor.spatial_shape) != 2:
        raise SiteError(
            f"{target.site} has no axes y and x, as its units are {target.tensor.spatial_shape}, so"
            " that nothing can be inserted at a place; take another site"
        )
    places = Places.over(target.tensor, probe.image_shape, grid=grid, window=window)
    n_numbers = (len(places) + 1) ** 2 + (len(segmenter.classes) + 1) * len(places)
    found = _Readings([], [], [], [])
    steps = len(places) + 1
    with progress(len(latents) * steps, f"places of {class_name}") as bar:
        for chosen in portions(len(latents), n_numbers, memory):
            part = latents[chosen]
            _read(target, part, places, memory, within(bar, len(part) * steps), found)
    return _summed(target, places, found, least_share, seed, n_resamples)


@dataclass(frozen=True, eq=False)
class _Readings:
    """What portions of samples gave, one after the other; the last is how."""

    image: list[Floats]
    here: list[Floats]
    cells: list[Floats]
    how: list[str]


def _read(
    target: Target,
    latents: Latents,
    places: Places,
    memory: int,
    progress: Progress,
    found: _Readings,
) -> None:
    probe, n_places = target.probe, len(places)
    variants = [[], *([target.setting(mask)] for mask in places.masks())]
    reading = ClassAtPlaces(target.segmenter, target.class_name, places)
    sweep = probe.sweep(latents, variants, reading, memory_limit=memory, progress=progress)
    values = sweep.values.cpu().double().numpy()  # (1 + places, n, 1 + places)
    own = np.arange(n_places)
    found.image.append(values[..., 0].T)
    found.here.append(np.stack([values[0, :, 1:], values[1 + own, :, 1 + own].T]))
    cells = probe.sweep(latents, [[]], ClassesAtCells(target.segmenter, places)).values[0]
    found.cells.append(cells.cpu().double().numpy().reshape(len(latents), -1, n_places))
    found.how.append(str(sweep.how).splitlines()[0])


def _summed(
    target: Target,
    places: Places,
    found: _Readings,
    least_share: float,
    seed: int,
    n_resamples: int,
) -> ContextMap:
    image, cells = np.concatenate(found.image), np.concatenate(found.cells)
    before, after = np.concatenate(found.here, axis=1)
    grid = (len(image), *places.grid)
    most = cells.round(6).argmax(1)  # (n, places); the first of equals
    there = np.where(most == cells.shape[1] - 1, -1, most)
    change, change_here = image[:, 1:] - image[:, :1], after - before
    took = _took(before.reshape(grid), change_here.reshape(grid), places, least_share)
    cell_values = _Cells(
        change, change_here, _is_absent(before), took.reshape(len(image), -1), seed, n_resamples
    )
    by_class, anywhere = _effects(there, target.segmenter.classes, cell_values)
    return ContextMap(
        target.site,
        target.units,
        target.levels[list(target.units)].numpy(),
        target.class_name,
        tuple(target.segmenter.classes),
        places,
        image[:, 0],
        change.reshape(grid),
        change_here.reshape(grid),
        before.reshape(grid),
        there.reshape(grid),
        least_share,
        by_class,
        anywhere,
        seed,
        n_resamples,
        found.how[0],
    )


def _is_absent(share: Floats) -> NDArray[np.bool_]:
    return np.asarray(share < _ABSENT)


def _took(before: Floats, change: Floats, places: Places, least_share: float) -> NDArray[np.bool_]:
    least = least_share * places.shares().numpy().reshape(places.grid)
    return np.asarray(_is_absent(before) & (before + change >= least - _ABSENT))


@dataclass(frozen=True, eq=False)
class _Cells:
    """Numbers of every place of every sample, each (n, places)."""

    change: Floats
    here: Floats
    is_absent: NDArray[np.bool_]
    took: NDArray[np.bool_]
    seed: int
    n_resamples: int

    def effect(self, there: str, chosen: NDArray[np.bool_]) -> ContextEffect:
        """What insertion did at the chosen places (n, places)."""
        means, here = _by_sample(self.change, chosen), _by_sample(self.here, chosen)
        found = paired_effects(means, seed=self.seed, n_resamples=self.n_resamples)
        absent = chosen & self.is_absent
        took, took_low, took_high = self._took(absent)
        return ContextEffect(
            there=there,
            mean=float(found.mean[0]),
            low=float(found.low[0]),
            high=float(found.high[0]),
            p=float(found.p[0]),
            q=float("nan"),
            here=float(here.mean()),
            took=took,
            took_low=took_low,
            took_high=took_high,
            n_cells=int(chosen.sum()),
            n_samples=len(means),
            n_absent=int(absent.sum()),
            n_took=int((absent & self.took).sum()),
        )

    def _took(self, absent: NDArray[np.bool_]) -> tuple[float, float, float]:
        """The share of the places without the class where it appeared, with its interval.

        Where it is nowhere or everywhere, resamples do not differ: the limits are then those of so
        many samples as there are, each of which has it or not.
        """
        if not absent.any():
            return (float("nan"),) * 3
        shares = _by_sample(self.took.astype(np.float64), absent)
        if shares.min() == shares.max() and shares[0] in (0, 1):
            alike = Share(int(shares.sum()), len(shares))
            return alike.value, alike.low, alike.high
        found = mean_interval(shares, seed=self.seed, n_resamples=self.n_resamples)
        mean, low, high = (float(value[0]) for value in found)
        return mean, max(low, 0.0), min(high, 1.0)


def _by_sample(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """(samples that have a chosen place,): the mean over their chosen places."""
    n = chosen.sum(1)
    total = np.where(chosen, values, 0.0).sum(1)
    return np.asarray(total[n > 0] / n[n > 0])


def _effects(
    there: NDArray[np.int64], classes: tuple[str, ...], cells: _Cells
) -> tuple[tuple[ContextEffect, ...], ContextEffect]:
    """By what was there, the most frequent first; and over all places."""
    numbers, counts = np.unique(there, return_counts=True)
    order = numbers[np.argsort(-counts, kind="stable")]
    names = {number: NOTHING if number < 0 else classes[number] for number in order}
    found = [cells.effect(names[number], there == number) for number in order]
    q = stats.false_discovery_control([one.p for one in found])
    adjusted = [replace(one, q=float(value)) for one, value in zip(found, q, strict=True)]
    return tuple(adjusted), cells.effect(ANYWHERE, np.ones_like(there, dtype=bool))
