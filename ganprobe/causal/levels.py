"""Levels: what a unit is set to when it is inserted.

Costs one forward of each sample; memory is that of a batch, for quantiles up to a budget.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ganprobe.errors import ParameterError
from ganprobe.latents import Latents
from ganprobe.probe import Probe
from ganprobe.progress import Progress, silent
from ganprobe.segmenters import Segmenter
from ganprobe.sites import Site, SiteTensor
from ganprobe.statistics import StatisticsSettings, UnitStatistics

__all__ = ["insertion_levels"]


def insertion_levels(
    probe: Probe,
    site: str | Site,
    latents: Latents,
    *,
    segmenter: Segmenter | None = None,
    class_name: str | None = None,
    kind: Literal["class-mean", "quantile"] = "class-mean",
    quantile: float = 0.995,
    memory: int = 2**28,
    progress: Progress = silent,
) -> Tensor:
    """The level of each unit of a site at which it is inserted.

    ``"class-mean"`` is the unit's mean over what a class covers, sum(f s) / sum(s) over all pixels
    of all samples, f being the unit's map upsampled to the image (bilinear) and s the class's
    mask. ``"quantile"`` is a quantile of the unit's values over space and samples, whatever the
    class.

    Args:
        latents: samples it is taken over.
        segmenter, class_name: of the class; for ``"class-mean"`` alone.
        quantile: in (0, 1).
        memory: bytes of values that are kept; beyond them the quantile is a sketch's.

    Returns:
        (units,) float64, of all units of the site, on the CPU.

    Raises:
        ParameterError: there is no class of that name in any image, none was named, the quantile
            is outside its range, or the site has one axis of space, whose tokens have no place.
        UnknownNameError, SiteError: there is no such site or class.

    Source: Bau et al. 2019 (arXiv 1811.10597), section 4.3 (class mean); Bau et al. 2020 (PNAS,
    quantile).
    """
    tensor = probe.layers().resolve_one(Site.parse(site).whole)
    if kind == "quantile":
        return _quantiles(probe, tensor, latents, quantile, memory, progress)
    if kind != "class-mean":
        raise ParameterError(f"there is no level {kind!r}; there is: class-mean, quantile")
    if segmenter is None or class_name is None:
        raise ParameterError(
            "a class mean needs a segmenter and a class; give both, or kind='quantile'"
        )
    return _class_means(probe, tensor, latents, segmenter, class_name, progress)


def _class_means(
    probe: Probe,
    tensor: SiteTensor,
    latents: Latents,
    segmenter: Segmenter,
    class_name: str,
    progress: Progress,
) -> Tensor:
    place = segmenter.place_of(class_name)
    total, area = torch.zeros(tensor.n_units, dtype=torch.float64), 0.0
    with progress(len(latents), f"level of {class_name}") as bar:
        for run in probe.runs(latents, record=[tensor.site]):
            images = probe.generator.to_unit_range(run.images)
            mask = segmenter(images)[:, place].double()  # (n, height, width)
            maps = run[tensor.site].movedim(tensor.unit_axis, 1).double()
            total += _sum_under(maps, mask, tensor).cpu()
            area += float(mask.sum())
            bar.advance(len(images))
    if not area:
        raise ParameterError(
            f"class {class_name!r} covers no pixel of {len(latents)} samples, so that there is no"
            " mean over it; take more samples, another class, or a quantile for the level"
        )
    return total / area


def _sum_under(maps: Tensor, mask: Tensor, tensor: SiteTensor) -> Tensor:
    """(units,) the sum of f s, of maps (n, units, ...) upsampled to the mask (n, y, x).

    Upsampling is linear, so that the mask goes to the site's grid by its transpose instead.
    """
    if maps.ndim == 2:
        return maps.T @ mask.sum((1, 2))
    if maps.ndim != 4:
        raise ParameterError(
            f"{tensor.site} has no axes y and x, so that its units have no place under a class;"
            " take a quantile for the level, or another site"
        )
    rows = _upsampling(maps.shape[2], mask.shape[1], maps)
    columns = _upsampling(maps.shape[3], mask.shape[2], maps)
    weights = torch.einsum("yh,nhw,xw->nyx", rows, mask, columns)
    return torch.einsum("nuyx,nyx->u", maps, weights)


def _upsampling(size: int, pixels: int, like: Tensor) -> Tensor:
    """(size, pixels): what each cell of a line gives to each pixel."""
    cells = torch.eye(size, dtype=like.dtype, device=like.device)[:, None]
    return functional.interpolate(cells, size=pixels, mode="linear", align_corners=False)[:, 0]


def _quantiles(
    probe: Probe,
    tensor: SiteTensor,
    latents: Latents,
    quantile: float,
    memory: int,
    progress: Progress,
) -> Tensor:
    if not 0 < quantile < 1:
        raise ParameterError(f"a quantile lies between 0 and 1, got {quantile!r}")
    seen = UnitStatistics(
        StatisticsSettings(quantiles=(quantile,), memory=memory, unit_axis=tensor.unit_axis, k=0)
    )
    n_seen = 0
    with progress(len(latents), "levels") as bar:
        for run in probe.runs(latents, record=[tensor.site], stop_early=True):
            n = len(run[tensor.site])
            seen.add(run[tensor.site], range(n_seen, n_seen + n))
            n_seen += n
            bar.advance(n)
    found = seen.result().quantiles
    assert found is not None
    return torch.from_numpy(found.values[:, 0].copy())
