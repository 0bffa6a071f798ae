"""Fitting values to a site: shapes checked once, devices and dtypes followed without copies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganprobe.errors import ShapeError
from ganprobe.interventions.units import unit_index
from ganprobe.sites import SiteTensor

__all__ = ["Held", "Rows", "along_units", "chosen_units", "n_chosen"]


class Held:
    """A tensor prepared for an activation once, not at each call: shaped, on its device, its dtype.

    One that wants gradients is prepared each time, so that it may change between forwards.

    Args:
        prepare: how it is shaped; also checks it.
    """

    def __init__(self, values: Tensor, prepare: Callable[[Tensor], Tensor] | None = None) -> None:
        self._values, self._prepare = values, prepare
        self._ready = self._prepared()

    def like(self, activation: Tensor) -> Tensor:
        """The values on the activation's device and in its dtype."""
        ready = self._prepared() if self._values.requires_grad else self._ready
        if ready.dtype != activation.dtype or ready.device != activation.device:
            ready = self._ready = ready.to(activation.device, activation.dtype)
        return ready

    def _prepared(self) -> Tensor:
        return self._values if self._prepare is None else self._prepare(self._values)


def n_chosen(tensor: SiteTensor) -> int:
    """How many units the site means."""
    return tensor.n_units if tensor.site.units is None else len(tensor.site.units)


def along_units(numbers: float | tuple[float, ...] | Tensor, tensor: SiteTensor, what: str) -> Held:
    """One number, or one for each chosen unit, so shaped that it meets the chosen units.

    Raises:
        ShapeError: there are more or fewer numbers than chosen units.
    """
    is_tensor = isinstance(numbers, Tensor)
    values = torch.as_tensor(numbers, dtype=None if is_tensor else torch.float64)
    if not values.ndim:
        return Held(values)
    if len(values) != n_chosen(tensor):
        raise ShapeError(
            f"{len(values)} {what} were given for {n_chosen(tensor)} units of {tensor.site};"
            " give one for each, or one number"
        )
    shape = [1] * tensor.rank
    shape[tensor.unit_axis] = -1
    return Held(values, lambda given: given.reshape(shape))


class Rows:
    """Values for the chosen units: one sample for the whole batch, or one for each of it.

    Args:
        values: without a batch axis, or with one; of the chosen units, or of all units of the
            site, among which the chosen ones are found.
        is_whole: whether they are of all units; None: where they are as many as all, and fewer
            are chosen.

    Raises:
        ShapeError: their shape is neither.
    """

    def __init__(
        self, values: Tensor, tensor: SiteTensor, what: str, *, is_whole: bool | None = None
    ) -> None:
        self._tensor, self._what, self._is_whole = tensor, what, is_whole
        self._is_batched = values.ndim == tensor.rank
        self._held = Held(values, self._shaped)

    def like(self, chosen: Tensor) -> Tensor:
        """The values as these chosen units have them.

        Raises:
            ShapeError: their batch has another size, or space has another shape in this forward.
        """
        values = self._held.like(chosen)
        if values.shape != chosen.shape:
            is_sample = not self._is_batched and values.shape[1:] == chosen.shape[1:]
            if not is_sample:
                raise ShapeError(
                    f"{self._what} of shape {tuple(values.shape)} do not fit the chosen units"
                    f" {tuple(chosen.shape)} at {self._tensor.site}; give one for each sample, or"
                    " one without a batch axis for all"
                )
        return values

    def _shaped(self, values: Tensor) -> Tensor:
        batched = values if self._is_batched else values[None]
        return chosen_units(batched, self._tensor, self._what, is_whole=self._is_whole)


def chosen_units(
    batched: Tensor, tensor: SiteTensor, what: str, *, is_whole: bool | None = None
) -> Tensor:
    """The chosen units of (n, ...) values, which may be of those alone or of all units.

    Raises:
        ShapeError: they are neither.
    """
    axis, units = tensor.unit_axis, tensor.site.units
    has_all = tuple(batched.shape[1:]) == tensor.shape
    if is_whole is None:
        is_whole = has_all and n_chosen(tensor) < tensor.n_units
    if has_all and is_whole and units is not None:
        return batched.index_select(axis, unit_index(units, batched.device))
    expected = list(tensor.shape)
    expected[axis - 1] = n_chosen(tensor)
    if list(batched.shape[1:]) != expected:
        sample = ", ".join(map(str, expected))
        raise ShapeError(
            f"{what} for {tensor.site} are ({sample}), or (n, {sample}) with one for each sample,"
            f" got a sample of {tuple(batched.shape[1:])}"
        )
    return batched
