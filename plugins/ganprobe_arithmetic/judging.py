"""Judging: what results look like, counted over draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, ForwardError, Measure, SampleChoice, Share, share

_SHARPNESS = ("appearance", "sharpness")


@dataclass(frozen=True, eq=False)
class Judges:
    """Who says what an image shows.

    Args:
        want: conditions that make it a success; None: none are counted.
        judge: whose largest column it looks like; None: nobody says.
        sharpness: a measure and its column.
    """

    context: Context
    want: SampleChoice | None
    judge: Measure | None
    sharpness: tuple[Measure, int]

    @classmethod
    def of(cls, context: Context, want: SampleChoice | None, judge: str | None) -> Judges:
        """Look the measures up, before anything is made.

        Raises:
            UnknownNameError: there is no such measure or column.
            PluginError: it does not take this generator's images.
        """
        if want is not None:
            context.meets(want, torch.zeros(1, *context.probe.image_shape))
        measure = None if judge is None else context.measure(judge)
        return cls(context, want, measure, context.column("=".join(_SHARPNESS)))

    def of_images(self, batches: Iterator[Tensor], *, n_kept: int) -> Verdicts:
        """Judge images (n, channels, y, x), in the generator's range, a batch at a time.

        Raises:
            ForwardError: there is NaN or infinity among them.
        """
        wanted, called, sharp, kept = [], [], [], list[Tensor]()
        for images in batches:
            if not images.isfinite().all():
                raise ForwardError(
                    f"generator {self.context.generator.name!r} gave NaN or infinity for a sum;"
                    " try --norm prior, or smaller factors"
                )
            unit = self.context.generator.to_unit_range(images)
            measure, column = self.sharpness
            sharp.append(measure(unit)[:, column].double().cpu())
            if self.want is not None:
                wanted.append(self.context.meets(self.want, unit).cpu())
            if self.judge is not None:
                called.append(self.judge(unit).argmax(1).cpu())
            if sum(map(len, kept)) < n_kept:
                kept.append(unit.float().cpu())
        return Verdicts(
            torch.cat(wanted).numpy() if wanted else None,
            torch.cat(called).numpy() if called else None,
            torch.cat(sharp).numpy(),
            torch.cat(kept)[:n_kept].numpy(),
        )


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What was said of each of n images.

    Args:
        wanted: (n,) whether it shows what was wanted; None: nobody asked.
        called: (n,) the column of the judge that is its largest; None: nobody judged.
        sharpness: (n,) as the measure `appearance` has it.
        images: (shown, channel, y, x) in [0, 1], the first ones.
    """

    wanted: NDArray[np.bool_] | None
    called: NDArray[np.int64] | None
    sharpness: NDArray[np.float64]
    images: NDArray[np.float32]

    @property
    def success(self) -> Share | None:
        """The share that shows what was wanted."""
        return None if self.wanted is None else share(self.wanted)

    def counts(self, n_columns: int) -> NDArray[np.int64]:
        """(column,) how many were called each."""
        assert self.called is not None  # there is a judge
        return np.bincount(self.called, minlength=n_columns)
