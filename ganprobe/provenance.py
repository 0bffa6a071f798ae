"""Provenance: how a result was made, so that it can be made again."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import torch

__all__ = ["Provenance"]

_NAMED_VERSIONS = ("torch", "numpy", "h5py")


@dataclass(frozen=True)
class Provenance:
    """Versions, generator and weights, seed, device, dtype, every parameter, the command.

    Args:
        generator: its name, weights' SHA-256, latent space and normalisation mode.
        seed: of the latents; sample i of a seed is always the same. None: they were given.
        device: where the generator ran, as torch names it.
        dtype: of its weights.
        parameters: of the analysis or recording, as plain values.
        command: the command line, or None when called from Python.
        created: UTC, ISO 8601.
        versions: of ganprobe, Python and the libraries that the numbers depend on.
        machine: operating system, processor and torch's thread count.
    """

    generator: Mapping[str, Any]
    seed: int | None
    device: str
    dtype: str
    parameters: Mapping[str, Any]
    command: str | None = None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: Mapping[str, str] = field(default_factory=lambda: _versions())
    machine: Mapping[str, Any] = field(default_factory=lambda: _machine())

    def to_json(self) -> dict[str, Any]:
        """The whole record as plain values."""
        return asdict(self)


def _versions() -> dict[str, str]:
    import ganprobe

    named = {name: metadata.version(name) for name in _NAMED_VERSIONS}
    return {"ganprobe": ganprobe.__version__, "python": sys.version.split()[0], **named}


def _machine() -> dict[str, Any]:
    return {"system": platform.platform(), "threads": torch.get_num_threads()}
