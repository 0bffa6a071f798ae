"""Samples: those that effects are measured on, and the others that units are chosen on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from ganprobe import Context, Latents, ParameterError, SampleChoice


class Wishes(Protocol):
    """Parameters that say which samples."""

    @property
    def samples(self) -> SampleChoice | None:
        """Which ones; None: those of the seed."""

    @property
    def n_samples(self) -> int:
        """How many to measure on."""

    @property
    def n_ranked(self) -> int:
        """How many others to choose on."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Two sets of samples that share none.

    Args:
        measured: what effects are measured on.
        ranked: what units are ranked and chosen on.
    """

    measured: Latents
    ranked: Latents


def split_samples(context: Context, params: Wishes) -> Samples:
    """The first samples of the choice to measure on, the next ones to rank on.

    Raises:
        ParameterError: the choice names too few, or one of them for both.
    """
    n, n_needed = params.n_samples, params.n_samples + params.n_ranked
    latents = _chosen(context, params.samples, n_needed)
    if len(latents) < n_needed:
        raise ParameterError(
            f"--samples {params.samples} names {len(latents)} samples, and {n_needed} are needed:"
            f" {n} to measure on (--n-samples) and {params.n_ranked} others to rank on"
            " (--n-ranked); name more, or ask for fewer"
        )
    samples = Samples(latents[:n], latents[n:n_needed])
    if _n_shared(samples):
        raise ParameterError(
            f"{_n_shared(samples)} latents of --samples {params.samples} are both among the first"
            f" {n}, to measure on, and the next {params.n_ranked}, to rank on; hold each once"
        )
    return samples


def choose_donors(context: Context, choice: SampleChoice, n: int) -> Latents:
    """A donor for each of n samples; if fewer are named, in turn."""
    donors = _chosen(context, choice, n)
    return donors.take([row % len(donors) for row in range(n)])


def _chosen(context: Context, choice: SampleChoice | None, n: int) -> Latents:
    """n samples of an open choice; all of one that names them."""
    if choice is None:
        return context.generator.sample(n, seed=context.seed)
    return context.latents(choice, n if choice.conditions else None)


def _n_shared(samples: Samples) -> int:
    """How many of the ranking samples are among the measured ones."""
    measured, ranked = samples.measured.z.flatten(1), samples.ranked.z.flatten(1)
    distinct = torch.unique(measured, dim=0)
    both = torch.cat([distinct, torch.unique(ranked, dim=0)])
    return len(both) - len(torch.unique(both, dim=0))
