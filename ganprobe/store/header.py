"""The header of a store: everything but the values, made by HDF5 in memory.

HDF5 never touches the file itself. It lays the whole file out in memory, where the space of the
values is only a number; what it wrote is then written to the disk like any other bytes, and from
there on values go to places that are known. So a full disk is an ordinary error, and the file
opens from its first moment on. The header for 6.5 GB takes about 10 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import torch
from h5py import h5d, h5p, h5s, h5t, h5z

from ganprobe.errors import StoreError
from ganprobe.store.chunk_index import ChunkIndex, blank_index, create_index
from ganprobe.store.compression import Codec, codec
from ganprobe.store.contents import Contents, StoredDataset, describe
from ganprobe.store.extents import Extent
from ganprobe.store.layout import (
    Dataset,
    Key,
    RecordingSpec,
    Tiling,
)
from ganprobe.store.records import N_PLACES, n_words, sealed

__all__ = [
    "COUNTER",
    "COUNTER_WORDS",
    "Header",
    "MemoryImage",
    "make_header",
    "scale",
    "stored_numpy",
    "stored_type",
]

COUNTER = "progress/committed"
COUNTER_WORDS = n_words(0, is_compressed=False)
_ALIGNMENT = 4096
_SCALE_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Header:
    """What is written first.

    Args:
        writes: bytes with their offsets, in order.
        size: of the whole file with all values, but those that are compressed.
        counter: the offset of the count of committed samples.
    """

    writes: list[tuple[int, bytes]]
    size: int
    extents: Mapping[Key, Extent]
    counter: int


@dataclass
class MemoryImage:
    """A file of which only what was written takes memory, for h5py to write into."""

    writes: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    position: int = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """As files have it."""
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        """As files have it."""
        return self.position

    def read(self, n: int) -> bytes:
        """As files have it."""
        buffer = bytearray(n)
        self.readinto(memoryview(buffer))
        return bytes(buffer)

    def readinto(self, buffer: memoryview) -> int:
        """As files have it; what was never written is zero."""
        begin, end = self.position, self.position + len(buffer)
        found = bytearray(len(buffer))
        for offset, written in self.writes:
            first, last = max(begin, offset), min(end, offset + len(written))
            if first < last:
                found[first - begin : last - begin] = written[first - offset : last - offset]
        buffer[:] = found
        self.position = end
        return len(buffer)

    def read_at(self, offset: int, n: int) -> bytes:
        """`n` bytes at `offset`, fewer where the file ends before."""
        self.position = offset
        return self.read(max(0, min(n, self.size - offset)))

    def write(self, values: Any) -> int:
        """As files have it."""
        self.writes.append((self.position, bytes(values)))
        self.position += len(values)
        self.size = max(self.size, self.position)
        return len(values)

    def truncate(self, size: int | None = None) -> int:
        """As files have it."""
        self.size = self.position if size is None else size
        return self.size

    def flush(self) -> None:
        """As files have it."""


def make_header(spec: RecordingSpec, planned: Mapping[Key, Dataset]) -> Header:
    """Lay a store out.

    Raises:
        StoreError: HDF5 has no such dtype, or lays files out in another way than is known here.
    """
    image = MemoryImage()
    with h5py.File(
        image,
        "w",
        libver=("v110", "v110"),
        alignment_threshold=_ALIGNMENT,
        alignment_interval=_ALIGNMENT,
    ) as file:
        counter = _create_counter(file)
        made = {key: _create(file, dataset, spec, image) for key, dataset in planned.items()}
        stored = {
            key: StoredDataset(dataset.group, dataset.name, dataset.dimensions, made[key][0])
            for key, dataset in planned.items()
        }
        describe(file, _contents(spec, counter, stored))
    indices = [index for _, index in made.values() if index is not None]
    blanks = [
        write for index in indices for write in blank_index(image.read_at, index, end=image.size)
    ]
    extents = {key: extent for key, (extent, _) in made.items()}
    return Header(image.writes + blanks, image.size, extents, counter)


def _contents(spec: RecordingSpec, counter: int, datasets: Mapping[Key, StoredDataset]) -> Contents:
    samples = spec.samples if isinstance(spec.samples, range) else tuple(spec.samples)
    return Contents(
        samples=samples,
        batch_size=spec.batch_size,
        identity=spec.identity,
        provenance=spec.provenance.to_json(),
        compression=spec.compression,
        share=spec.share,
        counter=counter,
        datasets=datasets,
    )


def stored_type(dtype: torch.dtype) -> h5t.TypeID:
    """The type in the file: the dtype's own; bfloat16 as a float of 16 bits that HDF5 converts.

    Raises:
        StoreError: HDF5 has none.
    """
    if dtype == torch.bfloat16:
        kind = h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_precision(16)
        kind.set_offset(0)
        kind.set_size(2)
        kind.set_ebias(127)
        return kind
    return h5t.py_create(stored_numpy(dtype), logical=True)


def stored_numpy(dtype: torch.dtype) -> np.dtype[np.generic]:
    """The dtype as which numpy reads it from the file: the own one; float32 for bfloat16.

    Raises:
        StoreError: there is none.
    """
    if dtype == torch.bfloat16:
        return np.dtype(np.float32)
    try:
        return np.dtype(str(dtype).removeprefix("torch."))
    except TypeError as error:
        raise StoreError(f"HDF5 has no {dtype}; record in another dtype") from error


def _create_counter(file: h5py.File) -> int:
    places = np.zeros((N_PLACES, COUNTER_WORDS), np.uint64)
    places[0] = sealed(0, np.zeros(1, np.uint64))
    counter = file.create_dataset(COUNTER, data=places.reshape(-1))
    counter.make_scale("committed")
    return int(counter.id.get_offset())


def _create(
    file: h5py.File, dataset: Dataset, spec: RecordingSpec, image: MemoryImage
) -> tuple[Extent, ChunkIndex | None]:
    group = file.require_group(dataset.group)
    for name, value in dataset.attributes.items():
        group.attrs[name] = np.bytes_(value.encode())
    is_compressed = dataset.is_compressed(spec.compression)
    values = _create_values(group, dataset, codec(spec.compression) if is_compressed else None)
    for axis, (name, coordinate) in enumerate(
        zip(dataset.dimensions, dataset.coordinates, strict=True)
    ):
        values.dims[axis].attach_scale(scale(group, name, coordinate))
    records = _create_records(file, dataset, is_compressed=is_compressed)
    if is_compressed:
        index = create_index(values, image.read_at)
        return Extent(dataset.tiling, dataset.dtype, None, index.address, records), index
    first = _first_block(values, dataset.tiling)
    return Extent(dataset.tiling, dataset.dtype, first, None, records), None


def _create_values(group: h5py.Group, dataset: Dataset, packed: Codec | None) -> h5py.Dataset:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk(dataset.tiling.chunk)
    if packed is None:
        properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5d.FILL_TIME_NEVER)  # what is not yet written is zeros
    else:
        options = packed.filter_options
        properties.set_filter(packed.filter_id, h5z.FLAG_OPTIONAL, options)  # need not be there
    space = h5s.create_simple(dataset.shape)
    kind = stored_type(dataset.dtype)
    return h5py.Dataset(h5d.create(group.id, dataset.name.encode(), kind, space, properties))


def scale(group: h5py.Group, name: str, coordinate: Any) -> h5py.Dataset:
    """The scale of a dimension, made if need be; its values have HDF5's own checksums."""
    if name in group:
        return group[name]
    numbers = np.asarray(coordinate, dtype=np.int64)
    made = group.create_dataset(
        name,
        data=numbers,
        chunks=(min(len(numbers), _SCALE_CHUNK),),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )
    made.make_scale(name)
    return made


def _first_block(values: h5py.Dataset, tiling: Tiling) -> int:
    """The offset of the first chunk, from which all others follow without a gap.

    Raises:
        StoreError: they do not.
    """
    first = values.id.get_chunk_info_by_coord((0,) * values.ndim)
    axes = zip(tiling.grid, tiling.chunk, strict=True)
    corner = tuple((count - 1) * part for count, part in axes)
    last = values.id.get_chunk_info_by_coord(corner)
    if last.byte_offset != first.byte_offset + (tiling.n_chunks - 1) * tiling.chunk_bytes:
        raise StoreError(f"{values.name} does not lie in one piece; this HDF5 is not known here")
    return int(first.byte_offset)


def _create_records(file: h5py.File, dataset: Dataset, *, is_compressed: bool) -> int:
    group = file.require_group(dataset.records_group)
    tiling = dataset.tiling
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
    words = n_words(tiling.n_columns, is_compressed=is_compressed)
    space = h5s.create_simple((tiling.n_blocks, N_PLACES, words))
    name = f"{dataset.name}_records"
    records = h5py.Dataset(h5d.create(group.id, name.encode(), h5t.STD_U64LE, space, properties))
    for axis, (what, size) in enumerate(
        zip(("block", "place", "word"), records.shape, strict=True)
    ):
        records.dims[axis].attach_scale(scale(group, f"{dataset.name}_{what}", range(size)))
    return int(records.id.get_offset())
