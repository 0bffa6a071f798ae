"""The target of a causal test: units of a site with their levels, and a class, all resolved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe.errors import ParameterError, SiteError
from ganprobe.indices import check_distinct, check_indices
from ganprobe.interventions import Ablate, Patch
from ganprobe.probe import Probe
from ganprobe.segmenters import Segmenter
from ganprobe.sites import Site, SiteTensor

__all__ = ["Levels", "Target"]

Levels = float | Sequence[float] | Tensor
"""One number; one for each unit of the site; or one for each of the units that are meant."""


@dataclass(frozen=True, eq=False)
class Target:
    """Units of a site, what they are set to, and the class that is looked for.

    Args:
        units: that are meant.
        levels: (units of the site,) float64; 0 for those that are not meant where none was given.
    """

    probe: Probe
    tensor: SiteTensor
    units: tuple[int, ...]
    levels: Tensor
    segmenter: Segmenter
    class_name: str

    @classmethod
    def of(
        cls,
        probe: Probe,
        site: str | Site,
        units: Iterable[int] | None,
        levels: Levels,
        segmenter: Segmenter,
        class_name: str,
    ) -> Target:
        """Resolve and check.

        Args:
            units: None: those that the site names, or all of it.

        Raises:
            UnknownNameError, SiteError, ParameterError: one of them does not fit.
        """
        written = Site.parse(site)
        tensor = probe.layers().resolve_one(written.whole)
        if not tensor.shape or not tensor.is_batched:
            raise SiteError(f"{tensor.site} holds no units for each sample; take another site")
        chosen = _units(tensor, written.units if units is None else units)
        segmenter.place_of(class_name)
        return cls(probe, tensor, chosen, _levels(levels, tensor, chosen), segmenter, class_name)

    @property
    def site(self) -> str:
        """As it is written, without units."""
        return str(self.tensor.site)

    def insertion(
        self,
        region: Tensor | None,
        *,
        units: tuple[int, ...] | None = None,
        strength: float | Tensor = 1.0,
    ) -> Patch:
        """Units at their levels.

        Args:
            region: (y, x) or (n, y, x) on the site's grid; None: everywhere.
            units: None: all of the site; `for_units` then gives some of them.
            strength: one number, or one for each of the units.
        """
        axis, shape = self.tensor.unit_axis - 1, list(self.tensor.shape)
        levels = self.levels if units is None else self.levels[list(units)]
        shape[axis] = len(levels)
        along = [-1 if place == axis else 1 for place in range(len(shape))]
        values = levels.to(getattr(torch, self.tensor.dtype)).view(along).expand(shape)
        return Patch(self.tensor.site, values=values, units=units, region=region, strength=strength)

    def ablation(
        self,
        region: Tensor | None,
        *,
        units: tuple[int, ...] | None = None,
        strength: float | Tensor = 1.0,
    ) -> Ablate:
        """Units at zero, as for `insertion`."""
        return Ablate(self.tensor.site, units=units, region=region, strength=strength)

    def setting(self, region: Tensor | None) -> Ablate:
        """The meant units set to their levels, holding no more than these."""
        levels = self.levels[list(self.units)]
        return Ablate(self.tensor.site, units=self.units, to=levels, region=region)


def _units(tensor: SiteTensor, given: Iterable[int] | None) -> tuple[int, ...]:
    if given is None:
        return tuple(range(tensor.n_units))
    units = tuple(map(int, given))
    if not units:
        raise ParameterError("no unit was given; name at least one")
    check_distinct(units)
    check_indices(units, tensor.n_units, "unit", str(tensor.site))
    return units


def _levels(given: Levels, tensor: SiteTensor, units: tuple[int, ...]) -> Tensor:
    found = torch.as_tensor(given, dtype=torch.float64).detach().cpu()
    levels = torch.zeros(tensor.n_units, dtype=torch.float64)
    if not found.ndim or found.shape == (tensor.n_units,):
        levels = levels + found
    elif found.shape == (len(units),):
        levels[list(units)] = found
    else:
        raise ParameterError(
            f"levels are one number, one for each of the {tensor.n_units} units of {tensor.site},"
            f" or one for each of the {len(units)} that are meant; got {tuple(found.shape)}"
        )
    bad = [unit for unit in units if not torch.isfinite(levels[unit])]
    if bad:
        raise ParameterError(
            f"the level of unit {bad[0]} of {tensor.site} is {levels[bad[0]]:g}; give finite ones"
        )
    return levels.nan_to_num(0.0, 0.0, 0.0)
