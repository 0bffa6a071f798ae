"""Interventions: what to do with the activation at a site, as pure functions of it.

An intervention never writes into the activation that it is given; it returns another tensor of
the same shape, dtype and device. Ablating costs one copy of the activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.sites import Site, SiteTensor, unit_axis

__all__ = ["Ablate", "Intervention"]


@dataclass(frozen=True, repr=False)
class Ablate:
    """Force units to a level, everywhere in space: 0 by default.

    Args:
        site: where, with the units: ``"conv2#3,7"``; without units, all of them.
        to: the level that the units take, one number for all or one for each, in their order.
        strength: in [0, 1]; the outcome is ``(1 - strength) * before + strength * to``.

    Raises:
        ParameterError: a strength outside [0, 1].

    Source: unit ablation of GAN Dissection, Bau et al. 2019 (arXiv 1811.10597), section 3.2.

    Example:
        >>> Ablate("conv2#3,7").apply(torch.ones(1, 8, 2, 2)).sum().item()
        24.0
    """

    site: Site
    to: float | tuple[float, ...] = 0.0
    strength: float = 1.0

    def __init__(
        self,
        site: str | Site,
        *,
        to: float | Sequence[float] = 0.0,
        strength: float = 1.0,
    ) -> None:
        if not 0.0 <= strength <= 1.0:
            raise ParameterError(f"a strength is between 0 and 1, got {strength}")
        object.__setattr__(self, "site", Site.parse(site))
        object.__setattr__(self, "to", _levels(to))
        object.__setattr__(self, "strength", strength)

    def __repr__(self) -> str:
        return f"Ablate({str(self.site)!r}, to={self.to}, strength={self.strength})"

    def at(self, tensor: SiteTensor) -> Ablate:
        """The same ablation for one tensor that a dry run found.

        Raises:
            ParameterError: levels and units differ in number; or the activation has no units,
                or is of whole numbers, which cannot take the level.
        """
        units = self.site.units
        if not tensor.shape:
            raise ParameterError(f"{tensor.site} has one number a sample and no units to ablate")
        if "float" not in tensor.dtype and "complex" not in tensor.dtype:
            raise ParameterError(f"{tensor.site} is of {tensor.dtype}; ablate a site of floats")
        n_units = tensor.n_units if units is None else len(units)
        if isinstance(self.to, tuple) and len(self.to) != n_units:
            raise ParameterError(
                f"{len(self.to)} levels were given for {n_units} units of {tensor.site};"
                " give one for each, or one number"
            )
        return Ablate(replace(tensor.site, units=units), to=self.to, strength=self.strength)

    def apply(self, activation: Tensor) -> Tensor:
        """The activation (n, units, ...) or (n, tokens, units) with the units at their level."""
        axis = unit_axis(activation.ndim)
        units = slice(None) if self.site.units is None else list(self.site.units)
        index = (slice(None),) * axis + (units,)
        ablated = activation.clone()
        level = self._level(activation, axis)
        if self.strength == 1.0:
            ablated[index] = level
        else:
            ablated[index] = torch.lerp(ablated[index], level, self.strength)
        return ablated

    def _level(self, activation: Tensor, axis: int) -> Tensor:
        level = activation.new_tensor(self.to)
        trailing = activation.ndim - axis - 1
        return level.reshape(-1, *[1] * trailing) if isinstance(self.to, tuple) else level


def _levels(to: float | Sequence[float]) -> float | tuple[float, ...]:
    try:
        values = torch.as_tensor(to, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"a level is a number, or one for each unit, got {to!r}") from error
    if values.ndim > 1:
        raise ParameterError(f"levels are one number or a list, got {values.ndim} axes")
    return tuple(values.tolist()) if values.ndim else float(values)


Intervention = Ablate
"""Anything that can be done at a site."""
