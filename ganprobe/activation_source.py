"""Where activations come from: a store that holds them, else the generator itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganprobe.engine import make_plan
from ganprobe.errors import ParameterError, StoreError, UnknownNameError
from ganprobe.indices import check_count, check_indices
from ganprobe.layers import LayerTable
from ganprobe.probe import Probe
from ganprobe.recordings import Recording, Slots
from ganprobe.runs import Run
from ganprobe.sites import Site
from ganprobe.store import ActivationStore, differences

__all__ = ["ActivationSource"]

_MUST_AGREE = (
    "weights",
    "latent space",
    "normalisation",
    "conditions",
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
        self,
        sites: str | Site | Sequence[str | Site],
        n_samples: int,
        *,
        images: bool,
        batch_size: int,
    ) -> Iterator[Run]:
        """Samples 0 to `n_samples` - 1 of the seed, one batch at a time, on the probe's device.

        Raises:
            StoreError: the store that was given does not hold all of it.
            UnknownNameError, SiteError: the generator has no such site.
        """
        check_count(n_samples, "the number of samples")
        check_count(batch_size, "the batch size")
        wanted = [sites] if isinstance(sites, str | Site) else list(sites)
        slots = make_plan(self._probe.layers(), record=wanted).slots
        if self._store is None:
            return self._probe.runs(
                n_samples,
                record=wanted,
                seed=self._seed,
                batch_size=batch_size,
                stop_early=not images,
            )
        held = self._check_holds(self._store, slots.sites, n_samples, images=images)
        runs = self._store.batches(
            held,
            samples=slice(0, n_samples),
            batch_size=batch_size,
            images=images,
            device=self._probe.device,
        )
        return (_as_asked_for(run, held, slots) for run in runs)

    def chosen(
        self,
        sites: str | Site | Sequence[str | Site],
        samples: Sequence[int],
        n_samples: int,
        *,
        images: bool,
        batch_size: int,
    ) -> Iterator[Run]:
        """Only these of samples 0 to `n_samples` - 1, in the order of their numbers.

        Raises:
            ParameterError: there is no such sample.
            StoreError, UnknownNameError, SiteError: as `batches`.
        """
        check_indices(samples, n_samples, "sample", "this seed")
        check_count(batch_size, "the batch size")
        numbers = sorted(set(samples))
        wanted = [sites] if isinstance(sites, str | Site) else list(sites)
        slots = make_plan(self._probe.layers(), record=wanted).slots
        if self._store is None:
            starts = range(0, len(numbers), batch_size)
            batches = [numbers[start : start + batch_size] for start in starts]
            return (self._generated(batch, wanted, images=images) for batch in batches)
        held = self._check_holds(self._store, slots.sites, n_samples, images=images)
        stored = self._store.batches(
            held,
            samples=numbers,
            batch_size=batch_size,
            images=images,
            device=self._probe.device,
        )
        return (_as_asked_for(run, held, slots) for run in stored)

    def _generated(self, batch: list[int], sites: Sequence[str | Site], *, images: bool) -> Run:
        latents = self._probe.generator.samples(batch, seed=self._seed)
        return self._probe.run(latents, record=sites, stop_early=not images)

    def _dtype(self, site: Site) -> str:
        assert self._store is not None
        return str(self._store.dtype(site)).removeprefix("torch.")

    def _check_holds(
        self, store: ActivationStore, sites: Sequence[Site], n_samples: int, *, images: bool
    ) -> list[Site]:
        """The sites as the file spells them; `StoreError` unless it holds all that is wanted."""
        again = f"record it again: {_command(self._probe, sites, n_samples, self._seed, images)}"
        found = [_spelling_in(store, site, self._probe.layers()) for site in sites]
        if None in found:
            there, missing = ", ".join(map(str, store.sites)), sites[found.index(None)]
            raise StoreError(f"{store.path} holds {there}, not {missing}; {again}")
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
        return [site for site in found if site is not None]


def _matching(file: Path, probe: Probe, seed: int) -> ActivationStore:
    store = ActivationStore(file)
    now: dict[str, Any] = {
        "weights": probe.generator.weights_sha256(),
        "latent space": probe.generator.latent_space.to_json(),
        "normalisation": probe.generator.normalisation,
        "conditions": probe.generator.conditions() or None,
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


def _spelling_in(store: ActivationStore, site: Site, table: LayerTable) -> Site | None:
    """A spelling of the site that the file holds, all its units with it; None: there is none."""
    for spelling in (site, *sorted(table.spellings(site), key=str)):
        with suppress(UnknownNameError, ParameterError):
            store.shape(spelling)
            return spelling
    return None


def _as_asked_for(run: Run, held: Sequence[Site], slots: Slots) -> Run:
    """The run, its sites under every name that a live one has them by."""
    activations = [run.recording[site] for site in held]
    return replace(run, recording=Recording.of_slots(slots, activations))


def _command(probe: Probe, sites: Sequence[Site], n_samples: int, seed: int, images: bool) -> str:
    named = " ".join(f"--site '{site}'" for site in sites)
    kept = " --images" if images else ""
    return (
        f"ganprobe record {probe.generator.name} {named} --samples {n_samples} --seed {seed}{kept}"
    )
