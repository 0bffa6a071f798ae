"""Judging: the scores of many samples, and the few images that are shown of them.

Images are made and judged a batch at a time; of all of them only those are kept that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, ForwardError, Latents, PluginError
from ganprobe_quality.judges import Judge

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shown:
    """The images at one end of an order, the outermost first.

    Args:
        rows: (shown,) their places among the samples.
        images: (shown, channel, y, x) in [0, 1].
    """

    rows: NDArray[np.int64]
    images: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the judges said of n samples.

    Args:
        scores: (judge, n) in the measures' own units.
        highest, lowest: of each order that images are shown by.
    """

    latents: Latents
    scores: Floats
    highest: tuple[Shown, ...]
    lowest: tuple[Shown, ...]


def judge_samples(
    context: Context,
    judges: Sequence[Judge],
    latents: Latents,
    *,
    n_shown: int,
    orders: Floats | None = None,
) -> Judged:
    """Make the images and ask every judge.

    Args:
        n_shown: images at each end of an order.
        orders: (orders, n) values by which images are shown; None: each judge's, better higher.

    Raises:
        ForwardError: an image holds NaN or infinity.
        PluginError: a judge gave NaN or infinity.
    """
    n_orders = len(judges) if orders is None else len(orders)
    highest, lowest = ([_End(n_shown) for _ in range(n_orders)] for _ in range(2))
    signs = np.array([judge.sign for judge in judges])
    scores = np.empty((len(judges), len(latents)))
    first = 0
    with context.progress(len(latents), "samples judged") as bar:
        for run in context.probe.runs(latents):
            images = _in_unit_range(context, run.images)
            part = slice(first, first + len(images))
            scores[:, part] = [_asked(judge, images) for judge in judges]
            values = scores[:, part] * signs[:, None] if orders is None else orders[:, part]
            for high, low, row in zip(highest, lowest, values, strict=True):
                high.take(row, first, images)
                low.take(-row, first, images)
            first += len(images)
            bar.advance(len(images))
    return Judged(latents, scores, *(tuple(map(_End.shown, side)) for side in (highest, lowest)))


def _in_unit_range(context: Context, images: Tensor) -> Tensor:
    if not images.isfinite().all():
        raise ForwardError(
            f"generator {context.generator.name!r} gave NaN or infinity for a sample of the prior;"
            " see what `ganprobe layers` says of it"
        )
    return context.generator.to_unit_range(images)


def _asked(judge: Judge, images: Tensor) -> Floats:
    scores: Floats = judge(images).numpy()
    if not np.isfinite(scores).all():
        raise PluginError(f"judge {judge.name!r} gave NaN or infinity for an image that is finite")
    return scores


class _End:
    """The samples with the largest values of those that were seen, with their images."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._held: list[tuple[float, int, NDArray[np.float32]]] = []

    def take(self, values: Floats, first: int, images: Tensor) -> None:
        outermost = np.argsort(-values, kind="stable")[: self._n]
        for slot in outermost.tolist():
            if len(self._held) == self._n and values[slot] <= self._held[-1][0]:
                break
            image = images[slot].float().cpu().numpy()
            self._held.append((float(values[slot]), first + slot, image))
            self._held.sort(key=lambda held: (-held[0], held[1]))
            del self._held[self._n :]

    def shown(self) -> Shown:
        rows = np.array([row for _, row, _ in self._held], np.int64)
        return Shown(rows, np.stack([image for _, _, image in self._held]))
