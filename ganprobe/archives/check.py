"""Holding a module that was made of an archive against the archive's own forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.archives.archived import ARCHIVE, Archived
from ganprobe.errors import ForwardError, WeightsError
from ganprobe.nested import tensors_in

__all__ = ["check_archive", "input_shapes"]

_TOLERANCE = 1e-4  # of the largest value: the same sum in another order


def check_archive(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[str, ...]:
    """Hold a module of an archive against the archive's own forward, once; others are left alone.

    TorchScript's own forward has to give the same to the last bit. What was exported for one batch
    size has to give each sample the same alone as beside others.

    Args:
        args, kwargs: what its forward takes, for a few samples that differ.

    Returns:
        Sentences about what was found.

    Raises:
        WeightsError: they differ; says by how much.
        ForwardError: it was exported for another batch size, and does not take this one.

    Example:
        >>> check_archive(nn.Linear(2, 2), torch.ones(1, 2))
        ()
    """
    archived: Archived | None = module.__dict__.get(ARCHIVE)
    if archived is None or archived.is_checked:
        return ()
    if archived.script is not None:
        notes = _against_script(module, archived, args, kwargs)
    elif archived.batch is not None:
        notes = _against_own_batch(module, archived, args, kwargs)
    else:
        notes = ()
    archived.script, archived.is_checked = None, True
    return notes


def input_shapes(module: nn.Module) -> tuple[tuple[int | None, ...], ...]:
    """The shapes of the tensors that an archive takes, with None for any size; () where it is open.

    Only an archive that was exported says so.
    """
    archived: Archived | None = module.__dict__.get(ARCHIVE)
    return () if archived is None else archived.shapes


def _against_script(
    module: nn.Module, archived: Archived, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, ...]:
    found = _run(module, args, kwargs)
    try:
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            expected = _run(archived.script, args, kwargs)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1][:120]
        return (
            f"{archived.name} cannot be run by TorchScript here ({said}), so that its layers could"
            " not be held against its own forward",
        )
    if len(found) != len(expected) or not all(map(_is_same, found, expected)):
        raise WeightsError(
            f"run layer by layer, {archived.name} gives something else than its own forward, by"
            f" {_distance(found, expected):.3g}; give the Python code that it was made of"
        )
    return ()


def _run(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """What it returns; each run begins with the same random numbers, which are put back."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        return [tensor.clone() for _, tensor in tensors_in(module(*args, **kwargs))]


def _is_same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)


def _distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference; infinity where shapes differ."""
    if [one.shape for one in found] != [one.shape for one in expected]:
        return torch.inf
    pairs = zip(found, expected, strict=True)
    return max((float((one.double() - other.double()).abs().max()) for one, other in pairs
                if one.numel()), default=0.0)  # fmt: skip


def _against_own_batch(
    module: nn.Module, archived: Archived, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, ...]:
    """Each sample beside others, and in a batch of the size that it was exported for."""
    batch = archived.batch or 1
    found = _run(module, args, kwargs)
    n = next((len(one) for _, one in tensors_in((args, kwargs)) if one.ndim), 0)
    for sample in range(n):
        alone = _run(module, *_repeated((args, kwargs), sample, n, batch))
        if not all(_is_row(one, sample, n, other) for one, other in zip(found, alone, strict=True)):
            raise ForwardError(
                f"{archived.name} was exported for batches of {batch}, and gives a sample something"
                f" else in a batch of {n}; export it with a batch of any size:"
                ' dynamic_shapes=({0: torch.export.Dim("n")},)'
            )
    return (
        f"{archived.name} was exported for batches of {batch}; it gives {n} samples at once the"
        " same as each alone",
    )


def _repeated(given: Any, sample: int, n: int, batch: int) -> Any:
    """One sample, as often as a batch is large."""
    if isinstance(given, Tensor):
        has_samples = given.ndim > 0 and len(given) == n
        return given[sample : sample + 1].expand(batch, *given.shape[1:]) if has_samples else given
    if isinstance(given, tuple | list):
        return type(given)(_repeated(one, sample, n, batch) for one in given)
    if isinstance(given, dict):
        return {key: _repeated(one, sample, n, batch) for key, one in given.items()}
    return given


def _is_row(found: Tensor, sample: int, n: int, alone: Tensor) -> bool:
    if found.ndim == 0 or len(found) != n or found.shape[1:] != alone.shape[1:]:
        return found.shape == alone.shape
    scale = float(alone.abs().max()) if alone.numel() else 0.0
    return torch.allclose(found[sample], alone[0], rtol=0.0, atol=_TOLERANCE * scale)
