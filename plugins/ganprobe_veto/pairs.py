"""The samples that are edited, each with its donor."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ganprobe import Context, Latents, ParameterError, SampleChoice
from ganprobe_veto import VetoParams


@dataclass(frozen=True, eq=False)
class Pairs:
    """Samples, and for each a donor; None: they are ablated."""

    source: Latents
    donor: Latents | None

    def __len__(self) -> int:
        return len(self.source)


def choose_pairs(context: Context, params: VetoParams) -> Pairs:
    """The pairs: as many as were asked for, or as source and donor name.

    Where both are the same open choice, as ``digit=1``, the donors are its next samples.

    Raises:
        ParameterError: a choice stands for too few samples, or a sample for its own donor.
    """
    source = _samples(context, params.source, params.n_samples)
    if params.donor is None:
        return Pairs(source, None)
    is_same = params.source is not None and str(params.source) == str(params.donor)
    skip = len(source) if is_same and params.donor.conditions else 0
    donor = _samples(context, params.donor, len(source), skip=skip)
    n = min(len(source), len(donor))
    while params.donor.conditions and skip < n and _coincide(source[:n], donor[:n]):
        skip += 1
        donor = _samples(context, params.donor, n, skip=skip)
    found = _coincide(source[:n], donor[:n])
    if found:
        raise ParameterError(
            f"--source {params.source or 'left out'} and --donor {params.donor} make"
            f" {'a sample' if found == 1 else f'{found} samples'} its own donor, which changes"
            " nothing; name other donors"
        )
    return Pairs(source[:n], donor[:n])


def _samples(
    context: Context, choice: SampleChoice | None, n_samples: int, *, skip: int = 0
) -> Latents:
    """As many as there are, up to `n_samples`; just so many of an open choice."""
    if choice is None:
        return context.generator.sample(n_samples, seed=context.seed)
    if choice.conditions:
        return context.latents(choice, n_samples, skip=skip)
    if choice.indices:
        return context.latents(choice, choice.n_samples)[:n_samples]
    return context.latents(choice)[:n_samples]


def _coincide(source: Latents, donor: Latents) -> int:
    """How many samples have themselves for donor."""
    return int(torch.eq(source.z, donor.z).flatten(1).all(1).sum())
