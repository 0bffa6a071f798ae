"""Terms: what single units add to what a linear part of the forward returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ganprobe.interventions import Edit
from ganprobe.sites import SiteTensor
from ganprobe.sweeps.agreement import difference, tolerance
from ganprobe.sweeps.chunks import first_size
from ganprobe.sweeps.contributions import contributions
from ganprobe.sweeps.evaluators import Replayed, Rows, UnitsOfSources, far
from ganprobe.sweeps.linear import LinearCall, not_additive
from ganprobe.sweeps.variants import Variants

__all__ = ["Term", "TermsByLayer", "TermsByReplay", "TermsOf"]

_FEW = 8

Term = tuple[int, int]
"""The number of a source, and a unit of it."""


class TermsOf(Protocol):
    """Gives terms at what a part of the forward returns."""

    returned: SiteTensor

    def know(self, variants: Variants) -> None:
        """Terms will be of these variants' sources."""

    def of(self, terms: Sequence[Term]) -> Tensor:
        """(terms, n, ...): what each adds."""


class TermsByLayer:
    """Terms of a linear layer, all in one pass.

    Args:
        ahead: replays from the site itself.

    Raises:
        NotReplayableError: units are not kept apart on the way to the layer.
    """

    def __init__(self, ahead: Replayed, linear: LinearCall) -> None:
        self._ahead, self._linear = ahead, linear
        self._site = ahead.replay.plan.sites[0]
        self.returned = linear.returned
        self._steps: Tensor | None = None
        self._check()

    def know(self, variants: Variants) -> None:
        """Bring all units of every source as far as the layer."""
        steps = []
        for source in variants.source_edits():  # two at a time: so many were tried
            (base, edited), _ = self._inputs(_Sourced(source), 2)
            steps.append(edited - base)
        self._steps = torch.stack(steps)  # (sources, units, n, ...)

    def of(self, terms: Sequence[Term]) -> Tensor:
        """(terms, n, ...): what each adds."""
        assert self._steps is not None
        device = self._steps.device
        sources, units = (torch.tensor(those, device=device) for those in zip(*terms, strict=True))
        return contributions(self._linear.layer, self._steps[sources, units], units)

    def _inputs(self, edit: Rows, n_variants: int) -> tuple[Tensor, Tensor]:
        """What the linear layer is given, (variants, units, n, values of a unit, ...), and returns.

        What it returns is (variants, n, ...).
        """
        ahead, given, returned = self._ahead, self._linear.given, self._linear.returned
        recording = ahead.replay.recording(
            ahead.base.latents, ahead.memory, {self._site: edit}, n_variants, [given, returned]
        )
        inputs = recording[given.site]
        axis = inputs.ndim - 1 if isinstance(self._linear.layer, nn.Linear) else 1
        n_units, size = self._site.n_units, inputs.shape[axis]
        if size % n_units:
            raise not_additive(f"{given.site} has {size} units, and the site {n_units}")
        by_unit: Tensor = inputs.movedim(axis, 1).unflatten(1, (n_units, size // n_units))
        by_variant = torch.movedim(by_unit.unflatten(0, (n_variants, -1)), 2, 1)
        outputs = recording[returned.site]
        return by_variant, outputs.view(n_variants, -1, *outputs.shape[1:])

    def _check(self) -> None:
        """Move all units far away, then some: others must stay, and what is returned add up."""
        n_units = self._site.n_units
        # Any two units are in different halves once: in one choice one moves alone.
        digits = [half for half, _ in _halves(n_units)]
        few = torch.randperm(n_units, generator=torch.Generator().manual_seed(0))[:_FEW]
        choices = (torch.arange(0), torch.arange(n_units), *digits, few)
        inputs, returned = self._inputs(_Moved(self._site.unit_axis, choices), len(choices))
        base, moved, *some = inputs
        for units, mixed in zip(choices[2:], some, strict=True):
            expected = base.clone()
            expected[units] = moved[units]
            if not difference(mixed, expected) <= tolerance(expected):
                raise not_additive("units influence each other on the way to the linear layer")
        steps = moved[few] - base[few]
        added = contributions(self._linear.layer, steps, few.to(base.device)).sum(0)
        if not difference(returned[0] + added, returned[-1]) <= tolerance(returned):
            raise not_additive(f"what {self._linear.returned.site} returns is no sum over units")


class TermsByReplay:
    """Terms of a part of the forward that is linear though it is no such layer.

    Such as a convolution whose weights a style modulates. Each term costs a replay of that part,
    once for a whole search.

    Args:
        ahead: replays from the site itself.
        ways: what may be such parts, in the order in which they end; the last that is, is taken.

    Raises:
        NotReplayableError: none is a sum over units.
    """

    def __init__(self, ahead: Replayed, ways: Sequence[SiteTensor]) -> None:
        self._ahead, self._site = ahead, ahead.replay.plan.sites[0]
        self._variants: Variants | None = None
        if not ways:
            raise not_additive("all that the site feeds goes on by several ways")
        self.returned, self._base = self._last_sum(ways)

    def know(self, variants: Variants) -> None:
        """Terms will be of these variants' sources."""
        self._variants = variants

    def of(self, terms: Sequence[Term]) -> Tensor:
        """(terms, n, ...): what each adds."""
        assert self._variants is not None
        sources = self._variants.source_edits()
        added: list[Tensor] = []
        for start in range(0, len(terms), self._at_once):
            some = [[(number, (unit,))] for number, unit in terms[start : start + self._at_once]]
            edit = UnitsOfSources(self._site, sources, some)
            added.append(self._returned(edit, len(some), [self.returned])[0] - self._base)
        return torch.cat(added)

    def _last_sum(self, ways: Sequence[SiteTensor]) -> tuple[SiteTensor, Tensor]:
        """Move halves of the units far away, in turn and together: what they do must add up."""
        n_units = self._site.n_units
        halves = [half for pair in _halves(n_units) for half in pair]
        choices = [torch.arange(0), torch.arange(n_units), *halves]
        found: tuple[SiteTensor, Tensor] | None = None
        for tensor, rows in zip(ways, self._moved(choices, ways), strict=True):
            base, both = rows[0], rows[1]
            sums = rows[2::2] + rows[3::2] - base
            if not difference(sums, both.expand_as(sums)) <= tolerance(both):
                break
            found = tensor, base.clone()
        if found is None:
            raise not_additive(f"what {ways[0].site} returns is no sum over units")
        return found

    def _moved(self, choices: Sequence[Tensor], tensors: Sequence[SiteTensor]) -> list[Tensor]:
        """(choices, n, ...) of what some calls return where the units of a choice are far away."""
        passes: list[list[Tensor]] = []
        for start in range(0, len(choices), self._at_once):
            some = choices[start : start + self._at_once]
            passes.append(self._returned(_Moved(self._site.unit_axis, some), len(some), tensors))
        return [torch.cat(rows) for rows in zip(*passes, strict=True)]

    @property
    def _at_once(self) -> int:
        return first_size(self._ahead.replay.plan.n_bytes * len(self._ahead.base))

    def _returned(self, edit: Rows, n_variants: int, tensors: Sequence[SiteTensor]) -> list[Tensor]:
        """(variants, n, ...) of what some calls return."""
        ahead = self._ahead
        recording = ahead.replay.recording(
            ahead.base.latents, ahead.memory, {self._site: edit}, n_variants, tensors
        )
        returned = [recording[tensor.site] for tensor in tensors]
        return [rows.view(n_variants, -1, *rows.shape[1:]) for rows in returned]


def _halves(n_units: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Units by each binary digit of their numbers: any two are in different halves once."""
    numbers = torch.arange(n_units)
    for place in range(max(1, (n_units - 1).bit_length())):
        has_digit = (numbers >> place) % 2 == 1
        yield numbers[~has_digit], numbers[has_digit]


@dataclass(eq=False)
class _Sourced(Rows):
    """The base, then what a source makes of all its units."""

    source: Edit

    def write(self, activation: Tensor) -> None:
        self.source.write(activation.unflatten(0, (2, -1))[1])


@dataclass(eq=False)
class _Moved(Rows):
    """The base with some units moved far away, once for each choice of units."""

    unit_axis: int
    choices: Sequence[Tensor]

    def write(self, activation: Tensor) -> None:
        rows = activation.unflatten(0, (len(self.choices), -1))
        steps = far(rows[0])
        for units, mixed in zip(self.choices, rows, strict=True):
            index = units.to(rows.device)
            mixed.index_add_(self.unit_axis, index, steps.index_select(self.unit_axis, index))
