"""Sweeps: many variants of the same latents, as images one by one or as measured values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from ganprobe.engine import is_block_open
from ganprobe.errors import NotReplayableError, ParameterError
from ganprobe.generators import Generator
from ganprobe.measures import Measure
from ganprobe.progress import Bar, Progress
from ganprobe.sweeps.agreement import difference, tolerance
from ganprobe.sweeps.evaluation import Evaluation, How, Options
from ganprobe.sweeps.evaluators import Base, Single
from ganprobe.sweeps.variants import Variants
from ganprobe.sweeps.ways import Replays

__all__ = ["Measured", "MeasuredSweep", "Objective", "Sweep", "measured_sweep"]

Objective = Measure | Callable[[Tensor], Tensor]
"""A measure, which sees images in [0, 1]; or a function of images as the generator gives them."""

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

    def __len__(self) -> int:
        return len(self._variants)

    def __iter__(self) -> Iterator[Tensor]:
        """Images (n, channels, height, width) for each variant, in order."""
        evaluation = self._evaluation
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
        return self._evaluation.how

    @cached_property
    def _evaluation(self) -> Evaluation:
        return self._make()

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


class Measured:
    """An objective on images, whatever they are batched with.

    Raises:
        ParameterError: it gives something other than a number or a row of them for each image.
    """

    def __init__(self, objective: Objective, generator: Generator) -> None:
        if not callable(objective):
            raise ParameterError(
                f"a measure is a Measure or a function of images, got {objective!r}"
            )
        self._objective, self._generator = objective, generator
        self._is_single = False

    def __call__(self, images: Tensor) -> Tensor:
        """(variants, n, ...) images to (variants, n, columns) values; no gradients."""
        with torch.no_grad():
            if self._is_single:
                return torch.stack([self.of_batch(own) for own in images])
            values = self.of_batch(images.flatten(0, 1))
            return values.view(*images.shape[:2], -1)

    def settle(self, images: Tensor) -> None:
        """Find out whether images may be measured together with those of other variants."""
        together = self(images).double()
        with torch.no_grad():
            alone = torch.stack([self.of_batch(own) for own in images]).double()
        self._is_single = not difference(together, alone) <= tolerance(images)

    def of_batch(self, images: Tensor) -> Tensor:
        """(n, ...) images to (n, columns) values, with gradients where they are on."""
        objective = self._objective
        if isinstance(objective, Measure):
            seen = self._generator.to_unit_range(images)
            values = objective.measure(seen) if torch.is_grad_enabled() else objective(seen)
        else:
            values = objective(images)
        is_right = isinstance(values, Tensor) and values.ndim in (1, 2)
        if not is_right or len(values) != len(images):
            got = tuple(values.shape) if isinstance(values, Tensor) else repr(values)
            raise ParameterError(
                f"a measure of {len(images)} images gives ({len(images)},) or ({len(images)}, k)"
                f" numbers, got {got}"
            )
        return values if values.ndim == 2 else values[:, None]


def measured_sweep(
    replays: Replays,
    base: Base,
    variants: Variants,
    options: Options,
    measured: Measured,
    progress: Progress,
) -> MeasuredSweep:
    """Evaluate all variants of a base, some samples at a time where that can be."""
    size = _samples_at_once(replays, base, variants)
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
    for number, (base, variants) in enumerate(parts):
        evaluation.move(base, variants)
        found: list[Tensor] = []
        for _, images in evaluation.images(variants):
            if not number and not found:
                measured.settle(images)
            found.append(measured(images))
            bar.advance(len(images))
        yield torch.cat(found)


def _samples_at_once(replays: Replays, base: Base, variants: Variants) -> int:
    """How many samples are taken together: all, unless a few give the same without the others."""
    size = min(len(base), max(1, _ROWS // max(1, len(variants))))
    draws_noise = replays.forwards.dry_run.table.draws_noise
    if size == len(base) or draws_noise or is_block_open() or not variants.can_be_split:
        return len(base)
    try:
        depends_on_values = replays.of(variants.sites).plan.one_at_once is not None
    except NotReplayableError:
        return len(base)
    if depends_on_values or not _go_alone(replays, base, variants, size):
        return len(base)
    return size


def _go_alone(replays: Replays, base: Base, variants: Variants, size: int) -> bool:
    """Whether plain forwards of some samples give what those of more of them give."""
    n = min(len(base), max(_ROWS, 2 * size))
    edited = sorted({0, len(variants) // 2, len(variants) - 1})
    together = _plain(replays, base, variants, slice(0, n), edited)
    alone = [
        _plain(replays, base, variants, slice(start, min(start + size, n)), edited)
        for start in range(0, n, size)
    ]
    return difference(torch.cat(alone, dim=1), together) <= tolerance(together)


def _plain(
    replays: Replays, base: Base, variants: Variants, block: slice, edited: Sequence[int]
) -> Tensor:
    """(edited and unedited, n, ...) images of some samples."""
    own = Base(base.latents[block], base.noise_seed, base.start + block.start)
    single = Single(replays.forwards, own)
    nothing = replace(variants, each=[()], pieces=None)
    images = single.images(variants.for_samples(block), edited)
    return torch.cat([single.images(nothing, [0]), images])
