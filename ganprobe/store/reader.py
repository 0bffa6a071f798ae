"""Reading a store: lazily, by site and sample."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import torch
from torch import Tensor

from ganprobe.errors import StoreError, UnknownNameError
from ganprobe.latents import Latents
from ganprobe.recordings import Recording
from ganprobe.sites import Site
from ganprobe.store.layout import FORMAT, FORMAT_VERSION, group_name, read_site

__all__ = ["ActivationStore"]


class ActivationStore:
    """An HDF5 file of recordings, open for reading; nothing is read until it is asked for.

    Raises:
        StoreError: there is no such file, or it is no activation store of a known version.

    Example::

        with ganprobe.ActivationStore("activations.h5") as store:
            maps = store.activations("conv2", slice(0, 100))  # (100, 128, 7, 7)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def n_samples(self) -> int:
        """How many samples it holds."""
        return int(self._file.attrs["n_samples"])

    @property
    def sites(self) -> list[Site]:
        """The sites that it holds."""
        return [read_site(group.attrs["site"]) for group in self._file["sites"].values()]

    @property
    def provenance(self) -> dict[str, Any]:
        """How it was made."""
        record: dict[str, Any] = json.loads(self._file.attrs["provenance"])
        return record

    def activations(self, site: str | Site, samples: slice = slice(None)) -> Tensor:
        """The activations of a run of samples, (n, ...) in the stored dtype, on the CPU.

        Raises:
            UnknownNameError: the site is not in the file.
        """
        wanted = Site.parse(site)
        name = group_name(wanted)
        if name not in self._file:
            known = [str(site) for site in self.sites]
            raise UnknownNameError("site", str(wanted), known, where=str(self.path))
        return torch.from_numpy(self._file[name]["activation"][samples])

    def recording(
        self, samples: slice = slice(None), sites: Iterable[str | Site] | None = None
    ) -> Recording:
        """The activations of a run of samples, read into memory, as a run would have left them.

        ``Swap("conv2", donor=store.recording(slice(0, 16)))`` takes them for donors, and
        ``Ablate("conv2", to=store.recording(sites=["conv2"]))`` their mean.

        Args:
            sites: those that are read; None: all that the file holds.

        Raises:
            UnknownNameError: a site is not in the file.
        """
        wanted = self.sites if sites is None else [Site.parse(site) for site in sites]
        return Recording({site: self.activations(site, samples) for site in wanted})

    def latents(self, samples: slice = slice(None)) -> Latents:
        """The latents of a run of samples, with their seed and indices."""
        indices = tuple(int(index) for index in self._file["latents/sample"][samples])
        z = torch.from_numpy(self._file["latents/z"][samples])
        return Latents(z, self.provenance["seed"], indices)

    def images(self, samples: slice = slice(None)) -> Tensor:
        """The images of a run of samples, (n, channels, height, width).

        Raises:
            StoreError: images were not kept.
        """
        if "images" not in self._file:
            raise StoreError(f"{self.path} holds no images; record them with --images")
        return torch.from_numpy(self._file["images/image"][samples])


def _open(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {path}") from error
    except OSError as error:
        raise StoreError(f"{path} is not an HDF5 file that can be read: {error}") from error
    version = file.attrs.get("format_version") if file.attrs.get("format") == FORMAT else None
    if version != FORMAT_VERSION:
        file.close()
        raise StoreError(
            f"{path} is no activation store of format version {FORMAT_VERSION}; make one with"
            " ganprobe record"
        )
    return file
