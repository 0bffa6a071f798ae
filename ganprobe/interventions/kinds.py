"""The interventions that need only numbers: ablate, scale, shift, patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.interventions.base import Intervention, Numbers, Outcome
from ganprobe.interventions.shapes import Held, Rows, along_units, chosen_units
from ganprobe.interventions.values import (
    HasRecording,
    read_numbers,
    read_tensor,
    recorded,
)
from ganprobe.recordings import Recording
from ganprobe.sites import Site, SiteTensor

__all__ = ["Ablate", "Patch", "Scale", "Shift"]


class Ablate(Intervention):
    """Force units to a level: 0 by default.

    Args:
        site, units, region, strength: as for every `Intervention`.
        to: the level that the units take: one number for all, or one for each, in their order;
            ``"mean"``: each unit's mean over space and the samples of the batch it is in; a
            recording or a run that has the site: each unit's mean over space and its samples.

    Raises:
        ParameterError: a level that is no number, or not finite.

    Source: unit ablation of GAN Dissection, Bau et al. 2019 (arXiv 1811.10597), section 3.2.

    Example:
        >>> Ablate("conv2#3,7-9", to=[0.0, 1.0, 1.0, 0.5])
        Ablate('conv2#3,7-9', to=(0.0, 1.0, 1.0, 0.5))
    """

    own = ("to",)
    gives_held = True
    defaults: ClassVar[dict[str, object]] = {**Intervention.defaults, "to": 0.0}

    def __init__(
        self,
        site: str | Site,
        *,
        to: Numbers | str | Recording | HasRecording = 0.0,
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
    ) -> None:
        super().__init__(site, units=units, region=region, strength=strength, to=_level(to))

    to: float | tuple[float, ...] | Tensor | str | Recording

    @property
    def level(self) -> float | None:
        return self.to if isinstance(self.to, float) else None

    @property
    def differs_by_call(self) -> bool:
        return isinstance(self.to, Recording)

    def is_for_each_unit(self, tensor: SiteTensor) -> bool:
        is_one = isinstance(self.to, float | str)
        is_recorded = isinstance(self.to, Recording) and recorded(self.to, self.site, tensor)[1]
        return isinstance(self.strength, float) and (is_one or is_recorded)

    def for_samples(self, tensor: SiteTensor, samples: slice) -> Ablate | None:
        return None if self.to == "mean" else self._changed(tensor, samples)

    def outcome(self, tensor: SiteTensor) -> Outcome:
        axes = [axis for axis in range(tensor.rank) if axis != tensor.unit_axis]
        if isinstance(self.to, str):
            return lambda chosen: chosen.mean(axes, keepdim=True)
        if isinstance(self.to, Recording):
            donor, is_whole = recorded(self.to, self.site, tensor)
            chosen = chosen_units(donor, tensor, "recorded activations", is_whole=is_whole)
            dtype = torch.promote_types(chosen.dtype, torch.float32)
            return Held(chosen.mean(axes, keepdim=True, dtype=dtype)).like
        _check_fits(self.to, tensor)
        return along_units(self.to, tensor, "levels").like


class Scale(Intervention):
    """Multiply units by a factor: 0 switches them off, 1 leaves them, -1 turns them round.

    Args:
        site, units, region, strength: as for every `Intervention`.
        by: one number for all units, or one for each, in their order.

    Raises:
        ParameterError: a factor that is no number, or not finite.

    Example:
        >>> Scale("conv2#3", by=2.0)
        Scale('conv2#3', by=2.0)
    """

    own = ("by",)

    def __init__(
        self,
        site: str | Site,
        *,
        by: Numbers,
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
    ) -> None:
        numbers = read_numbers(by, "a factor")
        super().__init__(site, units=units, region=region, strength=strength, by=numbers)

    by: float | tuple[float, ...] | Tensor

    def is_for_each_unit(self, tensor: SiteTensor) -> bool:
        return isinstance(self.strength, float) and isinstance(self.by, float)

    def for_samples(self, tensor: SiteTensor, samples: slice) -> Scale:
        return self._changed(tensor, samples)

    def outcome(self, tensor: SiteTensor) -> Outcome:
        held = along_units(self.by, tensor, "factors")
        return lambda chosen: chosen * held.like(chosen)


class Shift(Intervention):
    """Move an activation along a direction: ``activation + amount * direction``.

    Args:
        site, units, region, strength: as for every `Intervention`.
        direction: one number for each unit, the same everywhere in space; or a whole sample
            (units, y, x); or (n, units, y, x), one for each sample of the batch; each of the
            chosen units, or of all units of the site.
        amount: how far.

    Raises:
        ParameterError: a direction or amount that holds no numbers.

    Example:
        >>> Shift("conv2#0,1", direction=[1.0, -1.0], amount=3.0).site.units
        (0, 1)
    """

    own = ("direction", "amount")
    defaults: ClassVar[dict[str, object]] = {**Intervention.defaults, "amount": 1.0}

    def __init__(
        self,
        site: str | Site,
        *,
        direction: object,
        amount: float | Tensor = 1.0,
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
    ) -> None:
        along, how_far = read_tensor(direction, "a direction"), read_numbers(amount, "an amount")
        if isinstance(how_far, tuple) or (isinstance(how_far, Tensor) and how_far.ndim):
            raise ParameterError(f"an amount is one number, got {amount!r}")
        base: dict[str, Any] = {"units": units, "region": region, "strength": strength}
        super().__init__(site, direction=along, amount=how_far, **base)

    direction: Tensor
    amount: float | Tensor

    def is_for_each_unit(self, tensor: SiteTensor) -> bool:
        return isinstance(self.strength, float) and _has_all(self.direction, self.site, tensor)

    def for_samples(self, tensor: SiteTensor, samples: slice) -> Shift:
        return self._changed(tensor, samples, direction=_some(self.direction, tensor, samples))

    def outcome(self, tensor: SiteTensor) -> Outcome:
        along = self._along(tensor)
        if isinstance(self.amount, Tensor):
            amount = Held(self.amount)
            return lambda chosen: chosen + amount.like(chosen) * along(chosen)
        how_far = self.amount
        return lambda chosen: torch.add(chosen, along(chosen), alpha=how_far)

    def _along(self, tensor: SiteTensor) -> Outcome:
        direction, units = self.direction, tensor.site.units
        if direction.ndim != 1 or tensor.rank == 2:
            return Rows(direction, tensor, "directions").like
        if units is not None and len(units) < len(direction) == tensor.n_units:
            shape = [1] * tensor.rank
            shape[tensor.unit_axis] = -1
            return Held(direction, lambda given: given[list(units)].reshape(shape)).like
        return along_units(direction, tensor, "numbers of a direction").like


class Patch(Intervention):
    """Put given values in place of an activation.

    Args:
        site, units, region, strength: as for every `Intervention`.
        values: a sample (units, y, x) for all samples alike, or (n, units, y, x) with one for
            each; of the chosen units, or of all units of the site. A row of an activation store
            is ``store.activations("conv2", slice(7, 8))[0]``. Kept by reference: copy them
            before you write into them.

    Raises:
        ParameterError: values that hold no numbers.

    Example:
        >>> Patch("conv2#3", values=torch.ones(1, 4, 4)).values.shape
        torch.Size([1, 4, 4])
    """

    own = ("values",)
    gives_held = True

    def __init__(
        self,
        site: str | Site,
        *,
        values: object,
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
    ) -> None:
        tensor = read_tensor(values, "a patch")
        super().__init__(site, units=units, region=region, strength=strength, values=tensor)

    values: Tensor

    def is_for_each_unit(self, tensor: SiteTensor) -> bool:
        return isinstance(self.strength, float) and _has_all(self.values, self.site, tensor)

    def for_samples(self, tensor: SiteTensor, samples: slice) -> Patch:
        return self._changed(tensor, samples, values=_some(self.values, tensor, samples))

    def outcome(self, tensor: SiteTensor) -> Outcome:
        return Rows(self.values, tensor, "patches").like


def _has_all(values: Tensor, site: Site, tensor: SiteTensor) -> bool:
    """Whether values are of all units of a tensor, not of the chosen ones in their order."""
    units = site.units
    if units is not None and len(units) == tensor.n_units and list(units) != sorted(units):
        return False
    if values.ndim == 1 and tensor.rank > 2:
        return len(values) == tensor.n_units
    return tuple(values.shape[-len(tensor.shape) :]) == tensor.shape


def _some(values: Tensor, tensor: SiteTensor, samples: slice) -> Tensor:
    """Values of some samples, where there is a row for each."""
    return values[samples] if values.ndim == tensor.rank else values


def _check_fits(to: float | tuple[float, ...] | Tensor, tensor: SiteTensor) -> None:
    """Raise `ParameterError` for a level that the activation's dtype cannot hold."""
    largest = torch.finfo(getattr(torch, tensor.dtype)).max
    levels = torch.as_tensor(to, dtype=torch.float64).detach().abs()
    if levels.numel() and levels.max() > largest:
        raise ParameterError(
            f"a level of {levels.max():g} is too large for {tensor.site}, of {tensor.dtype}"
        )


def _level(to: object) -> float | tuple[float, ...] | Tensor | str | Recording:
    recording = getattr(to, "recording", to)
    if isinstance(recording, Recording):
        return recording
    if isinstance(to, str):
        if to != "mean":
            raise ParameterError(f"a level is a number, 'mean' or a recording, got {to!r}")
        return to
    return read_numbers(to, "a level")
