"""Labels: which units count as drawing which class, by the limits that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import Dissection, Overlap
from ganprobe_dissection import DissectionParams


@dataclass(frozen=True, eq=False)
class Labelled:
    """The units of a site with what was found of them.

    Args:
        name: of the site in names of files and dimensions.
        dissection: the counts.
        elsewhere: the overlap with masks of other samples.
        is_label: (units,) the unit counts as drawing its best class.
    """

    name: str
    dissection: Dissection
    elsewhere: Overlap
    is_label: NDArray[np.bool_]

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.dissection.units)

    @property
    def chance(self) -> NDArray[np.float64]:
        """(units,) the IoU with masks of other samples, for each unit's best class."""
        return self.of_best(self.elsewhere.iou)

    @property
    def has_chance(self) -> bool:
        """Whether there were two samples to compare."""
        return self.elsewhere.n_samples > 0

    @property
    def is_placed(self) -> NDArray[np.bool_]:
        """(units,) labelled, though masks of other samples fit as well: the place explains it."""
        return np.asarray(self.is_label & (self.chance >= self.dissection.iou_low), np.bool_)

    def of_best(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(units,) of values (units, classes), those of each unit's best class; NaN: it is dead."""
        best = self.dissection.best_class
        found = values[np.arange(self.n_units), np.maximum(best, 0)]
        return np.where(best < 0, np.nan, found)

    def places(self, of_class: int) -> list[int]:
        """Places of the units that count as drawing a class, largest IoU first."""
        is_of = self.is_label & (self.dissection.best_class == of_class)
        order = np.argsort(-self.dissection.iou[:, of_class], kind="stable")
        return [int(place) for place in order if is_of[place]]

    def counts(self) -> NDArray[np.int64]:
        """(classes,) how many units count as drawing each."""
        best = self.dissection.best_class[self.is_label]
        return np.bincount(best, minlength=len(self.dissection.classes)).astype(np.int64)

    def ceiling(self) -> NDArray[np.float64]:
        """(classes,) the largest IoU that so many active pixels can reach with each class."""
        n_pixels = self.dissection.n_samples * int(np.prod(self.dissection.image_size))
        coverage = np.asarray(self.dissection.coverage, np.float64)
        widest = coverage if coverage.ndim == 2 else coverage[:, None]  # (units, 1 or classes)
        area = self.dissection.area / n_pixels
        most = np.maximum(np.maximum(widest, area), 1e-300)
        return np.asarray((np.minimum(widest, area) / most).max(0), np.float64)


def label_units(
    name: str, dissection: Dissection, elsewhere: Overlap, params: DissectionParams
) -> Labelled:
    """The units whose best class is met well enough."""
    best = dissection.best_class
    quality = dissection.information_quality[np.arange(len(best)), np.maximum(best, 0)]
    is_label = (
        (best >= 0)
        & (dissection.best_iou > params.least_iou)
        & (quality >= params.needed_information)
    )
    return Labelled(name, dissection, elsewhere, np.asarray(is_label, np.bool_))


def file_names(texts: Sequence[str]) -> dict[str, str]:
    """Each text, once, as a name of files and dimensions, no two alike.

    Example:
        >>> file_names(["conv2:in", "conv2#in"])
        {'conv2:in': 'conv2_in', 'conv2#in': 'conv2_in-2'}
    """
    names: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        plain = "".join(one if one.isalnum() or one in ".-" else "_" for one in text)
        name, number = plain, 1
        while name in names.values():
            number += 1
            name = f"{plain}-{number}"
        names[text] = name
    return names
