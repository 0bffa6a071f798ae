"""A store as a data set of torch: for training probes, autoencoders, classifiers on activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.utils.data import Dataset

from ganprobe.sites import Site

if TYPE_CHECKING:
    from ganprobe.store.reader import ActivationStore

__all__ = ["ActivationDataset"]

Sample = dict[str, Tensor]


class ActivationDataset(Dataset[Sample]):
    """The samples of a store, by number: ``{"z": ..., "conv2": ..., "image": ...}``.

    A `torch.utils.data.DataLoader` over it shuffles, batches and reads in worker processes; the
    samples of a batch are read together. In order, `ActivationStore.batches` is faster.

    Args:
        store: may still be written; samples are those that are committed now.
        sites: under whose names the activations come.
        images: whether images come, too.
    """

    def __init__(self, store: ActivationStore, sites: Sequence[Site], *, images: bool) -> None:
        self._store, self._sites, self._images = store, list(sites), images
        self._n_samples = store.n_samples

    def __len__(self) -> int:
        return self._n_samples

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Several samples, read at once."""
        columns = {"z": self._store.latents(indices).z}
        for site in self._sites:
            columns[str(site)] = self._store.activations(site, indices)
        if self._images:
            columns["image"] = self._store.images(indices)
        return [
            {name: values[position] for name, values in columns.items()}
            for position in range(len(indices))
        ]
