"""Writing a store: batches stream in, the file appears under its name when it is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, Self

import h5py
import numpy as np
from torch import Tensor

from ganprobe.errors import GanprobeError, OutputExistsError, StoreError
from ganprobe.latents import Latents
from ganprobe.progress import Progress
from ganprobe.sites import Site
from ganprobe.store.layout import (
    FORMAT,
    FORMAT_VERSION,
    Dataset,
    RecordingSpec,
    chunk_shape,
    datasets,
)
from ganprobe.store.packing import Packed, pack

__all__ = ["RecordedBatch", "write_store"]

_BATCHES_IN_FLIGHT = 3
_HEADER_BYTES = 4 * 1024 * 1024  # a generous bound on what HDF5 adds to the values


class RecordedBatch(Protocol):
    """One batch to be written: its latents, images and activations by site."""

    @property
    def latents(self) -> Latents: ...
    @property
    def images(self) -> Tensor: ...
    @property
    def recording(self) -> Mapping[Site, Tensor]: ...


def write_store(spec: RecordingSpec, batches: Iterable[RecordedBatch], progress: Progress) -> Path:
    """Write batches, in order, until all of the spec's samples are there.

    Raises:
        OutputExistsError: the file exists and may not be replaced.
        StoreError: the folder cannot be written, the disk is too small, or writing failed.
    """
    if spec.path.exists() and not spec.path.is_file():
        raise OutputExistsError(f"{spec.path} is no file that could be replaced; name another")
    if spec.path.exists() and not spec.overwrite:
        raise OutputExistsError(f"{spec.path} exists; give --force (overwrite=True) to replace it")
    planned = datasets(spec)
    with _whole_or_nothing(spec.path) as partial:
        _check_space(spec.path, planned)
        with h5py.File(partial, "w", libver=("v110", "v110")) as file:
            created = _create(file, spec, planned)
            with _Flushing(file.id.get_vfd_handle()) as flushing:
                _stream(created, spec, batches, flushing, progress)
    return spec.path


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[Path]:
    """A partial file beside `path` that takes its name when all went well, else is removed."""
    whole = path.resolve()
    partial = whole.parent / f"{whole.name}.{os.getpid()}.partial"
    created = [parent for parent in whole.parents if not parent.exists()]
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(whole)
        created = []
    except GanprobeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"cannot write {path}: {reason}; choose another --output") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
        for parent in created:
            with suppress(OSError):  # something else was put there meanwhile
                parent.rmdir()


def _check_space(path: Path, planned: Mapping[Any, Dataset]) -> None:
    needed = sum(dataset.n_bytes for dataset in planned.values()) + _HEADER_BYTES
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreError(
            f"{path} needs {needed:,} bytes but its disk has {free:,} free; record fewer samples"
            " or sites, or choose another disk"
        )


def _create(
    file: h5py.File, spec: RecordingSpec, planned: Mapping[Site | str, Dataset]
) -> dict[Site | str, Any]:
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["n_samples"] = len(spec.samples)
    file.attrs["provenance"] = json.dumps(spec.provenance.to_json())
    return {key: _create_dataset(file, dataset) for key, dataset in planned.items()}


def _create_dataset(file: h5py.File, dataset: Dataset) -> Any:
    group = file.create_group(dataset.group)
    group.attrs.update(dataset.attributes)
    created = group.create_dataset(
        dataset.name,
        dataset.shape,
        dataset.dtype,
        chunks=chunk_shape(dataset.shape, dataset.dtype.itemsize),
        fill_time="never",  # every value is written
    )
    for axis, (name, coordinate) in enumerate(
        zip(dataset.dimensions, dataset.coordinates, strict=True)
    ):
        scale = group.create_dataset(name, data=np.asarray(coordinate, dtype=np.int64))
        scale.make_scale(name)
        created.dims[axis].attach_scale(scale)
        created.dims[axis].label = name
    return created


def _stream(
    created: Mapping[Site | str, Any],
    spec: RecordingSpec,
    batches: Iterable[RecordedBatch],
    flushing: _Flushing,
    progress: Progress,
) -> None:
    in_flight: deque[tuple[Future[None], _Batch]] = deque()
    free: list[_Batch] = []
    start = 0
    with (
        progress(len(spec.samples), "samples recorded") as bar,
        ThreadPoolExecutor(1, "ganprobe-store") as writer,
    ):
        for batch in batches:
            packed = _packed(batch, start, created, free.pop() if free else {})
            in_flight.append((writer.submit(_write, created, packed), packed))
            start += len(batch.latents)
            if len(in_flight) == _BATCHES_IN_FLIGHT:
                written, memory = in_flight.popleft()
                written.result()
                flushing.advance(sum(packed.memory.nbytes for packed in memory.values()))
                free.append(memory)
            bar.advance(len(batch.latents))
        for written, _ in in_flight:
            written.result()


_Batch = dict[Site | str, Packed]


class _Flushing:
    """Sends what was written on to the disk while more is coming, so that the end is not late."""

    every_bytes = 32 * 1024 * 1024

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread = ThreadPoolExecutor(1, "ganprobe-flush")
        self._under_way: Future[None] | None = None
        self._n_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self._raise_what_failed()

    def advance(self, n_bytes: int) -> None:
        """`n_bytes` more were written; starts a flush when enough have come together."""
        self._n_bytes += n_bytes
        is_free = self._under_way is None or self._under_way.done()
        if is_free and self._n_bytes >= self.every_bytes:
            self._raise_what_failed()
            self._n_bytes = 0
            flush = getattr(os, "fdatasync", os.fsync)
            self._under_way = self._thread.submit(flush, self._descriptor)

    def _raise_what_failed(self) -> None:
        """The system tells of a failed write only once, and it may have told a flush."""
        if self._under_way is not None:
            self._under_way.result()


def _packed(
    batch: RecordedBatch, start: int, created: Mapping[Site | str, Any], used: _Batch
) -> _Batch:
    """The batch on the host, in the memory of a used one where that fits."""
    n = len(batch.latents)
    packed: _Batch = {}
    for key, dataset in created.items():
        if isinstance(key, Site):
            tensor = batch.recording[key]
        else:
            tensor = batch.latents.z if key == "latents" else batch.images
        if len(tensor) != n:
            raise StoreError(f"{key} has {len(tensor)} rows for {n} samples; leave that site out")
        memory = used[key].memory if key in used else None
        packed[key] = pack(tensor, start, dataset.chunks, memory=memory)
    return packed


def _write(created: Mapping[Site | str, Any], batch: _Batch) -> None:
    for key, packed in batch.items():
        dataset = created[key]
        if packed.chunk is None:
            dataset[packed.start : packed.start + len(packed.memory)] = packed.values
        else:
            for offset, values in packed.chunks():
                dataset.id.write_direct_chunk(offset, values)
