"""Ways to keep the same feature maps on a disk: raw bytes, ganprobe's store, and what people use.

The peers are imported when they are asked for; one that is not installed says so in its row.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

import ganprobe as gp
from ganprobe.latents import LatentSpace
from ganprobe.progress import silent
from ganprobe.provenance import Provenance
from ganprobe.recordings import Recording
from ganprobe.runs import Run
from ganprobe.sites import Site, SiteTensor
from ganprobe.store import Compression, RecordingSpec, write_shares
from ganprobe.store.disk import DiskFile
from swap_networks import read_subject

__all__ = [
    "BATCH",
    "COMPRESSIONS",
    "OURS",
    "PATTERNS",
    "PEERS",
    "RAW",
    "READERS",
    "UNIT",
    "WRITERS",
    "Maps",
    "Reader",
    "Way",
    "drop_pages",
    "forget",
    "n_bytes",
    "sync",
    "to_page_cache",
    "write_ours",
    "write_raw",
]

PEERS = ("safetensors", "zarr", "hdf5plugin", "zstandard", "lz4", "xxhash")
SHAPE, BATCH, CHUNK = (128, 16, 16), 64, (16, 16, 16, 16)
RAW, OURS = "raw `write`, 256 KiB each", "**ganprobe**"
SLICE = 256 * 1024
SITE = Site("main.8")
UNIT, THREE = 37, (100, 911, 1787)


@dataclass(frozen=True, eq=False)
class Maps:
    """Feature maps, float32 (n_samples, 128, 16, 16), a batch of 64 at a time.

    Args:
        batches: different ones, which come over and over.
    """

    batches: Sequence[Tensor]
    n_samples: int

    @classmethod
    def of_dcgan(cls, n_samples: int, n_different: int = 4) -> Maps:
        """What the third ReLU of a DCGAN-64 with random weights returns."""
        subject = read_subject("dcgan-128", None, "cpu")
        latents = (subject.generator.sample(BATCH, seed=seed).z for seed in range(n_different))
        return cls([subject.maps(z) for z in latents], n_samples)

    def __iter__(self) -> Iterator[Tensor]:
        for number in range(len(self)):
            yield self.batches[number % len(self.batches)]

    def __len__(self) -> int:
        return self.n_samples // BATCH

    @property
    def n_bytes(self) -> int:
        """Of all samples."""
        return self.n_samples * self.batches[0][0].nbytes

    @property
    def zeros(self) -> float:
        """The share of values that are zero."""
        return float(np.mean([(batch == 0).double().mean().item() for batch in self.batches]))

    def first(self, share: float) -> Maps:
        """The first of them, whole batches."""
        return replace(self, n_samples=max(1, round(len(self) * share)) * BATCH)

    def rows(self, rows: Sequence[int]) -> Tensor:
        """Some samples."""
        n = len(self.batches)
        return torch.stack([self.batches[row // BATCH % n][row % BATCH] for row in rows])


Write = Callable[[Path, Maps], None]


class Way(NamedTuple):
    """A way to write.

    Args:
        write: writes maps to a new file or folder; need not wait for the disk.
        share: of the samples that are enough to see how fast it is.
    """

    name: str
    write: Write
    share: float = 1.0


def write_raw(
    path: Path, maps: Maps, batches: Callable[[], Iterator[Tensor]] | None = None
) -> None:
    """Bytes one behind the other, in a file whose space is claimed first."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.posix_fallocate(descriptor, 0, maps.n_bytes)
        for batch in batches() if batches else maps:
            values: Any = batch.view(-1).view(torch.uint8).numpy()
            view = memoryview(values)
            for start in range(0, len(view), SLICE):
                os.write(descriptor, view[start : start + SLICE])
    finally:
        os.close(descriptor)


def write_ours(
    path: Path,
    maps: Maps,
    compression: Compression = "none",
    batches: Callable[[], Iterator[Tensor]] | None = None,
) -> None:
    """The activation store, fed with batches as a generator's hooks would."""

    def runs(first: int) -> Iterator[Run]:
        for number, batch in enumerate(batches() if batches else maps):
            indices = tuple(range(number * BATCH, (number + 1) * BATCH))
            yield Run(gp.Latents(latents, 0, indices), Recording({SITE: batch}), None)

    latents = torch.zeros(BATCH, 100, 1, 1)
    write_shares(_spec(path, maps, compression), runs, silent)


def _spec(path: Path, maps: Maps, compression: Compression) -> RecordingSpec:
    tensor = SiteTensor(SITE, SHAPE, "float32", 1, is_batched=True, is_overwritten=False)
    return RecordingSpec(
        path=path,
        samples=range(maps.n_samples),
        seed=0,
        batch_size=BATCH,
        sites={SITE: tensor},
        latent_space=LatentSpace((100, 1, 1)),
        image_shape=None,
        latent_dtype=torch.float32,
        image_dtype=torch.float32,
        provenance=Provenance({}, 0, "cpu", "float32", {}),
        compression=compression,
    )


def _with_h5py(path: Path, maps: Maps, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        values = file.create_dataset("maps", (maps.n_samples, *SHAPE), "f4", **options)
        for start, batch in zip(range(0, maps.n_samples, BATCH), maps, strict=True):
            values[start : start + BATCH] = batch.numpy()


def _with_zstd_in_hdf5(path: Path, maps: Maps) -> None:
    _with_h5py(path, maps, chunks=CHUNK, **import_module("hdf5plugin").Zstd(clevel=1))


def _with_zarr(path: Path, maps: Maps) -> None:
    shape = (maps.n_samples, *SHAPE)
    create: Any = import_module("zarr").create_array
    values = create(path, shape=shape, chunks=CHUNK, dtype="float32", compressors=None)
    for start, batch in zip(range(0, maps.n_samples, BATCH), maps, strict=True):
        values[start : start + BATCH] = batch.numpy()


def _file_each(path: Path, maps: Maps, save: Callable[[Tensor, Path], object]) -> None:
    path.mkdir()
    for number, batch in enumerate(maps):
        save(batch, path / f"{number:06}")


WRITERS = (
    Way(RAW, write_raw),
    Way(OURS, write_ours),
    Way("h5py, our chunks", partial(_with_h5py, chunks=CHUNK), 1 / 2),
    Way("h5py, automatic chunks", partial(_with_h5py, chunks=True), 1 / 8),
    Way('h5py, `compression="gzip"`', partial(_with_h5py, compression="gzip"), 1 / 64),
    Way("zarr, our chunks", _with_zarr, 1 / 16),
    Way(
        "safetensors, a file each batch",
        partial(_file_each, save=lambda batch, path: save_file({"maps": batch}, path)),
        1 / 4,
    ),
    Way("`torch.save`, a file each batch", partial(_file_each, save=torch.save), 1 / 8),
)
"""Raw first, ganprobe second."""

COMPRESSIONS = (
    Way(f"{OURS}, zstd", partial(write_ours, compression="zstd")),
    Way(f"{OURS}, lz4", partial(write_ours, compression="lz4")),
    Way("h5py and hdf5plugin's Zstd, our chunks", _with_zstd_in_hdf5, 1 / 2),
    Way('h5py, `compression="gzip"`', partial(_with_h5py, compression="gzip"), 1 / 16),
    Way(f"{OURS}, none", write_ours),
)


def to_page_cache() -> AbstractContextManager[object]:
    """The store's own flushes switched off, so that it writes as others do that never ask."""
    return mock.patch.object(DiskFile, "flush", return_value=None)


def sync(path: Path) -> None:
    """Have the disk keep a file, or all files of a folder."""
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        descriptor = os.open(one, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def forget(path: Path) -> None:
    """Remove a file or a folder, and have the disk do what it has not done yet."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    os.sync()


def n_bytes(path: Path) -> int:
    """Of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def drop_pages(path: Path) -> None:
    """Have the system forget what it holds in memory of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


class Reader(NamedTuple):
    """A way to read.

    Args:
        write: makes the file.
        opened: opens it; what it gives takes rows and units (None: all), and gives their maps.
        shuffled: reads batches in the order of these rows; gives each.
        most_shuffled: how many batches are enough to see how fast it is.
    """

    name: str
    write: Write
    opened: Callable[[Path], AbstractContextManager[Any]]
    read: Callable[[Any, Sequence[int] | None, int | None], Tensor]
    shuffled: Callable[[Any, Sequence[int]], Iterator[Tensor]]
    most_shuffled: int = 8


Pattern = Callable[[Reader, Any, int], object]


def _one_unit(reader: Reader, file: Any, n_samples: int) -> Tensor:
    return reader.read(file, None, UNIT)


def _three_samples(reader: Reader, file: Any, n_samples: int) -> Tensor:
    return reader.read(file, [row % n_samples for row in THREE], None)


def _everything(reader: Reader, file: Any, n_samples: int) -> Tensor:
    return reader.read(file, None, None)


PATTERNS: Mapping[str, Pattern] = {
    "one unit": _one_unit,
    "three samples": _three_samples,
    "everything": _everything,
}


def _read_store(store: gp.ActivationStore, rows: Sequence[int] | None, unit: int | None) -> Tensor:
    units = None if unit is None else [unit]
    return store.activations(SITE, slice(None) if rows is None else rows, units=units)


def _shuffled_store(store: gp.ActivationStore, rows: Sequence[int]) -> Iterator[Tensor]:
    return (run[SITE] for run in store.batches(samples=rows, batch_size=BATCH))


@contextmanager
def _h5py_maps(path: Path) -> Iterator[h5py.Dataset]:
    with h5py.File(path) as file:
        yield file["maps"]


def _read_h5py(values: h5py.Dataset, rows: Sequence[int] | None, unit: int | None) -> Tensor:
    if rows is None:
        return torch.from_numpy(values[:] if unit is None else values[:, unit : unit + 1])
    out: NDArray[np.float32] = np.empty((len(rows), *SHAPE), np.float32)
    for place, row in enumerate(rows):  # many times as fast as values[sorted(rows)]
        values.read_direct(out, np.s_[row], np.s_[place])
    return torch.from_numpy(out)


def _shuffled_h5py(values: h5py.Dataset, rows: Sequence[int]) -> Iterator[Tensor]:
    for start in range(0, len(rows), BATCH):
        yield _read_h5py(values, rows[start : start + BATCH], None)


def _h5py_reader(name: str, most_shuffled: int = 8, **options: Any) -> Reader:
    write = partial(_with_h5py, **options)
    return Reader(name, write, _h5py_maps, _read_h5py, _shuffled_h5py, most_shuffled)


READERS = (
    Reader(OURS, write_ours, gp.ActivationStore, _read_store, _shuffled_store),
    Reader(
        f"{OURS}, `verify=False`",
        write_ours,
        partial(gp.ActivationStore, verify=False),
        _read_store,
        _shuffled_store,
    ),
    _h5py_reader("h5py, chunks of 16 x 16", chunks=CHUNK),
    _h5py_reader("h5py, contiguous"),
    _h5py_reader("h5py, automatic chunks", 1, chunks=True),
)
"""ganprobe first; third the one that it is measured by."""
