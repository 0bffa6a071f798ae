"""What the code in a TorchScript archive could do besides computing; read, not executed.

TorchScript cannot call Python, but some operations of it read and write files, operations of other
libraries do what they like, and ``__setstate__`` runs while the archive is loaded.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ganprobe.errors import WeightsError
from ganprobe.weight_files import DAMAGED_ZIP

__all__ = ["first_risk"]

_FILES = re.compile(r"\b(save|from_file|load_tensor|rpc_(?:sync|async|remote))\b")
_LIBRARIES = re.compile(r"\bops\s*\.\s*(\w+)")
_CLASSES = re.compile(r"\b__torch__\s*\.\s*torch\s*\.\s*classes\s*\.\s*(\w+)")
_AT_LOADING = re.compile(r"\bdef\s+__setstate__\b")
_OURS = frozenset({"aten", "prim"})


def first_risk(path: Path) -> str:
    """What its code could do besides computing, to follow "it"; "" where there is nothing.

    Raises:
        WeightsError: its code cannot be read.

    Example:
        >>> import io, tempfile, zipfile
        >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        ...     with zipfile.ZipFile(file, "w") as archive:
        ...         archive.writestr("net/code/net.py", "torch.save(x, 'stolen.txt')")
        ...     first_risk(Path(file.name))
        "uses 'save' (code/net.py:1), which can reach files or other machines"
    """
    for name, code in _codes(path):
        for pattern, said in (
            (_FILES, "uses {found!r} ({place}), which can reach files or other machines"),
            (_LIBRARIES, "uses operations of the library {found!r} ({place})"),
            (_CLASSES, "uses classes of the library {found!r} ({place})"),
            (_AT_LOADING, "runs code of its own while it is loaded ({place}: __setstate__)"),
        ):
            for match in pattern.finditer(code):
                found = match[1] if match.lastindex else ""
                if pattern is not _LIBRARIES or found not in _OURS:
                    line = code.count("\n", 0, match.start()) + 1
                    return said.format(found=found, place=f"{name}:{line}")
    return ""


def _codes(path: Path) -> Iterator[tuple[str, str]]:
    """Each file of code in an archive: its name, and its text."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():  # not by name: one name may stand there twice
                name = entry.filename
                if name.lower().endswith(".py"):
                    place = name[name.find("code/") :] if "code/" in name else name
                    yield place, archive.read(entry).decode("utf-8", "replace")
    except DAMAGED_ZIP as error:
        raise WeightsError(
            f"the code in {path} cannot be read: {error}; save or download it again"
        ) from error
