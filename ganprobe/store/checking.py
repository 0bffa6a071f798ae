"""Checking a store: which of its committed samples are what was written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ganprobe.errors import StoreError
from ganprobe.progress import Progress, silent
from ganprobe.store.compression import codec
from ganprobe.store.contents import Contents
from ganprobe.store.disk import DiskFile
from ganprobe.store.extents import Extent
from ganprobe.store.reading import (
    BlockReader,
    CompressedReader,
    DamageError,
    block_reader,
    committed_chunks,
    read_chunks,
)

__all__ = ["Damage", "find_damage", "find_torn_index", "find_unreadable"]

_THREADS = 2
_OF_HDF5 = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Damage:
    """Rows of a dataset that are not what was written, and how that shows.

    Args:
        is_lost: they have to be recorded again; else only other programs miss them.
    """

    dataset: str
    rows: range
    reason: str
    is_lost: bool = True


def find_damage(
    file: DiskFile, contents: Contents, n_committed: int, progress: Progress = silent
) -> list[Damage]:
    """Every block with committed rows whose checksums do not fit; reads the whole file."""
    found = []
    blocks_of = {
        key: range(-(-n_committed // stored.extent.tiling.n_rows))
        for key, stored in contents.datasets.items()
    }
    total = sum(map(len, blocks_of.values()))
    with ThreadPoolExecutor(_THREADS) as pool, progress(total, "blocks checked") as bar:
        for key, blocks in blocks_of.items():
            name, extent = str(key), contents.datasets[key].extent
            reader = block_reader(file, name, extent, contents.compression)
            for damage in pool.map(partial(_damage, reader, name, n_committed), blocks):
                bar.advance()
                if damage is not None:
                    found.append(damage)
    return found


def find_unreadable(path: Path, contents: Contents) -> list[Damage]:
    """Datasets, or their dimensions, that HDF5 cannot read; ganprobe reads their values itself."""
    found = []
    rows = range(contents.n_planned)
    with h5py.File(path, "r", locking=False) as file:
        for key, stored in contents.datasets.items():
            try:
                values = file[stored.group][stored.name]
                shape = stored.extent.tiling.shape
                scales = [file[stored.group][name] for name in stored.dimensions]
                is_whole = values.shape == shape and all(
                    scale.shape == (size,) and scale[()].shape == (size,)
                    for scale, size in zip(scales, shape, strict=True)
                )
                reason = "" if is_whole else "its dimensions do not fit"
            except _OF_HDF5 as error:
                reason = f"HDF5 cannot read it: {error.args[0] if error.args else error}"
            if reason:
                found.append(Damage(str(key), rows, reason, is_lost=False))
    return found


def find_torn_index(file: DiskFile, contents: Contents, n_committed: int) -> list[Damage]:
    """Compressed datasets of which other programs would not find all committed chunks.

    A kill in the few microseconds in which an index is written leaves it so; nothing is lost.
    """
    found = []
    for key, stored in contents.datasets.items():
        extent, name = stored.extent, str(key)
        if extent.index is None or not n_committed:
            continue
        reader = CompressedReader(file, name, extent, codec(contents.compression))
        reason = _why_not_found(file, extent, reader, n_committed)
        if reason:
            found.append(Damage(name, range(n_committed), reason, is_lost=False))
    return found


def _why_not_found(
    file: DiskFile, extent: Extent, reader: CompressedReader, n_committed: int
) -> str:
    try:
        expected = committed_chunks(reader, n_committed)
        entries = read_chunks(file, extent)[: len(expected.addresses)]
    except StoreError as error:
        return f"its index cannot be read ({error}); --resume mends it"
    others = np.flatnonzero(
        (entries["address"] != expected.addresses) | (entries["size"] != expected.sizes)
    )
    is_as_good = all(reader.is_chunk(int(chunk), entries[chunk]) for chunk in others)
    return "" if is_as_good else "its index is not complete; --resume mends it"


def _damage(reader: BlockReader, name: str, n_committed: int, block: int) -> Damage | None:
    n_rows = reader.extent.tiling.n_rows
    try:
        reader.read(block, min(n_rows, n_committed - block * n_rows))
    except DamageError as error:
        return Damage(name, error.rows, str(error))
    return None
