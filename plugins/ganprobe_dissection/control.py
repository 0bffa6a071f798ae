"""The control: random sets of units of a site, removed as those of a class are.

One control serves all classes of a site. Costs one image for each sample, draw and size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ganprobe_dissection.question import Floats, Question


@dataclass(frozen=True, eq=False)
class Control:
    """Random sets of all units of a site, nested in each draw.

    Args:
        draws: for each its units, in the order in which they are removed.
        areas: (draw, size, classes) mean area of each class, in shares of the image.
        base: (n, classes) areas with nothing removed.
    """

    draws: tuple[tuple[int, ...], ...]
    areas: Floats
    base: Floats

    @property
    def changes(self) -> Floats:
        """(draw, size, classes) mean change of each class's area."""
        return np.asarray(self.areas - self.base.mean(0))

    def shares(self, column: int) -> Floats:
        """(draw, size) what is left of a class, as a share."""
        return np.asarray(self.areas[..., column] / self.base[:, column].mean())


def draw_control(question: Question) -> Control:
    """Remove random sets of the sizes of a question, on its measured samples."""
    seed, n_units = question.context.seed, question.tensor.n_units
    draws = tuple(
        tuple(np.random.default_rng((seed, draw)).permutation(n_units)[: question.n_units].tolist())
        for draw in range(question.params.n_draws)
    )
    sets = [units[:size] for units in draws for size in question.sizes]
    variants = [[], *([question.removal(units)] for units in sets)]
    values, _ = question.areas(question.measured, variants)
    means = values[1:].mean(1).reshape(len(draws), len(question.sizes), -1)
    return Control(draws, means, values[0])
