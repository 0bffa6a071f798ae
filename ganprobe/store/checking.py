"""Checking a store: which of its committed samples are what was written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ganprobe.progress import Progress, silent
from ganprobe.store.contents import Contents
from ganprobe.store.disk import DiskFile
from ganprobe.store.reading import BlockReader, DamageError, block_reader

__all__ = ["Damage", "find_damage"]

_THREADS = 2


@dataclass(frozen=True)
class Damage:
    """Rows of a dataset that are not what was written, and how that shows."""

    dataset: str
    rows: range
    reason: str


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


def _damage(reader: BlockReader, name: str, n_committed: int, block: int) -> Damage | None:
    n_rows = reader.extent.tiling.n_rows
    try:
        reader.read(block, min(n_rows, n_committed - block * n_rows))
    except DamageError as error:
        return Damage(name, error.rows, str(error))
    return None
