"""Where everything is in a store: names, dimensions, dtypes and chunks, all of it pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from ganprobe.errors import StoreError
from ganprobe.latents import LatentSpace
from ganprobe.provenance import Provenance
from ganprobe.sites import Site, SiteTensor

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Compression",
    "Dataset",
    "Key",
    "RecordingSpec",
    "Share",
    "Tiling",
    "chunk_shape",
    "datasets",
    "group_name",
    "torch_dtype",
]

FORMAT = "ganprobe-activations"
FORMAT_VERSION = 2

_SMALLEST_CHUNK, _LARGEST_CHUNK = 128 * 1024, 1024 * 1024
_FIRST_CHUNK_SAMPLES = _FIRST_CHUNK_UNITS = 16
_MOST_COMPRESSED_ROWS = 64

Compression = Literal["none", "zstd", "lz4"]
Key = Site | Literal["latents", "seeds", "images"]


@dataclass(frozen=True)
class Share:
    """One share of a recording that several processes make: the `index`-th of `of`, from 1."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def rows(self, n_samples: int, batch_size: int) -> range:
        """Its rows of the whole: a run of whole batches."""
        n_batches = -(-n_samples // batch_size)
        first, last = ((self.index + step) * n_batches // self.of for step in (-1, 0))
        return range(first * batch_size, min(last * batch_size, n_samples))


@dataclass(frozen=True, kw_only=True)
class RecordingSpec:
    """What a store will hold, known before the first sample.

    Args:
        samples: the index of each sample that this file holds.
        first: the position of the first of them in the whole recording.
        seed: that they are drawn from; None: the latents were given.
        dtype: activations are cast to it; None: each site keeps its own.
        identity: what must agree between this recording and one that goes on with it, by the
            name under which a difference is told.
        share: of a recording that several processes make.
        overwrite: replace an existing file.
        resume: go on with an existing file.
    """

    path: Path
    samples: Sequence[int]
    seed: int | None
    batch_size: int
    sites: Mapping[Site, SiteTensor]
    latent_space: LatentSpace
    image_shape: tuple[int, ...] | None
    latent_dtype: torch.dtype
    image_dtype: torch.dtype
    provenance: Provenance
    identity: Mapping[str, Any] = field(default_factory=dict)
    dtype: torch.dtype | None = None
    compression: Compression = "none"
    first: int = 0
    share: Share | None = None
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Tiling:
    """How values are cut into chunks.

    A block is one row of chunks: all values of `n_rows` samples. It is what is written at once.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    itemsize: int

    @property
    def n_rows(self) -> int:
        """How many samples make one block."""
        return self.chunk[0]

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        axes = zip(self.shape, self.chunk, strict=True)
        return tuple(-(-size // part) for size, part in axes)

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return self.grid[0]

    @cached_property
    def n_columns(self) -> int:
        """How many chunks make one block."""
        return math.prod(self.grid[1:])

    @property
    def n_chunks(self) -> int:
        """How many chunks there are in all."""
        return math.prod(self.grid)

    @cached_property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk."""
        return math.prod(self.chunk) * self.itemsize

    @property
    def block_bytes(self) -> int:
        """Bytes of one block."""
        return self.n_columns * self.chunk_bytes

    @property
    def n_bytes(self) -> int:
        """Bytes of all blocks."""
        return self.n_blocks * self.block_bytes


@dataclass(frozen=True)
class Dataset:
    """One dataset with its dimensions; `coordinates` number each axis."""

    group: str
    name: str
    dimensions: tuple[str, ...]
    coordinates: tuple[Sequence[int], ...]
    dtype: torch.dtype
    attributes: Mapping[str, str] = field(default_factory=dict)
    unit_axis: int = 1
    may_be_compressed: bool = True

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(coordinate) for coordinate in self.coordinates)

    @cached_property
    def tiling(self) -> Tiling:
        """How it is cut into chunks."""
        itemsize = self.dtype.itemsize
        return Tiling(self.shape, chunk_shape(self.shape, itemsize, self.unit_axis), itemsize)

    @property
    def records_group(self) -> str:
        """The group of its checksums."""
        return f"checksums/{self.group}"

    def is_compressed(self, compression: Compression) -> bool:
        """Whether its chunks are compressed: not where a block takes many samples to fill."""
        is_worth_it = self.tiling.n_chunks > 1 and self.tiling.n_rows <= _MOST_COMPRESSED_ROWS
        return compression != "none" and self.may_be_compressed and is_worth_it


def datasets(spec: RecordingSpec) -> dict[Key, Dataset]:
    """Every dataset of a store: by site, and ``"latents"``, ``"seeds"`` and ``"images"``."""
    found: dict[Key, Dataset] = {
        site: _site_dataset(site, tensor, spec) for site, tensor in spec.sites.items()
    }
    latent_shape = spec.latent_space.shape
    names = ("sample", "latent", *(f"latent_{axis}" for axis in range(1, len(latent_shape))))
    axes = (spec.samples, *map(range, latent_shape))
    found["latents"] = Dataset(
        "latents", "z", names, axes, spec.latent_dtype, may_be_compressed=False
    )
    if spec.seed is not None:
        found["seeds"] = Dataset("latents", "seed", ("sample",), (spec.samples,), torch.uint64)
    if spec.image_shape is not None:
        axes = (spec.samples, *map(range, spec.image_shape))
        names = ("sample", "channel", "y", "x")
        found["images"] = Dataset("images", "image", names, axes, spec.image_dtype)
    return found


def group_name(site: Site) -> str:
    """The path of a site's group; any layer name works.

    Example:
        >>> group_name(Site("up/block.0"))
        'sites/up%2Fblock.0'
    """
    layer = _escaped(site.layer, "%/\0:@#")
    layer = "%2E" + layer[1:] if layer.startswith(".") else layer
    path = "".join(f"[{_told_key(key)}]" for key in site.path)
    rest = str(replace(site, layer="", path=()))  # port, call, units
    rest = rest.removeprefix(":out") if site.port == "out" and not path and layer else rest
    port, found, others = rest.partition(f":{site.port}")
    return f"sites/{layer}{port}{found}{path}{others}"


def _told_key(key: str | int) -> str:
    if isinstance(key, int):
        return str(key)
    escaped = _escaped(key, "%/\0[]'")
    return f"'{escaped}'" if escaped.lstrip("-").isdigit() else escaped


def _escaped(text: str, special: str) -> str:
    """With special characters, and what is no text, percent-encoded."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))
        if letter in special or "\ud800" <= letter <= "\udfff"
        else letter
        for letter in text
    )


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of this name, as ``float32``.

    Raises:
        StoreError: torch has none of that name.
    """
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise StoreError(f"torch has no dtype {name!r}")
    return dtype


def chunk_shape(shape: tuple[int, ...], itemsize: int, unit_axis: int = 1) -> tuple[int, ...]:
    """Chunks of 128 KiB to 1 MiB where the shape allows.

    They begin with 16 units (or a few more, so that all chunks are full) of 16 samples, whole in
    all other axes. Where that is too little, units are added, then samples, twofold each time;
    where it is too much, samples and units are halved in turn, then the other axes.

    Example:
        >>> chunk_shape((10_000, 128, 16, 16), 4), chunk_shape((10_000, 512), 4)
        ((16, 16, 16, 16), (64, 512))
    """
    chunk = [_FIRST_CHUNK_SAMPLES, *shape[1:]]
    has_units = len(shape) > 2
    if has_units:
        chunk[unit_axis] = _full_part(shape[unit_axis], _FIRST_CHUNK_UNITS)

    def n_bytes() -> int:
        return math.prod(chunk) * itemsize

    while has_units and n_bytes() < _SMALLEST_CHUNK and chunk[unit_axis] < shape[unit_axis]:
        chunk[unit_axis] = _full_part(shape[unit_axis], 2 * chunk[unit_axis])
    while n_bytes() < _SMALLEST_CHUNK and chunk[0] < shape[0]:
        chunk[0] *= 2
    in_turn = (0, unit_axis) if has_units else (0,)
    while n_bytes() > _LARGEST_CHUNK and any(chunk[axis] > 1 for axis in in_turn):
        axis = max(in_turn, key=lambda axis: chunk[axis])
        chunk[axis] = -(-chunk[axis] // 2)
    for axis in range(1, len(shape)):
        while n_bytes() > _LARGEST_CHUNK and chunk[axis] > 1:
            chunk[axis] = -(-chunk[axis] // 2)
    return (min(chunk[0], shape[0]), *chunk[1:])


def _full_part(size: int, least: int) -> int:
    """The smallest divisor of `size` from `least` to twice that; `least` if there is none."""
    divisors = (part for part in range(least, 2 * least) if size % part == 0)
    return min(size, next(divisors, least))


def _site_dataset(site: Site, tensor: SiteTensor, spec: RecordingSpec) -> Dataset:
    units = range(tensor.n_units) if site.units is None else site.units
    names = _site_dimensions(tensor)
    if not all(tensor.shape):
        raise StoreError(f"{site} is empty: a sample has shape {tensor.shape}")
    axes = zip(names, tensor.shape, strict=True)
    coordinates = [units if name == "unit" else range(size) for name, size in axes]
    source = torch_dtype(tensor.dtype)
    is_cast = spec.dtype is not None and source.is_floating_point
    return Dataset(
        group_name(site),
        "activation",
        ("sample", *names),
        (spec.samples, *coordinates),
        spec.dtype if is_cast and spec.dtype else source,
        attributes={"site": json.dumps(asdict(site)), "source_dtype": tensor.dtype},
        unit_axis=tensor.unit_axis,
    )


def _site_dimensions(tensor: SiteTensor) -> tuple[str, ...]:
    """The names of the axes of one sample."""
    n_others = len(tensor.spatial_shape)
    named: dict[int, tuple[str, ...]] = {0: (), 1: ("token",), 2: ("y", "x"), 3: ("z", "y", "x")}
    others = named.get(n_others, tuple(f"axis_{axis}" for axis in range(n_others)))
    if not tensor.shape:
        return ()
    return (*others[: tensor.unit_axis - 1], "unit", *others[tensor.unit_axis - 1 :])
