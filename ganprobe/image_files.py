"""Image files: pictures that somebody has, in the shape and range of a generator's images.

PNG and JPEG, grey or colour, with or without transparency, of 8 or 16 bits. A picture is resized
only where its sides are in the proportion of the generator's images; what was done to it is told.
All of them are held in memory: a thousand of 256 x 256 in colour take 800 MB.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ganprobe.errors import ParameterError

__all__ = ["FileImage", "find_image_files", "read_image", "read_images", "read_pixels"]

_SUFFIXES = (".png", ".jpg", ".jpeg")
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
_SAME_PROPORTION = 0.02
_UNREADABLE = (OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True, eq=False)
class FileImage:
    """A picture from a file, as an image of a generator.

    Args:
        path: of the file.
        values: (channels, height, width) float32 in [0, 1].
        size: (height, width) in the file.
        is_transparent: some of it was; there it is white, as paper.
        is_colour: it was in colours, which an image of one channel does not keep.
    """

    path: Path
    values: NDArray[np.float32]
    size: tuple[int, int]
    is_transparent: bool = False
    is_colour: bool = False

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def is_resized(self) -> bool:
        """Whether the file has another size than the image."""
        return self.size != self.values.shape[1:]


def read_images(
    given: Iterable[Path | str],
    image_shape: tuple[int, ...],
    *,
    invert_colours: bool = False,
) -> list[FileImage]:
    """The pictures in these files and folders, in the shape of a generator's images.

    Args:
        given: as for `find_image_files`.
        image_shape, invert_colours: as for `read_image`.

    Raises:
        ParameterError: as either raises.
    """
    files = find_image_files(given)
    return [read_image(file, image_shape, invert_colours=invert_colours) for file in files]


def find_image_files(given: Iterable[Path | str]) -> list[Path]:
    """These files, with the PNG and JPEG files in it in place of a folder, by name; each once.

    Raises:
        ParameterError: there is no such file, or a folder holds none.
    """
    found: dict[Path, None] = {}
    for path in map(Path, given):
        found |= dict.fromkeys(_in_folder(path) if path.is_dir() else [path])
    missing = next((path for path in found if not path.is_file()), None)
    if missing is not None:
        raise ParameterError(f"there is no image {missing}; give a PNG file or a folder of them")
    return list(found)


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ParameterError(f"the folder {folder} holds no PNG or JPEG file; give one that does")
    return files


def read_image(
    path: Path | str, image_shape: tuple[int, ...], *, invert_colours: bool = False
) -> FileImage:
    """A picture in the shape of a generator's images.

    Args:
        image_shape: (channels, height, width) of these; the channels are 1 or 3.
        invert_colours: make black white and white black, as for ink on paper where a generator
            draws in white on black.

    Raises:
        ParameterError: it cannot be read, its sides have another proportion, or no picture has so
            many channels.
    """
    path = Path(path)
    channels, height, width = image_shape
    if channels not in (1, 3):
        raise ParameterError(
            f"a picture has 1 or 3 channels, and this generator's images have {channels}; give"
            " their latents instead"
        )
    pixels = read_pixels(path)  # (y, x) or (y, x, 3 or 4)
    _check_proportion(path, pixels.shape, height, width)
    is_transparent = pixels.ndim == 3 and pixels.shape[2] == 4 and bool(pixels[..., 3].min() < 1)
    opaque = _on_white(pixels)
    is_colour = opaque.ndim == 3 and bool(np.ptp(opaque, axis=2).max() > 0)
    values = _resized(_in_channels(opaque, channels), height, width)
    size = pixels.shape[:2]
    return FileImage(
        path, 1 - values if invert_colours else values, size, is_transparent, is_colour
    )


def read_pixels(path: Path | str) -> NDArray[np.float32]:
    """A picture as it is in its file: (y, x), (y, x, 3) or (y, x, 4), black 0 and white 1.

    Raises:
        ParameterError: it cannot be read.
    """
    from matplotlib.image import imread

    try:
        pixels = np.asarray(imread(path))
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ParameterError(
            f"cannot read the image {path}: {reason}; give a PNG file that is whole"
        ) from error
    whole = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1
    return (pixels / np.float32(whole)).astype(np.float32)


def _check_proportion(path: Path, shape: tuple[int, ...], height: int, width: int) -> None:
    if abs(shape[1] * height / (shape[0] * width) - 1) > _SAME_PROPORTION:
        raise ParameterError(
            f"{path} is {shape[1]} x {shape[0]} pixels (width x height), and this generator's"
            f" images are {width} x {height}; cut it to that proportion"
        )


def _on_white(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without transparency: what lies behind is white."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    return colours * opacity + (1 - opacity)


def _in_channels(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """(channels, y, x), grey where that is one."""
    if pixels.ndim == 2:
        return np.repeat(pixels[None], channels, axis=0)
    if channels == 3:
        return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    if not np.ptp(pixels, axis=2).any():
        return pixels[None, ..., 0]  # grey already, and so not rounded
    grey = np.average(pixels.astype(np.float64), axis=2, weights=_LUMINANCE)
    return np.asarray(grey, np.float32)[None]


def _resized(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    if values.shape[1:] == (height, width):
        return values
    resized = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(values))[None],
        (height, width),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    return np.asarray(resized[0].clamp(0, 1).numpy(), np.float32)
