"""Writing a store: batches stream in, and each is committed as soon as the file has it.

The generator's thread only starts copies; one thread behind it computes checksums and writes. At
most three batches are in flight. A commit is the count of samples, written last.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ganprobe.errors import StoreError
from ganprobe.latents import Latents
from ganprobe.progress import Progress
from ganprobe.sites import Site
from ganprobe.store.blocks import block_writers
from ganprobe.store.disk import DiskFile
from ganprobe.store.extents import Extent
from ganprobe.store.layout import Key, RecordingSpec
from ganprobe.store.packing import Rows
from ganprobe.store.target import Target, open_target

__all__ = ["RecordedBatch", "write_store"]

_SLOTS = 3
_COMPRESSORS = 2
_SECONDS_UNCOMMITTED = 1.0


class RecordedBatch(Protocol):
    """One batch to be written: its latents, images and activations by site."""

    @property
    def latents(self) -> Latents: ...
    @property
    def images(self) -> Tensor: ...
    @property
    def recording(self) -> Mapping[Site, Tensor]: ...


def write_store(
    spec: RecordingSpec, batches: Callable[[int], Iterable[RecordedBatch]], progress: Progress
) -> Path:
    """Write batches, in order, until all of the spec's samples are there.

    Args:
        batches: gives them from a row of the spec's samples on, the first of a batch.

    Raises:
        OutputExistsError: the file exists and may neither be replaced nor gone on with.
        StoreError: the file cannot be written, or is not of this recording; the disk is too
            small, or became so. What was committed stays.
    """
    with open_target(spec, progress) as target, _saying_what_is_kept(spec, target):
        n_samples = len(spec.samples)
        first = n_samples
        if target.n_committed < n_samples:
            first = target.n_committed // spec.batch_size * spec.batch_size
        if first == n_samples and target.is_readable_by_others:
            return spec.path
        with progress(n_samples, "samples recorded") as bar:
            if first:
                bar.advance(first)
            with _Pipeline(spec, target, first) as pipeline:
                for batch in batches(first) if first < n_samples else ():
                    pipeline.put(batch)
                    bar.advance(len(batch.latents))
        target.finish()
    return spec.path


@contextmanager
def _saying_what_is_kept(spec: RecordingSpec, target: Target) -> Iterator[None]:
    """Adds to whatever ends the recording early how many samples are whole."""
    try:
        yield
    except BaseException as error:
        if target.n_committed and target.is_there:
            error.add_note(
                f"{target.n_committed:,} of {len(spec.samples):,} samples are whole in"
                f" {spec.path}; go on with --resume (resume=True)"
            )
        raise


class _Pipeline:
    """Takes batches from the generator's thread and has another write them."""

    def __init__(self, spec: RecordingSpec, target: Target, first: int) -> None:
        self._spec, self._target = spec, target
        self._step = target.rows_at_once
        self._end = self._submitted = first
        self._compressing = ThreadPoolExecutor(_COMPRESSORS, "ganprobe-compress")
        self._blocks = block_writers(target, spec.compression, first, self._compressing)
        self._flushing = _Flushing(target.file)
        self._writer = ThreadPoolExecutor(1, "ganprobe-store")
        self._in_flight: deque[Future[None]] = deque()
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._n_slots = 0
        self._has_failed = False
        self._slot: _Slot | None = None
        self._last_commit = time.monotonic()

    def __enter__(self) -> _Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit what came, also when no more can come."""
        try:
            is_new = self._end > max(self._submitted, self._target.n_committed)
            if self._slot is not None and is_new and self._target.takes_part_blocks:
                self._submit(self._end)
            while self._in_flight:
                self._in_flight.popleft().result()
        except StoreError:
            if kind is None:
                raise
        finally:
            self._writer.shutdown(wait=True)
            self._compressing.shutdown(wait=True)
            self._flushing.close(is_told=kind is None)

    def put(self, batch: RecordedBatch) -> None:
        """Take a batch; waits while three are in flight."""
        slot = self._slot or self._new_slot(batch)
        self._slot = slot
        n = len(batch.latents)
        for key, rows in slot.items():
            values = self._values(key, batch)
            if len(values) != n:
                raise StoreError(
                    f"{key} has {len(values)} rows for {n} samples; leave that site out"
                )
            if not rows.has_room(n):
                raise StoreError(
                    f"a batch of {n} samples came where {self._spec.batch_size} were said"
                )
            rows.put(values)
        self._end += n
        is_due = time.monotonic() - self._last_commit > _SECONDS_UNCOMMITTED
        is_last = self._end == len(self._spec.samples)
        takes_all = is_last or (is_due and self._target.takes_part_blocks)
        until = self._end if takes_all else self._end // self._step * self._step
        if until > self._submitted:
            self._submit(until)

    def _values(self, key: Key, batch: RecordedBatch) -> Tensor:
        if isinstance(key, Site):
            return batch.recording[key]
        if key == "seeds":
            return torch.tensor([self._spec.seed], dtype=torch.uint64).expand(len(batch.latents))
        return batch.latents.z if key == "latents" else batch.images

    def _new_slot(self, batch: RecordedBatch) -> _Slot:
        if self._n_slots < _SLOTS:
            self._n_slots += 1
            slot = _Slot(
                (key, self._rows(key, extent, self._values(key, batch)))
                for key, extent in self._target.extents.items()
            )
        else:
            self._in_flight.popleft().result()
            slot = self._free.get()
        for rows in slot.values():
            rows.begin(self._end)
        return slot

    def _rows(self, key: Key, extent: Extent, like: Tensor) -> Rows:
        n, n_rows = self._spec.batch_size, extent.tiling.n_rows
        is_even = n % n_rows == 0 and n % self._step == 0
        capacity = n // n_rows if is_even else 1 + -(-(n + self._step) // n_rows)
        return Rows(str(key), extent.tiling, extent.dtype, capacity, like)

    def _submit(self, until: int) -> None:
        assert self._slot is not None
        slot, self._slot = self._slot, None
        self._submitted, self._last_commit = until, time.monotonic()
        self._in_flight.append(self._writer.submit(self._write, slot, until, self._end))

    def _write(self, slot: _Slot, until: int, end: int) -> None:
        """In the writer's thread: values, then their checksums, then the count.

        After a failure nothing more is written: what is missing would seem to be there.
        """
        if self._has_failed:
            return
        self._has_failed = True
        for key, rows in slot.items():
            self._blocks[key].write(rows, takes_part=until == end)
        if not self._target.n_committed and not self._target.takes_part_blocks:
            n_samples = len(self._spec.samples)
            appended = self._target.appender.n_bytes
            self._target.appender.check_space(appended * (n_samples - until) // until, until)
        for blocks in self._blocks.values():
            blocks.write_records()
        if until > self._target.n_committed:
            self._target.commit(until)
        self._flushing.advance(sum(rows.n_bytes for rows in slot.values()))
        self._free.put(slot)
        self._has_failed = False


class _Slot(dict[Key, Rows]):
    """Memory for one batch of every dataset."""


class _Flushing:
    """Sends what was written on to the disk while more is coming, so that the end is not late."""

    every_bytes = 32 * 1024 * 1024

    def __init__(self, file: DiskFile) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, "ganprobe-flush")
        self._under_way: Future[None] | None = None
        self._n_bytes = 0

    def advance(self, n_bytes: int) -> None:
        """`n_bytes` more were written; starts a flush when enough have come together."""
        self._n_bytes += n_bytes
        is_free = self._under_way is None or self._under_way.done()
        if is_free and self._n_bytes >= self.every_bytes:
            self._raise_what_failed()
            self._n_bytes = 0
            self._under_way = self._thread.submit(self._file.flush)

    def close(self, *, is_told: bool) -> None:
        """Wait for the last flush; the system tells of a failed write once, perhaps to it.

        Args:
            is_told: raise what failed.
        """
        self._thread.shutdown(wait=True)
        if is_told:
            self._raise_what_failed()

    def _raise_what_failed(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
