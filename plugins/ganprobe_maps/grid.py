"""The grid of a sheet: where each map is, and how many pixels a value of it takes."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_CELLS = {4: 240, 8: 160, 32: 126, 64: 108}  # by the number of maps
_LEAST_CELL, _MOST_CELL, _LINE_HEIGHT = 80, 128, 30
_GAP, _LABEL = 12, 30
_MOST_WIDTH = 2250


@dataclass(frozen=True)
class Grid:
    """Places in pixels, from the upper left of the grid.

    Args:
        n_units: how many maps there are.
        n_columns: of the grid.
        cell: (width, height) of a map as it is drawn.

    Example:
        >>> grid = Grid.of(128, (7, 7))
        >>> grid.n_columns, grid.cell, grid.corner(17)
        (16, (84, 84), (96, 126))
    """

    n_units: int
    n_columns: int
    cell: tuple[int, int]

    @classmethod
    def of(cls, n_units: int, map_shape: tuple[int, int]) -> Grid:
        """A grid for so many maps (y, x): the more there are, the more columns."""
        least = next((cell for most, cell in _LEAST_CELLS.items() if n_units <= most), _LEAST_CELL)
        width, height = drawn_size(map_shape, least)
        wanted = n_units if n_units <= 8 else 8 if n_units <= 64 else 16
        fitting = max(1, (_MOST_WIDTH + _GAP) // (width + _GAP))
        columns = wanted if wanted <= fitting else 8 if fitting >= 8 else fitting
        return cls(n_units, columns, (width, height))

    @property
    def n_rows(self) -> int:
        """How many rows it takes; the last may be short."""
        return -(-self.n_units // self.n_columns)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of all of it, labels too."""
        width, height = self.cell
        return (
            self.n_columns * (width + _GAP) - _GAP,
            self.n_rows * (height + _GAP + _LABEL) - _GAP,
        )

    def corner(self, number: int) -> tuple[int, int]:
        """(left, top) of a map, counted along the rows."""
        row, column = divmod(number, self.n_columns)
        return column * (self.cell[0] + _GAP), row * (self.cell[1] + _GAP + _LABEL)


def drawn_size(map_shape: tuple[int, int], least: int = _LEAST_CELL) -> tuple[int, int]:
    """(width, height) in pixels of a map (y, x): each value a whole number of them, if it can be.

    Args:
        least: pixels that the longer side takes at least.

    Example:
        >>> drawn_size((7, 7)), drawn_size((64, 64)), drawn_size((512, 256)), drawn_size((1, 20))
        ((84, 84), (128, 128), (64, 128), (80, 30))
    """
    height, width = map_shape
    longest, most = max(map_shape), max(least, _MOST_CELL)
    if longest > most:
        width, height = (max(1, side * most // longest) for side in (width, height))
    else:
        times = -(-least // longest)
        width, height = width * times, height * times
    return width, _LINE_HEIGHT if map_shape[0] == 1 else height
