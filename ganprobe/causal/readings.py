"""Readings: what a segmenter says of an image at each place, as measures that a sweep takes."""

from __future__ import annotations

import torch
from torch import Tensor

from ganprobe.causal.places import Places
from ganprobe.measures import Measure
from ganprobe.segmenters import Segmenter

__all__ = ["ClassAtPlaces", "ClassesAtCells", "at_windows"]


class ClassAtPlaces(Measure):
    """The share of the image that a class covers: in all of it, then under each place's window."""

    def __init__(self, segmenter: Segmenter, class_name: str, places: Places) -> None:
        self.segmenter, self.places = segmenter, places
        self.place = segmenter.place_of(class_name)
        self.name = f"{class_name} at places"  # type: ignore[misc]
        self.summary = f"share of the image that {class_name} covers"  # type: ignore[misc]
        self.columns = ("image", *map(str, range(len(places))))  # type: ignore[misc]

    def measure(self, images: Tensor) -> Tensor:
        return at_windows(self.segmenter(images)[:, self.place], self.places, images)


class ClassesAtCells(Measure):
    """The share of each place's own cell that each class covers, and in the end: none of them.

    Columns are classes, and cells within each.
    """

    name, summary = "classes at cells", "share of each cell that each class covers"

    def __init__(self, segmenter: Segmenter, places: Places) -> None:
        self.segmenter, self.places = segmenter, places
        names = (*segmenter.classes, "")
        self.columns = tuple(  # type: ignore[misc]
            f"{name} {cell}" for name in names for cell in range(len(places))
        )

    def measure(self, images: Tensor) -> Tensor:
        masks = self.segmenter(images)
        none = ~masks.any(dim=1, keepdim=True)
        both = torch.cat([masks, none], dim=1)  # (n, classes + 1, y, x)
        rows, columns = (weights.to(images) for weights in self.places.cell_weights())
        rows = rows / rows.sum(1, keepdim=True)
        columns = columns / columns.sum(1, keepdim=True)
        return torch.einsum("ph,nchw,qw->ncpq", rows, both.to(rows), columns).flatten(1)


def at_windows(mask: Tensor, places: Places, like: Tensor) -> Tensor:
    """(n, 1 + places): the share of the image that a mask (n, y, x) covers, in all and by place.

    Args:
        mask: booleans, or how much of each pixel in [0, 1], which gradients flow through.
        like: of whose dtype and device it is computed.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    n_pixels = places.image[0] * places.image[1]
    covered = mask.to(dtype)
    rows, columns = (weights.to(like.device, dtype) for weights in places.window_weights())
    by_place = torch.einsum("ph,nhw,qw->npq", rows, covered, columns).flatten(1)
    return torch.cat([covered.sum((1, 2))[:, None], by_place], dim=1) / n_pixels
