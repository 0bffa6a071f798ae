"""MNIST from its four IDX files on disk, as they have been published since 1998.

Reading takes under a second and 55 MB; the images stay bytes until they are asked for.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_PARTS = {"train": "train", "test": "t10k"}
_BYTES_RANK = {0x0801: 1, 0x0803: 3}


@dataclass(frozen=True)
class Digits:
    """Labelled digits: `pixels` (n, 28, 28) uint8, `labels` (n,) int64 in 0..9."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: Tensor | slice = slice(None)) -> Tensor:
        """The chosen images as (n, 1, 28, 28) float32 in [-1, 1]."""
        return self.pixels[indices].unsqueeze(1).float().div_(127.5).sub_(1.0)


def read_mnist(folder: Path, part: str) -> Digits:
    """Read the ``train`` (60 000) or ``test`` (10 000) digits from IDX files, plain or gzipped.

    Raises:
        FileNotFoundError: a file is not in `folder`.
        ValueError: a file is not IDX, or images and labels differ in number.
    """
    images = _read_idx(_find(folder, f"{_PARTS[part]}-images-idx3-ubyte"))
    labels = _read_idx(_find(folder, f"{_PARTS[part]}-labels-idx1-ubyte"))
    if len(images) != len(labels):
        raise ValueError(f"{folder} has {len(images)} images but {len(labels)} labels ({part})")
    return Digits(torch.from_numpy(images), torch.from_numpy(labels).long())


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no {name} (or {name}.gz) in {folder}; put MNIST's IDX files there")


def _read_idx(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    magic = struct.unpack(">I", content[:4])[0] if len(content) >= 4 else None
    if magic not in _BYTES_RANK:
        raise ValueError(f"{path} is not an IDX file of bytes (its magic number is {magic})")
    rank = _BYTES_RANK[magic]
    shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if values.size != int(np.prod(shape)):
        raise ValueError(f"{path} should hold {shape} bytes but holds {values.size}")
    return values.reshape(shape).copy()
