"""The tables of the causal stage: each size of a removal, each class's change, each context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ganprobe import ContextEffect, PairedEffects, Table, control_band
from ganprobe_dissection.causes import Cause

_Row = tuple[str | int | float | bool | None, ...]


def removal_table(causes: Sequence[Cause]) -> Table:
    """What is left of each class, for each order and size."""
    return Table(
        ("site", "class", "order", "units", "unit added last", "share left", "low", "high",
         "change of area", "change low", "change high", "p", "q", "random low", "random high"),
        tuple(row for cause in causes for row in _removal_rows(cause)),
        "what is left of a class with its units removed; areas and changes in shares of the image;"
        f" {causes[0].question.made()}",
    )  # fmt: skip


def _removal_rows(cause: Cause) -> Iterator[_Row]:
    question, removal = cause.question, cause.removal
    below, above = control_band(removal.control.shares(question.column))
    for curve in removal.curves:
        for place, size in enumerate(question.sizes):
            yield (
                question.site, question.class_name, curve.order, size, curve.units[size - 1],
                curve.share[place], curve.low[place], curve.high[place],
                *_effect(curve.effects, place), below[place], above[place],
            )  # fmt: skip


def effect_table(causes: Sequence[Cause]) -> Table:
    """How every class changes when the units of one are removed, or inserted at a place."""
    return Table(
        ("site", "units of", "done", "class", "area before", "change", "low", "high", "p", "q"),
        tuple(row for cause in causes for row in _effect_rows(cause)),
        f"changes of areas in shares of the image; {causes[0].question.made()}",
    )


def _effect_rows(cause: Cause) -> Iterator[_Row]:
    question, before = cause.question, cause.removal.base.mean(0)
    done = {"removed": cause.removal.collateral, "inserted": cause.insertion.effects}
    for word, effects in done.items():
        for place, name in enumerate(question.segmenter.classes):
            yield (question.site, question.class_name, word, name, before[place],
                   *_effect(effects, place))  # fmt: skip


def _effect(effects: PairedEffects, place: int) -> tuple[float, ...]:
    columns = (effects.mean, effects.low, effects.high, effects.p, effects.q)
    return tuple(float(column[place]) for column in columns)


def context_table(causes: Sequence[Cause]) -> Table:
    """What inserting a class does, by what was there."""
    return Table(
        ("site", "inserted", "there", "places", "samples", "change", "low", "high", "p", "q",
         "change here", "places without it", "appeared", "share", "share low", "share high"),
        tuple(row for cause in causes for row in _context_rows(cause)),
        "units inserted at each place of each choosing sample; changes in shares of the image,"
        f" share: of the places without it those where it appeared; {causes[0].question.made()}",
    )  # fmt: skip


def _context_rows(cause: Cause) -> Iterator[_Row]:
    found = cause.insertion.context
    for one in (*found.by_class, found.anywhere):
        yield (cause.question.site, cause.question.class_name, *_context(one))


def _context(one: ContextEffect) -> _Row:
    return (
        one.there, one.n_cells, one.n_samples, one.mean, one.low, one.high, one.p, one.q, one.here,
        one.n_absent, one.n_took, one.took, one.took_low, one.took_high,
    )  # fmt: skip
