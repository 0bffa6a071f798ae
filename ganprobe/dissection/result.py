"""Dissections: how well each unit of a site agrees with each class, and how sure its label is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ganprobe.dissection.information import information_quality
from ganprobe.dissection.settings import DissectionSettings
from ganprobe.errors import UnknownNameError

__all__ = ["Dissection"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dissection:
    """What each unit of one site has to do with each class of a segmenter, over all pixels.

    A unit is active where its activation, brought to the size of the image by bilinear
    interpolation (``align_corners=False``), is strictly above its threshold. Where several values
    are equal to the threshold, as the zeros of a ReLU are, fewer are active than were asked for.

    Args:
        site: as it was written, or what a pattern stood for.
        units: their numbers at the site, in order of all other arrays.
        classes: names, in order.
        image_size: (height, width), to which activations are brought.
        threshold: (units,) float64, in units of the activation; (units, classes) for ``iqr``.
        threshold_error: of the same shape: the level that was wanted is at most so far away,
            guaranteed; 0 where it is exact.
        threshold_method: "exact" or "sketch".
        active: (units,) int64, pixels above the threshold; (units, classes) for ``iqr``.
        intersection: (units, classes) int64, pixels that are active and of the class.
        area: (classes,) int64, pixels of the class.
        dead: (units,) bool: the activation has the same value everywhere.
        top_samples: (units, n_top) int64, the samples with the largest activation, best first, of
            equal ones the first; as many as there are samples where these are fewer.
        top_values: of the same shape, float64: these activations.
        class_mean: (units, classes) float64: mean activation over the pixels of the class; NaN
            where there are none.
        peak_level: (units,) float64: the level that `settings.share` of the raw values exceed.
        stability: (units,) float64: share of bootstrap resamples of the samples in which the best
            class stays the best; NaN for a unit without a label.
        iou_low, iou_high: (units,) float64: limits of the 95 % bootstrap interval of the best
            class's IoU; NaN for a unit without a label.
        passes: how often the samples were read; a live generator ran as often.
    """

    site: str
    units: tuple[int, ...]
    classes: tuple[str, ...]
    settings: DissectionSettings
    n_samples: int
    image_size: tuple[int, int]
    threshold: Floats
    threshold_error: Floats
    threshold_method: Literal["exact", "sketch"]
    active: Counts
    intersection: Counts
    area: Counts
    dead: NDArray[np.bool_]
    top_samples: Counts
    top_values: Floats
    class_mean: Floats
    peak_level: Floats
    stability: Floats
    iou_low: Floats
    iou_high: Floats
    passes: int = 1

    @property
    def n_pixels(self) -> int:
        """Of all samples together."""
        return self.n_samples * self.image_size[0] * self.image_size[1]

    @property
    def coverage(self) -> Floats:
        """The realised share of all pixels at which a unit is active: as `active`."""
        return self.active / self.n_pixels

    @cached_property
    def iou(self) -> Floats:
        """(units, classes): intersection over union; 0 where both are empty."""
        return iou_of(self.intersection, self.active, self.area)

    @cached_property
    def information_quality(self) -> Floats:
        """(units, classes): mutual information over joint entropy, in [0, 1]."""
        active = self.active if self.active.ndim == 2 else self.active[:, None]
        return information_quality(self.intersection, active, self.area, self.n_pixels)

    @cached_property
    def best_class(self) -> NDArray[np.int64]:
        """(units,): the class of largest IoU, of equal ones the first.

        It is -1 for a unit without a label: a dead one, or one that meets no class anywhere.
        """
        return labels_of(self.iou, self.dead)

    @property
    def best_iou(self) -> Floats:
        """(units,): the IoU of the best class; 0 without a label."""
        return np.where(self.best_class < 0, 0.0, self.iou.max(axis=1, initial=0.0))

    def ranking(self, class_name: str) -> tuple[int, ...]:
        """All units' numbers by their IoU with a class, largest first, ties to the lowest number.

        Raises:
            UnknownNameError: there is no such class; names the nearest.
        """
        found = self.iou[:, self._place_of(class_name)]
        numbers = np.asarray(self.units, np.int64)
        return tuple(numbers[np.lexsort((numbers, -found))].tolist())

    def labelled(self, class_name: str, least_iou: float = 0.04) -> tuple[int, ...]:
        """The units whose best class this is with an IoU above `least_iou`, as `ranking` has them.

        Raises:
            UnknownNameError: there is no such class; names the nearest.
        """
        is_labelled = (self.best_class == self._place_of(class_name)) & (self.best_iou > least_iou)
        chosen = {unit for unit, fits in zip(self.units, is_labelled, strict=True) if fits}
        return tuple(unit for unit in self.ranking(class_name) if unit in chosen)

    def _place_of(self, name: str) -> int:
        if name not in self.classes:
            hint = f"it has: {', '.join(self.classes[:20])}"
            where = f"the dissection of {self.site}"
            raise UnknownNameError("class", name, self.classes, where=where, hint=hint)
        return self.classes.index(name)


def iou_of(intersection: NDArray[Any], active: NDArray[Any], area: NDArray[Any]) -> Floats:
    """Intersection over union, 0 where both are empty.

    Args:
        intersection: (..., units, classes).
        active: the same, or (..., units).
        area: (..., classes).
    """
    active = active if active.ndim == intersection.ndim else active[..., None]
    union = active + area[..., None, :] - intersection
    found: Floats = np.divide(intersection, union, out=np.zeros(union.shape), where=union > 0)
    return found


def labels_of(iou: Floats, dead: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The class of largest IoU (..., units), the first of equal ones; -1 where there is none."""
    has_label = (iou.max(axis=-1, initial=0.0) > 0) & ~dead
    if not iou.shape[-1]:
        return np.full(iou.shape[:-1], -1, np.int64)
    return np.where(has_label, iou.argmax(axis=-1), -1)
