"""Files that hold weights, and files that pretend to, for what reads them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

__all__ = ["LANDED", "WRITTEN", "WRONG", "Hostile", "Small", "small_state"]

LANDED = Path("landed.txt")
"""What code in a hostile file would create, in the folder of the test."""


class Small(nn.Module):
    """Two layers with batch normalisation between them."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(3, width), nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 2)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.last(self.norm(self.first(z)))
        return images


def small_state(seed: int = 0, *, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a `Small` with random weights, its names behind a prefix."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return {f"{prefix}{name}": one for name, one in Small().state_dict().items()}


class Hostile:
    """Unpickled, it creates the file `LANDED` in the current folder."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (LANDED, "landed")


def _legacy(path: Path) -> None:
    torch.save(small_state(), path, _use_new_zipfile_serialization=False)


def _scripted(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Small().eval()).save(str(path))


def _exported(path: Path) -> None:
    program = torch.export.export(Small().eval(), (torch.ones(1, 3),))
    torch.export.save(program, path)


def _exported_before(path: Path) -> None:
    """The names of the layout that torch.export.save had before 2.7."""
    _zip(path, {"version": b"5", "serialized_exported_program.json": b"{}"})


def _index(path: Path) -> None:
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"first.weight": "a.safetensors"}}))


WRITTEN: dict[str, Callable[[Path], object]] = {
    "safetensors": lambda path: save_file(small_state(), path),
    "pytorch": lambda path: torch.save(small_state(), path),
    "pytorch-legacy": _legacy,
    "torchscript": _scripted,
    "export": _exported,
    "export before": _exported_before,
    "pickle": lambda path: path.write_bytes(pickle.dumps({"first": Hostile()})),
    "pickle of protocol 0": lambda path: path.write_bytes(pickle.dumps({"a": 1, "b": [2]}, 0)),
    "index": _index,
}
"""Writers of the kinds that `file_kind` knows, by kind."""


def _zip(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, held in content.items():
            archive.writestr(name, held)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pt"), io.BytesIO())


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["kernel"] = np.ones(3)


def _truncated_zip(path: Path) -> None:
    torch.save(small_state(), path)
    path.write_bytes(path.read_bytes()[:900])


def _bytes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


WRONG: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "empty": ("a.pt", _bytes(b""), "is empty (0 bytes); download"),
    "zeros": ("a.pt", _bytes(bytes(5000)), "begins with zeros only; download"),
    "short": ("a.pt", _bytes(b"\x80\x02"), "has 2 bytes only: it is truncated"),
    "truncated zip": (
        "a.pt",
        _truncated_zip,
        "as torch.save writes, and is truncated (900 bytes); download",
    ),
    "page": ("a.pt", _bytes(b"\n<!DOCTYPE html><html>"), "is a web page: the download saved"),
    "pointer": (
        "a.safetensors",
        _bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
        "run git lfs pull",
    ),
    "gzip": ("a.pt.gz", _bytes(gzip.compress(b"weights")), "compressed by gzip"),
    "tar": ("a.tar", _tar, "is a tar archive"),
    "zip": (
        "a.zip",
        lambda path: _zip(path, {"read.me": b"", "deep/model.pth": b""}),
        "is a ZIP archive of 2 files, among them 'deep/model.pth'; unpack it first",
    ),
    "empty zip": ("a.zip", lambda path: _zip(path, {}), "is a ZIP archive of nothing"),
    "npy": ("a.npy", lambda path: np.save(path, np.ones(3)), "is one NumPy array"),
    "npz": ("a.npz", lambda path: np.savez(path, a=np.ones(3)), "NumPy arrays (.npz); save them"),
    "hdf5": ("a.h5", _hdf5, "is HDF5, as Keras saves weights"),
    "keras": ("a.keras", lambda path: _zip(path, {"model.weights.h5": b""}), "is a Keras model"),
    "compiled": (
        "a.pt2",
        lambda path: _zip(path, {"a/archive_format": b"pt2", "a/data/aotinductor/m.so": b""}),
        "is compiled by AOTInductor",
    ),
    "package": (
        "a.pt",
        lambda path: _zip(path, {"a/.data/extern_modules": b"", "a/data.pkl": b""}),
        "is a torch.package archive",
    ),
    "onnx": ("a.bin", _bytes(b"\x08\x07\x12\x07pytorch\x1a\x052.1.0"), "is an ONNX model"),
    "tensorflow": ("model.ckpt-10.index", _bytes(b"\0\1\2"), "belongs to a TensorFlow checkpoint"),
    "flax": ("flax_model.msgpack", _bytes(b"\x82\xa6params"), "holds Flax weights"),
    "lite": ("a.tflite", _bytes(b"\x1c\0\0\0TFL3"), "is a TensorFlow Lite model"),
    "gguf": ("a.gguf", _bytes(b"GGUF\3\0\0\0"), "is a GGUF model"),
    "image": ("a.bin", _bytes(b"\x89PNG\r\n\x1a\n"), "is a PNG image"),
    "json": ("a.json", _bytes(b'{"width": 3, "depth": 2}'), "is JSON with width, depth, ..., and"),
    "damaged json": ("a.json", _bytes(b'{"width": '), "is damaged JSON"),
    "text": (
        "a.pt",
        _bytes("Access denied é\n".encode() * 400),
        "is a text that begins 'Access denied é'; give the file of weights",
    ),
    "noise": ("a.pt", _bytes(bytes(range(250, 140, -1))), "begins fa f9 f8 f7 f6 f5 f4 f3, 110"),
}
"""Files that hold no weights: name, writer, and what must be said of them."""
