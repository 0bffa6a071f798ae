"""Where everything is in a store: names, dimensions, dtypes and chunks, all of it pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ganprobe.errors import StoreError
from ganprobe.latents import LatentSpace
from ganprobe.provenance import Provenance
from ganprobe.sites import Site, SiteTensor

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Dataset",
    "RecordingSpec",
    "chunk_shape",
    "datasets",
    "group_name",
    "read_site",
    "stored_dtype",
]

FORMAT = "ganprobe-activations"
FORMAT_VERSION = 1

_SMALLEST_CHUNK, _LARGEST_CHUNK = 128 * 1024, 1024 * 1024
_FIRST_CHUNK_SAMPLES = _FIRST_CHUNK_UNITS = 16


@dataclass(frozen=True)
class RecordingSpec:
    """What a store will hold, known before the first sample."""

    path: Path
    samples: Sequence[int]
    sites: Mapping[Site, SiteTensor]
    latent_space: LatentSpace
    image_shape: tuple[int, ...] | None
    latent_dtype: torch.dtype
    image_dtype: torch.dtype
    provenance: Provenance
    overwrite: bool = False


@dataclass(frozen=True)
class Dataset:
    """One dataset with its dimensions; `coordinates` number each axis."""

    group: str
    name: str
    dimensions: tuple[str, ...]
    coordinates: tuple[Sequence[int], ...]
    dtype: np.dtype[np.generic]
    attributes: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(coordinate) for coordinate in self.coordinates)

    @property
    def n_bytes(self) -> int:
        """Bytes of all its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def datasets(spec: RecordingSpec) -> dict[Site | str, Dataset]:
    """Every dataset of a store: by site, and ``"latents"`` and ``"images"``."""
    found: dict[Site | str, Dataset] = {
        site: _site_dataset(site, tensor, spec.samples) for site, tensor in spec.sites.items()
    }
    latent_shape = spec.latent_space.shape
    names = ("latent", *(f"latent_{axis}" for axis in range(1, len(latent_shape))))
    found["latents"] = _dataset(
        "latents", "z", names, latent_shape, spec.samples, spec.latent_dtype
    )
    if spec.image_shape is not None:
        names = ("channel", "y", "x")
        shape = spec.image_shape
        found["images"] = _dataset("images", "image", names, shape, spec.samples, spec.image_dtype)
    return found


def group_name(site: Site) -> str:
    """The path of a site's group; any layer name works.

    Example:
        >>> group_name(Site("up/block.0"))
        'sites/up%2Fblock.0'
    """
    escaped = str(site).replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    return f"sites/{'%2E' + escaped[1:] if escaped.startswith('.') else escaped}"


def read_site(attribute: str) -> Site:
    """The site that a group's attribute ``site`` holds, as JSON."""
    fields = json.loads(attribute)
    units = None if fields["units"] is None else tuple(fields["units"])
    return Site(fields["layer"], fields["port"], tuple(fields["path"]), fields["call"], units)


def stored_dtype(dtype: torch.dtype) -> np.dtype[np.generic]:
    """The dtype in the file: the source's own, but float32 for bfloat16."""
    if dtype == torch.bfloat16:
        return np.dtype(np.float32)
    try:
        return np.dtype(str(dtype).removeprefix("torch."))
    except TypeError as error:
        raise StoreError(f"HDF5 has no {dtype}; record in another dtype") from error


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of 128 KiB to 1 MiB where the shape allows: whole maps of 16 units and samples,
    then more units, then more samples; fewer of both, then fewer rows, where maps are large.

    Example:
        >>> chunk_shape((10_000, 128, 16, 16), 4)
        (16, 16, 16, 16)
    """
    chunk = [min(_FIRST_CHUNK_SAMPLES, shape[0]), *shape[1:]]
    if len(shape) > 2:
        chunk[1] = min(_FIRST_CHUNK_UNITS, shape[1])

    def n_bytes() -> int:
        return math.prod(chunk) * itemsize

    for axis in (1, 0) if len(shape) > 1 else (0,):
        while n_bytes() < _SMALLEST_CHUNK and chunk[axis] < shape[axis]:
            chunk[axis] = min(2 * chunk[axis], shape[axis])
    for axis in range(len(shape)):
        while n_bytes() > _LARGEST_CHUNK and chunk[axis] > 1:
            chunk[axis] = -(-chunk[axis] // 2)
    return tuple(chunk)


def _site_dataset(site: Site, tensor: SiteTensor, samples: Sequence[int]) -> Dataset:
    units = range(tensor.n_units) if site.units is None else site.units
    names, shape = _site_dimensions(tensor)
    if not all(shape):
        raise StoreError(f"{site} is empty: a sample has shape {shape}")
    axes = zip(names, shape, strict=True)
    coordinates = [units if name == "unit" else range(size) for name, size in axes]
    attributes = {"site": json.dumps(asdict(site)), "source_dtype": tensor.dtype}
    return Dataset(
        group_name(site),
        "activation",
        ("sample", *names),
        (samples, *coordinates),
        stored_dtype(getattr(torch, tensor.dtype)),
        attributes,
    )


def _site_dimensions(tensor: SiteTensor) -> tuple[tuple[str, ...], tuple[int, ...]]:
    named: dict[int, tuple[str, ...]] = {
        0: (),
        1: ("unit",),
        2: ("token", "unit"),
        3: ("unit", "y", "x"),
        4: ("unit", "z", "y", "x"),
    }
    shape = tensor.shape
    others = ("unit", *(f"axis_{axis}" for axis in range(2, len(shape) + 1)))
    return named.get(len(shape), others), shape


def _dataset(
    group: str,
    name: str,
    dimensions: tuple[str, ...],
    shape: tuple[int, ...],
    samples: Sequence[int],
    dtype: torch.dtype,
) -> Dataset:
    coordinates = (samples, *(range(size) for size in shape))
    return Dataset(group, name, ("sample", *dimensions), coordinates, stored_dtype(dtype), {})
