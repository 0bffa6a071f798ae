"""Judging: images brought to what a network takes, and its outputs to what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional

from ganprobe import (
    DescribedNetwork,
    Measure,
    ParameterError,
    PluginError,
    load_described_network,
    luminance,
)

if TYPE_CHECKING:
    from ganprobe import Trust

__all__ = ["Judge", "judge"]


def judge(folder: str, trust: Trust) -> Judge:
    """The measure of the network that a folder, or its ``ganprobe.toml``, describes.

    Raises:
        UsageError: there is no such description, or it says too little.
        UntrustedError: its code would run, and is not trusted.
        WeightsError, FactoryError: as `ganprobe.load`.
    """
    network = load_described_network(Path(folder).expanduser(), trust=trust)
    return Judge(f"network:{folder}", network)


class Judge(Measure):
    """What a network says of images: one number for each of its columns.

    Images of any size, unless it says ``resize = "none"``: they are brought to its size, shrunk
    without aliasing; grey ones become three equal channels and coloured ones luminance, where it
    takes the other kind. Its logits and log-probabilities become probabilities: of all columns
    together by softmax, of one alone by the logistic function.

    Args:
        name: as it is written.
        network: that judges.
    """

    def __init__(self, name: str, network: DescribedNetwork) -> None:
        section = network.section
        self.name = name  # type: ignore[misc]
        self.summary = section.summary or f"what the network in {name} says"  # type: ignore[misc]
        self.columns = section.names  # type: ignore[misc]
        self.source = network.source
        self._module, self._section = network.module, section
        only = section.image_shape if section.resize == "none" else None
        self.image_shape = only if only and only[0] not in (1, 3) else None  # type: ignore[misc]

    def fits(self, image_shape: tuple[int, ...]) -> bool:
        wanted = self._section.image_shape
        if wanted is None:
            return True
        has_channels = image_shape[0] == wanted[0] or {image_shape[0], wanted[0]} == {1, 3}
        return has_channels and (self._section.resize != "none" or image_shape[1:] == wanted[1:])

    def measure(self, images: Tensor) -> Tensor:
        module = self._module.to(images.device)
        returned = module(self._prepared(images))
        return self._probabilities(self._values(returned, len(images)).float())

    def _prepared(self, images: Tensor) -> Tensor:
        """Images as the network takes them."""
        section = self._section
        held = next((one for one in self._module.parameters() if one.is_floating_point()), None)
        images = images.float()
        if section.image_shape is not None:
            images = _sized(_coloured(images, section.image_shape[0]), section)
        black, white = section.image_range
        images = images * (white - black) + black
        if section.mean:
            images = (images - _column(section.mean, images)) / _column(section.std, images)
        return images if held is None else images.to(held.dtype)

    def _values(self, returned: Any, n: int) -> Tensor:
        """Its outputs as (n, columns)."""
        output = self._section.output
        path = output if isinstance(output, tuple) else () if output is None else (output,)
        for key in path:
            is_attribute = isinstance(key, str) and hasattr(returned, key)
            returned = getattr(returned, str(key)) if is_attribute else returned[key]
        if not isinstance(returned, Tensor):
            raise PluginError(
                f"{self.name} returned a {type(returned).__name__}; say where its outputs are with"
                " output = ... under [measure] in its ganprobe.toml"
            )
        if returned.shape[:1] != (n,) or returned.numel() != n * len(self.columns):
            raise ParameterError(
                f"{self.name} gave {tuple(returned.shape)} for {n} images, and its ganprobe.toml"
                f" says that there are {len(self.columns)} columns"
            )
        return returned.reshape(n, -1)

    def _probabilities(self, values: Tensor) -> Tensor:
        outputs = self._section.outputs
        if outputs == "logits":
            return values.softmax(dim=1) if values.shape[1] > 1 else values.sigmoid()
        return values.exp() if outputs == "log-probabilities" else values


def _coloured(images: Tensor, channels: int) -> Tensor:
    if images.shape[1] == channels:
        return images
    if channels == 1:
        return luminance(images)[:, None]
    return images.expand(-1, channels, -1, -1)


def _sized(images: Tensor, section: Any) -> Tensor:
    size = tuple(section.image_shape[1:])
    if images.shape[2:] == size or section.resize == "none":
        return images
    if section.resize in ("nearest", "area"):
        return functional.interpolate(images, size, mode=section.resize)
    is_shrunk = images.shape[2] > size[0] or images.shape[3] > size[1]
    sized = functional.interpolate(
        images, size, mode=section.resize, align_corners=False, antialias=is_shrunk
    )
    return sized.clamp(0.0, 1.0)  # bicubic goes beyond


def _column(numbers: tuple[float, ...], images: Tensor) -> Tensor:
    return images.new_tensor(numbers)[:, None, None]
