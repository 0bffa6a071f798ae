"""Maps: the activations of a site as (n, units, height, width) float32, wherever its units are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import NotFiniteError, ShapeError, SiteError
from ganprobe.sites import Site, SiteTensor

if TYPE_CHECKING:
    from ganprobe.layers import LayerTable

__all__ = ["MapSite", "checked_maps", "find_map_sites", "refuse_not_finite"]


@dataclass(frozen=True)
class MapSite:
    """A site whose units have two-dimensional maps.

    Args:
        site: as it is recorded.
        units: their numbers.
        grid: (height, width); (1, 1) where a unit is one number for the whole image.
        unit_axis: in the activation.
    """

    site: Site
    units: tuple[int, ...]
    grid: tuple[int, int]
    unit_axis: int

    def maps(self, activation: Tensor) -> Tensor:
        """(n, units, height, width) float32 of what was recorded there.

        Raises:
            NotFiniteError: NaN or infinity is among them.
        """
        maps = activation.detach().movedim(self.unit_axis, 1)
        found = maps.reshape(*maps.shape[:2], *self.grid).float()
        refuse_not_finite(found, str(self.site))
        return found


def find_map_sites(
    table: LayerTable, sites: str | Site | Sequence[str | Site]
) -> tuple[MapSite, ...]:
    """The sites that are meant, patterns written out.

    Raises:
        UnknownNameError: there is no such layer.
        SiteError: a site has no maps of height and width, or no batch axis; or none was given.
    """
    given = [sites] if isinstance(sites, str | Site) else list(sites)
    found = [
        _map_site(tensor, table.parse(one).units) for one in given for tensor in table.resolve(one)
    ]
    if not found:
        raise SiteError("no site was given; name at least one, as in conv3")
    return tuple(dict.fromkeys(found))


def checked_maps(activations: Tensor, n_units: int, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Activations (n, units, height, width) on the host.

    Raises:
        ShapeError: they are not of this shape.
        NotFiniteError: NaN or infinity is among them.
    """
    if activations.ndim != 4 or tuple(activations.shape[1:]) != (n_units, *grid):
        raise ShapeError(
            f"activations are (n, {n_units}, {grid[0]}, {grid[1]}), got {tuple(activations.shape)}"
        )
    maps = activations.detach().float()
    refuse_not_finite(maps, "a site")
    return maps.cpu().numpy()


def refuse_not_finite(maps: Tensor, where: str) -> None:
    """Raise `NotFiniteError` if NaN or infinity is among them."""
    if maps.numel() and not bool(torch.isfinite(maps.sum())) and not bool(maps.isfinite().all()):
        n_bad = int((~maps.isfinite()).sum())
        raise NotFiniteError(
            f"{n_bad:,} of {maps.numel():,} activations at {where} are NaN or infinite (or beyond"
            " float32), so that they have no order; dissect another site, or find where they come"
            " from with Probe.run(check_finite=True)"
        )


def _map_site(tensor: SiteTensor, units: tuple[int, ...] | None) -> MapSite:
    site = replace(tensor.site, units=units)
    if not tensor.is_batched:
        raise SiteError(f"{site} has no batch axis, so that it has no samples; leave it out")
    space = tensor.spatial_shape
    if len(space) not in (0, 2) or not tensor.shape:
        raise SiteError(
            f"{site} has no maps of height and width: a sample there is"
            f" {tensor.shape}, units on axis {tensor.unit_axis}; dissect a site of shape (n, units,"
            " height, width), or (n, units), as `ganprobe layers` lists them"
        )
    grid = (int(space[0]), int(space[1])) if space else (1, 1)
    return MapSite(site, units or tuple(range(tensor.n_units)), grid, tensor.unit_axis)
