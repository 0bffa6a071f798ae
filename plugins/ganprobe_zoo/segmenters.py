"""What the segmenter behind ``scenes`` sees in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganprobe import Segmenter
from ganprobe_zoo.scene_classes import CLASS_COLOURS, CLASSES

if TYPE_CHECKING:
    from torch import Tensor


class Scenes(Segmenter):
    """The classes of painted places, one for each pixel: the likeliest, by a small U-Net."""

    name = "scenes"
    summary = "sky, ground, path, walls, roof, door, window, tree, sun, cloud of painted places"
    classes = CLASSES
    class_colours = CLASS_COLOURS
    image_shape = (3, 64, 64)

    def segment(self, images: Tensor) -> Tensor:
        import torch

        chosen = self._logits(images).argmax(dim=1)  # (n, 64, 64)
        places = torch.arange(len(self.classes), device=images.device)
        return chosen[:, None] == places[:, None, None]

    def soft(self, images: Tensor) -> Tensor:
        return self._logits(images).softmax(dim=1)

    def _logits(self, images: Tensor) -> Tensor:
        import torch

        from ganprobe_zoo.scenes import load_segmenter

        signed = (images.float() * 2.0 - 1.0).contiguous(memory_format=torch.channels_last)
        logits: Tensor = load_segmenter(images.device)(signed)
        return logits  # (n, 11, 64, 64)
