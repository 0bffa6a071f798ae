"""Recordings that are made again and again, as they are or with something in their way."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import Probe
from ganprobe.store import Compression
from truth import Truth

__all__ = ["Recipe", "WideNetwork"]


class Scores(nn.Module):
    """One number for each sample."""

    def forward(self, flat: Tensor) -> Tensor:
        return flat.sum(dim=1)


class WideNetwork(nn.Module):
    """Sites of each rank; the blocks of `maps` are three chunks wide, the last one padded."""

    SITES = ("maps", "tokens.1", "flat", "scores")

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.flat = nn.Linear(5, 11)
        self.tokens = nn.Sequential(nn.Unflatten(1, (1, 11)), nn.Linear(11, 6))
        self.scores = Scores()
        self.maps = nn.Sequential(nn.Unflatten(1, (11, 1, 1)), nn.ConvTranspose2d(11, 37, 12))
        self.image = nn.Conv2d(37, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        flat = self.flat(z)
        level = self.tokens(flat).mean(dim=(1, 2)) + self.scores(flat)
        images: Tensor = self.image(self.maps(flat)) + level.view(-1, 1, 1, 1)
        return images


@dataclass(frozen=True)
class Recipe:
    """A recording, to be made as often as it takes."""

    probe: Probe
    sites: tuple[str, ...]
    n_samples: int
    batch_size: int
    compression: Compression = "none"
    dtype: str | None = None

    def record(self, path: Path, **options: Any) -> Path:
        """Make it, with other options where they are given."""
        own: dict[str, Any] = {
            "samples": self.n_samples,
            "sites": self.sites,
            "output": path,
            "seed": 3,
            "batch_size": self.batch_size,
            "images": True,
            "dtype": self.dtype,
            "compression": self.compression,
        }
        return self.probe.record(**(own | options))

    def truth(self, folder: Path) -> Truth:
        """What it holds when nothing interrupts it."""
        return Truth.of(self.record(folder / "truth.h5"))

    def begin(self, path: Path, n_samples: int) -> None:
        """Make it, and be interrupted when so many samples have come."""

        class Bar:
            n_come = 0

            def advance(self, n: int = 1) -> None:
                self.n_come += n
                if self.n_come >= n_samples:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.record(path, progress=lambda total, what: nullcontext(Bar()))
