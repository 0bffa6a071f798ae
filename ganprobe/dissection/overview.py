"""What does not depend on thresholds: extremes, top samples and class means, batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.dissection.upsampling import Upsampling
from ganprobe.statistics.top import TopSamples

__all__ = ["Overview"]


class Overview:
    """Of the units of one site.

    Attributes:
        lowest, highest: (units,) float64, the extremes.
        top: the samples with the largest activation.
        class_sum: (units, classes) float64: upsampled activation summed over a class's pixels.
        n_seen: how many samples.
    """

    def __init__(self, n_units: int, n_classes: int, n_top: int) -> None:
        self.lowest = np.full(n_units, np.inf)
        self.highest = np.full(n_units, -np.inf)
        self.top = TopSamples.empty(n_units, n_top)
        self.class_sum = np.zeros((n_units, n_classes))
        self.n_seen = 0

    def add(
        self,
        maps: Tensor,
        masks: Tensor,
        samples: NDArray[np.int64],
        upsampling: Upsampling,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Take in maps (n, units, h, w) float32 and bool masks (n, classes, height, width).

        Returns:
            The smallest and the largest value of each map, both (n, units).
        """
        flat = maps.flatten(2)  # (n, units, cells)
        low, high = (found.cpu().numpy() for found in (flat.amin(dim=2), flat.amax(dim=2)))
        self.lowest = np.minimum(self.lowest, low.min(axis=0))
        self.highest = np.maximum(self.highest, high.max(axis=0))
        self.top = self.top.updated(high.astype(np.float64), samples)
        weights = upsampling.gathered(masks.to(maps.device, torch.float32)).flatten(2)
        sums = flat @ weights.mT  # (n, units, classes)
        self.class_sum += sums.double().sum(dim=0).cpu().numpy()
        self.n_seen += len(maps)
        return low, high

    def merge(self, other: Overview) -> None:
        """Take in another's samples."""
        self.lowest = np.minimum(self.lowest, other.lowest)
        self.highest = np.maximum(self.highest, other.highest)
        self.top = self.top.merged(other.top)
        self.class_sum += other.class_sum
        self.n_seen += other.n_seen

    def result(self, area: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """As a `Dissection` has them."""
        n_top = min(self.top.scores.shape[1], self.n_seen)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(area > 0, self.class_sum / area, np.nan)
        return {
            "dead": self.lowest == self.highest,
            "top_samples": self.top.samples[:, :n_top],
            "top_values": self.top.scores[:, :n_top],
            "class_mean": mean,
        }
