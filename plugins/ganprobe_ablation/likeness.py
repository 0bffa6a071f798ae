"""Likeness: how much the map of a unit looks like the image that it is part of.

For each sample the image, grey and averaged over each cell of the site's grid, is correlated with
the map over positions. The likeness of a unit is the mean absolute correlation over samples, in
[0, 1]; a map or an image that is the same everywhere counts 0. Costs one forward of each sample.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganprobe import Context, Latents, ParameterError, SiteTensor

_FLAT = 1e-6  # of the values' size: variation below it is rounding


def unit_likeness(context: Context, tensor: SiteTensor, latents: Latents) -> NDArray[np.float64]:
    """(units,) the likeness of every unit of a site.

    Raises:
        ParameterError: the site has no axes y and x.
    """
    if len(tensor.spatial_shape) != 2:
        raise ParameterError(
            f"--order likeness: {tensor.site} has no maps (y, x) to compare with the image; give"
            " --order effect, or another site"
        )
    total = torch.zeros(tensor.n_units, dtype=torch.float64)
    with context.progress(len(latents), "likeness of maps") as bar:
        for run in context.probe.runs(latents, record=[tensor.site]):
            images = context.generator.to_unit_range(run.images)
            maps = run[tensor.site].movedim(tensor.unit_axis, 1)
            total += correlations(maps, images).abs().sum(0).cpu()
            bar.advance(len(images))
    return (total / len(latents)).numpy()


def correlations(maps: Tensor, images: Tensor) -> Tensor:
    """(n, units) Pearson correlation over positions of maps (n, units, y, x) with grey images.

    Args:
        images: (n, channels, y, x) of any resolution.
    """
    grey = images.double().mean(1, keepdim=True)
    small = functional.interpolate(grey, maps.shape[-2:], mode="area")  # (n, 1, y, x)
    return (_standard(maps.double().flatten(2)) * _standard(small.flatten(2))).sum(2)


def _standard(rows: Tensor) -> Tensor:
    """Rows (n, k, positions) with mean 0 and length 1; 0 where all values are the same."""
    centred = rows - rows.mean(2, keepdim=True)
    length = centred.norm(dim=2, keepdim=True)
    is_flat = length <= _FLAT * rows.norm(dim=2, keepdim=True)
    return torch.where(is_flat, torch.zeros_like(centred), centred / length.clamp(min=1e-300))
