"""The additive path: where a site feeds a linear layer, units add up behind it.

A linear, convolution or transposed convolution layer is a sum over its input's units. Where a site
feeds one through operations on each unit alone, and nothing else, an edit of unit u adds

    W_u * (f(h'_u) - f(h_u))

to what that layer returns, f being those operations, h and h' the unit before and after the
edit. All these contributions come from one grouped pass, of as many operations as the layer needs
for one sample; a variant is a sum of some of them, and its replay begins behind the layer.

That f keeps units apart is tested with random values, not assumed. Needs float32 or float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ganprobe.engine import has_hooks_on_output
from ganprobe.errors import NotReplayableError
from ganprobe.interventions import Edit
from ganprobe.layers import LayerTable
from ganprobe.replay import Replay, ReplayPlan
from ganprobe.sites import Port, SiteTensor
from ganprobe.sweeps.agreement import difference, tolerance
from ganprobe.sweeps.contributions import LINEAR, contributions
from ganprobe.sweeps.evaluators import Replayed, Rows, far
from ganprobe.sweeps.variants import Variants

__all__ = ["Additive", "LinearCall", "linear_call"]

_FORWARDS = {kind.forward for kind in LINEAR}
_FEW = 8
_MOST_SOURCES = 64
_PASS_BYTES = 32 * 2**20

Term = tuple[int, int]
"""The number of a source, and a unit of it."""


@dataclass(frozen=True)
class LinearCall:
    """The call of a linear layer through which all that an edit does goes on."""

    layer: nn.Module
    given: SiteTensor
    returned: SiteTensor


def linear_call(plan: ReplayPlan, table: LayerTable) -> LinearCall:
    """The linear layer that the plan's one site feeds.

    Raises:
        NotReplayableError: there is none, or something else is fed, too.
    """
    trace = plan.trace
    if len(plan.sites) != 1 or plan.one_at_once is not None or trace.first_edit is None:
        raise _not_additive("several sites are edited, or the forward depends on values")
    for call in trace.calls:
        is_linear = type(call.layer).forward in _FORWARDS and "forward" not in vars(call.layer)
        if call.begin >= trace.first_edit and call.is_tainted and is_linear:
            break
    else:
        raise _not_additive("no linear or convolution layer comes after the site")
    assert call.end is not None
    ahead = {memory for memory in trace.tainted if trace.created[memory] < call.begin}
    goes_past = any(not ahead.isdisjoint(done.reads) for done in trace.operations[call.end :])
    is_image = not ahead.isdisjoint(leaf.memory for leaf in trace.calls[0].leaves)
    if goes_past or is_image:
        raise _not_additive(f"what the site feeds goes past {call.name}, too")
    if getattr(call.layer, "groups", 1) != 1 or has_hooks_on_output(call.layer):
        raise _not_additive(f"{call.name} is in groups, or has a hook of its own")
    given, returned = (_tensor_at(table, call.name, call.number, port) for port in ("in", "out"))
    if {given.dtype, returned.dtype} - {"float32", "float64"} or given.dtype != returned.dtype:
        raise _not_additive(f"{call.name} works in {returned.dtype}")
    return LinearCall(call.layer, given, returned)


def _tensor_at(table: LayerTable, name: str, number: int, port: Port | str) -> SiteTensor:
    for tensor in table[name].tensors:
        site = tensor.site
        is_there = (site.port, site.call or 0, site.path) == (port, number, ())
        if is_there and tensor.is_batched:
            return tensor
    raise _not_additive(f"{name} is not given one batch of tensors")


class Additive:
    """Sums of contributions, and replays that begin behind the linear layer.

    Args:
        ahead: replays from the site itself.
        behind: replays from what the linear layer returns.
        memory_limit: half of it is for contributions; if they do not fit, they are computed anew
            whenever they are needed.

    Raises:
        NotReplayableError: units are not kept apart on the way to the linear layer.
    """

    def __init__(
        self,
        ahead: Replayed,
        behind: Replayed,
        linear: LinearCall,
        *,
        memory_limit: int,
    ) -> None:
        self._ahead, self.behind, self._linear = ahead, behind, linear
        self._memory_limit = memory_limit
        self._site = ahead.replay.plan.sites[0]
        self._steps: Tensor | None = None
        self._known_sources: Sequence[object] = ()
        self._total: tuple[frozenset[Term], Tensor | None] = (frozenset(), None)
        self._check()

    @property
    def replay(self) -> Replay:
        """That which gives the images."""
        return self.behind.replay

    def images(
        self, variants: Variants, chosen: Sequence[int], *, is_disturbed: bool = False
    ) -> Tensor:
        assert variants.pieces is not None
        self._know(variants)
        terms = [
            [(number, unit) for number, units in variants.pieces[variant] for unit in units]
            for variant in chosen
        ]
        edits = {self._linear.returned: _Sums(terms, self)}
        return self.behind.edited(edits, len(chosen), is_disturbed=is_disturbed)

    def n_terms(self, variants: Variants, n_expected: int) -> int:
        """How many contributions so many variants are sums of, of which these are the first."""
        assert variants.pieces is not None
        if n_expected > len(variants):
            return min(n_expected, len(variants.sources) * self._site.n_units)
        pieces = (piece for those in variants.pieces for piece in those)
        return len({(number, unit) for number, units in pieces for unit in units})

    def contributions(self, terms: Sequence[Term]) -> Tensor:
        """(terms, n, ...): what each adds to what the linear layer returns."""
        if self._kept is None:
            return self._computed(terms)
        rows = [number * self._site.n_units + unit for number, unit in terms]
        missing = [row for row in rows if not self._is_kept[row]]
        n_units = self._site.n_units
        for some in _split(missing, self._per_pass):
            made = self._computed([divmod(row, n_units) for row in some])
            self._kept[torch.tensor(some)] = made
            for row in some:
                self._is_kept[row] = True
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return self._kept[rows[0] : rows[0] + len(rows)]
        return self._kept[torch.tensor(rows, device=self._kept.device)]

    def total(self, terms: frozenset[Term]) -> Tensor:
        """(n, ...): what all of these add; only what is new since it was last asked for."""
        known, total = self._total
        if total is None or not known <= terms:
            known, total = frozenset(), None
        if new := sorted(terms - known):
            added = self.contributions(new).sum(0)
            total = added if total is None else total + added
        assert total is not None
        self._total = (terms, total)
        return total

    def _know(self, variants: Variants) -> None:
        """Bring the sources as far as the linear layer, unless they are the same as before."""
        if self._known_sources is variants.sources:
            return
        if len(variants.sources) > _MOST_SOURCES:
            raise _not_additive(f"there are {len(variants.sources)} different edits of all units")
        steps = []
        for source in variants.source_edits():  # two at a time: so many were tried
            (base, edited), _ = self._inputs(_Sourced(source), 2)
            steps.append(edited - base)
        self._steps = torch.stack(steps)  # (sources, units, n, ...)
        self._known_sources = variants.sources
        self._total = (frozenset(), None)
        n_rows = len(variants.sources) * self._site.n_units
        returned = self._linear.returned
        n_values = n_rows * len(self._ahead.base) * math.prod(returned.shape)
        fits = n_values * self._steps.element_size() <= self._memory_limit // 2
        shape = (n_rows, len(self._ahead.base), *returned.shape)
        self._kept = self._steps.new_empty(shape) if fits else None
        self._is_kept = [False] * n_rows

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
            raise _not_additive(f"{given.site} has {size} units, and the site {n_units}")
        by_unit: Tensor = inputs.movedim(axis, 1).unflatten(1, (n_units, size // n_units))
        by_variant = torch.movedim(by_unit.unflatten(0, (n_variants, -1)), 2, 1)
        outputs = recording[returned.site]
        return by_variant, outputs.view(n_variants, -1, *outputs.shape[1:])

    def _check(self) -> None:
        """Move all units far away, then some: others must stay, and what is returned add up."""
        n_units = self._site.n_units
        numbers = torch.arange(n_units)
        # Any two units differ in a binary digit of their numbers: in one choice one moves alone.
        digits = [numbers[(numbers >> place) % 2 == 0] for place in range(n_units.bit_length())]
        few = torch.randperm(n_units, generator=torch.Generator().manual_seed(0))[:_FEW]
        choices = (*digits, few)
        inputs, returned = self._inputs(_Moved(self._site.unit_axis, choices), len(choices) + 2)
        base, moved, *some = inputs
        for units, mixed in zip(choices, some, strict=True):
            expected = base.clone()
            expected[units] = moved[units]
            if not difference(mixed, expected) <= tolerance(expected):
                raise _not_additive("units influence each other on the way to the linear layer")
        steps = moved[few] - base[few]
        added = contributions(self._linear.layer, steps, few.to(base.device)).sum(0)
        if not difference(returned[0] + added, returned[-1]) <= tolerance(returned):
            raise _not_additive(f"what {self._linear.returned.site} returns is no sum over units")

    @cached_property
    def _per_pass(self) -> int:
        """How many contributions are computed in one pass, so that it fits in memory."""
        size = len(self._ahead.base) * math.prod(self._linear.returned.shape)
        return max(1, min(_PASS_BYTES, self._memory_limit // 8) // (size * 4))

    def _computed(self, terms: Sequence[Term]) -> Tensor:
        assert self._steps is not None
        device = self._steps.device
        sources, units = (torch.tensor(those, device=device) for those in zip(*terms, strict=True))
        return contributions(self._linear.layer, self._steps[sources, units], units)


@dataclass(eq=False)
class _Sums(Rows):
    """For each variant, what the linear layer returned for the base, and its contributions."""

    terms: Sequence[Sequence[Term]]
    additive: Additive

    def write(self, activation: Tensor) -> None:
        rows = activation.unflatten(0, (len(self.terms), -1))  # (variants, n, ...)
        common = frozenset(self.terms[0]).intersection(*self.terms)
        if len(self.terms) > 1 and common:
            rows += self.additive.total(common)
        else:
            common = frozenset()
        own = [[term for term in terms if term not in common] for terms in self.terms]
        if all(len(terms) == 1 for terms in own):
            rows += self.additive.contributions([terms[0] for terms in own])
            return
        for row, terms in zip(rows, own, strict=True):
            if terms:
                row += self.additive.contributions(terms).sum(0)


@dataclass(eq=False)
class _Sourced(Rows):
    """The base, then what a source makes of all its units."""

    source: Edit

    def write(self, activation: Tensor) -> None:
        self.source.write(activation.unflatten(0, (2, -1))[1])


@dataclass(eq=False)
class _Moved(Rows):
    """The base; all units moved far away; and some of them, once for each choice of units."""

    unit_axis: int
    choices: Sequence[Tensor]

    def write(self, activation: Tensor) -> None:
        base, moved, *some = activation.unflatten(0, (len(self.choices) + 2, -1))
        steps = far(base)
        moved += steps
        for units, mixed in zip(self.choices, some, strict=True):
            index = units.to(base.device)
            mixed.index_add_(self.unit_axis, index, steps.index_select(self.unit_axis, index))


def _split(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _not_additive(why: str) -> NotReplayableError:
    return NotReplayableError("additive", why)
