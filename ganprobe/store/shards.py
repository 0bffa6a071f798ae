"""Shards: files of one recording that several processes wrote, read as one.

Each holds a run of whole batches. The file that joins them has virtual datasets, for programs
that read HDF5, and the shards' names, by which ganprobe opens each of them: HDF5 itself would
read a missing shard as fill values, without a word.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import h5py
import numpy as np

from ganprobe.errors import OutputExistsError, StoreError
from ganprobe.progress import Progress
from ganprobe.sites import Site
from ganprobe.store.contents import Contents, describe, read_contents
from ganprobe.store.disk import DiskFile, named_errors
from ganprobe.store.header import scale, stored_numpy
from ganprobe.store.identity import differences
from ganprobe.store.layout import RecordingSpec, Share
from ganprobe.store.piece import Piece
from ganprobe.store.writer import RecordedBatch, write_store

__all__ = ["join", "join_if_complete", "open_pieces", "open_shards", "shard_path", "write_shares"]

_SHARD = re.compile(r"\.shard-(\d+)-of-(\d+)$")


def shard_path(path: Path, share: Share) -> Path:
    """The file of one share of the recording at `path`.

    Example:
        >>> shard_path(Path("digits.h5"), Share(2, 8)).name
        'digits.shard-2-of-8.h5'
    """
    width = len(str(share.of))
    return path.with_name(f"{path.stem}.shard-{share.index:0{width}}-of-{share.of}{path.suffix}")


def open_pieces(path: Path, *, verify: bool = True) -> list[Piece]:
    """The file at `path`, or the shards that it joins, in order.

    Raises:
        StoreError: it cannot be read; a shard is missing, incomplete, or of another recording.
    """
    joined = read_contents(path)
    if not joined.shards:
        return [Piece(path, verify=verify)]
    pieces = open_shards([path.parent / name for name in joined.shards], verify=verify)
    if found := differences(joined.identity, pieces[0].contents.identity):
        for piece in pieces:
            piece.close()
        raise StoreError(
            f"{pieces[0].path} is no shard of the recording that {path} joins: {'; '.join(found)}"
        )
    return pieces


def open_shards(paths: Sequence[Path], *, verify: bool = True) -> list[Piece]:
    """All the shards of one recording, in order, each complete.

    Raises:
        StoreError: one is missing, incomplete, or of another recording.
    """
    pieces: list[Piece] = []
    try:
        for path in paths:
            pieces.append(Piece(path, verify=verify))
        pieces.sort(key=lambda piece: piece.contents.share.index if piece.contents.share else 0)
        _check(pieces)
    except BaseException:
        for piece in pieces:
            piece.close()
        raise
    return pieces


def _check(pieces: Sequence[Piece]) -> None:
    leader = pieces[0]
    for piece in pieces:
        _check_alike(piece, leader)
    shares = [piece.contents.share for piece in pieces]
    for own, before in zip(pieces[1:], pieces, strict=False):
        if own.contents.share == before.contents.share:
            raise StoreError(f"{own.path} and {before.path} are both shard {own.contents.share}")
    assert leader.contents.share is not None
    of = leader.contents.share.of
    for index in range(1, of + 1):
        if Share(index, of) not in shares:
            whole = _SHARD.sub("", leader.path.stem) + leader.path.suffix
            missing = shard_path(leader.path.with_name(whole), Share(index, of))
            raise StoreError(f"shard {index}/{of} is missing: there is no {missing}")
    first = 0
    for piece in pieces:
        piece.first = first
        first += piece.contents.n_planned


def _check_alike(piece: Piece, leader: Piece) -> None:
    contents, named = piece.contents, _SHARD.search(piece.path.stem)
    if contents.share is None:
        raise StoreError(f"{piece.path} is a whole recording, not a shard of one")
    if named is not None and Share(int(named[1]), int(named[2])) != contents.share:
        raise StoreError(f"{piece.path} holds shard {contents.share}, not what its name says")
    if found := differences(leader.contents.identity, contents.identity):
        raise StoreError(
            f"{piece.path} is a shard of another recording than {leader.path}: {'; '.join(found)}"
        )
    if not piece.is_complete:
        raise StoreError(
            f"{piece.path} holds {piece.n_samples} of its {contents.n_planned} samples; go on"
            f" with it: --shard {contents.share} --resume"
        )


def join_if_complete(path: Path, of: int) -> bool:
    """Join the shards of the recording at `path` if all are there and complete."""
    paths = [shard_path(path, Share(index, of)) for index in range(1, of + 1)]
    if not all(shard.exists() for shard in paths):
        return False
    for shard in paths:
        piece = Piece(shard)
        is_complete = piece.is_complete
        piece.close()
        if not is_complete:
            return False
    join(path, paths)
    return True


def write_shares(
    spec: RecordingSpec, batches: Callable[[int], Iterable[RecordedBatch]], progress: Progress
) -> Path:
    """Write a store, or one share of it, and join the shares when this was the last.

    Returns:
        The path of the file that was written: of the whole store where it was joined.

    Raises:
        OutputExistsError, StoreError: as `write_store`.
    """
    if spec.share is None:
        return write_store(spec, batches, progress)
    if os.path.lexists(spec.path) and not (spec.overwrite or spec.resume):
        raise OutputExistsError(
            f"{spec.path} exists; give --force (overwrite=True) to replace it, or --resume"
            " (resume=True) to go on with its shares"
        )
    own = write_store(replace(spec, path=shard_path(spec.path, spec.share)), batches, progress)
    return spec.path if join_if_complete(spec.path, spec.share.of) else own


def join(path: Path, paths: Sequence[Path]) -> None:
    """Write the file at `path` that joins shards beside it; an older one is replaced.

    Raises:
        StoreError: a shard is missing, incomplete, or of another recording, or lies in another
            folder; or the file cannot be written.
    """
    if strangers := [shard for shard in paths if shard.resolve().parent != path.resolve().parent]:
        raise StoreError(f"{strangers[0]} lies in another folder than {path}; put it beside")
    pieces = open_shards(paths)
    try:
        content = io.BytesIO()  # in memory first: HDF5 cannot be trusted on a disk that fills up
        with h5py.File(content, "w", libver=("v110", "v110")) as file:
            describe(file, _contents(pieces))
            _join_datasets(file, pieces)
    finally:
        for piece in pieces:
            piece.close()
    partial = path.with_name(f".{path.name}.{token_hex(4)}.partial")
    file = DiskFile.create(partial, path)
    try:
        file.write(0, content.getbuffer())
        file.flush()
        with named_errors("write", path):
            partial.replace(path)
    finally:
        file.close()
        with suppress(OSError):  # it is in place
            partial.unlink(missing_ok=True)


def _contents(pieces: Sequence[Piece]) -> Contents:
    """Of the file that joins them."""
    leader = pieces[0].contents
    return replace(
        leader,
        samples=tuple(index for piece in pieces for index in piece.contents.samples),
        share=None,
        counter=0,
        datasets={},
        shards=tuple(piece.path.name for piece in pieces),
    )


def _join_datasets(file: h5py.File, pieces: Sequence[Piece]) -> None:
    for key, stored in pieces[0].contents.datasets.items():
        tilings = [piece.contents.datasets[key].extent.tiling for piece in pieces]
        shape = (sum(tiling.shape[0] for tiling in tilings), *tilings[0].shape[1:])
        dtype = stored_numpy(stored.extent.dtype)
        layout = h5py.VirtualLayout(shape, dtype)
        first = 0
        for piece, tiling in zip(pieces, tilings, strict=True):
            name = f"{stored.group}/{stored.name}"
            source = h5py.VirtualSource(piece.path.name, name, tiling.shape, dtype)
            layout[first : first + tiling.shape[0]] = source
            first += tiling.shape[0]
        group = file.require_group(stored.group)
        fill = np.nan if stored.extent.dtype.is_floating_point else 0
        values = group.create_virtual_dataset(stored.name, layout, fillvalue=fill)
        units = key.units if isinstance(key, Site) else None
        named: dict[str, Sequence[int]] = {"sample": _contents(pieces).samples}
        if units is not None:
            named["unit"] = units
        for axis, (dimension, size) in enumerate(zip(stored.dimensions, shape, strict=True)):
            numbers = named.get(dimension, range(size))
            values.dims[axis].attach_scale(scale(group, dimension, numbers))
