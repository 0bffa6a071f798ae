"""Small generators that ship with ganprobe, with the measures that judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganprobe import GeneratorLoader, Measure, Segmenter, hookimpl
from ganprobe_zoo.measures import Digit, DigitRealness, DigitShape, SceneRealness
from ganprobe_zoo.segmenters import Scenes

if TYPE_CHECKING:
    from ganprobe import Generator


def _digits() -> Generator:
    from ganprobe_zoo.digits import load_generator

    return load_generator()


def _scenes() -> Generator:
    from ganprobe_zoo.scenes import load_generator

    return load_generator()


@hookimpl
def register_generators() -> list[GeneratorLoader]:
    """``digits`` and ``scenes``."""
    digits = "handwritten digits, 28 x 28 grey, trained on MNIST; 256, 128 and 64 feature maps"
    scenes = "painted places, 64 x 64 in colour; 256, 192, 128 and 64 feature maps"
    return [
        GeneratorLoader("digits", digits, _digits),
        GeneratorLoader("scenes", scenes, _scenes),
    ]


@hookimpl
def register_measures() -> list[Measure]:
    """``digit``, ``digit-realness``, ``digit-shape`` and ``scene-realness``."""
    return [Digit(), DigitRealness(), DigitShape(), SceneRealness()]


@hookimpl
def register_segmenters() -> list[Segmenter]:
    """``scenes``."""
    return [Scenes()]
