"""Reading safetensors files, which execute nothing, and telling how one is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ganprobe.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_safetensors"]


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, on the CPU.

    Raises:
        WeightsError: it is truncated or damaged; says how many bytes are missing where it can.
    """
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # also what torch makes of a header that makes no sense
        short = _missing(path)
        reason = f"is truncated: {short}" if short else f"is a damaged safetensors file: {error}"
        raise WeightsError(f"{path} {reason}; download or save it again") from error


def _missing(path: Path) -> str:
    """How much of the file is not there, or "" where that is not what is wrong."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, size))
    if len(header) < length:
        return f"{size:,} bytes, where its header alone takes {length + 8:,}"
    try:
        tensors = json.loads(header)
        end = max(one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__")
        is_short = size < length + 8 + end
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return ""
    return f"{size:,} bytes of {length + 8 + end:,}" if is_short else ""
