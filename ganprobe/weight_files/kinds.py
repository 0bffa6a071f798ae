"""What a file is, told by its content, and what to do with one that holds no weights.

Reads a few kilobytes and executes nothing; a suffix is believed only where formats have no mark
of their own (TensorFlow's and Flax's). Imports no torch.
"""

from __future__ import annotations

import codecs
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal, cast

from ganprobe.errors import UsageError, WeightsError, nearest_names
from ganprobe.weight_files.pickle_names import is_legacy_pytorch, is_pickle

__all__ = ["BROKEN_ZIP", "DAMAGED_ZIP", "FileKind", "file_kind"]

FileKind = Literal[
    "safetensors", "pytorch", "pytorch-legacy", "torchscript", "export", "pickle", "index"
]
"""Index: the JSON in which Hugging Face lists the files that weights are spread over."""

BROKEN_ZIP = (
    zipfile.BadZipFile,
    OSError,
    ValueError,
    NotImplementedError,
    OverflowError,
    struct.error,
)
"""What opening a damaged ZIP archive may raise."""

DAMAGED_ZIP = (*BROKEN_ZIP, zlib.error, EOFError, RuntimeError)
"""What reading one may raise besides."""

_HEAD = 4096
_LONGEST_HEADER = 100_000_000  # of a safetensors file, as its library has it
_LONGEST_ENDING = 22 + 65_535  # of a ZIP archive: where its list of contents is, and a comment
_WEIGHTS = re.compile(r".*\.(safetensors|pth?|bin|ckpt|pkl|tar|pt2)|.*\.index\.json", re.IGNORECASE)

_TENSORFLOW = re.compile(r"\.ckpt(-\d+)?\.(index|meta)$|\.data-\d+-of-\d+$|\.pb$")

_COMPRESSED = "unpack it first, and give the file of weights in it"
_OF_TENSORFLOW = "load it with that and save its arrays as safetensors under the module's names"

_MARKS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x1f\x8b", "is compressed by gzip", _COMPRESSED),
    (0, b"BZh", "is compressed by bzip2", _COMPRESSED),
    (0, b"\xfd7zXZ\x00", "is compressed by xz", _COMPRESSED),
    (0, b"\x28\xb5\x2f\xfd", "is compressed by zstd", _COMPRESSED),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive", _COMPRESSED),
    (0, b"Rar!\x1a\x07", "is a RAR archive", _COMPRESSED),
    (257, b"ustar", "is a tar archive", _COMPRESSED),
    (0, b"\x93NUMPY", "is one NumPy array", "save named tensors as safetensors"),
    (0, b"\x89HDF\r\n\x1a\n", "is HDF5, as Keras saves weights", _OF_TENSORFLOW),
    (4, b"TFL3", "is a TensorFlow Lite model", _OF_TENSORFLOW),
    (0, b"GGUF", "is a GGUF model", "take the safetensors weights that it was made from"),
    (0, b"\x89PNG", "is a PNG image", "give the file of weights"),
    (0, b"\xff\xd8\xff", "is a JPEG image", "give the file of weights"),
    (0, b"%PDF", "is a PDF document", "give the file of weights"),
    (
        0,
        b"version https://git-lfs",
        "is a git-lfs pointer, which stands for the file of weights",
        "run git lfs pull in its repository",
    ),
)
"""(where, what stands there, what the file is, the way out)."""


def file_kind(path: Path | str) -> FileKind:
    """What kind of weights, archive or pickle a file is.

    ``"safetensors"``; ``"pytorch"`` and, from before 1.6, ``"pytorch-legacy"``, of ``torch.save``;
    ``"torchscript"``; ``"export"``, of ``torch.export.save``; ``"pickle"``, of ``pickle.dump``,
    as NVIDIA's networks are; ``"index"``, of weights in several files.

    Raises:
        UsageError: there is no such file, or it is a folder.
        WeightsError: it is empty, truncated, or of another kind; says which, and the way out.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     torch.save({"weight": torch.ones(2)}, file.name)
        ...     file_kind(file.name)
        'pytorch'
    """
    path = _file(Path(path))
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        raise WeightsError(f"{path} is empty (0 bytes); download or save it again")
    if not head.strip(b"\0"):
        raise WeightsError(f"{path} begins with zeros only; download or save it again")
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER:
        return "safetensors"
    _refuse_marked(path, head)
    with path.open("rb") as file:
        if is_legacy_pytorch(file):
            return "pytorch-legacy"
        file.seek(0)
        if is_pickle(file):
            return "pickle"
    return _kind_of_text(path, head)


def _file(path: Path) -> Path:
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if _WEIGHTS.fullmatch(one.name))
        listed = f"; in it: {', '.join(inside[:5])}" if inside else ""
        raise UsageError(f"{path} is a folder; give the file of weights in it{listed}")
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest_names(path.name, beside)
        listed = f"; nearest in its folder: {', '.join(near)}" if near else ""
        raise UsageError(f"there is no file {path}{listed}")
    return path


def _refuse_marked(path: Path, head: bytes) -> None:
    for start, mark, what, way_out in _MARKS:
        if head[start:].startswith(mark):
            raise WeightsError(f"{path} {what}; {way_out}")
    if re.match(rb"\s*(<!doctype html|<html|<\?xml|<head)", head, re.IGNORECASE):
        raise WeightsError(
            f"{path} is a web page: the download saved a page instead of the file; download it"
            " again from its direct address, signed in where that is needed"
        )
    if re.match(rb"\x08[\x01-\x20]\x12[\x01-\x40][\x20-\x7e]", head) or path.suffix == ".onnx":
        raise WeightsError(
            f"{path} is an ONNX model, whose layers are no PyTorch modules; take the PyTorch"
            " weights that it was made from"
        )
    if _TENSORFLOW.search(path.name):
        raise WeightsError(f"{path} belongs to a TensorFlow checkpoint; {_OF_TENSORFLOW}")
    if path.suffix == ".msgpack":
        raise WeightsError(
            f"{path} holds Flax weights; save them as safetensors under the module's names"
        )


def _kind_of_zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except BROKEN_ZIP as error:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _LONGEST_ENDING))
            is_short = b"PK\x05\x06" not in file.read()
        what = f"truncated ({size:,} bytes)" if is_short else f"damaged: {error}"
        raise WeightsError(
            f"{path} begins like a ZIP archive, as torch.save writes, and is {what}; download or"
            " save it again"
        ) from error
    inside = {name.partition("/")[2] if "/" in name else name for name in names}
    inside.update(names)
    if "archive_format" in inside or "serialized_exported_program.json" in inside:
        return _kind_of_export(path, inside)
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return "torchscript"
    if ".data/extern_modules" in inside:
        raise WeightsError(
            f"{path} is a torch.package archive, which is code; import the module with"
            " torch.package and save its state_dict()"
        )
    if "data.pkl" in inside:
        return "pytorch"
    raise WeightsError(_about_zip(path, names))


def _kind_of_export(path: Path, inside: set[str]) -> FileKind:
    is_model = any(name.startswith("models/") for name in inside)
    if is_model or "serialized_exported_program.json" in inside:
        return "export"
    raise WeightsError(
        f"{path} is compiled by AOTInductor, which has no layers; give what torch.export.save wrote"
    )


def _about_zip(path: Path, names: list[str]) -> str:
    if names and all(name.endswith(".npy") for name in names):
        return f"{path} holds NumPy arrays (.npz); save them as safetensors or with torch.save"
    if "model.weights.h5" in names:
        return f"{path} is a Keras model; {_OF_TENSORFLOW}"
    first = next((name for name in names if _WEIGHTS.fullmatch(name)), names[0] if names else "")
    holding = f"{len(names)} files, among them {first!r}" if names else "nothing"
    return f"{path} is a ZIP archive of {holding}; {_COMPRESSED}"


def _kind_of_text(path: Path, head: bytes) -> FileKind:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    try:
        words = codecs.getincrementaldecoder("utf-8")().decode(head)  # its end may be cut
    except UnicodeDecodeError as error:
        raise WeightsError(_about_bytes(path, head)) from error
    if start in (b"{", b"["):
        return _kind_of_json(path)
    if re.search(r"[^\s -\U0010ffff]", words):
        raise WeightsError(_about_bytes(path, head))
    shown = words.strip().splitlines()[0][:40]
    raise WeightsError(
        f"{path} is a text that begins {shown!r}; give the file of weights (if it was downloaded,"
        " the text may say what went wrong)"
    )


def _kind_of_json(path: Path) -> FileKind:
    try:
        held = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged JSON, and holds no weights: {error}") from error
    if isinstance(held, dict) and isinstance(held.get("weight_map"), dict):
        return "index"
    keys = ", ".join(list(cast("dict[str, object]", held))[:3]) if isinstance(held, dict) else ""
    about = f" with {keys}, ..." if keys else ""
    raise WeightsError(f"{path} is JSON{about}, and holds no weights; give the file of weights")


def _about_bytes(path: Path, head: bytes) -> str:
    size = path.stat().st_size
    if size < 16:
        return f"{path} has {size} bytes only: it is truncated; download or save it again"
    return (
        f"{path} is no file of weights that is known (it begins {head[:8].hex(' ')},"
        f" {size:,} bytes): give safetensors, or what torch.save wrote"
    )
