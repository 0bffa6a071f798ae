"""What a store holds and where: written into the file as one text with a digest of its own.

It is all that ganprobe reads through HDF5, whose own description of the same is for others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from pydantic import ValidationError

from ganprobe.errors import StoreError
from ganprobe.sites import Site
from ganprobe.store.description import DatasetDescription, SiteDescription, StoreDescription
from ganprobe.store.extents import Extent
from ganprobe.store.layout import (
    FORMAT,
    FORMAT_VERSION,
    Compression,
    Key,
    Share,
    Tiling,
    torch_dtype,
)
from ganprobe.store.records import digest

__all__ = ["Contents", "StoredDataset", "describe", "read_contents"]


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
        samples: the index of each sample that it is to hold.
        counter: the offset of the count of those that are committed.
        shards: the names of the files that it joins; a store that does has no datasets.
    """

    samples: tuple[int, ...] | range
    batch_size: int
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    compression: Compression
    share: Share | None
    counter: int
    datasets: Mapping[Key, StoredDataset]
    shards: tuple[str, ...] = ()

    @property
    def n_planned(self) -> int:
        """How many samples it is to hold."""
        return len(self.samples)

    @property
    def sites(self) -> list[Site]:
        """The sites that it holds, in the order they were asked for."""
        return [key for key in self.datasets if isinstance(key, Site)]

    @property
    def n_bytes(self) -> int:
        """How long the file is at least."""
        extents = [stored.extent for stored in self.datasets.values()]
        return max((extent.end for extent in extents), default=0)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        share = None if self.share is None else [self.share.index, self.share.of]
        return {
            "samples": _runs(self.samples),
            "batch_size": self.batch_size,
            "identity": self.identity,
            "provenance": self.provenance,
            "compression": self.compression,
            "share": share,
            "counter": self.counter,
            "datasets": [_told(key, stored) for key, stored in self.datasets.items()],
            "shards": list(self.shards),
        }

    @classmethod
    def of(cls, told: StoreDescription) -> Contents:
        """From its checked description."""
        return cls(
            samples=_indices(told.samples),
            batch_size=told.batch_size,
            identity=told.identity,
            provenance=told.provenance,
            compression=told.compression,
            share=Share(*told.share) if told.share else None,
            counter=told.counter,
            datasets=dict(map(_read, told.datasets)),
            shards=tuple(told.shards),
        )


def describe(file: h5py.File, contents: Contents) -> None:
    """Write it into an HDF5 file, and what others may want to see beside it."""
    text = json.dumps(contents.to_json()).encode()
    file.attrs["format"] = np.bytes_(FORMAT.encode())
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["n_samples"] = contents.n_planned
    file.attrs["provenance"] = np.bytes_(json.dumps(contents.provenance).encode())
    file.attrs["description"] = np.bytes_(text)
    file.attrs["description_digest"] = np.uint64(digest(text))


def read_contents(path: Path) -> Contents:
    """What a store says of itself.

    Raises:
        StoreError: there is no such file, or it is no activation store of a known version, or
            it is damaged.
    """
    with _opened(path) as file:
        try:
            text, expected = bytes(file.attrs["description"]), file.attrs["description_digest"]
            if digest(text) != int(expected):
                raise StoreError("the checksum of its description does not fit")
            told = StoreDescription.model_validate(json.loads(text))
            _check_size(told, path.stat().st_size)
            return Contents.of(told)
        except (StoreError, OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
            raise StoreError(f"{path} is damaged: {_reason(error)}") from error


def _opened(path: Path) -> h5py.File:
    """The store, open in HDF5 for reading, beside a writer if need be."""
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is no file; name an HDF5 file")
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {path}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreError(
            f"{path} is not an HDF5 file that can be read: {_reason(error)}"
        ) from error
    try:
        kind, version = file.attrs.get("format"), file.attrs.get("format_version")
    except (OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        file.close()
        raise StoreError(f"{path} is damaged: {_reason(error)}") from error
    is_store = isinstance(kind, bytes | str) and kind in (FORMAT, FORMAT.encode())
    if not is_store or not (isinstance(version, np.integer) and version == FORMAT_VERSION):
        file.close()
        other = f", but of version {version}" if is_store else ""
        raise StoreError(
            f"{path} is no activation store of format version {FORMAT_VERSION}{other}; make one"
            " with ganprobe record"
        )
    return file


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return f"its description cannot be right: {where} {first['msg']}".replace("  ", " ")
    return str(error.args[0] if error.args else error) or type(error).__name__


def _told(key: Key, stored: StoredDataset) -> dict[str, Any]:
    extent = stored.extent
    return {
        "key": asdict(key) if isinstance(key, Site) else key,
        "group": stored.group,
        "name": stored.name,
        "dimensions": stored.dimensions,
        "shape": extent.tiling.shape,
        "chunk": extent.tiling.chunk,
        "dtype": str(extent.dtype).removeprefix("torch."),
        "values": extent.values,
        "index": extent.index,
        "records": extent.records,
    }


def _check_size(told: StoreDescription, n_bytes: int) -> None:
    """Refuse what cannot be in so long a file, before memory is taken for it."""
    for dataset in told.datasets:
        if dataset.values is not None and math.prod(dataset.shape) > n_bytes:
            raise StoreError(f"{dataset.name} of shape {dataset.shape} is not in {n_bytes:,} bytes")
    names = [name for name in told.shards if Path(name).name != name]
    if names:
        raise StoreError(f"it joins {names}, which are no names of files")


def _read(told: DatasetDescription) -> tuple[Key, StoredDataset]:
    dtype = torch_dtype(told.dtype)
    tiling = Tiling(tuple(told.shape), tuple(told.chunk), dtype.itemsize)
    extent = Extent(tiling, dtype, told.values, told.index, told.records)
    return _key(told.key), StoredDataset(told.group, told.name, tuple(told.dimensions), extent)


def _key(told: SiteDescription | Literal["latents", "seeds", "images"]) -> Key:
    if isinstance(told, str):
        return told
    units = None if told.units is None else tuple(told.units)
    return Site(told.layer, told.port, tuple(told.path), told.call, units)


def _runs(samples: Sequence[int]) -> list[list[int]]:
    """Runs of indices that follow each other, each as [first, last + 1]."""
    if isinstance(samples, range) and samples.step == 1:
        return [[samples.start, samples.stop]]
    numbers = np.asarray(samples, np.int64)
    edges = np.flatnonzero(np.diff(numbers) != 1) + 1
    bounds = pairwise([0, *edges.tolist(), len(numbers)])
    return [[int(numbers[a]), int(numbers[b - 1]) + 1] for a, b in bounds]


def _indices(runs: Iterable[Sequence[int]]) -> tuple[int, ...] | range:
    found = [range(*run) for run in runs]
    return found[0] if len(found) == 1 else tuple(index for run in found for index in run)
