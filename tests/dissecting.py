"""A dissection by brute force: every pixel of every sample, in float64, one definition a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ganprobe import Probe, Run, Segmenter, Site
from subjects import probe_of

Array = NDArray[Any]


class Bands(Segmenter):
    """Luminance in bands, from dark to light; with `overlap`, a pixel is also in those below."""

    name, summary = "bands", "bands of luminance"

    def __init__(self, n: int = 3, *, overlap: bool = False) -> None:
        self.classes = tuple(f"band {place}" for place in range(n))
        self.overlap = overlap

    def segment(self, images: Tensor) -> Tensor:
        places = torch.arange(len(self.classes), device=images.device)[:, None, None]
        band = (images.mean(dim=1, keepdim=True) * len(places)).floor().clamp(max=len(places) - 1)
        return places <= band if self.overlap else places == band


class Painter(nn.Module):
    """Latents (n, 6) to images (n, 1, *size) through `site`, units with maps of a grid."""

    def __init__(self, n_units: int, grid: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Linear(6, n_units * grid[0] * grid[1])
        self.shape = nn.Unflatten(1, (n_units, *grid))
        self.site: nn.Module = nn.Identity()
        self.up = nn.Upsample(size=size, mode="bilinear", align_corners=False)
        self.last = nn.Conv2d(n_units, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.last(self.up(self.site(self.shape(self.first(z))))))


def painter(
    seed: int, n_units: int = 5, grid: tuple[int, int] = (4, 4), size: tuple[int, int] = (16, 16)
) -> Probe:
    torch.manual_seed(seed)
    return probe_of(Painter(n_units, grid, size), latent=6)


def reader(probe: Probe, *, seed: int = 0, batch_size: int = 64) -> Callable[..., Iterator[Run]]:
    """As `Context.activations` of a live generator."""

    def read(sites: Sequence[str | Site], n_samples: int, *, images: bool = False) -> Iterator[Run]:
        return probe.runs(
            n_samples, record=sites, seed=seed, batch_size=batch_size, stop_early=not images
        )

    return read


def samples_of(probe: Probe, segmenter: Segmenter, site: str, n: int) -> tuple[Tensor, Tensor]:
    """All activations (n, units, ...) and masks (n, classes, height, width)."""
    run = probe.run(probe.generator.sample(n, seed=0), record=[site])
    return run[site], segmenter(probe.generator.to_unit_range(run.images))


def upsampled(maps: Tensor, size: tuple[int, int]) -> Array:
    """(units, n, pixels) float64, as torch does it."""
    wide = functional.interpolate(maps.double(), size=size, mode="bilinear", align_corners=False)
    return wide.flatten(2).transpose(0, 1).numpy()


def level_of(values: Array, share: float) -> float:
    """So many values are above it as the share says, where none are equal."""
    rank = max(1, int(share * values.size + 1e-9))
    return float(np.sort(values, axis=None)[::-1][rank])


def counts_above(pixels: Array, levels: Array, masks: Tensor) -> tuple[Array, Array]:
    """Active pixels (units,) and those of each class (units, classes)."""
    of_class = masks.flatten(2).transpose(0, 1).numpy()  # (classes, n, pixels)
    active = pixels > levels[:, None, None]
    both = [[int((on & of).sum()) for of in of_class] for on in active]
    return active.sum(axis=(1, 2)), np.array(both)


def quality_of(n_both: int, n_active: int, n_class: int, n: int) -> float:
    """Mutual information over joint entropy, by scipy-free sums over the four cells."""
    cells = [n_both, n_active - n_both, n_class - n_both, n - n_active - n_class + n_both]
    p = np.array(cells).reshape(2, 2) / n
    outer = np.outer(p.sum(axis=1), p.sum(axis=0))
    held = p > 0
    joint = -(p[held] * np.log(p[held])).sum()
    return float((p[held] * np.log(p[held] / outer[held])).sum() / joint) if joint else 0.0
