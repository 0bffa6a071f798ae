"""Class masks in few bytes: one for each pixel and 8 classes, or 255 that exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Masks", "areas_of"]

_BITS = 8
_MOST_LABELS = 255


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of samples, each pixel a code in one or several planes.

    Where no pixel is in two classes, the one plane holds 0 for none and 1 + its class; else plane
    p holds the bits of classes 8 p to 8 p + 7.

    Args:
        planes: (planes, n, pixels) uint8.
        n_classes: how many classes.
        is_exclusive: which of the two it is.
    """

    planes: NDArray[np.uint8]
    n_classes: int
    is_exclusive: bool

    @classmethod
    def of(cls, masks: Tensor) -> Masks:
        """Of bool masks (n, classes, height, width)."""
        n, n_classes = masks.shape[:2]
        flat = masks.flatten(2).cpu()
        together = flat.view(torch.uint8).sum(dim=1, dtype=torch.int32)
        if n_classes <= _MOST_LABELS and int(together.max() if together.numel() else 0) <= 1:
            labels = torch.zeros_like(flat[:, :1], dtype=torch.uint8).reshape(n, -1)
            for place in range(n_classes):
                labels += flat[:, place].view(torch.uint8) * (place + 1)
            return cls(labels[None].numpy(), n_classes, True)
        return cls(_bits_of(flat), n_classes, False)

    @classmethod
    def joined(cls, parts: Sequence[Masks]) -> Masks:
        """Of the samples of all, one after the other."""
        alike = all(part.is_exclusive for part in parts)
        planes = [part.planes if alike else part.by_bits().planes for part in parts]
        return cls(np.concatenate(planes, axis=1), parts[0].n_classes, alike)

    def by_bits(self) -> Masks:
        """The same, each class a bit."""
        if not self.is_exclusive:
            return self
        return Masks(_bits_of(self.unpacked()), self.n_classes, False)

    def unpacked(self) -> Tensor:
        """(n, classes, pixels) bool."""
        if self.is_exclusive:
            classes = torch.arange(1, self.n_classes + 1, dtype=torch.uint8)
            return torch.from_numpy(self.planes[0])[:, None] == classes[:, None]
        bits = np.unpackbits(self.planes[..., None, :], axis=-2, bitorder="little")
        bits = np.moveaxis(bits, 0, 1).reshape(bits.shape[1], -1, self.planes.shape[2])
        return torch.from_numpy(bits[:, : self.n_classes].astype(np.bool_))

    def __getitem__(self, samples: slice) -> Masks:
        return Masks(self.planes[:, samples], self.n_classes, self.is_exclusive)

    @property
    def n_bytes(self) -> int:
        """What it keeps."""
        return self.planes.nbytes

    @property
    def n_codes(self) -> int:
        """How many codes a plane may hold."""
        return 1 + self.n_classes if self.is_exclusive else 2 ** min(_BITS, self.n_classes)

    def meaning(self, plane: int) -> NDArray[np.float64]:
        """(codes, classes): 1 where a code of a plane is of a class, else 0."""
        codes, classes = np.arange(self.n_codes)[:, None], np.arange(self.n_classes)
        if self.is_exclusive:
            return np.asarray(codes == classes + 1, np.float64)
        bit = classes - _BITS * plane
        is_here = (bit >= 0) & (bit < _BITS)
        return np.where(is_here, codes >> np.clip(bit, 0, _BITS - 1) & 1, 0).astype(np.float64)

    def count(
        self, samples: NDArray[Any], places: NDArray[Any], keys: NDArray[Any], n_keys: int
    ) -> NDArray[np.int64]:
        """Of pixels with a key (n,) each, how many of each key are in each class: (keys, classes).

        Args:
            samples, places: (n,) in which sample and where in it.
        """
        found = np.zeros((n_keys, self.n_classes))
        pixel = samples * self.planes.shape[2] + places
        for plane, codes in enumerate(self.planes):
            key = keys * self.n_codes + codes.reshape(-1)[pixel]
            counts = np.bincount(key, minlength=n_keys * self.n_codes)
            found += counts.reshape(n_keys, self.n_codes) @ self.meaning(plane)
        return found.astype(np.int64)


def areas_of(masks: Tensor) -> NDArray[np.int64]:
    """How many pixels of bool masks (n, classes, height, width) are in each class: (n, classes)."""
    return np.asarray(np.count_nonzero(masks.cpu().numpy(), axis=(2, 3)), np.int64)


def _bits_of(flat: Tensor) -> NDArray[np.uint8]:
    """Bool (n, classes, pixels) as (planes, n, pixels) uint8."""
    packed = np.packbits(flat.numpy(), axis=1, bitorder="little")
    return np.ascontiguousarray(np.moveaxis(packed, 1, 0))
