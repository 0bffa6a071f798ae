"""Segmenters that need no training, of any image, and torchvision's networks.

``luminance``, ``colours``, ``edges``, ``components`` and ``position`` go by the pixels, ``painted``
by a picture that somebody painted, ``class`` by what a measure says of the whole image, and
``torchvision`` by a network.
"""

from __future__ import annotations

from ganprobe import Segmenter, hookimpl
from ganprobe_segmenters.colours import Colours
from ganprobe_segmenters.components import Components
from ganprobe_segmenters.edges import Edges
from ganprobe_segmenters.image_class import ImageClass
from ganprobe_segmenters.luminance import Luminance
from ganprobe_segmenters.painted import Painted
from ganprobe_segmenters.position import Position
from ganprobe_segmenters.torchvision_network import TorchvisionNetwork


@hookimpl
def register_segmenters() -> list[Segmenter]:
    """All of them, each as it is without an argument."""
    return [
        ImageClass(),
        Colours(),
        Components(),
        Edges(),
        Luminance(),
        Painted(),
        Position(),
        TorchvisionNetwork(),
    ]
