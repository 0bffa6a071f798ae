"""Colours of classes: the segmenter's own, else ones that can be told apart."""

from __future__ import annotations

from matplotlib import colormaps
from matplotlib.colors import to_hex

from ganprobe import COLOURS, Segmenter

EDGE = "#30343a"
"""Of bars and outlines, so that white and pale colours stand out from paper."""


def class_colours(segmenter: Segmenter) -> tuple[str, ...]:
    """One for each class, as ``"#rrggbb"``."""
    given, n = segmenter.class_colours, len(segmenter.classes)
    if given is not None and len(given) == n:
        return tuple(to_hex(one) for one in given)
    if n <= len(COLOURS):
        return COLOURS[:n]
    if n <= 20:
        return tuple(to_hex(colormaps["tab20"](place)) for place in range(n))
    return tuple(to_hex(colormaps["turbo"](0.05 + 0.9 * place / (n - 1))) for place in range(n))


def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
