"""Ways to the images of some variants: one plain forward for each, or a replay for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ganprobe.engine import Editing, make_plan
from ganprobe.forwards import Forwards
from ganprobe.interventions import Edit
from ganprobe.latents import Latents
from ganprobe.replay import Memory, Replay
from ganprobe.sites import SiteTensor
from ganprobe.sweeps.variants import Piece, Variants

__all__ = ["Base", "Evaluator", "Nothing", "Replayed", "Rows", "Single"]


@dataclass(frozen=True, eq=False)
class Base:
    """What variants are made of: latents, and where their noise begins.

    Args:
        start: the position of the first among all latents.
    """

    latents: Latents
    noise_seed: int | None = 0
    start: int = 0

    def __len__(self) -> int:
        return len(self.latents)


class Evaluator(Protocol):
    """The images of some variants of one base."""

    def images(self, variants: Variants, chosen: Sequence[int]) -> Tensor:
        """(variants, n, channels, height, width) of the chosen variants."""


@dataclass(frozen=True, eq=False)
class Single:
    """One plain forward for each variant."""

    forwards: Forwards
    base: Base

    def images(self, variants: Variants, chosen: Sequence[int]) -> Tensor:
        return torch.stack([self._one(variants, variant) for variant in chosen])

    def _one(self, variants: Variants, variant: int) -> Tensor:
        base = self.base
        plan = make_plan(variants.table, interventions=variants.interventions(variant))
        run = self.forwards.run(base.latents, plan, noise_seed=base.noise_seed, start=base.start)
        return run.images


@dataclass(eq=False)
class Replayed:
    """Replays from the edited sites, many variants in each."""

    replay: Replay
    base: Base
    memory: Memory = field(init=False)
    base_images: Tensor = field(init=False)

    def __post_init__(self) -> None:
        base = self.base
        self.memory, self.base_images = self.replay.remember(
            base.latents, noise_seed=base.noise_seed, start=base.start
        )

    def images(self, variants: Variants, chosen: Sequence[int]) -> Tensor:
        edits = edits_of(variants, chosen)
        return self._run(edits, len(chosen))

    def unedited(self, n_variants: int) -> Tensor:
        """(n_variants, n, ...) images of nothing edited."""
        nothing = {tensor: Nothing() for tensor in self.replay.plan.sites}
        return self._run(nothing, n_variants)

    def _run(self, edits: Mapping[SiteTensor, Editing], n_variants: int) -> Tensor:
        images = self.replay.images(self.base.latents, self.memory, edits, n_variants)
        return images.view(n_variants, len(self.base), *images.shape[1:])


def edits_of(variants: Variants, chosen: Sequence[int]) -> Mapping[SiteTensor, Editing]:
    """What makes of unedited rows, variant after variant, those of the chosen variants."""
    if variants.pieces is not None:
        tensor = variants.sites[0]
        pieces = [variants.pieces[variant] for variant in chosen]
        return {tensor: _UnitsOfSources(tensor, variants.source_edits(), pieces)}
    by_variant = [variants.edits(variant) for variant in chosen]
    return {
        tensor: _EachItsOwn([edits.get(tensor, []) for edits in by_variant])
        for tensor in variants.sites
    }


class Rows:
    """Something done to rows, in place or to a copy of them."""

    def __call__(self, activation: Tensor) -> Tensor:
        edited = activation.clone()
        self.write(edited)
        return edited

    def write(self, activation: Tensor) -> None:
        """Edit the rows where they lie."""


class Nothing(Rows):
    """Nothing done."""


@dataclass(frozen=True, eq=False)
class _EachItsOwn(Rows):
    """For each variant's rows, its own edits one after the other."""

    by_variant: Sequence[Sequence[Edit]]

    def write(self, activation: Tensor) -> None:
        rows = activation.unflatten(0, (len(self.by_variant), -1))
        for own, edits in zip(rows.unbind(), self.by_variant, strict=True):
            for edit in edits:
                edit.write(own)


@dataclass(eq=False)
class _UnitsOfSources(Rows):
    """For each variant, some units of what the sources make of the base's rows."""

    tensor: SiteTensor
    sources: Sequence[Edit]
    pieces: Sequence[Sequence[Piece]]

    def write(self, activation: Tensor) -> None:
        rows = activation.unflatten(0, (len(self.pieces), -1))  # (variants, n, ...)
        by_unit = rows.movedim(self.tensor.unit_axis + 1, 1)  # (variants, units, n, ...)
        outcomes = {number: self.sources[number](rows[0]) for number in self._where}
        for number, (variants, units) in self._where.items():
            whole = outcomes[number].movedim(self.tensor.unit_axis, 0)  # (units, n, ...)
            chosen = torch.tensor(units, device=rows.device)
            by_unit[torch.tensor(variants, device=rows.device), chosen] = whole[chosen]

    @cached_property
    def _where(self) -> dict[int, tuple[list[int], list[int]]]:
        """For each source in use, the variants and the units that it goes to."""
        found: dict[int, tuple[list[int], list[int]]] = {}
        for variant, pieces in enumerate(self.pieces):
            for number, units in pieces:
                variants, chosen = found.setdefault(number, ([], []))
                variants += [variant] * len(units)
                chosen += units
        return found
