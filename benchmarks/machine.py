"""What every benchmark prints first: the machine and the versions that its figures hold for."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import torch

import ganprobe

Figures = TypeVar("Figures")


def print_machine(n_threads: int, *, peers: Sequence[str] = ()) -> None:
    """Machine, versions and thread count, two lines."""
    libraries = [f"{name} {_version(name)}" for name in ("torch", "numpy", "h5py", *peers)]
    print(f"{_processor()}, {n_threads} threads, {platform.system()} {platform.release()}")
    print(f"ganprobe {ganprobe.__version__}, Python {platform.python_version()}, "
          f"{', '.join(libraries)}, CUDA {torch.cuda.is_available()}\n")  # fmt: skip


def interleaved(variants: Sequence[Callable[[], Figures]], n_rounds: int) -> list[list[Figures]]:
    """Run the variants in turn, `n_rounds` times; the figures that each returned."""
    figures: list[list[Figures]] = [[] for _ in variants]
    for _ in range(n_rounds):
        for variant, kept in zip(variants, figures, strict=True):
            kept.append(variant())
    return figures


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios, round by round, so that a drifting machine cancels out."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
