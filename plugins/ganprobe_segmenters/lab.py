"""CIELAB: colours as people see how far apart they are."""

from __future__ import annotations

import torch
from torch import Tensor

_XYZ_OF_RGB = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_BEND = 6 / 29


def lab(colours: Tensor) -> Tensor:
    """L*, a* and b* (n, 3, ...) of sRGB colours (n, 3, ...) from 0 to 1, under daylight (D65).

    Source: IEC 61966-2-1 for sRGB; CIE 15:2004, section 8.2.1, for L*, a*, b*.

    Example:
        >>> lab(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])).round().tolist()
        [[100.0, 0.0, 0.0], [53.0, 80.0, 67.0]]
    """
    linear = torch.where(
        colours <= 0.04045, colours / 12.92, ((colours.clamp(min=0.0) + 0.055) / 1.055) ** 2.4
    )
    matrix = colours.new_tensor(_XYZ_OF_RGB)
    white = matrix.sum(dim=1)  # what (1, 1, 1) becomes, so that greys have no hue
    xyz = torch.einsum("ij,nj...->ni...", matrix / white[:, None], linear)
    bent = torch.where(xyz > _BEND**3, xyz.pow(1 / 3), xyz / (3 * _BEND**2) + 4 / 29)
    x, y, z = bent.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
