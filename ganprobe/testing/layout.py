"""Layout: the things that a planted generator draws, each at places of its own, on 8 x 8 cells.

::

    . W W W . . L .      W wall      o window, which is seen on a wall alone
    . W o W . . . .      L lamp      D door, two cells high
    . . . . . D . D
    . L . . . D . D      Over them, and over nothing, a blot at
    o . . . . . . .      (0, 6) on a lamp, (2, 5) on a door, (5, 3) on a wall, and (4, 4).
    D . . W W W . .
    D . . W o W . L
    . . . . . . . .

Each place is taken or left by a latent of its own: taken where that is above `CHOSEN`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ganprobe.errors import ParameterError

__all__ = ["CELLS", "CHOSEN", "FEATURES", "THINGS", "Bools", "Feature", "Thing", "things_of"]

Bools = NDArray[np.bool_]

Feature = Literal["parts", "pair", "gate", "artifact", "follower", "silent"]
"""What can be planted.

``"parts"``: a door, of which each of two units draws its part; ``"pair"``: a lamp, for which
either of two units is enough; ``"gate"``: a wall, and a window that is drawn on a wall alone;
``"artifact"``: a blot over other things; ``"follower"``: a unit that fires wherever a door is, and
draws nothing; ``"silent"``: a unit that never fires, and one that always does, the same everywhere.
"""

FEATURES: tuple[Feature, ...] = get_args(Feature)
CELLS = 8
"""Cells along each side of an image."""
CHOSEN = 0.5
"""A place is taken where its latent is above this, in 31 % of samples."""


@dataclass(frozen=True)
class Thing:
    """What a class of pixels is drawn as.

    Args:
        name: of the class.
        feature: that plants it.
        shape: (height, width) in cells.
        corners: (y, x) of the upper left cell, in cells, for each of its places.
        colour: which of red, green and blue its pixels have.
        gate: the class that it is drawn on alone; "" for anywhere.
    """

    name: str
    feature: Feature
    shape: tuple[int, int]
    corners: tuple[tuple[int, int], ...]
    colour: tuple[int, int, int]
    gate: str = ""

    def cells(self) -> Bools:
        """(places, 8, 8) which cells each of its places covers."""
        covered = np.zeros((len(self.corners), CELLS, CELLS), dtype=bool)
        height, width = self.shape
        for place, (y, x) in enumerate(self.corners):
            covered[place, y : y + height, x : x + width] = True
        return covered


THINGS = (
    Thing("wall", "gate", (2, 3), ((0, 1), (5, 3)), (0, 0, 1)),
    Thing("window", "gate", (1, 1), ((1, 2), (6, 4), (4, 0)), (0, 1, 1), gate="wall"),
    Thing("lamp", "pair", (1, 1), ((0, 6), (3, 1), (6, 7)), (1, 1, 0)),
    Thing("door", "parts", (2, 1), ((2, 5), (2, 7), (5, 0)), (1, 0, 0)),
    Thing("blot", "artifact", (1, 1), ((0, 6), (2, 5), (5, 3), (4, 4)), (1, 0, 1)),
)
"""In the order in which they are painted: a later one covers those before."""


def things_of(features: tuple[Feature, ...]) -> tuple[Thing, ...]:
    """The things that these features plant.

    Raises:
        ParameterError: there is no such feature, one is there twice, or none draws anything; or a
            follower has no door to follow.
    """
    for feature in features:
        if feature not in FEATURES or features.count(feature) > 1:
            there = ", ".join(FEATURES)
            raise ParameterError(f"features are some of {there}, each once, got {feature!r}")
    things = tuple(thing for thing in THINGS if thing.feature in features)
    if not things:
        drawing = ", ".join(dict.fromkeys(thing.feature for thing in THINGS))
        raise ParameterError(f"none of {features} draws anything; add one of: {drawing}")
    if "follower" in features and "parts" not in features:
        raise ParameterError("a follower fires wherever a door is; plant 'parts' with it")
    return things
