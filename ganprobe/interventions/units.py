"""The chosen units of an activation: taken out, put back, filled."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ganprobe.sites import SiteTensor

__all__ = ["Units", "unit_index"]


class Units:
    """Which units of an activation are meant, and how they are reached."""

    def __init__(self, tensor: SiteTensor) -> None:
        self._axis, self._units = tensor.unit_axis, tensor.site.units
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

    def put(self, target: Tensor, values: Tensor) -> Tensor:
        """Write values into the chosen units of a tensor."""
        if self._units is None:
            return target.copy_(values)
        if self._run is not None:
            target.narrow(self._axis, *self._run).copy_(values)
            return target
        shape = list(target.shape)
        shape[self._axis] = len(self._units)
        return target.index_copy_(self._axis, self._index_on(target), values.expand(shape))

    def fill(self, target: Tensor, level: float) -> Tensor:
        """Write one number into the chosen units of a tensor."""
        if self._units is None:
            return target.fill_(level)
        if self._run is not None:
            target.narrow(self._axis, *self._run).fill_(level)
            return target
        return target.index_fill_(self._axis, self._index_on(target), level)

    def _index_on(self, activation: Tensor) -> Tensor:
        assert self._units is not None
        return unit_index(self._units, activation.device)


@lru_cache(maxsize=256)
def unit_index(units: tuple[int, ...], device: torch.device) -> Tensor:
    """Units as a tensor (k,), made once for a device: making it there waits for the device."""
    with torch.inference_mode(False):
        return torch.tensor(units, device=device)
