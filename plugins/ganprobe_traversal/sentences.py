"""What a traversal found, in sentences."""

from __future__ import annotations

import numpy as np

from ganprobe import DirectionSet
from ganprobe_traversal.trends import SIGNIFICANT, Trends
from ganprobe_traversal.walk import Walks

__all__ = ["describe_way", "findings_of_walks", "of_other_weights", "percent"]

_MOST_CHANGES, _MOST_BENDS, _DESCRIBED = 8, 3, 3


def findings_of_walks(walks: Walks, trends: Trends | None) -> list[str]:
    """The most important first."""
    found = [_strongest(walks), *_order(walks), *_outside(walks)]
    if trends is not None:
        found += _trends(walks, trends)
    return [*found, *of_other_weights(walks)]


def describe_way(walks: Walks, trends: Trends | None, way: int) -> str:
    """What the measures that change most do between the ends of a way, in words."""
    if trends is None:
        return ""
    told = []
    for column in _told_columns(trends, way):
        measure, name = trends.columns[column]
        start, finish = trends.starts[way, column], trends.finishes[way, column]
        told.append(f"{measure} {name!r} {start:.2f} to {finish:.2f}")
    return "; ".join(told)


def _told_columns(trends: Trends, way: int) -> list[int]:
    """The column of each measure that changes most; of a measure alone several."""
    order = trends.most_changing(way)
    first = {trends.columns[column][0]: column for column in reversed(order)}
    if len(first) == 1:
        return order[:_DESCRIBED]
    return [column for column in order if first[trends.columns[column][0]] == column][:_DESCRIBED]


def percent(share: float) -> str:
    """``25.5 %``."""
    return f"{100 * share:.1f} %"


def of_other_weights(walks: Walks) -> list[str]:
    """A caution where saved directions were found on another generator."""
    found, generator = walks.plan.params.direction, walks.plan.context.generator
    known = {} if found is None else dict(DirectionSet.select(found, found.names).generator)
    if not known or known.get("weights_sha256") == generator.weights_sha256():
        return []
    return [
        "The directions were found on other weights, of"
        f" {known.get('name', 'another generator')!r}: they need not mean the same here."
    ]


def _strongest(walks: Walks) -> str:
    plan, first = walks.plan, walks.ranking[0]
    unit = "" if plan.ways.is_absolute else " standard deviations"
    return (
        f"{plan.ways.short(first)} changes the image of {plan.context.generator.name!r} most:"
        f" {percent(walks.mean_effects[first])} of the way from black to white (root mean square"
        f" over pixels, mean over {len(plan.steps)} steps from {plan.steps[0]:g} to"
        f" {plan.steps[-1]:g}{unit}; n = {_bases(walks)}, seed {plan.context.seed})."
    )


def _bases(walks: Walks) -> str:
    n = walks.plan.n_bases
    return f"{n} base sample{'s' if n > 1 else ''}"


def _order(walks: Walks) -> list[str]:
    if len(walks.effects) == 1:
        return []
    told = [f"{walks.plan.ways.keys[way]} ({percent(walks.mean_effects[way])})"
            for way in walks.ranking[:8]]  # fmt: skip
    n_still = int((walks.mean_effects == 0).sum())
    still = f" {n_still} change nothing at all." if n_still else ""
    return [f"Strongest first: {', '.join(told)}.{still}"]


def _trends(walks: Walks, trends: Trends) -> list[str]:
    n = walks.plan.n_bases
    if n < 4:
        return [
            f"What the measures do is told of {_bases(walks)}; intervals and p values of it take"
            " four or more, as --bases 16 gives."
        ]
    changes, bends = trends.significant(), trends.significant_bends()
    ends = " to ".join(f"{walks.plan.steps[end]:g}" for end in trends.ends)
    if walks.plan.is_outside[:, :, list(trends.ends)].all():
        ends += ", both outside the prior,"
    n_tests = len(trends.changes)
    least = max(2.0 ** (1 - n), 1 / (1 + trends.changes.n_resamples))
    many = f"{trends.changes.n_resamples} resamples, seed {walks.plan.context.seed}"
    head = (
        f"Of {n_tests} pairs of a {'direction' if _are_directions(walks) else 'dimension'} and a"
        f" measure's column, {len(changes) or 'none'} change{'s' if len(changes) == 1 else ''} from"
        f" {ends} with q < {SIGNIFICANT:g} (n = {n} bases, {many})"
        + (", strongest first:" if changes else f"; no p of so few bases is below {least:.2g}.")
    )
    found = [head]
    found += [_change(walks, trends, *one) for one in changes[:_MOST_CHANGES]]
    if len(changes) > _MOST_CHANGES:
        found.append(f"{len(changes) - _MOST_CHANGES} more are in the table `measures`.")
    return found + [_bend(walks, trends, *one) for one in bends[:_MOST_BENDS]]


def _are_directions(walks: Walks) -> bool:
    return isinstance(walks.plan.ways.keys[0], str)


def _change(walks: Walks, trends: Trends, way: int, column: int) -> str:
    found, place = trends.changes, trends.place(way, column)
    measure, name = trends.columns[column]
    size = trends.sizes[way, column]
    told = "" if np.isnan(size) else f", {size:+.1f} standard deviations"
    start, finish = trends.starts[way, column], trends.finishes[way, column]
    limits = trends.interval(place)
    interval = "[no interval]" if limits is None else f"[{limits[0]:.3g}, {limits[1]:.3g}]"
    return (
        f"{walks.plan.ways.short(way)}: {measure} {name!r} {found.mean[place]:+.3g}"
        f" {interval}, from {start:.3g} to {finish:.3g}"
        f"{told} (q = {found.q[place]:.2g})."
    )


def _bend(walks: Walks, trends: Trends, way: int, column: int) -> str:
    found, place = trends.bends, trends.place(way, column)
    measure, name = trends.columns[column]
    side = "above" if found.mean[place] > 0 else "below"
    return (
        f"{walks.plan.ways.short(way)} goes by size, not by sign: {measure} {name!r} is at both"
        f" ends {side} the middle, by {found.mean[place]:+.3g} [{found.low[place]:.3g},"
        f" {found.high[place]:.3g}] (q = {found.q[place]:.2g})."
    )


def _outside(walks: Walks) -> list[str]:
    plan = walks.plan
    if not plan.is_outside.any():
        return []
    inside = walks.pinned[~plan.is_outside]
    pinned = f"{percent(float(walks.pinned[plan.is_outside].mean()))} of an image's values are"
    against = f" against {percent(float(inside.mean()))} within it" if inside.size else ""
    return [
        f"{_which_outside(walks)}: what changes there may be saturation, which the generator never"
        f" showed in training; {pinned} at black or white there{against}."
    ]


def _which_outside(walks: Walks) -> str:
    plan, is_outside = walks.plan, walks.plan.is_outside
    if plan.ways.is_absolute:
        outside = plan.steps[is_outside.any(axis=(0, 1))]
        low, high = plan.ways.usual(0)
        values = ", ".join(f"{value:g}" for value in outside[:12])
        more = ", ..." if len(outside) > 12 else ""
        return f"Steps {values}{more} lie outside the prior's usual range [{low:g}, {high:g}]"
    return (
        f"{int(is_outside.sum())} of {is_outside.size} steps reach beyond three standard deviations"
        " of the prior's mean or its bound, and so outside the prior"
    )
