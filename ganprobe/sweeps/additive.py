"""The additive path: where a site feeds a linear part of the forward, units add up behind it.

A linear, convolution or transposed convolution layer is a sum over its input's units. Where a site
feeds one through operations on each unit alone, and nothing else, an edit of unit u adds

    W_u * (f(h'_u) - f(h_u))

to what that layer returns, f being those operations, h and h' the unit before and after the
edit. All these terms come from one pass, of as many operations as the layer needs for one sample;
a variant is a sum of some of them, and its replay begins behind the layer. Where the linear part
is something else, as a convolution whose weights a style modulates, each term is a replay of that
part alone, once for a whole search.

That units are kept apart and add up is tested with random values far away, not assumed. Needs
float32 or float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganprobe.replay import Replay
from ganprobe.sweeps.evaluators import Replayed, Rows
from ganprobe.sweeps.linear import not_additive
from ganprobe.sweeps.terms import Term, TermsOf
from ganprobe.sweeps.variants import Piece, Variants

__all__ = ["Additive"]

_MOST_SOURCES = 64
_PASS_BYTES = 32 * 2**20


class Additive:
    """Sums of terms, and replays that begin behind the linear part.

    Args:
        terms: what single units add there.
        behind: replays from there.
        memory_limit: half of it is for terms; if they do not fit, they are computed anew whenever
            they are needed.
    """

    def __init__(self, terms: TermsOf, behind: Replayed, *, memory_limit: int) -> None:
        self._terms, self.behind, self._memory_limit = terms, behind, memory_limit
        self._n_units = 0
        self._known_sources: Sequence[object] = ()
        self._kept: Tensor | None = None
        self._is_kept: list[bool] = []
        self._total: tuple[frozenset[Term], Tensor | None] = (frozenset(), None)

    @property
    def replay(self) -> Replay:
        """That which gives the images."""
        return self.behind.replay

    def images(
        self, variants: Variants, chosen: Sequence[int], *, is_disturbed: bool = False
    ) -> Tensor:
        assert variants.pieces is not None
        self._know(variants)
        pieces = [variants.pieces[variant] for variant in chosen]
        sums = self._grown(pieces) or self._sums(pieces)
        edits = {self._terms.returned: sums}
        return self.behind.edited(edits, len(chosen), is_disturbed=is_disturbed)

    def _sums(self, pieces: Sequence[tuple[Piece, ...]]) -> Rows:
        """Each variant a sum of its own."""
        terms = [[(number, unit) for number, units in those for unit in units] for those in pieces]
        self._keep(sorted({term for those in terms for term in those}))
        return _Sums(terms, self)

    def _grown(self, pieces: Sequence[tuple[Piece, ...]]) -> Rows | None:
        """What all have in common, and one more unit for each, as in a step of a greedy search.

        None where they are something else.
        """
        sets = [those[0][1] for those in pieces if len(those) == 1 and those[0][1]]
        if len(sets) < len(pieces) or len({those[0][0] for those in pieces}) > 1:
            return None
        number, common = pieces[0][0][0], sets[0][:-1]
        if any(units[:-1] != common for units in sets):
            return None
        picked = frozenset((number, unit) for unit in common)
        last = [(number, units[-1]) for units in sets]
        self._keep([*sorted(picked), *dict.fromkeys(last)])
        return _Grown(picked, last, self)

    def n_terms(self, variants: Variants, n_expected: int) -> int:
        """How many contributions so many variants are sums of, of which these are the first."""
        assert variants.pieces is not None
        if n_expected > len(variants):
            return min(n_expected, len(variants.sources) * variants.sites[0].n_units)
        pieces = (piece for those in variants.pieces for piece in those)
        return len({(number, unit) for number, units in pieces for unit in units})

    def contributions(self, terms: Sequence[Term]) -> Tensor:
        """(terms, n, ...): what each adds to what the linear part returns."""
        if self._kept is None:
            return self._terms.of(terms)
        rows = [self._row(term) for term in terms]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return self._kept[rows[0] : rows[0] + len(rows)]
        return self._kept[torch.tensor(rows, device=self._kept.device)]

    def add(self, base: Tensor, terms: Sequence[Term], rows: Tensor) -> None:
        """Write base (n, ...) and the contribution of each term to rows (terms, n, ...)."""
        if self._kept is None or self._kept.dtype != rows.dtype:
            torch.add(self.contributions(terms), base, out=rows)
            return
        for start, stop, first in _stretches([self._row(term) for term in terms]):
            kept = self._kept[first : first + stop - start]
            torch.add(kept, base, out=rows[start:stop])

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
        """Make room for the terms of the sources, unless they are the same as before."""
        if self._known_sources is variants.sources:
            return
        if len(variants.sources) > _MOST_SOURCES:
            raise not_additive(f"there are {len(variants.sources)} different edits of all units")
        self._terms.know(variants)
        self._known_sources, self._n_units = variants.sources, variants.sites[0].n_units
        self._total = (frozenset(), None)
        like = self.behind.base_images
        n_rows = len(variants.sources) * self._n_units
        n_bytes = n_rows * self._size * torch.finfo(self._dtype).bits // 8
        shape = (n_rows, len(self.behind.base), *self._terms.returned.shape)
        fits = n_bytes <= self._memory_limit // 2
        self._kept = torch.empty(shape, dtype=self._dtype, device=like.device) if fits else None
        self._is_kept = [False] * n_rows

    def _keep(self, terms: Sequence[Term]) -> None:
        """Compute the terms that are not there yet, ahead of the replay that adds them up."""
        if self._kept is None:
            return
        missing = [term for term in terms if not self._is_kept[self._row(term)]]
        per_pass = max(1, min(_PASS_BYTES, self._memory_limit // 8) // (self._size * 4))
        for start in range(0, len(missing), per_pass):
            some = missing[start : start + per_pass]
            rows = [self._row(term) for term in some]
            self._kept[torch.tensor(rows, device=self._kept.device)] = self._terms.of(some)
            for row in rows:
                self._is_kept[row] = True

    def _row(self, term: Term) -> int:
        number, unit = term
        return number * self._n_units + unit

    @property
    def _size(self) -> int:
        """How many numbers a term is."""
        return len(self.behind.base) * math.prod(self._terms.returned.shape)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if self._terms.returned.dtype == "float64" else torch.float32


@dataclass(eq=False)
class _Grown(Rows):
    """For each variant, what the linear layer returned for the base, a total, and one more term."""

    common: frozenset[Term]
    last: Sequence[Term]
    additive: Additive
    writes_all_rows = True

    def write(self, activation: Tensor) -> None:
        rows = activation.unflatten(0, (len(self.last), -1))  # (variants, n, ...)
        base = rows[0] + self.additive.total(self.common) if self.common else rows[0].clone()
        self.additive.add(base, self.last, rows)


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


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Where numbers follow one another: from which place to which, and the first number."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield start, place, numbers[start]
            start = place
