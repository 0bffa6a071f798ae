"""Misfit: what of a file's tensors does not fit a module, counted and said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganprobe.errors import nearest_names

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Misfit", "misfit_of"]

_N_SHOWN = 3


@dataclass(frozen=True)
class Misfit:
    """Names that are missing in the file, unexpected, or of another shape or kind of value.

    Args:
        missing: names that the module has and the file has not.
        unexpected: names that the file has and the module has not.
        wrong: name, what the module wants, what the file has.
        n_wanted, n_given: how many tensors the module and the file have.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrong: tuple[tuple[str, str, str], ...] = ()
    n_wanted: int = 0
    n_given: int = 0

    @property
    def n(self) -> int:
        """How many names do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.wrong)

    def told(self) -> str:
        """Counts, the first names with the nearest on the other side, the first shapes.

        Example:
            >>> print(Misfit(("fc.bias",), n_wanted=4, n_given=3).told())
            1 of 4 tensors is missing ('fc.bias')
        """
        parts = []
        if self.missing:
            near = _nearest(self.missing[0], self.unexpected)
            hint = f"; nearest in the file: {near}" if near else ""
            parts.append(
                f"{_counted(self.missing, self.n_wanted)} missing ({_first(self.missing)}{hint})"
            )
        if self.unexpected:
            near = _nearest(self.unexpected[0], self.missing)
            hint = f"; nearest in the module: {near}" if near else ""
            parts.append(
                f"{_counted(self.unexpected, self.n_given, ' in the file')} unexpected"
                f" ({_first(self.unexpected)}{hint})"
            )
        if self.wrong:
            shown = ", ".join(
                f"{name!r} wants {wanted}, got {got}" for name, wanted, got in self.wrong[:_N_SHOWN]
            )
            n_wrong = _counted(self.wrong, self.n_wanted)
            is_shape = all(wanted.startswith("(") for _, wanted, _ in self.wrong)
            kind = "shape" if is_shape else "shape or dtype"
            parts.append(f"{n_wrong} of another {kind} ({_more(self.wrong)}{shown})")
        return ", ".join(parts)


def misfit_of(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Misfit:
    """How tensors of a file, under the module's names, fit those of the module."""
    wrong = []
    for name in (name for name in wanted if name in given):
        fault = _fault(wanted[name], given[name])
        if fault:
            wrong.append((name, *fault))
    return Misfit(
        tuple(name for name in wanted if name not in given),
        tuple(name for name in given if name not in wanted),
        tuple(wrong),
        len(wanted),
        len(given),
    )


def _fault(wanted: Tensor, given: Tensor) -> tuple[str, str] | None:
    from torch.nn.parameter import is_lazy

    if is_lazy(wanted):  # takes the shape that it is given
        return None
    is_scalar = wanted.ndim == 0 and given.numel() == 1
    if wanted.shape != given.shape and not is_scalar:
        return str(tuple(wanted.shape)), str(tuple(given.shape))
    if wanted.dtype == given.dtype or _survives(given, wanted):
        return None
    return str(wanted.dtype), f"{given.dtype} whose values it cannot hold"


def _survives(given: Tensor, wanted: Tensor) -> bool:
    """Whether values can be written in the module's dtype; rounding of fractions is no loss."""
    import torch

    if given.is_complex() and not wanted.is_complex():
        return False
    cast = given.to(wanted.dtype)
    if wanted.dtype.is_floating_point or wanted.is_complex():
        return bool(torch.isfinite(cast).all()) or not bool(torch.isfinite(given).all())
    return bool((cast.to(given.dtype) == given).all())


def _counted(names: tuple[object, ...], n_all: int, of: str = "") -> str:
    return f"{len(names)} of {n_all} tensors{of} {'is' if len(names) == 1 else 'are'}"


def _first(names: tuple[str, ...]) -> str:
    return f"{_more(names)}{', '.join(map(repr, names[:_N_SHOWN]))}"


def _more(names: tuple[object, ...]) -> str:
    return "first: " if len(names) > _N_SHOWN else ""


def _nearest(name: str, known: Iterable[str]) -> str:
    return ", ".join(map(repr, nearest_names(name, known, n=2)))
