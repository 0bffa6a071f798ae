"""Selection files: what the small files of unit sets, latent sets and direction sets share.

Each says what kind of selection it is, of which version, of which generator, and how it was
found; it is whole or not there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganprobe.errors import ParameterError

__all__ = ["check_kind", "plain", "write_whole"]


def plain(value: Any) -> Any:
    """A value as JSON has it: tensors, arrays and tuples are lists, NaN and infinity None.

    Raises:
        ParameterError: it holds something that JSON cannot.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # of NumPy or torch
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | None):
        return value
    raise ParameterError(f"a selection was found with {value!r}; give numbers, text, lists, dicts")


def as_json(record: Mapping[str, Any]) -> bytes:
    """The bytes of a JSON file with one key on each line."""
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def write_whole(path: Path | str, content: bytes, what: str) -> None:
    """Write a file, which is whole or not there.

    Args:
        what: it is, for an error: ``"unit set"``.

    Raises:
        ParameterError: the file cannot be written.
    """
    target = Path(path)
    partial = target.parent / f"{target.name}.partial"
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        raise ParameterError(f"cannot write the {what} {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):  # the error above says what is wrong
            partial.unlink()


def check_kind(
    held: object, kind: str, version: int, where: str, *, made_by: str
) -> Mapping[str, Any]:
    """The record itself, if it is of this kind and version.

    Args:
        kind: as the file says it: ``"ganprobe unit set"``.
        where: the file, for an error.
        made_by: a command that writes such files.

    Raises:
        ParameterError: it is something else.
    """
    what = kind.removeprefix("ganprobe ")
    if not isinstance(held, Mapping) or held.get("kind") != kind:
        other = held.get("kind") if isinstance(held, Mapping) else None
        known = isinstance(other, str) and other.startswith("ganprobe ")
        is_what = f"a {other.removeprefix('ganprobe ')}" if known else "JSON"  # type: ignore[union-attr]
        raise ParameterError(
            f"{where} is {is_what}, but no {what}; such files are written by analyses, as in"
            f" `{made_by}`"
        )
    if held.get("version") != version:
        raise ParameterError(
            f"{where} is a {what} of version {held.get('version')!r}, and this is ganprobe for"
            f" version {version}"
        )
    return held
