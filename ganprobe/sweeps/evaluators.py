"""Ways to the images of some variants: one plain forward for each, or a replay for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ganprobe.engine import Editing, Plan, make_plan
from ganprobe.forwards import Forwards
from ganprobe.interventions import Edit, Shift
from ganprobe.latents import Latents
from ganprobe.layers import LayerTable
from ganprobe.replay import Memory, Replay
from ganprobe.sites import SiteTensor
from ganprobe.sweeps.variants import Piece, Variants

__all__ = ["Base", "Evaluator", "Replayed", "Rows", "Single", "UnitsOfSources", "far"]

_FAR = 10.0
_OTHER_SEED = 71_077_345


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

    def images(
        self, variants: Variants, chosen: Sequence[int], *, is_disturbed: bool = False
    ) -> Tensor:
        """(variants, n, channels, height, width) of the chosen variants.

        Args:
            is_disturbed: one more variant is in the batch, which is far from all others; if that
                shows in the images, variants influence each other.
        """


@dataclass(frozen=True, eq=False)
class Single:
    """One plain forward for each variant."""

    forwards: Forwards
    base: Base
    known: dict[tuple[int, int], tuple[Variants, Tensor]] = field(default_factory=dict)
    """By variants and number, images that were asked for more than once."""

    def remembered(self, variants: Variants, chosen: Sequence[int]) -> Tensor:
        """As `images`, of variants by which several methods are checked: run once."""
        for variant in chosen:
            if (id(variants), variant) not in self.known:
                found = variants, self._one(variants, variant)
                self.known[id(variants), variant] = found
        return torch.stack([self.known[id(variants), variant][1] for variant in chosen])

    def images(
        self, variants: Variants, chosen: Sequence[int], *, is_disturbed: bool = False
    ) -> Tensor:
        return torch.stack([self._one(variants, variant) for variant in chosen])

    def of_others(self) -> None:
        """A forward of as many other latents."""
        z = self.base.latents.z
        others = self.forwards.generator.sample(len(z), seed=_OTHER_SEED)
        self.forwards.run(others, Plan(()), noise_seed=self.base.noise_seed)

    def shifted(self, directions: Mapping[SiteTensor, Tensor], table: LayerTable) -> Tensor:
        """(n, ...) images with activations shifted along directions (n, ...)."""
        shifts = [Shift(tensor.site, direction=along) for tensor, along in directions.items()]
        return self._images(make_plan(table, interventions=shifts))

    def _one(self, variants: Variants, variant: int) -> Tensor:
        plan = make_plan(variants.table, interventions=variants.interventions(variant))
        return self._images(plan)

    def _images(self, plan: Plan) -> Tensor:
        base = self.base
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

    def images(
        self, variants: Variants, chosen: Sequence[int], *, is_disturbed: bool = False
    ) -> Tensor:
        return self.edited(edits_of(variants, chosen), len(chosen), is_disturbed=is_disturbed)

    def edited(
        self, edits: Mapping[SiteTensor, Editing], n_variants: int, *, is_disturbed: bool = False
    ) -> Tensor:
        """(variants, n, ...) images of rows that are edited so."""
        if not is_disturbed:
            return self._run(edits, n_variants)
        disturbed = {tensor: Disturbed(edit, n_variants) for tensor, edit in edits.items()}
        return self._run(disturbed, n_variants + 1)[:-1]

    def shifted(self, directions: Mapping[SiteTensor, Tensor], n_nothing: int) -> Tensor:
        """Some variants of which nothing is edited, and one that is shifted along directions."""
        edits = {tensor: Shifted(along, n_nothing) for tensor, along in directions.items()}
        return self._run(edits, n_nothing + 1)

    def unedited(self) -> Tensor:
        """(n, ...) images of nothing edited."""
        return self._run({tensor: Nothing() for tensor in self.replay.plan.sites}, 1)[0]

    def activations(self) -> Mapping[SiteTensor, Tensor]:
        """(n, ...) at every site, of the base."""
        found = {tensor: Kept() for tensor in self.replay.plan.sites}
        self._run(found, 1)
        return {tensor: kept.activation for tensor, kept in found.items()}

    def _run(self, edits: Mapping[SiteTensor, Editing], n_variants: int) -> Tensor:
        images = self.replay.images(self.base.latents, self.memory, edits, n_variants)
        return images.view(n_variants, len(self.base), *images.shape[1:])


def edits_of(variants: Variants, chosen: Sequence[int]) -> Mapping[SiteTensor, Editing]:
    """What makes of unedited rows, variant after variant, those of the chosen variants."""
    if variants.pieces is not None:
        tensor = variants.sites[0]
        pieces = [variants.pieces[variant] for variant in chosen]
        return {tensor: UnitsOfSources(tensor, variants.source_edits(), pieces)}
    by_variant = [variants.edits(variant) for variant in chosen]
    return {
        tensor: _EachItsOwn([edits.get(tensor, []) for edits in by_variant])
        for tensor in variants.sites
    }


class Rows:
    """Something done to rows, in place or to a copy of them."""

    writes_all_rows = False

    def __call__(self, activation: Tensor) -> Tensor:
        edited = activation.clone()
        self.write(edited)
        return edited

    def write(self, activation: Tensor) -> None:
        """Edit the rows where they lie."""


class Nothing(Rows):
    """Nothing done."""


class Kept(Rows):
    """Nothing done but that a copy of the rows is kept."""

    activation: Tensor

    def write(self, activation: Tensor) -> None:
        self.activation = activation.clone()


@dataclass(frozen=True, eq=False)
class Shifted(Rows):
    """Some variants as they are, then one that is shifted."""

    direction: Tensor
    n_nothing: int

    def write(self, activation: Tensor) -> None:
        activation.unflatten(0, (self.n_nothing + 1, -1))[-1] += self.direction


@dataclass(frozen=True, eq=False)
class Disturbed(Rows):
    """Variants edited as they are to be, then one that is far from all others."""

    edit: Editing
    n_variants: int

    def write(self, activation: Tensor) -> None:
        n = len(activation) // (self.n_variants + 1)
        own, last = activation[:-n], activation[-n:]
        last += far(last)
        self.edit.write(own)


def far(activation: Tensor, *, seed: int = 0) -> Tensor:
    """Noise of an activation's shape, ten times as large as its values vary."""
    noise = torch.randn(activation.shape, generator=torch.Generator().manual_seed(seed))
    spread = (activation - activation.mean()).abs().mean()
    scale = torch.where(spread > 0, _FAR * spread, 1.0)
    return noise.to(activation.device, activation.dtype) * scale


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
class UnitsOfSources(Rows):
    """For each variant, some units of what the sources make of the base's rows."""

    tensor: SiteTensor
    sources: Sequence[Edit]
    pieces: Sequence[Sequence[Piece]]

    def write(self, activation: Tensor) -> None:
        rows = activation.unflatten(0, (len(self.pieces), -1))  # (variants, n, ...)
        by_unit = rows.movedim(self.tensor.unit_axis + 1, 1)  # (variants, units, n, ...)
        outcomes = {number: self._outcome(number, rows[0]) for number in self._where}
        for number, (variants, units) in self._where.items():
            whole = outcomes[number].movedim(self.tensor.unit_axis, 0)  # (units, n, ...)
            chosen = torch.tensor(units, device=rows.device)
            by_unit[torch.tensor(variants, device=rows.device), chosen] = whole[chosen]

    def _outcome(self, number: int, base: Tensor) -> Tensor:
        outcome = self.sources[number](base)
        return base.clone() if outcome is base else outcome  # of no strength

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
