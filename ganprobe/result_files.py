"""Result files: the folder that a result is written to.

A folder holds ``result.h5`` (arrays with named dimensions; xarray opens it), ``figures/*.png``,
``units/*.json``, ``latents/*.json``, ``directions/*.safetensors`` and ``animations/*`` where there
are such, and, written last, ``result.json`` (tables,
findings, provenance): a folder with that file is whole.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganprobe.errors import GanprobeError, OutputExistsError
from ganprobe.results import Result, plain_row

if TYPE_CHECKING:
    from ganprobe.provenance import Provenance

__all__ = ["ResultFolder", "result_folder"]

FORMAT_VERSION = 1
_FIGURE_DPI = 150
_FOLDERS = ("figures", "units", "latents", "directions", "animations")
_KINDS = ("figures", "unit_sets", "latent_sets", "direction_sets", "animations")

_Beside = dict[str, dict[str, Any]]


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
    """The figures, selections and animations that an earlier result here says are its own."""
    try:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        held = [one for kind in _KINDS for one in record.get(kind, {}).values()]
        files = [str(name) for one in held for name in one.get("files", [one.get("file", "")])]
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return []
    return [name for name in files if _is_of_a_result(Path(name))]


def _is_of_a_result(path: Path) -> bool:
    is_relative = not path.is_absolute() and ".." not in path.parts
    return is_relative and len(path.parts) in (2, 3) and path.parts[0] in _FOLDERS


def _write(folder: Path, result: Result, analysis: str, provenance: Provenance) -> list[str]:
    """Write everything, and tell the files' names under the folder, the record's first."""
    _write_arrays(folder / "result.h5", result, provenance)
    beside = {
        "figures": _write_figures(folder, result),
        "unit_sets": _write_unit_sets(folder, result),
        "latent_sets": _write_latent_sets(folder, result),
        "direction_sets": _write_direction_sets(folder, result),
        "animations": _write_animations(folder, result),
    }
    tables = {
        name: {
            "columns": table.columns,
            "rows": [plain_row(row) for row in table.rows],
            "description": table.description,
        }
        for name, table in result.tables.items()
    }
    arrays = {
        name: {
            "dims": array.dims,
            "shape": array.values.shape,
            "unit": array.unit,
            "description": array.description,
        }
        for name, array in result.arrays.items()
    }
    record = {
        "format_version": FORMAT_VERSION,
        "analysis": analysis,
        "findings": list(result.findings),
        "tables": tables,
        **beside,
        "arrays": arrays,
        "provenance": provenance.to_json(),
    }
    text = json.dumps(record, indent=1, allow_nan=False)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    files = [
        name
        for kind in beside.values()
        for one in kind.values()
        for name in one.get("files", [one.get("file")])
    ]
    return ["result.json", "result.h5", *files]


def _write_figures(folder: Path, result: Result) -> _Beside:
    files = {name: f"figures/{name}.png" for name in result.figures}
    for name, figure in result.figures.items():
        figure.drawing.savefig(folder / files[name], dpi=_FIGURE_DPI)
    return {
        name: {"file": files[name], "caption": figure.caption}
        for name, figure in result.figures.items()
    }


def _write_unit_sets(folder: Path, result: Result) -> _Beside:
    held: _Beside = {}
    for name, unit_set in result.unit_sets.items():
        held[name] = {"file": f"units/{name}.json", "units": str(unit_set)}
        unit_set.write(_ready(folder, held[name]["file"]))
    return held


def _write_latent_sets(folder: Path, result: Result) -> _Beside:
    held: _Beside = {}
    for name, latent_set in result.latent_sets.items():
        groups = {group: len(values) for group, values in latent_set.groups.items()}
        held[name] = {"file": f"latents/{name}{latent_set.suffix}", "groups": groups}
        latent_set.write(_ready(folder, held[name]["file"]))
    return held


def _write_direction_sets(folder: Path, result: Result) -> _Beside:
    held: _Beside = {}
    for name, directions in result.direction_sets.items():
        file = f"directions/{name}.safetensors"
        held[name] = {"file": file, "space": directions.space, "names": list(directions.names)}
        directions.write(_ready(folder, file))
    return held


def _write_animations(folder: Path, result: Result) -> _Beside:
    held: _Beside = {}
    for name, animation in result.animations.items():
        files = {f"animations/{file}": content for file, content in animation.files(name).items()}
        for file, content in files.items():
            _ready(folder, file).write_bytes(content)
        held[name] = {"files": list(files), "caption": animation.caption}
    return held


def _ready(folder: Path, file: str) -> Path:
    """Where a file goes, with the folder that it is in."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


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
