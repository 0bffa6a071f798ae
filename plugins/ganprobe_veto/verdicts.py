"""Verdicts: what a measure says of each image, in a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Measure

Said = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(sample,) the largest column of each image, and its value."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What a measure says of the images of each kind: source, edited, ...

    Args:
        said: by kind, for all samples.
    """

    judge: Measure
    said: Mapping[str, Said]

    @classmethod
    def of(cls, judge: Measure, batches: Sequence[Mapping[str, Said]]) -> Verdicts:
        """Of all samples, from those of batches."""
        said = {
            kind: (
                np.concatenate([batch[kind][0] for batch in batches]),
                np.concatenate([batch[kind][1] for batch in batches]),
            )
            for kind in batches[0]
        }
        return cls(judge, said)

    def below(self, kind: str, sample: int) -> str:
        """What stands under an image: ``3 (0.98)``, or the value alone where there is but one."""
        columns, values = self.said[kind]
        value = f"{values[sample]:.2f}"
        is_one = len(self.judge.columns) == 1
        return value if is_one else f"{self.judge.columns[columns[sample]]} ({value})"

    def agrees(self, kind: str, other: str) -> NDArray[np.bool_]:
        """(sample,) whether images of two kinds have the same verdict."""
        agree: NDArray[np.bool_] = self.said[kind][0] == self.said[other][0]
        return agree


def judged(judge: Measure, images: Tensor) -> Said:
    """The verdict on images (n, channel, y, x) in [0, 1]."""
    values = judge(images).double().cpu()
    return values.argmax(1).numpy(), values.amax(1).numpy()
