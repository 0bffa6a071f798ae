"""Test doubles for analyses: generators whose every unit has a known job.

    planted   `planted_generator`: the generator, its segmenter, and the truth about both
    truth     what each unit does, and what an image shows of each class without or with some
    network   the module, of ordinary layers
    wiring    which unit of each of the two sites does what
    layout    what is drawn, and where

Nothing here is imported with `ganprobe`: write ``from ganprobe.testing import planted_generator``.
"""

from __future__ import annotations

from ganprobe.testing.layout import Feature, Thing
from ganprobe.testing.planted import Planted, PlantedSegmenter, planted_generator
from ganprobe.testing.truth import PlantedTruth

__all__ = [
    "Feature",
    "Planted",
    "PlantedSegmenter",
    "PlantedTruth",
    "Thing",
    "planted_generator",
]
