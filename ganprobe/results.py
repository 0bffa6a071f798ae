"""Results: what an analysis found, and the folder that it is written to.

A folder holds ``result.h5`` (arrays with named dimensions; xarray opens it), ``figures/*.png``,
``units/*.json`` where sets of units were found, and, written last, ``result.json`` (tables,
findings, provenance): a folder with that file is whole.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganprobe.errors import GanprobeError, OutputExistsError, PluginError
from ganprobe.unit_sets import UnitSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure
    from numpy.typing import NDArray

    from ganprobe.provenance import Provenance

__all__ = ["Array", "Figure", "Result", "ResultFolder", "Table", "result_folder"]

FORMAT_VERSION = 1
_FIGURE_DPI = 150


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

    def __post_init__(self) -> None:
        self.sizes()
        dims = {dim for array in self.arrays.values() for dim in array.dims}
        for name in (*self.arrays, *self.figures, *self.unit_sets, *self.coordinates, *dims):
            if not re.fullmatch(r"[\w][\w .-]*", name):
                raise PluginError(f"{name!r} cannot name an array, dimension, figure or unit set")
        if clash := dims & self.arrays.keys():
            raise PluginError(f"{min(clash)!r} names an array and a dimension; rename one")
        for name, table in self.tables.items():
            for row in table.rows:
                if len(row) != len(table.columns):
                    raise PluginError(f"a row of table {name!r} does not fit its columns: {row}")
                _plain(row)

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


@dataclass(frozen=True)
class ResultFolder:
    """A folder being filled; nothing of it is in place until `save` is through."""

    path: Path
    partial: Path

    def save(self, result: Result, *, analysis: str, provenance: Provenance) -> list[Path]:
        """Write a result and put it in place; returns the files, the JSON first."""
        names = _write(self.partial, result, analysis, provenance)
        for folder in {Path(name).parent for name in names}:
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        outdated = [self.path / name for name in _files_of_the_result_in(self.path)]
        in_the_way = [self.path / name for name in names if (self.path / name).is_dir()]
        if in_the_way:
            raise OutputExistsError(f"{in_the_way[0]} is a folder where a file must go; move it")
        (self.path / "result.json").unlink(missing_ok=True)  # from here on it is not whole
        for file in outdated:
            file.unlink(missing_ok=True)
        for name in reversed(names):
            (self.partial / name).replace(self.path / name)
        return [self.path / name for name in names]


@contextmanager
def result_folder(path: Path, *, overwrite: bool = False) -> Iterator[ResultFolder]:
    """Claim a folder for a result before the work starts; clean up if it fails.

    An earlier result in it is replaced only with `overwrite`; other files there are kept.

    Raises:
        OutputExistsError: the folder is not empty, and `overwrite` is False; or it is a file.
        GanprobeError: it cannot be written.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise OutputExistsError(f"{path} is a file or a broken link; --output is a folder")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise OutputExistsError(f"{path} is not empty; give --force to replace the result in it")
    whole = path.resolve()  # "." and ".." have no name of their own
    partial = whole.parent / f"{whole.name}.{os.getpid()}.partial"
    created = [parent for parent in whole.parents if not parent.exists()]
    try:
        (partial / "figures").mkdir(parents=True)
        yield ResultFolder(path, partial)
        created = []
    except GanprobeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise GanprobeError(f"cannot write {path}: {reason}; choose another --output") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in created:
            with suppress(OSError):  # something else was put there meanwhile
                parent.rmdir()


def _files_of_the_result_in(folder: Path) -> list[str]:
    """The figures and unit sets that an earlier result in this folder says are its own."""
    try:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        held = [*record["figures"].values(), *record.get("unit_sets", {}).values()]
        files = [str(one["file"]) for one in held]
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return []
    return [name for name in files if str(Path(name).parent) in ("figures", "units")]


def _write(folder: Path, result: Result, analysis: str, provenance: Provenance) -> list[str]:
    _write_arrays(folder / "result.h5", result, provenance)
    files = {name: f"figures/{name}.png" for name in result.figures}
    for name, figure in result.figures.items():
        figure.drawing.savefig(folder / files[name], dpi=_FIGURE_DPI)
    sets = {name: f"units/{name}.json" for name in result.unit_sets}
    for name, unit_set in result.unit_sets.items():
        (folder / "units").mkdir(exist_ok=True)
        unit_set.write(folder / sets[name])
    record = {
        "format_version": FORMAT_VERSION,
        "analysis": analysis,
        "findings": list(result.findings),
        "tables": {
            name: {
                "columns": table.columns,
                "rows": [_plain(row) for row in table.rows],
                "description": table.description,
            }
            for name, table in result.tables.items()
        },
        "figures": {
            name: {"file": files[name], "caption": figure.caption}
            for name, figure in result.figures.items()
        },
        "unit_sets": {
            name: {"file": sets[name], "units": str(unit_set)}
            for name, unit_set in result.unit_sets.items()
        },
        "arrays": {
            name: {
                "dims": array.dims,
                "shape": array.values.shape,
                "unit": array.unit,
                "description": array.description,
            }
            for name, array in result.arrays.items()
        },
        "provenance": provenance.to_json(),
    }
    text = json.dumps(record, indent=1, allow_nan=False)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    return ["result.json", "result.h5", *files.values(), *sets.values()]


def _plain(row: Sequence[object]) -> list[object]:
    """A row of a table as JSON has it: numbers of numpy as Python's, NaN and infinity as null."""
    plain = [value.item() if hasattr(value, "item") else value for value in row]
    for value in plain:
        if not isinstance(value, str | int | float | bool | None):
            raise PluginError(f"a table holds {value!r}; it can hold numbers, text and None")
    return [
        None if isinstance(value, float) and not math.isfinite(value) else value for value in plain
    ]


def _write_arrays(path: Path, result: Result, provenance: Provenance) -> None:
    import h5py
    import numpy as np

    # In memory first: HDF5 itself cannot be trusted on a disk that fills up.
    content = io.BytesIO()
    with h5py.File(content, "w", libver=("v110", "v110")) as file:
        file.attrs["provenance"] = json.dumps(provenance.to_json())
        for dim, size in result.sizes().items():
            values = np.asarray(result.coordinates.get(dim, range(size)))
            if values.dtype.kind == "U":
                values = values.astype(h5py.string_dtype())
            file.create_dataset(dim, data=values).make_scale(dim)
        for name, array in result.arrays.items():
            stored = file.create_dataset(name, data=array.values)
            stored.attrs["units"] = array.unit
            stored.attrs["description"] = array.description
            for axis, dim in enumerate(array.dims):
                stored.dims[axis].attach_scale(file[dim])
    path.write_bytes(content.getbuffer())
