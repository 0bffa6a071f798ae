"""Position: which part of the picture, whatever it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, Segmenter
from ganprobe_segmenters.numbers import read_whole

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 16
_DOWN = {1: ("",), 2: ("top", "bottom"), 3: ("top", "", "bottom")}
_ACROSS = {1: ("",), 2: ("left", "right"), 3: ("left", "", "right")}


class Position(Segmenter):
    """A grid of cells, the same for all images: ``top-left``, ``top``, ``centre``.

    A pixel is in the cell that its centre is in. Grids of up to three rows and columns have words
    for their cells; others have numbers from the top left, as ``row 1 column 2``.

    Args:
        grid: how many rows and columns, 1 to 16 each; None: three of each.

    Example:
        >>> Position((1, 3)).classes
        ('left', 'centre', 'right')
    """

    name = "position"
    summary = "the cells of a grid: top-left, top, centre"
    argument = "ROWSxCOLUMNS"

    def __init__(self, grid: tuple[int, int] | None = None) -> None:
        self.grid = (3, 3) if grid is None else grid
        if grid is not None:
            self.name = f"position:{grid[0]}x{grid[1]}"
        if not all(1 <= n <= _MOST for n in self.grid) or self.grid == (1, 1):
            raise ParameterError(_sentence(f"{self.grid[0]}x{self.grid[1]}"))
        self.classes = tuple(_cells(*self.grid))

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        numbers = [read_whole(side) for side in argument.lower().split("x")]
        rows, columns = numbers if len(numbers) == 2 else (None, None)
        if rows is None or columns is None:
            raise ParameterError(_sentence(argument))
        return Position((rows, columns))

    def segment(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe_segmenters.labels import masks_of, resized

        cells = torch.arange(len(self.classes), device=images.device).view(1, *self.grid)
        height, width = images.shape[2:]
        masks = masks_of(resized(cells, (height, width)), len(self.classes))
        return masks.repeat(len(images), 1, 1, 1)


def _cells(rows: int, columns: int) -> list[str]:
    if rows in _DOWN and columns in _ACROSS:
        pairs = [(down, across) for down in _DOWN[rows] for across in _ACROSS[columns]]
        return ["-".join(filter(None, pair)) or "centre" for pair in pairs]
    places = [(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)]
    return [f"row {row} column {column}" for row, column in places]


def _sentence(given: str) -> str:
    return (
        f"segmenter 'position' has 1 to {_MOST} rows and columns, and two cells or more, got"
        f" {given!r}; write position:2x4 for two rows of four, or position alone"
    )
