"""Small generators that ship with ganprobe, with the measures that judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganprobe import GeneratorLoader, Measure, hookimpl
from ganprobe_zoo.measures import Digit, DigitRealness, DigitShape

if TYPE_CHECKING:
    from ganprobe import Generator


def _digits() -> Generator:
    from ganprobe_zoo.digits import load_generator

    return load_generator()


@hookimpl
def register_generators() -> list[GeneratorLoader]:
    """``digits``."""
    summary = "handwritten digits, 28 x 28 grey, trained on MNIST; 256, 128 and 64 feature maps"
    return [GeneratorLoader("digits", summary, _digits)]


@hookimpl
def register_measures() -> list[Measure]:
    """``digit``, ``digit-realness`` and ``digit-shape``."""
    return [Digit(), DigitRealness(), DigitShape()]
