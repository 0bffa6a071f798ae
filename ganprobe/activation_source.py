"""Where activations come from: a store that holds them, else the generator itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganprobe.errors import StoreError, UnknownNameError
from ganprobe.probe import Probe
from ganprobe.runs import Run
from ganprobe.sites import Site
from ganprobe.store import ActivationStore, differences

__all__ = ["ActivationSource"]

_MUST_AGREE = (
    "weights",
    "latent space",
    "normalisation",
    "seed",
    "interventions",
    "dtype of the weights",
)


class ActivationSource:
    """Activations of a probe's generator, for the samples of a seed.

    Args:
        file: an activation store; None: everything comes from the generator.

    Raises:
        StoreError: the store is damaged, or holds another generator, other weights or another
            seed.
    """

    def __init__(self, probe: Probe, seed: int, file: Path | None = None) -> None:
        self._probe, self._seed = probe, seed
        self._store = None if file is None else _matching(file, probe, seed)

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def to_json(self) -> dict[str, Any] | None:
        """Which store served, for the provenance; None: none."""
        if self._store is None:
            return None
        made = self._store.provenance
        stored = {str(site): self._dtype(site) for site in self._store.sites}
        return {"file": str(self._store.path), "created": made["created"], "dtypes": stored}

    def batches(
        self, sites: Sequence[str | Site], n_samples: int, *, images: bool, batch_size: int
    ) -> Iterator[Run]:
        """Samples 0 to `n_samples` - 1 of the seed, one batch at a time, on the probe's device.

        Raises:
            StoreError: the store that was given does not hold all of it.
            UnknownNameError, SiteError: the generator has no such site.
        """
        wanted = [tensor.site for site in sites for tensor in self._probe.layers().resolve(site)]
        if self._store is None:
            return self._probe.runs(
                n_samples,
                record=wanted,
                seed=self._seed,
                batch_size=batch_size,
                stop_early=not images,
            )
        self._check_holds(self._store, wanted, n_samples, images=images)
        return self._store.batches(
            wanted,
            samples=slice(0, n_samples),
            batch_size=batch_size,
            images=images,
            device=self._probe.device,
        )

    def _dtype(self, site: Site) -> str:
        assert self._store is not None
        return str(self._store.dtype(site)).removeprefix("torch.")

    def _check_holds(
        self, store: ActivationStore, sites: Sequence[Site], n_samples: int, *, images: bool
    ) -> None:
        again = f"record it again: {_command(self._probe, sites, n_samples, self._seed, images)}"
        for site in sites:
            try:
                store.shape(site)
            except UnknownNameError as error:
                held = ", ".join(map(str, store.sites))
                raise StoreError(f"{store.path} holds {held}, not {site}; {again}") from error
        if store.n_samples < n_samples:
            raise StoreError(
                f"{store.path} holds {store.n_samples:,} samples, and {n_samples:,} are needed;"
                f" {again}"
            )
        if store.indices[:n_samples] != tuple(range(n_samples)):
            raise StoreError(
                f"{store.path} holds other samples than the first {n_samples:,} of its seed;"
                f" {again}"
            )
        if images and not store.has_images:
            raise StoreError(f"{store.path} holds no images, which are needed; {again}")


def _matching(file: Path, probe: Probe, seed: int) -> ActivationStore:
    store = ActivationStore(file)
    now = {
        "weights": probe.generator.weights_sha256(),
        "latent space": probe.generator.latent_space.to_json(),
        "normalisation": probe.generator.normalisation,
        "seed": seed,
        "interventions": [],
        "dtype of the weights": str(probe.dtype).removeprefix("torch."),
    }
    if found := differences(store.identity, now, _MUST_AGREE):
        store.close()
        raise StoreError(
            f"{file} does not hold these activations of {probe.generator.name}:"
            f" {'; '.join(found)}; name another file, or leave --activations out"
        )
    return store


def _command(probe: Probe, sites: Sequence[Site], n_samples: int, seed: int, images: bool) -> str:
    named = " ".join(f"--site '{site}'" for site in sites)
    kept = " --images" if images else ""
    return (
        f"ganprobe record {probe.generator.name} {named} --samples {n_samples} --seed {seed}{kept}"
    )
