"""A figure whose parts are placed in pixels from its upper left, so that pixels stay whole."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ganprobe import sign
from ganprobe_maps.sheets import Sheet

DPI = 150  # results are saved with as many
EDGE = 27
IMAGE = 252  # of the box that the images beside the maps fill
LEFT = EDGE + IMAGE + 45  # where the maps begin
_LINE, _FOOT, _LEAST_WIDTH = 25, 48, 1050
_CHARACTER = 8.6  # of a note
_COARSE = 128  # images up to this wide show their pixels
_GAP = 12
_BAR = 140  # the bar of colours with its label

Place = tuple[int, int, int, int]  # left, top, width, height


class Canvas:
    """A sheet's figure with title, note, images, bar of colours and foot; maps go beside them.

    Args:
        size: (width, height) that the maps need, in pixels.
        made: how it was made, for the foot.
        colormap: None: there is no bar of colours.
    """

    def __init__(
        self, sheet: Sheet, size: tuple[int, int], made: str, colormap: Colormap | None = None
    ) -> None:
        self.width = max(_LEAST_WIDTH, LEFT + size[0] + EDGE)
        note = textwrap.wrap(sheet.note, int((self.width - 2 * EDGE) / _CHARACTER))
        self.top = 72 + _LINE * len(note)
        bar = _BAR if colormap else 0
        places, end = image_places([image.shape[-2:] for _, image in sheet.images], size[1] - bar)
        self.height = self.top + max(size[1], end + bar) + _FOOT
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI))
        self.text(EDGE, 20, sheet.title, fontsize=11)
        self.text(EDGE, 56, "\n".join(note), fontsize=8, color="0.35")
        for (label, image), place in zip(sheet.images, places, strict=True):
            self._draw_image(image, label, place)
        if colormap is not None:
            self._draw_bar(sheet, colormap, self.top + end)
        sign(self.figure, made)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place in pixels."""
        box = (left / self.width, 1 - (top + height) / self.height)
        return self.figure.add_axes((*box, width / self.width, height / self.height))

    def text(self, left: float, top: float, words: str, **how: Any) -> None:
        """Words whose upper left, if nothing else is said, is at a place in pixels."""
        place = (left / self.width, 1 - top / self.height)
        self.figure.text(*place, words.replace("$", r"\$"), **{"va": "top", **how})

    def _draw_image(self, image: NDArray[np.float32], label: str, place: Place) -> None:
        left, top, width, height = place
        axes = self.axes(EDGE + left, self.top + top, width, height)
        smooth = "nearest" if image.shape[-1] <= _COARSE else "antialiased"
        drawn = _drawable(image)
        axes.imshow(drawn, cmap="gray", vmin=0, vmax=1, interpolation=smooth, aspect="auto")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("0.6")
        axes.spines[:].set_linewidth(0.5)
        self.text(EDGE + left, self.top + top + height + 7, label, fontsize=8)

    def _draw_bar(self, sheet: Sheet, colormap: Colormap, top: float) -> None:
        colours = sheet.colours
        axes = self.axes(EDGE + 4, top + 18, IMAGE - 8, 20)
        mappable = ScalarMappable(Normalize(colours.low, colours.high), colormap)
        extend = "both" if colours.is_clipped else "neither"
        bar = self.figure.colorbar(mappable, cax=axes, orientation="horizontal", extend=extend)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.outline.set_linewidth(0.5)
        label = "\n".join(textwrap.wrap(colours.label, 30))
        self.text(EDGE, top + 70, label, fontsize=8)


def image_places(shapes: Sequence[tuple[int, ...]], height: int) -> tuple[list[Place], int]:
    """Where images (y, x) go: below each other if that is not too high, else side by side.

    Returns:
        Their places, and where they end with their labels.
    """
    n, below = len(shapes), 7 + _LINE
    is_high = n == 1 or n * (IMAGE + below + _GAP) <= height
    box = IMAGE if is_high else (IMAGE - _GAP * (n - 1)) // n
    places: list[Place] = []
    left = top = end = 0
    for shape in shapes:
        places.append((left, top, *_fitted(shape[1], shape[0], box)))
        end = max(end, top + places[-1][3] + below)
        left, top = (0, end + _GAP) if is_high else (left + box + _GAP, 0)
    return places, end


def _fitted(width: int, height: int, box: int) -> tuple[int, int]:
    """The size of an image in a square box: whole pixels of it where it is small."""
    longest = max(width, height)
    times = box // longest if longest <= box else box / longest
    return max(1, int(width * times)), max(1, int(height * times))


def _drawable(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x, 3) for colour, (y, x) for anything else."""
    return np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
