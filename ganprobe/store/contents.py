"""What an existing store holds and where, read once by HDF5; values are read without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from ganprobe.errors import StoreError
from ganprobe.sites import Site
from ganprobe.store.chunk_index import ADDRESS_ATTRIBUTE
from ganprobe.store.header import COUNTER, Extent, first_block
from ganprobe.store.layout import (
    FORMAT,
    FORMAT_VERSION,
    Compression,
    Key,
    Share,
    Tiling,
    group_name,
    read_site,
    torch_dtype,
)
from ganprobe.store.records import N_PLACES

__all__ = [
    "Contents",
    "Joined",
    "StoredDataset",
    "is_joined",
    "read_contents",
    "read_joined",
    "read_scale",
]


@dataclass(frozen=True)
class StoredDataset:
    """One dataset of a store.

    Args:
        group: the path of its group.
        dimensions: the name of each axis.
    """

    group: str
    name: str
    dimensions: tuple[str, ...]
    extent: Extent


@dataclass(frozen=True)
class Contents:
    """All that a store says of itself.

    Args:
        n_planned: how many samples it is to hold.
        counter: the offset of the count of those that are committed.
    """

    n_planned: int
    batch_size: int
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    compression: Compression
    share: Share | None
    counter: int
    datasets: Mapping[Key, StoredDataset]

    @property
    def sites(self) -> list[Site]:
        """The sites that it holds, in the order they were asked for."""
        return [key for key in self.datasets if isinstance(key, Site)]


def read_contents(path: Path) -> Contents:
    """What a store says of itself.

    Raises:
        StoreError: there is no such file, or it is no activation store of a known version, or
            it is damaged.
    """
    with opened(path) as file:
        try:
            return _read(file)
        except StoreError as error:
            raise StoreError(f"{path} is damaged: {error}") from error
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
            raise StoreError(f"{path} is damaged: {_reason(error)}") from error


def read_scale(path: Path, group: str, name: str) -> tuple[int, ...]:
    """The numbers along a dimension.

    Raises:
        StoreError: they are damaged.
    """
    with opened(path) as file:
        try:
            return tuple(file[group][name][()].tolist())
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise StoreError(f"{path} is damaged: {_reason(error)}") from error


def is_joined(path: Path) -> bool:
    """Whether a store only joins others.

    Raises:
        StoreError: it cannot be read.
    """
    with opened(path) as file:
        return "shards" in file.attrs


@dataclass(frozen=True)
class Joined:
    """What a store that joins others says of itself: their files' names, and what they hold."""

    names: list[str]
    identity: Mapping[str, Any]


def read_joined(path: Path) -> Joined:
    """What a store that joins others says of itself.

    Raises:
        StoreError: it cannot be read.
    """
    with opened(path) as file:
        try:
            names, identity = json.loads(_text(file, "shards")), json.loads(_text(file, "identity"))
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise StoreError(f"{path} is damaged: {_reason(error)}") from error
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise StoreError(f"{path} is damaged: it joins {names}")
    return Joined(names, identity)


def opened(path: Path) -> h5py.File:
    """The store at `path`, open in HDF5 for reading, beside a writer if need be.

    Raises:
        StoreError: there is no such file, or it is no activation store of a known version.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {path}") from error
    except (OSError, RuntimeError, ValueError) as error:
        if path.is_dir():
            raise StoreError(f"{path} is a folder; name an HDF5 file") from error
        raise StoreError(
            f"{path} is not an HDF5 file that can be read: {_reason(error)}"
        ) from error
    try:
        kind, version = file.attrs.get("format"), file.attrs.get("format_version")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        file.close()
        raise StoreError(f"{path} is damaged: {_reason(error)}") from error
    if kind not in (FORMAT, FORMAT.encode()) or version != FORMAT_VERSION:
        file.close()
        other = f", but of version {version}" if kind in (FORMAT, FORMAT.encode()) else ""
        raise StoreError(
            f"{path} is no activation store of format version {FORMAT_VERSION}{other}; make one"
            " with ganprobe record"
        )
    return file


def _reason(error: BaseException) -> str:
    return str(error.args[0] if error.args else error) or type(error).__name__


def _read(file: h5py.File) -> Contents:
    share = json.loads(_text(file, "share"))
    n_planned, batch_size = int(file.attrs["n_samples"]), int(file.attrs["batch_size"])
    identity = json.loads(_text(file, "identity"))
    return Contents(
        n_planned=n_planned,
        batch_size=batch_size,
        identity=identity,
        provenance=json.loads(_text(file, "provenance")),
        compression=_compression(_text(file, "compression")),
        share=Share(*share) if share else None,
        counter=_offset(file[COUNTER]),
        datasets=_datasets(file, n_planned),
    )


def _datasets(file: h5py.File, n_planned: int) -> dict[Key, StoredDataset]:
    found: dict[Key, StoredDataset] = {}
    for name in json.loads(_text(file, "groups")):
        group = file[name]
        site = read_site(_text(group, "site"))
        if group_name(site) != name:
            raise StoreError(f"group {name} says that it is of site {site}")
        found[site] = _dataset(file, name, "activation", n_planned)
    found["latents"] = _dataset(file, "latents", "z", n_planned)
    if "seed" in file["latents"]:
        found["seeds"] = _dataset(file, "latents", "seed", n_planned)
    if "images" in file:
        found["images"] = _dataset(file, "images", "image", n_planned)
    return found


def _dataset(file: h5py.File, group: str, name: str, n_planned: int) -> StoredDataset:
    values = file[group][name]
    dtype = torch_dtype(_text(values, "dtype"))
    if values.chunks is None or not values.shape or values.shape[0] != n_planned:
        raise StoreError(f"{group}/{name} has shape {values.shape} for {n_planned} samples")
    tiling = Tiling(values.shape, values.chunks, dtype.itemsize)
    records = file[f"checksums/{group}"][f"{name}_records"]
    index = values.attrs.get(ADDRESS_ATTRIBUTE)
    first = first_block(values, tiling) if index is None else None
    extent = Extent(tiling, dtype, first, None if index is None else int(index), _offset(records))
    if records.shape != (tiling.n_blocks, N_PLACES, extent.record_words):
        raise StoreError(f"the records of {group}/{name} have shape {records.shape}")
    return StoredDataset(group, name, tuple(_text(values, "dimensions").split(",")), extent)


def _compression(name: str) -> Compression:
    if name not in ("none", "zstd", "lz4"):
        raise StoreError(f"there is no compression {name!r}")
    return cast(Compression, name)


def _offset(dataset: h5py.Dataset) -> int:
    offset = dataset.id.get_offset()
    if offset is None:
        raise StoreError(f"{dataset.name} has no place in the file")
    return int(offset)


def _text(owner: Any, name: str) -> str:
    value = owner.attrs[name]
    return value.decode() if isinstance(value, bytes | np.bytes_) else str(value)
