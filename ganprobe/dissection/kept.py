"""Activations that are kept: every unit's thresholds and counts from its own values, at once.

A unit's level is guessed from some of its pixels, a bit too low; the pixels above the guess are
computed, and are enough if more of them are there than may be above the level. Else all are
looked at. What comes out is exact, whatever the guess was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.dissection.pixels import Pixels, next_below, pixels_above
from ganprobe.dissection.ranked import TopValues, rank_of, ranked_from_top
from ganprobe.dissection.upsampling import Upsampling

__all__ = ["Kept"]

_BLOCK_CELLS = 2**18
_BLOCK_SAMPLES = 16
_GUESS_PIXELS = 2**15
_PIXEL_BYTES = 64

Floats = NDArray[np.float64]


class Kept:
    """The maps of one site, (units, samples, h, w) float32 on the host, filled batch by batch."""

    def __init__(self, n_units: int, n_samples: int, upsampling: Upsampling) -> None:
        self.upsampling = upsampling
        self.maps = np.empty((n_units, n_samples, *upsampling.grid), np.float32)
        self.lowest, self.highest = np.empty((2, n_units, n_samples), np.float32)

    @staticmethod
    def n_bytes(n_units: int, n_samples: int, upsampling: Upsampling) -> int:
        """What it keeps."""
        return 4 * n_units * n_samples * (upsampling.n_cells + 2)

    def add(
        self, maps: Tensor, ends: tuple[NDArray[np.float32], NDArray[np.float32]], first: int
    ) -> None:
        """Samples from `first` on: maps (n, units, h, w), the least and largest value of each."""
        rows = slice(first, first + len(maps))
        torch.from_numpy(self.maps)[:, rows].copy_(maps.transpose(0, 1))
        self.lowest[:, rows], self.highest[:, rows] = (end.T for end in ends)

    def batches(self) -> Iterator[tuple[slice, Tensor]]:
        """Some samples and their maps (n, units, h, w)."""
        by_sample = torch.from_numpy(self.maps).transpose(0, 1)
        for first in range(0, self.n_samples, _BLOCK_SAMPLES):
            rows = slice(first, first + _BLOCK_SAMPLES)
            yield rows, by_sample[rows]

    @property
    def n_samples(self) -> int:
        """How many samples."""
        return self.maps.shape[1]

    def raw_levels(self, shares: tuple[float, ...], units: slice | None = None) -> Floats:
        """The levels that shares of the raw values exceed, (shares, units), exact."""
        blocks = self.blocks() if units is None else (units,)
        return np.concatenate([self._raw_levels(block, shares) for block in blocks], axis=1)

    def fits(self, share: float, memory: int) -> bool:
        """Whether the pixels of a unit, twice as many as are above its level, fit the memory."""
        n_pixels = self.n_samples * self.upsampling.n_pixels
        return _PIXEL_BYTES * min(n_pixels, 2 * rank_of(share, n_pixels)) <= memory

    def pixel_levels(self, units: slice, share: float) -> tuple[Floats, Pixels]:
        """The levels of some units that a share of pixels exceeds, and these pixels.

        Of the pixels `maps` is unit * n_samples + sample, units counted among those.
        """
        rank = rank_of(share, self.n_samples * self.upsampling.n_pixels)
        lowest = self.lowest[units].min(axis=1).astype(np.float64)
        bound = np.maximum(self._guessed(self.maps[units], share), lowest)
        found = self.pixels_above(units, bound)
        unit = found.maps // self.n_samples
        level, is_enough = ranked_from_top(unit, found.values, len(bound), rank)
        level = np.where(is_enough, level, bound)  # if that is the lowest, nothing is below it
        if (too_high := np.flatnonzero(~is_enough & (bound > lowest))).size:
            level[too_high] = self._without_guess(self.maps[units][too_high], rank)
            return level, self.pixels_above(units, level)
        return level, found.chosen(np.flatnonzero(found.values > level[unit]))

    def peaks(self, units: slice, share: float, bound: Floats) -> Floats:
        """As `raw_levels` of one share and some units; fast where bounds are below them."""
        rows = self.maps[units].reshape(len(bound), -1)
        above = np.flatnonzero(rows > next_below(bound)[:, None])
        unit = above // rows.shape[1]
        rank = rank_of(share, rows.shape[1])
        values = rows.reshape(-1)[above].astype(np.float64)
        level, is_enough = ranked_from_top(unit, values, len(rows), rank)
        if is_enough.all():
            return level
        found: Floats = self._raw_levels(units, (share,))[0]
        return found

    def pixels_above(self, units: slice, level: Floats) -> Pixels:
        """The pixels of some units above a level of each, as `pixel_levels` has them."""
        return self._above(self.maps[units], self.highest[units], level)

    def blocks(self) -> Iterator[slice]:
        """Units whose values stay in the cache together."""
        size = max(1, _BLOCK_CELLS // max(self.n_samples * self.upsampling.n_cells, _GUESS_PIXELS))
        for first in range(0, len(self.maps), size):
            yield slice(first, min(first + size, len(self.maps)))

    def _raw_levels(self, units: slice, shares: tuple[float, ...]) -> Floats:
        rows = self.maps[units].reshape(units.stop - units.start, -1)
        places = [rows.shape[1] - 1 - rank_of(share, rows.shape[1]) for share in shares]
        ordered = np.partition(rows, places, axis=1)
        return np.asarray(ordered[:, places].T, np.float64)

    def _above(
        self, maps: NDArray[np.float32], highest: NDArray[np.float32], level: Floats
    ) -> Pixels:
        flat = maps.reshape(-1, *self.upsampling.grid)
        return pixels_above(
            flat, np.repeat(level, maps.shape[1]), self.upsampling, highest.reshape(-1)
        )

    def _without_guess(self, maps: NDArray[np.float32], rank: int) -> Floats:
        largest = TopValues(len(maps), rank, max(rank // 2, self.upsampling.n_pixels))
        for sample in range(0, maps.shape[1], _BLOCK_SAMPLES):
            some = maps[:, sample : sample + _BLOCK_SAMPLES]
            above = self._above(some, some.max(axis=(2, 3)), largest.bound)
            largest.add(above.maps // some.shape[1], above.values)
        found: Floats = largest.levels((rank,))[0][0]
        return found

    def _guessed(self, maps: NDArray[np.float32], share: float) -> Floats:
        """(units,) most probably below the levels, by random pixels."""
        expected = share * _GUESS_PIXELS
        place = _GUESS_PIXELS - 1 - math.ceil(expected + 3 * math.sqrt(expected) + 3)
        if place < 0:
            return np.full(len(maps), -np.inf)
        values = self._drawn(maps.reshape(len(maps), -1))
        values.partition(place, axis=1)
        guess: Floats = np.nextafter(values[:, place], -np.inf)  # values equal to it are above
        return guess

    def _drawn(self, rows: NDArray[np.float32]) -> Floats:
        """The values of the same random pixels of each row (units, n * cells)."""
        corners, along_y, along_x = self._random_pixels
        yx, y_right, below, below_right = (
            np.take(rows, corner, axis=1).astype(np.float64) for corner in corners
        )
        top = yx + along_x * (y_right - yx)
        bottom = below + along_x * (below_right - below)
        return top + along_y * (bottom - top)

    @cached_property
    def _random_pixels(self) -> tuple[tuple[NDArray[np.int64], ...], Floats, Floats]:
        """Their corners in a row, and their weights along y and x."""
        random = np.random.default_rng(0)
        height, width = self.upsampling.size
        y, x = (
            random.integers(height, size=_GUESS_PIXELS),
            random.integers(width, size=_GUESS_PIXELS),
        )
        start = random.integers(self.n_samples, size=_GUESS_PIXELS) * self.upsampling.n_cells
        up, across = self.upsampling.y, self.upsampling.x
        top, bottom = start + up.low[y] * across.n_cells, start + up.high[y] * across.n_cells
        left, right = across.low[x], across.high[x]
        corners = (top + left, top + right, bottom + left, bottom + right)
        return corners, up.weight[y], across.weight[x]
