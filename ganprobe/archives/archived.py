"""What a module of an archive remembers of it until it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ARCHIVE", "Archived"]

ARCHIVE = "_ganprobe_archive"
"""The attribute of a loaded module that holds an `Archived`."""


@dataclass
class Archived:
    """An archive that a module was made of.

    Args:
        name: for messages.
        script: the TorchScript module; None: it is no TorchScript.
        batch: the batch size that it was exported with, where it takes no other; else None.
        shapes: of its inputs; None stands for any size.
        is_checked: it was held against its own forward.
    """

    name: str
    script: Any = None
    batch: int | None = None
    shapes: tuple[tuple[int | None, ...], ...] = ()
    is_checked: bool = False

    def __deepcopy__(self, memo: object) -> Archived:
        return self  # what was loaded is not loaded again
