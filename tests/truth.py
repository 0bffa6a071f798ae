"""What a recording holds, against which its files are held after whatever happened to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import torch
import xarray
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import ActivationStore
from ganprobe.store.layout import Key

__all__ = ["Truth"]


@dataclass(frozen=True)
class Truth:
    """The samples of a recording that nothing interrupted.

    Args:
        values: all rows of each dataset, by its path in the file.
    """

    values: Mapping[str, Tensor]
    n_samples: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """What is in a complete file."""
        with ActivationStore(path) as store:
            assert store.is_complete
            assert not store.check()
            return cls(dict(_read(store, store.n_samples)), store.n_samples)

    def is_begun_in(self, path: Path, *, may_be_torn: bool = False) -> int:
        """How many samples a file says are whole, once each has proved to be, bit for bit.

        Args:
            may_be_torn: HDF5's index of compressed chunks may be half-written.
        """
        with ActivationStore(path) as store:
            n = store.n_samples  # it may become more at any moment
            assert n <= store.n_planned == self.n_samples
            damage = [found.reason for found in store.check() if found.is_lost or not may_be_torn]
            assert not damage, damage
            found = dict(_read(store, n))
        assert found.keys() == self.values.keys()
        for name, values in found.items():
            assert _same(values, self.values[name][:n]), f"{name} is wrong within {n} rows"
        return n

    def is_read_by_h5py(self, path: Path, n: int) -> bool:
        """Whether h5py can read the first `n` samples; they must not be wrong.

        Where HDF5's index of compressed chunks is half-written, HDF5 has to say so.
        """
        with h5py.File(path) as file:
            try:
                read = {name: file[name][:n] for name in self._readable(file)}
            except OSError as error:
                if "incorrect metadata checksum" not in str(error):
                    raise
                return False
        self._compare(read, n)
        return True

    def is_read_by_xarray(self, path: Path, n: int) -> None:
        """xarray reads the first `n` samples as they are."""
        with h5py.File(path) as file:
            names = self._readable(file)
        for name in names:
            group, _, variable = name.rpartition("/")
            with xarray.open_dataset(path, engine="h5netcdf", group=group) as opened:
                self._compare({name: opened[variable][:n].to_numpy()}, n)

    def is_whole_in(self, path: Path) -> bool:
        """Whether all samples are there, each of them right, whoever reads them."""
        n = self.is_begun_in(path)
        assert self.is_read_by_h5py(path, n)
        self.is_read_by_xarray(path, n)
        return n == self.n_samples

    def _compare(self, read: Mapping[str, NDArray[Any]], n: int) -> None:
        for name, values in read.items():
            expected = _as_numpy(self.values[name][:n])
            assert _same(values, expected), f"{name} is wrong within {n} rows"

    def _readable(self, file: h5py.File) -> list[str]:
        """The datasets that HDF5 can read here: compressed ones need `hdf5plugin`."""
        names = list(self.values)
        return names if _has_filters() else [name for name in names if not file[name].compression]


def _read(store: ActivationStore, n: int) -> Iterator[tuple[str, Tensor]]:
    """Each dataset's path and first rows."""
    latents = store.latents(slice(n))
    yield _name(store, "latents"), latents.z
    yield "latents/sample", torch.tensor(latents.indices, dtype=torch.int64)
    if latents.seed is not None:
        yield "latents/seed", torch.full((len(latents),), latents.seed, dtype=torch.uint64)
    for site in store.sites:
        yield _name(store, site), store.activations(site, slice(n))
    if store.has_images:
        yield _name(store, "images"), store.images(slice(n))


def _name(store: ActivationStore, key: Key) -> str:
    stored = store.stored(key)
    return f"{stored.group}/{stored.name}"


def _as_numpy(values: Tensor) -> NDArray[Any]:
    """As other programs read it: bfloat16 as float32."""
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _same(found: Tensor | NDArray[Any], expected: Tensor | NDArray[Any]) -> bool:
    """Whether two are the same, bit for bit."""
    if isinstance(found, Tensor):
        assert isinstance(expected, Tensor)
        return _same(_as_numpy(found), _as_numpy(expected)) and found.dtype == expected.dtype
    assert isinstance(expected, np.ndarray)
    is_alike = (found.shape, found.dtype) == (expected.shape, expected.dtype)
    return is_alike and found.tobytes() == expected.tobytes()


@cache
def _has_filters() -> bool:
    """Whether h5py has the filters that compressed files need."""
    try:
        import hdf5plugin  # noqa: F401
    except ImportError:
        return False
    return True
