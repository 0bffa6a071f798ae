"""Sweeps: many variants of the same latents, as images one by one or as measured values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ganprobe.engine import is_block_open
from ganprobe.errors import NotReplayableError
from ganprobe.progress import Bar, Progress
from ganprobe.sweeps.agreement import difference, tolerance
from ganprobe.sweeps.evaluation import Evaluation, How, Options
from ganprobe.sweeps.evaluators import Base, Single
from ganprobe.sweeps.measured import Measured
from ganprobe.sweeps.variants import Variants
from ganprobe.sweeps.ways import Replays

__all__ = ["MeasuredSweep", "Sweep", "measured_sweep"]

_ROWS = 32
"""Of many samples, so many are taken at a time that with all variants they fill so many rows."""


class Sweep:
    """The images of many variants, one variant after the other, in constant memory.

    Iterate over it, as often as you like; each time the work is done anew.
    """

    def __init__(
        self, replays: Replays, base: Base, variants: Variants, options: Options, progress: Progress
    ) -> None:
        self._make = partial(Evaluation, replays, base, variants, options)
        self._variants, self._progress = variants, progress
        self._evaluation: Evaluation | None = None

    def __len__(self) -> int:
        return len(self._variants)

    def __iter__(self) -> Iterator[Tensor]:
        """Images (n, channels, height, width) for each variant, in order."""
        evaluation = self._evaluation = self._make()
        n_given = 0
        with self._progress(len(self._variants), "variants") as bar:
            while n_given < len(self._variants):
                try:
                    for _, images in evaluation.images(self._variants, n_given):
                        for one in images:
                            n_given += 1
                            yield one
                        bar.advance(len(images))
                except NotReplayableError as error:
                    is_too_late = error.kind == "mismatch" and n_given > 0
                    if is_too_late or not evaluation.demote(error):
                        raise

    @property
    def how(self) -> How:
        """By which method, why, and how it was checked."""
        if self._evaluation is None:
            self._evaluation = self._make()
        return self._evaluation.how

    def __repr__(self) -> str:
        return f"<Sweep of {len(self)} variants>"


@dataclass(frozen=True, eq=False)
class MeasuredSweep:
    """What was measured of the images of many variants.

    Args:
        values: (variants, n, columns), on the images' device.
        how: by which method, why, and how it was checked.
    """

    values: Tensor
    how: How

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        n_variants, n, n_columns = self.values.shape
        columns = f"{n_columns} column{'s' if n_columns > 1 else ''}"
        return f"<MeasuredSweep of {n_variants} variants x {n} samples, {columns}>"


def measured_sweep(
    replays: Replays,
    base: Base,
    variants: Variants,
    options: Options,
    measured: Measured,
    progress: Progress,
) -> MeasuredSweep:
    """Evaluate all variants of a base, some samples at a time where that can be."""
    size = _samples_at_once(replays, base, variants, measured)
    parts = [_part(base, variants, start, size) for start in range(0, len(base), size)]
    evaluation = Evaluation(replays, *parts[0], options)
    with progress(len(variants) * len(parts), "variants") as bar:
        while True:
            try:
                values = list(_values(evaluation, parts, measured, bar))
                return MeasuredSweep(torch.cat(values, dim=1), evaluation.how)
            except NotReplayableError as error:
                if not evaluation.demote(error):
                    raise


def _part(base: Base, variants: Variants, start: int, size: int) -> tuple[Base, Variants]:
    if size == len(base):
        return base, variants
    block = slice(start, min(start + size, len(base)))
    own = Base(base.latents[block], base.noise_seed, base.start + start)
    return own, variants.for_samples(block)


def _values(
    evaluation: Evaluation, parts: Sequence[tuple[Base, Variants]], measured: Measured, bar: Bar
) -> Iterator[Tensor]:
    """For each part of the samples (variants, n, columns)."""
    for base, variants in parts:
        evaluation.move(base, variants)
        found: list[Tensor] = []
        for _, images in evaluation.images(variants):
            found.append(measured(images))
            bar.advance(len(images))
        yield torch.cat(found)


def _samples_at_once(replays: Replays, base: Base, variants: Variants, measured: Measured) -> int:
    """How many samples are taken together: all, unless a few give the same without the others."""
    size = min(len(base), max(1, _ROWS // max(1, len(variants))))
    if size == len(base) or is_block_open() or not variants.can_be_split:
        return len(base)
    try:
        depends_on_values = replays.of(variants.sites).plan.one_at_once is not None
    except NotReplayableError:
        return len(base)
    if depends_on_values or not _go_alone(replays, base, variants, measured, size):
        return len(base)
    return size


def _go_alone(
    replays: Replays, base: Base, variants: Variants, measured: Measured, size: int
) -> bool:
    """Whether some samples give, and are measured as, what more of them are."""
    n = min(len(base), max(_ROWS, 2 * size))
    edited = sorted({0, len(variants) // 2, len(variants) - 1})
    together = _plain(replays, base, variants, slice(0, n), edited)
    parts = [
        _plain(replays, base, variants, slice(start, min(start + size, n)), edited)
        for start in range(0, n, size)
    ]
    if not difference(torch.cat(parts, dim=1), together) <= tolerance(together):
        return False
    whole = measured.alone(together).double()
    pieces = torch.cat([measured.alone(part) for part in parts], dim=1).double()
    return difference(pieces, whole) <= tolerance(together)


def _plain(
    replays: Replays, base: Base, variants: Variants, block: slice, edited: Sequence[int]
) -> Tensor:
    """(edited and unedited, n, ...) images of some samples."""
    own = Base(base.latents[block], base.noise_seed, base.start + block.start)
    single = Single(replays.forwards, own)
    nothing = replace(variants, each=[()], pieces=None)
    images = single.images(variants.for_samples(block), edited)
    return torch.cat([single.images(nothing, [0]), images])
