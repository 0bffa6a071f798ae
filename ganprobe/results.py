"""Results: what an analysis found.

`ganprobe.result_files` writes them to a folder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ganprobe.animations import Animation
from ganprobe.direction_sets import DirectionSet
from ganprobe.errors import PluginError
from ganprobe.latent_sets import LatentSet
from ganprobe.unit_sets import UnitSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure
    from numpy.typing import NDArray

__all__ = ["Array", "Figure", "Result", "Table", "plain_row"]


@dataclass(frozen=True, eq=False)
class Array:
    """Values with a named dimension for each axis.

    Args:
        values: of any rank and numeric dtype.
        dims: one name for each axis; the same name has the same length in all of a result.
        unit: of the values; "" where they have none.
        description: one sentence.
    """

    values: NDArray[Any]
    dims: tuple[str, ...]
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of plain values under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | bool | None, ...], ...]
    description: str = ""


@dataclass(frozen=True, eq=False)
class Figure:
    """A drawn matplotlib figure with its caption."""

    drawing: MatplotlibFigure
    caption: str


@dataclass(frozen=True, eq=False)
class Result:
    """What an analysis found.

    Args:
        findings: a few sentences, the most important first, numbers with their units.
        arrays: by name.
        coordinates: the values along a dimension, where they are more than 0, 1, 2, ...
        tables: by name.
        figures: by name, which becomes the file's name.
        unit_sets: by name, which becomes the file's name: other analyses take them.
        latent_sets: likewise, for ``--latents @FILE`` and wherever samples are chosen.
        direction_sets: likewise, for ``--direction @FILE``.
        animations: by name, which becomes the file's name.

    Raises:
        PluginError: a dimension has two lengths, an array's dims do not fit its rank, a name
            cannot be a file's or a dataset's, or a table holds what JSON cannot.
    """

    findings: Sequence[str] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)
    coordinates: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    unit_sets: Mapping[str, UnitSet] = field(default_factory=dict)
    latent_sets: Mapping[str, LatentSet] = field(default_factory=dict)
    direction_sets: Mapping[str, DirectionSet] = field(default_factory=dict)
    animations: Mapping[str, Animation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes()
        dims = {dim for array in self.arrays.values() for dim in array.dims}
        selections = (*self.unit_sets, *self.latent_sets, *self.direction_sets)
        files = (*self.figures, *selections, *self.animations)
        for name in (*self.arrays, *files, *self.coordinates, *dims):
            if not re.fullmatch(r"[\w][\w .-]*", name):
                raise PluginError(f"{name!r} cannot name an array, a dimension or a file")
        if clash := dims & self.arrays.keys():
            raise PluginError(f"{min(clash)!r} names an array and a dimension; rename one")
        for name, table in self.tables.items():
            for row in table.rows:
                if len(row) != len(table.columns):
                    raise PluginError(f"a row of table {name!r} does not fit its columns: {row}")
                plain_row(row)

    def sizes(self) -> dict[str, int]:
        """The length of each dimension."""
        sizes = {name: len(values) for name, values in self.coordinates.items()}
        for name, array in self.arrays.items():
            shape = array.values.shape
            if len(array.dims) != len(shape):
                raise PluginError(f"array {name!r} has shape {shape} but dims {array.dims}")
            for dim, size in zip(array.dims, shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    raise PluginError(
                        f"dimension {dim!r} is {size} long in array {name!r}, {sizes[dim]} before"
                    )
        return sizes


def plain_row(row: Sequence[object]) -> list[object]:
    """A row of a table as JSON has it: numbers of numpy as Python's, NaN and infinity as null."""
    plain = [value.item() if hasattr(value, "item") else value for value in row]
    for value in plain:
        if not isinstance(value, str | int | float | bool | None):
            raise PluginError(f"a table holds {value!r}; it can hold numbers, text and None")
    return [
        None if isinstance(value, float) and not math.isfinite(value) else value for value in plain
    ]
