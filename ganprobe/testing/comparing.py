"""Comparing two results: whether they are the same, and if not, where they first differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganprobe.results import Result, plain_row

__all__ = ["agree", "first_difference"]

# How a sweep was evaluated, which is chosen by the time that it takes.
_HOW = re.compile(r"by (additive|replay|batched|single) in chunks of \d.*", re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)


def first_difference(first: Result, second: Result, *, tolerance: float = 0.0) -> str | None:
    """Where two results differ, as ``array 'brightness'``; None where they do not.

    Args:
        tolerance: how far numbers may be apart, in shares of the largest of their array or column;
            0: not at all. In a finding the last digit may then be another. NaN equals NaN.

    What a finding tells of how a sweep was evaluated is not compared.
    """
    return next(_differences(first, second, tolerance), None)


def agree(first: NDArray[Any], second: NDArray[Any], *, tolerance: float = 0.0) -> bool:
    """Whether two arrays have the same shape and values, as for `first_difference`."""
    if first.shape != second.shape or first.dtype.kind != second.dtype.kind:
        return False
    if first.dtype.kind not in "fciu" or not tolerance:
        return bool(np.array_equal(first, second, equal_nan=first.dtype.kind in "fc"))
    first, second = (np.asarray(one, np.complex128) for one in (first, second))
    is_known = np.isfinite(first)
    if not np.array_equal(first[~is_known], second[~is_known], equal_nan=True):
        return False
    scale = max(np.abs(first[is_known]), default=0.0) if first.ndim else abs(first)
    return bool((np.abs(first - second)[is_known] <= tolerance * scale).all())


def _differences(first: Result, second: Result, tolerance: float) -> Iterator[str]:
    yield from _of_arrays(first, second, tolerance)
    yield from _of_tables(first, second, tolerance)
    yield from _of_findings(first.findings, second.findings, tolerance)
    for kind in ("unit_sets", "latent_sets", "direction_sets", "figures", "animations"):
        yield from _names(kind.replace("_", " "), getattr(first, kind), getattr(second, kind))
    for name, units in first.unit_sets.items():
        if units.units != second.unit_sets[name].units:
            yield f"unit set {name!r}"
    for name, held in first.latent_sets.items():
        yield from _of_groups(f"latent set {name!r}", held, second.latent_sets[name], tolerance)
    for name, directions in first.direction_sets.items():
        if not agree(directions.vectors, second.direction_sets[name].vectors, tolerance=tolerance):
            yield f"direction set {name!r}"
    for name, animation in first.animations.items():
        if animation.frames.shape != second.animations[name].frames.shape:
            yield f"the frames of animation {name!r}"


def _names(kind: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    if list(first) != list(second):
        yield f"the names of its {kind}: {', '.join(first)}; {', '.join(second)}"


def _of_arrays(first: Result, second: Result, tolerance: float) -> Iterator[str]:
    yield from _names("arrays", first.arrays, second.arrays)
    for name, one in first.arrays.items():
        other = second.arrays[name]
        if one.dims != other.dims:
            yield f"the dimensions of array {name!r}: {one.dims}, {other.dims}"
        values, others = np.asarray(one.values), np.asarray(other.values)
        if not agree(values, others, tolerance=tolerance):
            yield f"array {name!r}{_apart(values, others)}"
    for name, along in first.coordinates.items():
        if list(along) != list(second.coordinates.get(name, ())):
            yield f"the coordinates of dimension {name!r}"


def _apart(first: NDArray[Any], second: NDArray[Any]) -> str:
    if first.shape != second.shape:
        return f", of shape {first.shape} and {second.shape}"
    if first.dtype.kind not in "fiu":
        return ""
    with np.errstate(invalid="ignore"):
        apart = np.abs(first.astype(float) - second.astype(float))
    return f", by up to {np.nanmax(apart, initial=0.0):.2g}"


def _of_tables(first: Result, second: Result, tolerance: float) -> Iterator[str]:
    yield from _names("tables", first.tables, second.tables)
    for name, table in first.tables.items():
        other = second.tables[name]
        if table.columns != other.columns or len(table.rows) != len(other.rows):
            yield f"the columns or the number of rows of table {name!r}"
            continue
        mine, theirs = (list(map(plain_row, one.rows)) for one in (table, other))
        for place, column in enumerate(table.columns):
            values, others = ([row[place] for row in rows] for rows in (mine, theirs))
            if not _cells_agree(values, others, tolerance):
                yield f"column {column!r} of table {name!r}"


def _cells_agree(first: Sequence[object], second: Sequence[object], tolerance: float) -> bool:
    numbers = [
        [one if isinstance(one, int | float) else np.nan for one in cells]
        for cells in (first, second)
    ]
    others = [
        [one for one in cells if not isinstance(one, int | float)] for cells in (first, second)
    ]
    if not tolerance:
        return list(first) == list(second)
    return others[0] == others[1] and agree(
        np.array(numbers[0], float), np.array(numbers[1], float), tolerance=tolerance
    )


def _of_findings(first: Sequence[str], second: Sequence[str], tolerance: float) -> Iterator[str]:
    if len(first) != len(second):
        yield f"the number of its findings: {len(first)}, {len(second)}"
    for one, other in zip(first, second, strict=False):
        if not _sentences_agree(one, other, tolerance):
            yield f"a finding: {one!r}, {other!r}"


def _sentences_agree(first: str, second: str, tolerance: float) -> bool:
    first, second = _HOW.sub("", first), _HOW.sub("", second)
    if not tolerance or first == second:
        return first == second
    if _NUMBER.sub("0", first) != _NUMBER.sub("0", second):
        return False
    pairs = zip(_NUMBER.findall(first), _NUMBER.findall(second), strict=True)
    return all(_numbers_agree(one, other, tolerance) for one, other in pairs)


def _numbers_agree(first: str, second: str, tolerance: float) -> bool:
    """To their last digit, which rounding may change by one, or to the tolerance."""
    values = [float(text.replace(",", "")) for text in (first, second)]
    mantissa, _, exponent = first.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    last = 10.0 ** (int(exponent or 0) - digits) if digits or exponent else 0.0
    return abs(values[0] - values[1]) <= max(1.01 * last, tolerance * max(map(abs, values)))


def _of_groups(what: str, first: Any, second: Any, tolerance: float) -> Iterator[str]:
    if list(first.groups) != list(second.groups):
        yield f"the groups of {what}"
        return
    for name, values in first.groups.items():
        if not agree(values, second.groups[name], tolerance=tolerance):
            yield f"group {name!r} of {what}"
