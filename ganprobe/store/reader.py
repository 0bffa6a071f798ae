"""Reading a store: lazily, by site, samples, units and region."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ganprobe.errors import ParameterError, StoreError, UnknownNameError
from ganprobe.indices import check_count
from ganprobe.latents import Latents
from ganprobe.progress import Progress, silent
from ganprobe.recordings import Recording
from ganprobe.runs import Run
from ganprobe.sites import Site
from ganprobe.store.checking import Damage
from ganprobe.store.contents import StoredDataset, read_contents
from ganprobe.store.dataset import ActivationDataset
from ganprobe.store.layout import Compression, Key
from ganprobe.store.piece import Piece, Task, groups
from ganprobe.store.prefetch import prefetched
from ganprobe.store.selection import Rows, Selection, rows_of, whole_numbers
from ganprobe.store.shards import open_pieces, open_shards

__all__ = ["ActivationStore"]

_THREADS = 2
_DEFAULT_BATCH_SIZE = 64
_AHEAD = 2

Samples = slice | Sequence[int]
Region = tuple[slice, slice]


class ActivationStore:
    """An HDF5 file of recordings, open for reading; nothing is read until it is asked for.

    It may still be written: then the samples that are committed are there, more each time that
    `n_samples` is asked. Whatever is read is compared with its checksums. It may be used by
    several threads at once, pickled, and used in worker processes.

    Args:
        path: the file.
        verify: compare what is read with its checksums; without it reading is 5 to 10 % faster.

    Raises:
        StoreError: there is no such file, or it is no activation store of a known version, or it
            is damaged.

    Example::

        with ganprobe.ActivationStore("activations.h5") as store:
            maps = store.activations("conv2", slice(0, 100))  # (100, 128, 7, 7)
            unit = store.activations("conv2", units=[3])  # one unit, all samples
            for run in store.batches(["conv2"], batch_size=64, device="cuda"):
                run.latents, run["conv2"]
    """

    def __init__(self, path: str | Path, *, verify: bool = True) -> None:
        self.path, self.verify = Path(path), verify
        self._pieces = open_pieces(self.path, verify=verify)
        self._begin()

    @classmethod
    def of_shards(cls, paths: Sequence[str | Path], *, verify: bool = True) -> Self:
        """The shards of one recording, read as one; or the one file that joins them.

        Raises:
            StoreError: one is missing, incomplete, damaged, or of another recording.
        """
        if len(paths) == 1 and read_contents(Path(paths[0])).shards:
            return cls(paths[0], verify=verify)
        store = cls.__new__(cls)
        store.path, store.verify = Path(paths[0]), verify
        store._pieces = open_shards([Path(path) for path in paths], verify=verify)
        store._begin()
        return store

    def _begin(self) -> None:
        self._is_closed = False
        self._contents = self._pieces[0].contents
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        paths = [piece.path for piece in self._pieces]
        return {"path": self.path, "paths": paths, "verify": self.verify}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.verify = state["path"], state["verify"]
        is_one = len(state["paths"]) == 1
        opening = open_pieces if is_one else open_shards
        self._pieces = opening(state["paths"][0] if is_one else state["paths"], verify=self.verify)
        self._begin()

    def __repr__(self) -> str:
        sites = ", ".join(map(str, self.sites))
        if self._is_closed:
            return f"<ActivationStore {self.path}, closed>"
        return f"<ActivationStore {self.path}: {self.n_samples} samples at {sites}>"

    def close(self) -> None:
        """Close the file."""
        self._is_closed = True
        if own := self._pools.pop(os.getpid(), None):
            own.shutdown(wait=True)
        for piece in self._pieces:
            piece.close()

    @property
    def n_samples(self) -> int:
        """How many samples are committed; more each time while it is being written.

        Raises:
            StoreError: the count is damaged, or the file was closed.
        """
        return sum(piece.n_samples for piece in self._pieces)

    @property
    def n_planned(self) -> int:
        """How many samples it holds once its recording is complete."""
        return sum(piece.contents.n_planned for piece in self._pieces)

    @property
    def is_complete(self) -> bool:
        """Whether all samples are there."""
        return self.n_samples == self.n_planned

    @property
    def batch_size(self) -> int:
        """How many samples were in one forward of the generator."""
        return self._contents.batch_size

    @property
    def sites(self) -> list[Site]:
        """The sites that it holds."""
        return self._contents.sites

    @property
    def files(self) -> list[Path]:
        """The files that it is read from, itself among them."""
        return [self.path, *(piece.path for piece in self._pieces if piece.path != self.path)]

    @property
    def compression(self) -> Compression:
        """How the chunks are compressed."""
        return self._contents.compression

    @property
    def has_images(self) -> bool:
        """Whether the images were kept, too."""
        return "images" in self._contents.datasets

    @property
    def provenance(self) -> dict[str, Any]:
        """How it was made."""
        return dict(self._contents.provenance)

    @property
    def identity(self) -> dict[str, Any]:
        """What its values depend on: two stores that agree in it hold the same samples."""
        return dict(self._contents.identity)

    def shape(self, site: str | Site) -> tuple[int, ...]:
        """Of one sample at a site.

        Raises:
            UnknownNameError: the site is not in the file.
        """
        return self.stored(self._key_of(Site.parse(site))[0]).extent.tiling.shape[1:]

    def dimensions(self, site: str | Site) -> tuple[str, ...]:
        """The names of the axes at a site: ``("sample", "unit", "y", "x")``."""
        return self.stored(self._key_of(Site.parse(site))[0]).dimensions

    def dtype(self, site: str | Site) -> torch.dtype:
        """Of the values at a site, in the file and as they are read."""
        return self.stored(self._key_of(Site.parse(site))[0]).extent.dtype

    def activations(
        self,
        site: str | Site,
        samples: Samples = slice(None),
        *,
        units: Sequence[int] | None = None,
        region: Region | None = None,
    ) -> Tensor:
        """The activations of some samples at a site, (n, ...) in the stored dtype, on the CPU.

        Args:
            site: one that was recorded, or some units of it (``"conv2#3,7"``).
            samples: by position in the file, a slice or a list.
            units: by number in the layer; None: all that are there.
            region: slices along y and x; None: everything.

        Raises:
            UnknownNameError: the site is not in the file.
            ParameterError: it has no such units, samples or region.
            StoreError: the file is damaged there.
        """
        key, positions = self._key_of(Site.parse(site))
        if units is not None:
            positions = self._unit_positions(key, units)
        stored = self.stored(key)
        chosen = Selection.of(stored.extent, stored.dimensions, positions, region)
        return self._read(key, chosen, rows_of(samples, self.n_samples))

    def recording(
        self, samples: Samples = slice(None), sites: Iterable[str | Site] | None = None
    ) -> Recording:
        """The activations of some samples, read into memory, as a run would have left them.

        ``Swap("conv2", donor=store.recording(slice(0, 16)))`` takes them for donors, and
        ``Ablate("conv2", to=store.recording(sites=["conv2"]))`` their mean.

        Args:
            sites: those that are read; None: all that the file holds.

        Raises:
            UnknownNameError: a site is not in the file.
        """
        wanted = self.sites if sites is None else [Site.parse(site) for site in sites]
        return Recording({site: self.activations(site, samples) for site in wanted})

    def latents(self, samples: Samples = slice(None)) -> Latents:
        """The latents of some samples, with their seed and indices."""
        rows = rows_of(samples, self.n_samples)
        indices = tuple(self.indices[row] for row in rows)
        return Latents(self._read_whole("latents", rows), self._seed, indices)

    def images(self, samples: Samples = slice(None)) -> Tensor:
        """The images of some samples, (n, channels, height, width).

        Raises:
            StoreError: images were not kept.
        """
        if not self.has_images:
            raise StoreError(f"{self.path} holds no images; record them with --images")
        return self._read_whole("images", rows_of(samples, self.n_samples))

    def batches(
        self,
        sites: Iterable[str | Site] | None = None,
        *,
        samples: Samples = slice(None),
        batch_size: int = _DEFAULT_BATCH_SIZE,
        images: bool | None = None,
        device: torch.device | str | None = None,
        prefetch: int = _AHEAD,
    ) -> Iterator[Run]:
        """Runs over many samples, read while the ones before are worked on.

        Args:
            sites: those that are read; None: all that the file holds.
            samples: in the order that they are wanted.
            batch_size: samples in one run.
            images: read them, too; None: if they were kept.
            device: where everything goes, from page-locked memory where that is a GPU.
            prefetch: how many batches are read ahead.

        Raises:
            UnknownNameError, ParameterError, StoreError: as `activations`.
        """
        check_count(batch_size, "batch size")
        wanted = self.sites if sites is None else [Site.parse(site) for site in sites]
        for site in wanted:
            self._key_of(site)
        has_images = self.has_images if images is None else images
        rows = rows_of(samples, self.n_samples)
        cut = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        return prefetched(lambda batch: self._run(batch, wanted, has_images, device), cut, prefetch)

    def dataset(
        self, sites: Iterable[str | Site] | None = None, *, images: bool = False
    ) -> ActivationDataset:
        """The samples for a `torch.utils.data.DataLoader`, which may shuffle them.

        Args:
            sites: those that are read; None: all that the file holds.
            images: read them, too.

        Raises:
            UnknownNameError: a site is not in the file.
            StoreError: images were not kept.
        """
        wanted = self.sites if sites is None else [Site.parse(site) for site in sites]
        for site in wanted:
            self._key_of(site)
        if images:
            self.images(slice(0, 0))
        return ActivationDataset(self, wanted, images=images)

    def check(self, progress: Progress = silent) -> list[Damage]:
        """Read everything that is committed and compare it with its checksums.

        Returns:
            The rows that are not what was written, by dataset; none where all is well.
        """
        found = []
        for piece in self._pieces:
            for damage in piece.check(progress):
                rows = range(damage.rows.start + piece.first, damage.rows.stop + piece.first)
                found.append(replace(damage, rows=rows))
        return found

    def _run(
        self,
        rows: Rows,
        sites: Sequence[Site],
        has_images: bool,
        device: torch.device | str | None,
    ) -> Run:
        samples = rows.tolist() if isinstance(rows, np.ndarray) else rows
        recording = Recording({site: self.activations(site, samples) for site in sites})
        images = self.images(samples) if has_images else None
        run = Run(self.latents(samples), recording, images)
        return run if device is None else _moved(run, torch.device(device))

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """The index of each sample in its seed; positions where latents were given."""
        return tuple(index for piece in self._pieces for index in piece.contents.samples)

    @property
    def _seed(self) -> int | None:
        seed = self._contents.provenance["seed"]
        return None if seed is None else int(seed)

    def stored(self, key: Key) -> StoredDataset:
        """Where a site, the latents or the images are in the file."""
        return self._contents.datasets[key]

    def _key_of(self, site: Site) -> tuple[Site, Sequence[int] | None]:
        """The stored site that holds a wanted one, and the positions of its units there."""
        if site in self._contents.datasets:
            return site, None
        for stored in self.sites:
            if stored.whole == site.whole and site.units is not None:
                held = site.units if stored.units is None else stored.units
                if set(site.units) <= set(held):
                    return stored, self._unit_positions(stored, site.units)
        for stored in self.sites:
            if stored.whole == site.whole and site.units is not None:
                self._unit_positions(stored, site.units)  # raises
        known = [str(site) for site in self.sites]
        raise UnknownNameError("site", str(site), known, where=str(self.path))

    def _unit_positions(self, stored: Site, units: Sequence[int]) -> Sequence[int]:
        units = whole_numbers(units, "a unit").tolist()
        if stored.units is None:
            return units
        place = {unit: position for position, unit in enumerate(stored.units)}
        if missing := [unit for unit in units if unit not in place]:
            raise ParameterError(f"{self.path} holds {stored}, without unit {missing[0]}")
        return [place[unit] for unit in units]

    def _read_whole(self, key: Key, rows: Rows) -> Tensor:
        stored = self.stored(key)
        return self._read(key, Selection.of(stored.extent, stored.dimensions, None, None), rows)

    def _read(self, key: Key, chosen: Selection, rows: Rows) -> Tensor:
        extent = chosen.extent
        kind = np.dtype(f"u{extent.dtype.itemsize}" if extent.dtype.itemsize <= 8 else "c16")
        out = np.empty((len(rows), *chosen.shape), kind)
        tasks = [
            task
            for piece, inside, places in self._by_piece(rows)
            for task in piece.tasks(key, chosen, inside, out, places)
        ]
        for _ in self._pool().map(_do, tasks) if len(tasks) > 1 else map(_do, tasks):
            pass
        return torch.from_numpy(out).view(extent.dtype)

    def _pool(self) -> ThreadPoolExecutor:
        """Threads of this process: a forked one has none of those of its parent."""
        return self._pools.setdefault(os.getpid(), ThreadPoolExecutor(_THREADS, "ganprobe-read"))

    def _by_piece(self, rows: Rows) -> Iterator[tuple[Piece, Rows, Any]]:
        """Each file with rows of its own and their places in the outcome."""
        if len(self._pieces) == 1:
            yield self._pieces[0], rows, slice(0, len(rows))
            return
        numbers = np.asarray(rows, np.int64)
        firsts = np.array([piece.first for piece in self._pieces])
        owners = np.searchsorted(firsts, numbers, side="right") - 1
        for places in groups(owners):
            piece = self._pieces[int(owners[places[0]])]
            yield piece, numbers[places] - piece.first, places


def _do(task: Task) -> None:
    task()


def _moved(run: Run, device: torch.device) -> Run:
    """The run on a device; copies go on beside the host's work."""

    def moved(tensor: Tensor) -> Tensor:
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    recording = Recording({site: moved(run.recording[site]) for site in run.recording})
    images = None if run.finished is None else moved(run.finished)
    latents = replace(run.latents, z=moved(run.latents.z))
    return Run(latents, recording, images)
