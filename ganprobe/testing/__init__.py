"""Tests that your plugin should pass, and generators to try it on.

    analyses     `AnalysisTests`, to subclass: runs, is reproducible, leaves nothing behind, ...
    generators   `GeneratorTests`: loads, can be probed, gives the same image in any batch, ...
    measures     `MeasureTests`, and
    segmenters   `SegmenterTests`: shapes, one image, odd batches, grey and colour, ...
    tiny         `tiny_generator`: ordinary layers, random weights; a forward takes 0.2 ms
    planted      `planted_generator`: a generator whose every unit has a known job, its
                 segmenter, and the truth about both

A test file of yours holds no more than this, and pytest does the rest::

    from ganprobe.testing import AnalysisTests
    from my_module import Brightness

    class TestBrightness(AnalysisTests):
        analysis = Brightness
        params = {"n_samples": 5}

Nothing here is imported with `ganprobe`. The tests need pytest; the generators do not.
"""

from __future__ import annotations

from ganprobe.testing.analyses import AnalysisTests
from ganprobe.testing.generators import GeneratorTests
from ganprobe.testing.layout import Feature, Thing
from ganprobe.testing.measures import MeasureTests
from ganprobe.testing.planted import Planted, PlantedSegmenter, planted_generator
from ganprobe.testing.segmenters import SegmenterTests
from ganprobe.testing.tiny import tiny_generator
from ganprobe.testing.truth import PlantedTruth

__all__ = [
    "AnalysisTests",
    "Feature",
    "GeneratorTests",
    "MeasureTests",
    "Planted",
    "PlantedSegmenter",
    "PlantedTruth",
    "SegmenterTests",
    "Thing",
    "planted_generator",
    "tiny_generator",
]
