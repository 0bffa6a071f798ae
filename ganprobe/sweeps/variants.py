"""Variants: what a sweep makes of the same latents, each a list of interventions.

Where every variant replaces units of one site, each unit alone, variants are kept as units of a
few sources: an edit of all units is computed once, and a variant takes some of its units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ganprobe.errors import ParameterError
from ganprobe.indices import check_indices
from ganprobe.interventions import Edit, Intervention
from ganprobe.interventions.values import is_plain
from ganprobe.layers import LayerTable
from ganprobe.sites import Site, SiteTensor

__all__ = ["Piece", "UnitSets", "Variant", "Variants", "read_variants"]

Variant = tuple[Intervention, ...]

Piece = tuple[int, tuple[int, ...]]
"""The number of a source, and the units that are taken of it."""


@dataclass(frozen=True, eq=False)
class UnitSets(Sequence[Variant]):
    """For each set of units, one intervention at those units of its site.

    By their numbers: an intervention may hold values for the units in the order in which it names
    them, and those of all units are theirs whatever the order in which they were picked.
    """

    template: Intervention
    sets: Sequence[tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, position: int) -> Variant:  # type: ignore[override]
        units = self.sets[position]
        return (self.template.for_units(tuple(sorted(units))),) if units else ()


@dataclass(frozen=True, eq=False)
class Variants:
    """Variants resolved against the layer table.

    Args:
        each: what a variant does, in order.
        sites: every tensor that one of them edits, with all its units.
        sources: interventions at all units of the one site, or
        pieces: for each variant, of which source it takes which units; None where variants are
            not all of that kind.
        samples: which of the batch are meant; None: all.
    """

    table: LayerTable
    each: Sequence[Variant]
    sites: tuple[SiteTensor, ...]
    sources: tuple[Intervention, ...] = ()
    pieces: Sequence[tuple[Piece, ...]] | None = None
    samples: slice | None = None

    @classmethod
    def of(cls, table: LayerTable, each: Sequence[Variant]) -> Variants:
        """Resolve and check all variants, before anything runs.

        Raises:
            UnknownNameError, SiteError, ParameterError, ShapeError: one does not fit.
        """
        reader = _Reader(table)
        pieces = [reader.pieces(variant) for variant in each]
        sites = tuple(reader.sites.values())
        are_pieces = len(sites) == 1 and all(found is not None for found in pieces)
        if not are_pieces:
            for variant in each:
                reader.check(variant)
            return cls(table, each, sites)
        for source in reader.sources:
            source.at(sites[0])
        found = [those for those in pieces if those is not None]
        return cls(table, each, sites, tuple(reader.sources), found)

    @classmethod
    def of_units(
        cls, table: LayerTable, template: Intervention, sets: Sequence[tuple[int, ...]]
    ) -> Variants:
        """Sets of units of one intervention; an empty set edits nothing.

        Raises:
            UnknownNameError, SiteError, ParameterError, ShapeError: it does not fit.
        """
        tensor = table.resolve_one(template.site.whole)
        whole, none = template.for_units(None), UnitSets(template, [])
        if not template.is_for_each_unit(tensor):
            return cls(table, none, (tensor,)).with_sets(sets)
        whole.at(tensor)
        return cls(table, none, (tensor,), (whole,), []).with_sets(sets)

    def with_sets(self, sets: Sequence[tuple[int, ...]]) -> Variants:
        """Other sets of units of the same intervention, where these are sets of units."""
        each = self.each
        assert isinstance(each, UnitSets)
        pieces = [((0, units),) if units else () for units in sets]
        has_pieces = self.pieces is not None
        other = UnitSets(each.template, sets)
        return replace(self, each=other, pieces=pieces if has_pieces else None)

    def __len__(self) -> int:
        return len(self.each)

    def interventions(self, variant: int) -> Variant:
        """What one variant does, to the samples that are meant."""
        return tuple(self._of_samples(intervention) for intervention in self.each[variant])

    def edits(self, variant: int) -> dict[SiteTensor, list[Edit]]:
        """For each tensor that a variant edits, how, in order."""
        found: dict[SiteTensor, list[Edit]] = {}
        for intervention in self.interventions(variant):
            for tensor in self.table.resolve(intervention.site.whole):
                meant = replace(tensor.site, units=intervention.site.units)
                edit = intervention.at(replace(tensor, site=meant))
                found.setdefault(tensor, []).append(edit)
        return found

    def source_edits(self) -> list[Edit]:
        """The sources, ready for an activation."""
        return [self._of_samples(source).at(self.sites[0]) for source in self.sources]

    @property
    def can_be_split(self) -> bool:
        """Whether some samples can go without the others."""
        one = slice(0, 1)
        wanted = [self.sources] if self.pieces is not None else self.each
        return all(
            self._for_samples(intervention, one) is not None
            for variant in wanted
            for intervention in variant
        )

    def for_samples(self, samples: slice) -> Variants:
        """The same for some of the samples, where that can be."""
        return replace(self, samples=samples)

    def _of_samples(self, intervention: Intervention) -> Intervention:
        if self.samples is None:
            return intervention
        found = self._for_samples(intervention, self.samples)
        assert found is not None
        return found

    def _for_samples(self, intervention: Intervention, samples: slice) -> Intervention | None:
        tensor = self.table.resolve(intervention.site.whole)[0]
        return intervention.for_samples(tensor, samples)


def read_variants(
    given: Intervention | Iterable[Intervention | Iterable[Intervention]],
) -> list[Variant]:
    """Variants as they are given: interventions, or lists of them.

    Raises:
        ParameterError: there is none, or something else among them.
    """
    variants: list[Variant] = []
    listed = [given] if isinstance(given, Intervention) else given
    if not isinstance(listed, Iterable):
        raise ParameterError(f"variants are a list of interventions or of lists, got {given!r}")
    for position, one in enumerate(listed):
        variant = tuple(one) if isinstance(one, Iterable) else (one,)
        for intervention in variant:
            if not isinstance(intervention, Intervention):
                raise ParameterError(
                    f"a variant is an intervention or a list of them, got {intervention!r} in"
                    f" variant {position}"
                )
        variants.append(variant)
    if not variants:
        raise ParameterError("no variant was given; give at least one list of interventions")
    return variants


@dataclass
class _Reader:
    """Reads variants one after the other, and knows the sites and sources seen so far."""

    table: LayerTable
    sites: dict[Site, SiteTensor] = field(default_factory=dict)
    sources: list[Intervention] = field(default_factory=list)
    _targets: dict[Site, list[SiteTensor]] = field(default_factory=dict)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)

    def pieces(self, variant: Variant) -> tuple[Piece, ...] | None:
        """The variant as units of sources; None if it is none of that kind."""
        found: list[Piece | None] = [self._piece(intervention) for intervention in variant]
        pieces = tuple(piece for piece in found if piece is not None)
        units = [unit for _, those in pieces for unit in those]
        is_apart = len(pieces) == len(variant) and len(set(units)) == len(units)
        return pieces if is_apart else None

    def check(self, variant: Variant) -> None:
        """Prepare everything once, for its errors."""
        for intervention in variant:
            for tensor in self._tensors(intervention.site):
                units = intervention.site.units
                intervention.at(replace(tensor, site=replace(tensor.site, units=units)))

    def _piece(self, intervention: Intervention) -> Piece | None:
        tensors = self._tensors(intervention.site)
        for tensor in tensors:
            self.sites[tensor.site] = tensor
        tensor = tensors[0]
        if len(tensors) > 1 or not tensor.shape or not intervention.is_for_each_unit(tensor):
            return None
        held = intervention.__dict__.items()
        content = tuple(value if is_plain(value) else id(value) for key, value in held
                        if key != "site")  # fmt: skip
        key = (type(intervention), *content)
        if key not in self._numbers:
            self._numbers[key] = len(self.sources)
            self.sources.append(intervention.for_units(None))
        units = intervention.site.units
        return self._numbers[key], tuple(range(tensor.n_units)) if units is None else units

    def _tensors(self, site: Site) -> list[SiteTensor]:
        whole = site.whole
        if whole not in self._targets:
            self._targets[whole] = self.table.resolve(whole)
        tensors = self._targets[whole]
        if site.units is not None:
            for tensor in tensors:
                if not tensor.shape:
                    self.table.resolve(site)  # which raises
                check_indices(site.units, tensor.n_units, "unit", str(tensor.site))
        return tensors
