"""Pairs of source and donor: those that are searched on, those held out, those of other kinds."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ganprobe import Context, Latents, ParameterError, SampleChoice
from ganprobe_swap import SwapParams

_PAIRS, _HELD_OUT = 20, 100


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sources and donors, pair by pair.

    Args:
        kind: what they are, as ``digit=1 into digit=3``.
        sources, donors: latents (pair, *shape).
    """

    kind: str
    sources: Latents
    donors: Latents

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, pair: int) -> Pairs:
        """One pair."""
        chosen = slice(pair, pair + 1)
        return Pairs(self.kind, self.sources[chosen], self.donors[chosen])

    def name(self, pair: int) -> str:
        """Which samples one pair is, where they have numbers."""
        sides = (self.sources, self.donors)
        numbers = [side.indices[pair] if side.indices else pair for side in sides]
        return f"{numbers[0]} ← {numbers[1]}"


@dataclass(frozen=True, eq=False)
class Sides:
    """Pairs of one kind.

    Args:
        searched: what searches see.
        held_out: what they do not; None: there are none.
    """

    searched: Pairs
    held_out: Pairs | None

    @property
    def kind(self) -> str:
        return self.searched.kind

    @property
    def tested(self) -> Pairs:
        """Where sets of all pairs are tested: held out where there are such."""
        return self.searched if self.held_out is None else self.held_out


def counted(n_pairs: int) -> str:
    """As ``20 pairs``, or ``1 pair``."""
    return f"{n_pairs} pair" if n_pairs == 1 else f"{n_pairs} pairs"


def choose_sides(context: Context, params: SwapParams) -> list[Sides]:
    """The pairs that were asked for, then those of each kind in ``--transfer``.

    Raises:
        ParameterError: there are too few samples, a kind has no donor, or sources are their own.
    """
    chosen = [_sides(context, params, params.source, params.donor)]
    for written in params.transfer:
        source, sign, donor = written.partition(" into " if " into " in written else ":")
        if not sign or source == "area":
            raise ParameterError(
                f"--transfer {written!r} names no donor; write source:donor, as digit=0:digit=4, or"
                " 'digit=0 into digit=4'"
            )
        parsed = (SampleChoice.parse(source), SampleChoice.parse(donor))
        chosen.append(_sides(context, params, *parsed))
    return chosen


def _sides(
    context: Context, params: SwapParams, source: SampleChoice, donor: SampleChoice
) -> Sides:
    n_searched, n_held_out = _counts(context, params, source, donor)
    total = n_searched + n_held_out
    sources = _side(context, source, total, skip=0)
    # Two of one class are never the same sample.
    donors = _side(context, donor, total, skip=total if donor == source else 0)
    _check_differ(sources, donors, f"{source} into {donor}")
    pairs = Pairs(f"{source} into {donor}", sources, donors)
    searched, rest = slice(0, n_searched), slice(n_searched, total)
    held_out = Pairs(pairs.kind, pairs.sources[rest], pairs.donors[rest]) if n_held_out else None
    return Sides(Pairs(pairs.kind, sources[searched], donors[searched]), held_out)


def _counts(
    context: Context, params: SwapParams, source: SampleChoice, donor: SampleChoice
) -> tuple[int, int]:
    """How many pairs are searched on, and how many are held out."""
    lengths = [_length(context, choice) for choice in (source, donor)]
    lists = [length for length in lengths if length not in (None, 1)]
    named = min(length for length in lists if length is not None) if lists else None
    if named is None and None not in lengths:
        _check_one_pair(params, source, donor)
        named = 1
    n_searched = params.pairs or (_PAIRS if named is None else named)
    if params.held_out is not None:
        return n_searched, params.held_out
    return n_searched, _HELD_OUT if named is None else max(0, named - n_searched)


def _check_one_pair(params: SwapParams, source: SampleChoice, donor: SampleChoice) -> None:
    """Raise `ParameterError` where one pair would be counted as several."""
    if (wanted := (params.pairs or 1) + (params.held_out or 0)) > 1:
        raise ParameterError(
            f"{source} into {donor} is one pair, and --pairs and --held-out ask for {wanted}; name"
            " more samples, as 0-9, or leave them out"
        )


def _check_differ(sources: Latents, donors: Latents, kind: str) -> None:
    if found := int(torch.eq(sources.z, donors.z).flatten(1).all(1).sum()):
        raise ParameterError(
            f"{kind}: {'a sample is' if found == 1 else f'{found} samples are'} to be given their"
            " own units, which changes nothing; name other donors"
        )


def _length(context: Context, choice: SampleChoice) -> int | None:
    """How many samples a choice names; None where it is open."""
    if choice.file is not None:
        return len(context.latents(choice))
    return choice.n_samples


def _side(context: Context, choice: SampleChoice, total: int, *, skip: int) -> Latents:
    """So many latents; one that is named alone stands in every pair."""
    if not choice.conditions and _length(context, choice) == 1:
        one = context.latents(choice)
        return one.take([0] * total)
    return context.latents(choice, total, skip=skip if choice.conditions else 0)
