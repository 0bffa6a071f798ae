"""Torchvision: what its segmentation networks see in an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, Segmenter

if TYPE_CHECKING:
    from torch import Tensor

    from ganprobe_segmenters.networks import Network


class TorchvisionNetwork(Segmenter):
    """The likeliest class at each pixel by a network of `torchvision.models.segmentation`.

    Images are resized and normalised as the network's weights ask for, and what it sees is brought
    back to their size by the nearest pixel. The weights are downloaded once, or read from a file,
    with or without their auxiliary classifier: what torchvision or its training script saves, or
    safetensors. Weights of another number of classes than torchvision's have classes called by
    number. The networks were trained on photographs; on drawings they see little.

    Args:
        network: as `load_network` gives; None: it is still to be named.

    Source: Chen et al. 2017 (arXiv 1706.05587), DeepLabV3; Long et al. 2015 (arXiv 1411.4038), FCN;
    Howard et al. 2019 (arXiv 1905.02244), LR-ASPP.
    """

    name = "torchvision"
    summary = "things in photographs, by a network of torchvision, as torchvision:fcn_resnet50"
    argument = "MODEL[@FILE]"
    classes: tuple[str, ...] = ()

    def __init__(self, network: Network | None = None) -> None:
        self._network = network
        if network is not None:
            self.name = f"torchvision:{network.name}"
            self.classes = network.classes
            self.class_colours = tuple(map(_colour, range(len(network.classes))))

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        from ganprobe_segmenters.networks import load_network

        model, at, file = argument.partition("@")
        if at and not file:
            raise ParameterError(
                f"segmenter 'torchvision:{argument}' names no file behind its @; write"
                f" torchvision:{model}@weights.pth, or torchvision:{model} to download weights"
            )
        return TorchvisionNetwork(load_network(model, Path(file) if file else None))

    def segment(self, images: Tensor) -> Tensor:
        from ganprobe_segmenters.labels import masks_of

        if self._network is None:
            raise ParameterError(
                "segmenter 'torchvision' needs a network; write torchvision:deeplabv3_resnet50"
            )
        return masks_of(self._network.labels(images.float()), len(self.classes))


def _colour(place: int) -> str:
    """The colour of a class in PASCAL VOC: each bit of its number is one of a channel's."""
    channels = [0, 0, 0]
    for position in range(8):
        for channel in range(3):
            channels[channel] |= (place >> (3 * position + channel) & 1) << (7 - position)
    return "#" + "".join(f"{level:02x}" for level in channels)
