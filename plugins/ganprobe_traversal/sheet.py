"""Sheets: a figure with a mosaic above and panels of curves under it, in inches."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["Sheet"]

_LEFT, _RIGHT, _TITLE, _FOOT, _BETWEEN = 1.0, 0.6, 1.1, 0.75, 0.62
_SHORT_FOOT = 0.35
_WIDE_HEIGHT, _SMALL_HEIGHT, _BESIDE = 1.6, 1.15, 0.55
_ABREAST, _LEAST_WIDTH = 3, 2.2


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure whose parts have their places in inches.

    Args:
        figure: empty.
        width, height: of the mosaic.
        n_panels: under it: one as wide as the mosaic, or several abreast.
    """

    figure: Figure
    width: float
    height: float
    n_panels: int

    @classmethod
    def of(cls, width: float, height: float, n_panels: int) -> Sheet:
        """Of a size that holds all; a mosaic narrower than its title is not widened."""
        n_rows, _, panel_height = _arrangement(width, n_panels)
        under = n_rows * (panel_height + _BETWEEN)
        foot = _FOOT if n_panels else _SHORT_FOOT
        size = _LEFT + max(width, 4.2) + _RIGHT, _TITLE + height + under + foot
        return cls(Figure(figsize=size), width, height, n_panels)

    def top(self) -> Axes:
        """Where the mosaic goes."""
        return self._axes(_LEFT, _TITLE, self.width, self.height)

    def panel(self, number: int) -> Axes:
        """Where a panel goes."""
        n_rows, abreast, height = _arrangement(self.width, self.n_panels)
        assert number < n_rows * abreast
        row, column = divmod(number, abreast)
        full = max(self.width, 4.2)
        width = (full - (abreast - 1) * _BESIDE) / abreast if abreast > 1 else self.width
        left = _LEFT + column * (width + _BESIDE)
        top = _TITLE + self.height + _BETWEEN + row * (height + _BETWEEN)
        return self._axes(left, top, width, height)

    def entitle(self, title: str, description: str) -> None:
        """Write over the mosaic, from the left edge on where that is longer than the mosaic."""
        width, height = self.figure.get_size_inches()
        left = _LEFT / width if width > 7.5 else 0.1 / width
        self.figure.text(left, 1 - 0.12 / height, title, fontsize=11, va="top", parse_math=False)
        self.figure.text(left, 1 - 0.36 / height, description, fontsize=9, va="top",
                         color="#444444", parse_math=False)  # fmt: skip

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        whole = self.figure.get_size_inches()
        bottom = whole[1] - top - height
        box = left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]
        return self.figure.add_axes(box)


def _arrangement(width: float, n_panels: int) -> tuple[int, int, float]:
    """How many rows of panels, how many abreast, and how high one is."""
    if n_panels <= 1:
        return n_panels, 1, _WIDE_HEIGHT
    abreast = min(n_panels, max(1, min(_ABREAST, int((width + _BESIDE) / _LEAST_WIDTH))))
    return -(-n_panels // abreast), abreast, _SMALL_HEIGHT
