"""Thresholds of a dissection from batches of activations, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.dissection.information import IQR_SHARES
from ganprobe.dissection.maps import checked_maps
from ganprobe.dissection.pixels import next_below, pixels_above
from ganprobe.dissection.ranked import TopSketch, TopValues, rank_of
from ganprobe.dissection.settings import DissectionSettings
from ganprobe.dissection.upsampling import Upsampling
from ganprobe.errors import ParameterError

__all__ = ["DissectionLevels", "Levels"]

_MANY_VALUES = 2**19
_ROOM = 2**14

Floats = NDArray[np.float64]
Method = Literal["exact", "sketch"]


@dataclass(frozen=True, eq=False)
class Levels:
    """What is known of the units' values before any pixel is counted.

    Args:
        threshold: (levels, units) float64: one level, or for ``iqr`` those of `IQR_SHARES`.
        error: of the same shape: how far each is at most from the level that was wanted.
        method: "exact" or "sketch".
        peak: (units,) float64: the level that `share` of the raw values exceed.
    """

    threshold: Floats
    error: Floats
    method: Method
    peak: Floats


class DissectionLevels:
    """The first pass over the activations of one site: thresholds, also of parts put together.

    The largest upsampled values of each unit are kept, so many as exceed its threshold, and
    nothing else; where they do not fit the memory they are counted in a sketch whose buckets are
    1/128 of their values wide. Which of the two it is depends on the number of samples and the
    memory only, so that parts that are merged give what one pass gives, to the last bit.

    Args:
        n_units: of the site.
        grid: (height, width) of its maps.
        image_size: (height, width) of the images.
        n_samples: of all parts together.
        settings: of the dissection.
        memory: bytes for the values of this site; None: all that the settings allow.
    """

    def __init__(
        self,
        n_units: int,
        grid: tuple[int, int],
        image_size: tuple[int, int],
        *,
        n_samples: int,
        settings: DissectionSettings,
        memory: int | None = None,
    ) -> None:
        self.settings, self.n_samples = settings, n_samples
        self.upsampling = Upsampling(grid, image_size)
        self._memory = settings.memory if memory is None else memory
        n_raw = n_samples * self.upsampling.n_cells
        shares = IQR_SHARES if settings.domain == "iqr" else (settings.share,)
        self._peak_ranks = tuple(rank_of(share, n_raw) for share in (*shares, settings.share))
        self._raw = self._ranked(n_units, max(self._peak_ranks), self.upsampling.n_cells)
        self._rank = rank_of(settings.share, n_samples * self.upsampling.n_pixels)
        n_counted = n_units if settings.domain == "upsampled" else 0
        self._pixels = self._ranked(n_counted, self._rank, self.upsampling.n_pixels)
        self._n_seen, self._size = 0, 1

    def add(self, activations: Tensor) -> None:
        """Take in (n, units, height, width) of samples that were not seen before.

        Raises:
            ShapeError: they do not fit the grid.
            NotFiniteError: NaN or infinity is among them.
        """
        maps = checked_maps(activations, len(self._raw.bound), self.upsampling.grid)
        for part in self._parts(maps):
            n_above = self._add_raw(part)
            if self.settings.domain == "upsampled":
                n_above = max(n_above, self._add_pixels(part))
            grown = len(part) * _MANY_VALUES // max(n_above, 1)
            self._size = min(max(1, grown), 4 * len(part))
        self._n_seen += len(maps)

    def merge(self, other: DissectionLevels) -> None:
        """Take in what another has seen of other samples; `other` is left as it is.

        Raises:
            ParameterError: it is of other settings, samples or sizes.
        """
        if self._identity() != other._identity():
            raise ParameterError(
                f"levels of one dissection can be merged, got {other._identity()} into"
                f" {self._identity()}"
            )
        self._raw.merge(other._raw)
        self._pixels.merge(other._pixels)
        self._n_seen += other._n_seen

    def result(self) -> Levels:
        """The levels, when all samples were added.

        Raises:
            ParameterError: some are missing.
        """
        if self._n_seen != self.n_samples:
            raise ParameterError(
                f"{self._n_seen:,} of {self.n_samples:,} samples were added; add each once"
            )
        found, error = self._raw.levels(self._peak_ranks)
        used = self._raw
        level, off = found[:-1], error[:-1]
        if self.settings.domain == "upsampled":
            used = self._pixels
            level, off = used.levels((self._rank,))
        method: Method = "exact" if isinstance(used, TopValues) else "sketch"
        return Levels(level, off, method, found[-1])

    def _parts(self, maps: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """By so many samples at once that about `_MANY_VALUES` are above the bounds."""
        first = 0
        while first < len(maps):
            part = maps[first : first + self._size]
            first += len(part)
            yield part

    def _add_raw(self, maps: NDArray[np.float32]) -> int:
        rows = maps.reshape(*maps.shape[:2], -1)
        sample, unit, place = np.nonzero(rows > next_below(self._raw.bound)[:, None])
        self._raw.add(unit, rows[sample, unit, place].astype(np.float64))
        return len(unit)

    def _add_pixels(self, maps: NDArray[np.float32]) -> int:
        n, n_units = maps.shape[:2]
        flat = np.ascontiguousarray(maps).reshape(n * n_units, *maps.shape[2:])
        found = pixels_above(flat, np.tile(self._pixels.bound, n), self.upsampling)
        self._pixels.add(found.maps % n_units, found.values)
        return len(found)

    def _ranked(self, n_units: int, rank: int, n_of_sample: int) -> Any:
        room = max(rank // 2, n_of_sample, _ROOM)
        fits = TopValues.n_bytes(n_units, rank, room) <= self._memory // 2
        return TopValues(n_units, rank, room) if fits else TopSketch(n_units, rank)

    def _identity(self) -> dict[str, Any]:
        return {
            "settings": self.settings,
            "n_samples": self.n_samples,
            "n_units": len(self._raw.bound),
            "grid": self.upsampling.grid,
            "image_size": self.upsampling.size,
            "ways": (type(self._raw).__name__, type(self._pixels).__name__),
        }
