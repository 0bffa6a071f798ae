"""The chosen units of an activation: taken out, put back, filled; each with one copy."""

from __future__ import annotations

import torch
from torch import Tensor

from ganprobe.sites import SiteTensor

__all__ = ["Units"]


class Units:
    """Which units of an activation are meant, and how they are reached."""

    def __init__(self, tensor: SiteTensor) -> None:
        self._axis, self._units = tensor.unit_axis, tensor.site.units
        self._index: Tensor | None = None
        first, n = (self._units[0], len(self._units)) if self._units else (0, 0)
        is_run = self._units is not None and self._units == tuple(range(first, first + n))
        self._run = (first, n) if is_run else None

    def take(self, activation: Tensor) -> Tensor:
        """The chosen units, a view where that is possible."""
        if self._units is None:
            return activation
        if self._run is not None:
            return activation.narrow(self._axis, *self._run)
        return activation.index_select(self._axis, self._index_on(activation))

    def put(self, activation: Tensor, values: Tensor) -> Tensor:
        """A copy of the activation with these values at the chosen units."""
        if self._units is None:
            return values
        if self._run is not None:
            edited = activation.clone()
            edited.narrow(self._axis, *self._run).copy_(values)
            return edited
        index = self._index_on(activation)
        shape = list(activation.shape)
        shape[self._axis] = len(self._units)
        # On a clone, which keeps the layout of memory: the next layer chooses its kernel by it.
        return activation.clone().index_copy_(self._axis, index, values.expand(shape))

    def fill(self, activation: Tensor, level: float) -> Tensor:
        """A copy of the activation with one number at the chosen units."""
        if self._units is None:
            return torch.full_like(activation, level)
        if self._run is not None:
            edited = activation.clone()
            edited.narrow(self._axis, *self._run).fill_(level)
            return edited
        return activation.index_fill(self._axis, self._index_on(activation), level)

    def _index_on(self, activation: Tensor) -> Tensor:
        """The units as a tensor, made once for a device: making it there waits for the device."""
        index = self._index
        if index is None or index.device != activation.device:
            index = self._index = torch.tensor(self._units, device=activation.device)
        return index
