"""The fill of a hole: what is there now where a class was."""

from __future__ import annotations

import numpy as np

from ganprobe import ratio_of_means
from ganprobe_dissection.question import Floats
from ganprobe_dissection.removal import Removal

NO_CLASS = "no class"


def filled(removal: Removal) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
    """What took the place of the class: names, and the share of each with its 95 % interval.

    Nothing where nothing went away. With a segmenter whose classes overlap, shares add up to more
    than 1.
    """
    names = (*removal.question.segmenter.classes, NO_CLASS)
    went = removal.gone
    if not went.sum():
        empty = np.zeros(0)
        return names, empty, empty, empty
    return names, *ratio_of_means(removal.hole.T, went, seed=removal.question.context.seed)
