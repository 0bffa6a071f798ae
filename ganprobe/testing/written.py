"""Written results: what is in the files of a result, read back from them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganprobe.provenance import Provenance
from ganprobe.result_files import result_folder
from ganprobe.results import Result

__all__ = ["Picture", "WrittenResult", "write"]


class Picture(NamedTuple):
    """A figure as it was written.

    Args:
        deviation: the standard deviation of its colours, from 0 to 127.5.
    """

    width: int
    height: int
    deviation: float


@dataclass(frozen=True, eq=False)
class WrittenResult:
    """What the files of a result hold.

    Args:
        record: all of result.json.
        arrays: of result.h5, by name, each with the names of its dimensions.
        pictures: by the names of the figures.
        missing: files that the record names and that are not there, or empty.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, tuple[NDArray[Any], tuple[str, ...]]]
    pictures: Mapping[str, Picture]
    missing: tuple[str, ...]


def write(result: Result, analysis: str, provenance: Provenance) -> WrittenResult:
    """Write a result as the command line writes it, and read it back."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "found"
        with result_folder(path) as folder:
            files = folder.save(result, analysis=analysis, provenance=provenance)
        record = json.loads((path / "result.json").read_text(encoding="utf-8"))
        missing = [file.name for file in files if not file.is_file() or not file.stat().st_size]
        pictures = {name: _picture(path / one["file"]) for name, one in record["figures"].items()}
        return WrittenResult(record, _arrays(path / "result.h5", result), pictures, tuple(missing))


def _arrays(path: Path, result: Result) -> dict[str, tuple[NDArray[Any], tuple[str, ...]]]:
    import h5py

    held = {}
    with h5py.File(path) as file:
        for name in result.arrays:
            dims = tuple(Path(axis[0].name).name for axis in file[name].dims)
            held[name] = np.asarray(file[name][()]), dims
    return held


def _picture(path: Path) -> Picture:
    import imageio.v3 as imageio

    pixels = np.asarray(imageio.imread(path), float)
    height, width = pixels.shape[:2]
    return Picture(width, height, float(pixels[..., :3].std()))
