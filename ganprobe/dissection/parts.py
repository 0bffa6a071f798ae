"""`DissectionCounts`: the second pass over the samples, and the `Dissection` that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.dissection.bootstrap import sureness
from ganprobe.dissection.counts import Tally
from ganprobe.dissection.information import information_quality
from ganprobe.dissection.levels import Levels
from ganprobe.dissection.maps import checked_maps
from ganprobe.dissection.masks import Masks, areas_of
from ganprobe.dissection.overview import Overview
from ganprobe.dissection.result import Dissection
from ganprobe.dissection.settings import DissectionSettings
from ganprobe.dissection.upsampling import Upsampling
from ganprobe.errors import ParameterError, ShapeError

__all__ = ["DissectionCounts", "finished", "tally_for"]

_FEWEST_GROUPS = 20

Counts = NDArray[np.int64]


class DissectionCounts:
    """The second pass over the samples of one site: pixels counted, also of parts put together.

    Parts that are merged give the whole numbers of one pass, to the last bit, and sums of
    activations (`class_mean`) to rounding.

    Args:
        levels: of all samples, from `DissectionLevels`.
        n_units: of the site.
        classes: names.
        grid, image_size: (height, width) of its maps, and of the images.
        n_samples: of all parts together.
        settings: of the dissection.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[[0.0, 1.0]]]])  # one sample, one unit, two cells
        >>> sizes = {"grid": (1, 2), "image_size": (1, 2), "n_samples": 1}
        >>> settings = DissectionSettings(share=0.5)
        >>> from ganprobe import DissectionLevels
        >>> levels = DissectionLevels(1, settings=settings, **sizes)
        >>> levels.add(maps)
        >>> counts = DissectionCounts(levels.result(), 1, ["right"], settings=settings, **sizes)
        >>> counts.add(maps, torch.tensor([[[[False, True]]]]), [0])
        >>> counts.result("conv3").iou
        array([[1.]])
    """

    def __init__(
        self,
        levels: Levels,
        n_units: int,
        classes: Sequence[str],
        *,
        grid: tuple[int, int],
        image_size: tuple[int, int],
        n_samples: int,
        settings: DissectionSettings,
    ) -> None:
        self.levels, self.settings = levels, settings
        self.n_samples, self.classes = n_samples, tuple(classes)
        self.upsampling = Upsampling(grid, image_size)
        self.overview = Overview(n_units, len(self.classes), settings.n_top)
        self.tally = tally_for(levels, len(self.classes), n_samples, settings)

    def add(self, activations: Tensor, masks: Tensor, samples: Sequence[int] | Counts) -> None:
        """Take in samples that were not seen before.

        Args:
            activations: (n, units, height, width).
            masks: (n, classes, image height, image width) bool.
            samples: n numbers from 0 to `n_samples` - 1, ascending.

        Raises:
            ShapeError, ParameterError: they do not fit.
            NotFiniteError: NaN or infinity is among the activations.
        """
        maps = checked_maps(activations, len(self.overview.lowest), self.upsampling.grid)
        numbers = self._checked(masks, samples, len(maps))
        if not len(maps):
            return
        held = torch.from_numpy(maps)
        self.overview.add(held, masks, numbers, self.upsampling)
        self.tally.add_areas(areas_of(masks), numbers)
        packed = Masks.of(masks)
        self.tally.add(held, packed, numbers, self.upsampling, share=self.settings.share)

    def merge(self, other: DissectionCounts) -> None:
        """Take in what another has counted of other samples; `other` is left as it is.

        Raises:
            ParameterError: it is of other levels, classes, samples or sizes.
        """
        alike = (
            np.array_equal(self.levels.threshold, other.levels.threshold)
            and self.classes == other.classes
            and self.n_samples == other.n_samples
            and self.settings == other.settings
            and self.upsampling.grid == other.upsampling.grid
            and self.upsampling.size == other.upsampling.size
        )
        if not alike:
            raise ParameterError(
                "counts of one dissection can be merged, got two of other levels, classes,"
                " samples, sizes or settings; count both with the levels of all samples"
            )
        self.overview.merge(other.overview)
        self.tally.merge(other.tally)

    def result(
        self, site: str, units: Sequence[int] | None = None, *, passes: int = 2
    ) -> Dissection:
        """The dissection, when all samples were added.

        Args:
            site: its name.
            units: their numbers at the site; None: from 0 on.
            passes: how often the samples were read.

        Raises:
            ParameterError: some samples are missing.
        """
        if self.overview.n_seen != self.n_samples:
            raise ParameterError(
                f"{self.overview.n_seen:,} of {self.n_samples:,} samples were counted; add each"
                " once"
            )
        return finished(
            self.levels,
            self.overview,
            self.tally,
            site=site,
            units=tuple(range(len(self.overview.lowest)) if units is None else units),
            classes=self.classes,
            settings=self.settings,
            n_samples=self.n_samples,
            image_size=self.upsampling.size,
            passes=passes,
        )

    def _checked(self, masks: Tensor, samples: Sequence[int] | Counts, n: int) -> Counts:
        shape = (n, len(self.classes), *self.upsampling.size)
        if tuple(masks.shape) != shape:
            raise ShapeError(f"masks are bool {shape}, got {tuple(masks.shape)}")
        numbers = np.asarray(samples, np.int64)
        is_ascending = numbers.shape == (n,) and bool((np.diff(numbers) > 0).all())
        if not is_ascending or (n and not 0 <= numbers[0] <= numbers[-1] < self.n_samples):
            raise ParameterError(
                f"samples are {n} ascending numbers from 0 to {self.n_samples - 1}, got {samples}"
            )
        return numbers


def tally_for(
    levels: Levels, n_classes: int, n_samples: int, settings: DissectionSettings
) -> Tally:
    """An empty tally; of as many groups as were asked for, or as fit an eighth of the memory."""
    of_group = 8 * levels.threshold.size * (n_classes + 1)
    fitting = max(settings.memory // 8 // of_group, _FEWEST_GROUPS)
    n_groups = min(settings.n_groups, fitting)
    return Tally(levels.threshold, n_classes, n_samples=n_samples, n_groups=n_groups)


def finished(levels: Levels, overview: Overview, tally: Tally, **named: Any) -> Dissection:
    """What was found, put together."""
    settings, area = named["settings"], tally.area.sum(axis=0)
    active, both = tally.active, tally.intersection  # (groups, levels, units[, classes])
    if settings.domain == "iqr":
        n_pixels = named["n_samples"] * named["image_size"][0] * named["image_size"][1]
        of_all = both.sum(axis=0), active.sum(axis=0)[..., None]
        best = information_quality(*of_all, area, n_pixels).argmax(axis=0)  # (units, classes)
        unit, class_ = np.indices(best.shape)
        threshold, error = levels.threshold[best, unit], levels.error[best, unit]
        active, both = active[:, best, unit], both[:, best, unit, class_]
    else:
        threshold, error = levels.threshold[0], levels.error[0]
        active, both = active[:, 0], both[:, 0]
    seen: dict[str, Any] = overview.result(area)
    sure = sureness(
        both,
        active,
        tally.area,
        seen["dead"],
        n_resamples=settings.n_resamples,
        seed=settings.seed,
    )
    return Dissection(
        threshold=threshold,
        threshold_error=error,
        threshold_method=levels.method,
        active=active.sum(axis=0),
        intersection=both.sum(axis=0),
        area=area,
        peak_level=levels.peak,
        stability=sure.stability,
        iou_low=sure.low,
        iou_high=sure.high,
        **seen,
        **named,
    )
