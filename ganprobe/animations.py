"""Animations: frames that are written as GIF, MP4, or as one PNG each."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ganprobe.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Animation", "AnimationFormat", "frames_of"]

AnimationFormat = Literal["gif", "mp4", "png"]

_LEAST_PIXELS, _MOST_PIXELS = 112, 1600  # of an image in a frame, and of a frame
_BLOCK = 2  # a frame of an MP4 has even sides


@dataclass(frozen=True, eq=False)
class Animation:
    """Frames that follow each other.

    Args:
        frames: (t, y, x, 3) uint8.
        caption: what it shows.
        formats: it is written in; ``"png"`` is a folder with a file for each frame.
        frames_per_second: above 0 and at most 50, the fastest that viewers show a GIF.

    Raises:
        ParameterError: frames of another shape or type, none, or no format.
    """

    frames: NDArray[np.uint8]
    caption: str
    formats: Sequence[AnimationFormat] = ("gif",)
    frames_per_second: float = 12.0

    def __post_init__(self) -> None:
        shape, kind = self.frames.shape, str(self.frames.dtype)
        if len(shape) != 4 or shape[-1] != 3 or kind != "uint8" or not all(shape):
            raise ParameterError(f"frames are (t, y, x, 3) uint8, got {shape} {kind}")
        if not self.formats or not 0 < self.frames_per_second <= 50:
            raise ParameterError(
                "an animation has a format (gif, mp4, png) and above 0 to 50 frames a second, got"
                f" {tuple(self.formats)} and {self.frames_per_second}"
            )

    def files(self, name: str) -> dict[str, bytes]:
        """The files that it is written to, by their path under a folder of animations."""
        held: dict[str, bytes] = {}
        for kind in dict.fromkeys(self.formats):
            if kind == "png":
                held |= {f"{name}/{t:04d}.png": _png(one) for t, one in enumerate(self.frames)}
            else:
                held[f"{name}.{kind}"] = self._gif() if kind == "gif" else self._mp4()
        return held

    def _gif(self) -> bytes:
        import imageio.v3 as imageio

        duration = round(100 / self.frames_per_second) * 10  # ms; a GIF counts hundredths
        content = io.BytesIO()
        imageio.imwrite(
            content, self.frames, extension=".gif", plugin="pillow", duration=duration, loop=0
        )
        return content.getvalue()

    def _mp4(self) -> bytes:
        import imageio.v3 as imageio
        import numpy as np

        _, height, width, _ = self.frames.shape
        missing = ((0, 0), (0, height % _BLOCK), (0, width % _BLOCK), (0, 0))
        even = np.pad(self.frames, missing, mode="edge")
        content = io.BytesIO()
        rate = max(1, round(self.frames_per_second))
        imageio.imwrite(content, even, extension=".mp4", plugin="pyav", codec="libx264", fps=rate)
        return content.getvalue()


def frames_of(images: Any, *, n_rows: int = 1, gap: int = 2) -> NDArray[np.uint8]:
    """Frames in which several images stand side by side.

    Args:
        images: (image, t, channel, y, x) in [0, 1], of 1 or 3 channels; of others the first.
        n_rows: in which the images stand.
        gap: white pixels between them, before they are enlarged.

    Returns:
        (t, y, x, 3) uint8; images of few pixels are enlarged by a whole number.

    Example:
        >>> import numpy as np
        >>> frames_of(np.zeros((2, 5, 1, 28, 28))).shape
        (5, 112, 232, 3)
    """
    import numpy as np

    values = np.asarray(images, np.float32)
    n, n_frames, n_channels, height, width = values.shape
    coloured = values if n_channels == 3 else np.repeat(values[:, :, :1], 3, axis=2)
    n_columns = math.ceil(n / n_rows)
    sheet = np.ones(
        (n_frames, n_rows * (height + gap) - gap, n_columns * (width + gap) - gap, 3), np.float32
    )
    for place in range(n):
        top, left = divmod(place, n_columns)
        y, x = top * (height + gap), left * (width + gap)
        sheet[:, y : y + height, x : x + width] = np.moveaxis(coloured[place], 1, 3)
    wanted, possible = math.ceil(_LEAST_PIXELS / width), _MOST_PIXELS // max(sheet.shape[1:3])
    times = max(1, min(wanted, possible))
    enlarged = sheet.repeat(times, axis=1).repeat(times, axis=2)
    return (enlarged.clip(0, 1) * 255).round().astype(np.uint8)


def _png(frame: NDArray[np.uint8]) -> bytes:
    import imageio.v3 as imageio

    content = io.BytesIO()
    imageio.imwrite(content, frame, extension=".png")
    return content.getvalue()
