"""Reading what ``torch.save`` wrote, and pickles: by tensors and plain values alone, or trusted.

Everything is first read with ``weights_only=True``, which executes nothing. What cannot be read
so is looked at without executing it, for the reason, and read in full only where trust is given.
Large files are mapped into memory, not copied: only the tensors that are used cost any.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ganprobe.errors import WeightsError
from ganprobe.weight_files.kinds import DAMAGED_ZIP, FileKind
from ganprobe.weight_files.pickle_names import code_named
from ganprobe.weight_files.trust import Trust

__all__ = ["code_in", "read_pytorch", "unpickled"]

_MAPPED_FROM = 64 << 20  # bytes from which a file is mapped rather than copied
_N_PICKLES = 5  # of the format before 1.6: magic number, version, system, the object, storages
_FROM = "install the package that it comes from, or give the folder that holds it with --code"
_OF_SETUPTOOLS = "install setuptools<81, later ones have it no more"
_PROTOCOL = "is pickled by a protocol that is not read by weights alone"


def read_pytorch(path: Path, kind: FileKind, trust: Trust) -> tuple[Any, str]:
    """What was saved in a file of kind ``"pytorch"``, ``"pytorch-legacy"`` or ``"pickle"``.

    Returns:
        What it holds, and why trust was needed, or "".

    Raises:
        UntrustedError: it holds more than tensors and plain values.
        WeightsError: it is truncated or damaged, or its code cannot be imported.
    """
    _check_sums(path, kind)
    reason: Exception | None = None
    if kind != "pickle":
        try:
            return _load(path, kind, weights_only=True), ""
        except Exception as error:  # whatever a damaged file makes of the unpickler
            reason = error
    named = code_in(path, kind)
    if not named and kind != "pickle" and not _has_newer_protocol(path, kind):
        raise WeightsError(
            f"{path} is truncated or damaged ({path.stat().st_size:,} bytes):"
            f" {_first_line(reason)}; download or save it again"
        ) from reason
    why = _why(named, kind)
    trust.require(path, why)
    return _load_trusted(path, kind), why


def code_in(path: Path, kind: FileKind, *, n: int = 3) -> list[str]:
    """The first functions and classes that reading the file in full would import, by name.

    Args:
        n: at most how many of each pickle in the file.
    """
    with _pickled(path, kind) as pickles:
        found: list[str] = []
        for file in pickles:
            for _ in range(_N_PICKLES if kind == "pytorch-legacy" else 1):
                found += code_named(file, n=n)
        return found


def _why(named: list[str], kind: FileKind) -> str:
    if named:
        return f"imports {' and '.join(named[:2])}, which no tensors or plain values need"
    return "is a pickle" if kind == "pickle" else _PROTOCOL


@contextlib.contextmanager
def _pickled(path: Path, kind: FileKind) -> Iterator[list[IO[bytes]]]:
    """The pickles in a file, each open at its beginning."""
    if kind != "pytorch":
        with path.open("rb") as file:
            yield [file]
        return
    with _archive(path) as archive:
        records = [one for one in archive.infolist() if one.filename.split("/")[-1] == "data.pkl"]
        for record in records:
            del record.CRC  # which was compared already, where there is one
        pickles: list[IO[bytes]] = [io.BytesIO(archive.read(record)) for record in records]
    yield pickles


def _has_newer_protocol(path: Path, kind: FileKind) -> bool:
    """Whether its pickle is of a protocol beyond 2, which reading by weights alone refuses."""
    with _pickled(path, kind) as pickles:
        return any(b"\x80\x03" <= file.read(2) <= b"\x80\x05" for file in pickles)


def _check_sums(path: Path, kind: FileKind) -> None:
    """Raise if a byte in a ZIP differs from when it was written, which torch does not look at."""
    if kind != "pytorch":
        return
    with _archive(path) as archive:
        for record in archive.infolist():
            if record.CRC:  # 0 where it was saved without
                with archive.open(record) as file:
                    while file.read(1 << 20):
                        pass


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGED_ZIP as error:
        raise WeightsError(f"{path} is damaged: {error}; download or save it again") from error


def _load(path: Path, kind: FileKind, *, weights_only: bool) -> Any:
    import torch

    is_mapped = kind == "pytorch" and path.stat().st_size >= _MAPPED_FROM
    with warnings.catch_warnings(), _plain_values_allowed():
        warnings.simplefilter("ignore")  # of old storages, protocols, renamed classes
        return torch.load(
            str(path), map_location="cpu", weights_only=weights_only, mmap=is_mapped or None
        )


@contextlib.contextmanager
def _plain_values_allowed() -> Iterator[None]:
    """Reading by weights alone takes the options of a command line, which are plain values."""
    from torch.serialization import get_safe_globals, safe_globals

    if argparse.Namespace in get_safe_globals():
        yield
        return
    with safe_globals([argparse.Namespace]):
        yield


def _load_trusted(path: Path, kind: FileKind) -> Any:
    if kind == "pickle":
        return unpickled(path)
    with _its_code(path):
        return _load(path, kind, weights_only=False)


def unpickled(path: Path) -> Any:
    """What ``pickle.dump`` wrote, with every tensor on the CPU. Executes what is in it.

    Raises:
        WeightsError: its code cannot be imported, or raised.
    """
    with _its_code(path), path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _OnCpu(file).load()


@contextlib.contextmanager
def _its_code(path: Path) -> Iterator[None]:
    try:
        yield
    except (ImportError, AttributeError) as error:
        way_out = _OF_SETUPTOOLS if getattr(error, "name", None) == "pkg_resources" else _FROM
        raise WeightsError(
            f"{path} needs code that cannot be imported: {error}; {way_out}"
        ) from error
    except Exception as error:  # whatever its code raises
        raise WeightsError(
            f"{path} cannot be read: {type(error).__name__}: {_first_line(error)}"
        ) from error


class _OnCpu(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage_on_cpu
        return super().find_class(module, name)


def _storage_on_cpu(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)


def _first_line(error: Exception | None) -> str:
    lines = str(error).strip().splitlines()
    told = [line.partition("WeightsUnpickler error:")[2].strip() for line in lines]
    lines = [line for line in told if line] or lines
    return lines[0][:200] if lines else type(error).__name__
