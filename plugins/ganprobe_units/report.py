"""What the units do: sentences, a table, arrays and figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganprobe import Array, Context, Figure, Result, Table
from ganprobe_units.behaviour import Behaviour
from ganprobe_units.figures import draw_overview, draw_top
from ganprobe_units.images import TopImages, generate_top_images

_ROWS_PER_FIGURE = 12
_MOST_LISTED = 8
_TOLERATED = 0.02  # of a unit's range, between a score and the same score run again


def make_result(behaviour: Behaviour, context: Context) -> Result:
    """The result: findings, a table of all units, arrays, figures."""
    figures, findings = {"units": _overview(behaviour, context)}, _findings(behaviour, context)
    pages = _pages(behaviour.shown)
    for number, shown in enumerate(pages):
        top = generate_top_images(context, behaviour, shown)
        name = f"top-{number + 1}" if number else "top"
        figures[name] = _top_figure(behaviour, top, context, (number, len(pages)))
        findings += _unlike(behaviour, top)
    return Result(
        findings=findings,
        arrays=_arrays(behaviour),
        coordinates=_coordinates(behaviour),
        tables={"units": _table(behaviour)},
        figures={name: figures[name] for name in sorted(figures, key=lambda name: name == "units")},
    )


def _findings(behaviour: Behaviour, context: Context) -> list[str]:
    values, threshold = behaviour.values, behaviour.params.threshold
    dead = [behaviour.units[position] for position in np.flatnonzero(values.is_dead)]
    findings = [
        f"{behaviour.site} of {context.generator.name!r}: {len(dead)} of {values.n_units} units are"
        f" dead ({_listed(dead)}never above {threshold:g}), {int(values.is_constant.sum())} are"
        f" constant; {_made(behaviour, context)}."
    ]
    position = _highest(values.std)
    if position is not None:
        findings.append(
            f"Unit {behaviour.units[position]} varies most: {values.mean[position]:.3g} ±"
            f" {values.std[position]:.3g} (mean ± standard deviation over samples and positions),"
            f" above {threshold:g} in {_percent(values.share_active[position])} of its values."
        )
    position = _highest(behaviour.selectivity)
    if position is not None:
        findings.append(_most_selective(behaviour, position))
    n_lost = int(values.n_not_finite.sum())
    if n_lost:
        findings.append(f"{n_lost:,} values are NaN or infinite, and were left out.")
    return findings


def _most_selective(behaviour: Behaviour, position: int) -> str:
    scores, top = behaviour.scores, behaviour.params.top
    return (
        f"Unit {behaviour.units[position]} is the most selective: its top {top} samples reach"
        f" {scores.top_scores[position].mean():.3g} on average,"
        f" {behaviour.selectivity[position]:.1f} standard deviations above its mean score of"
        f" {scores.mean[position]:.3g} (a sample's score is its largest value); it is above"
        f" {behaviour.params.threshold:g} in"
        f" {_percent(behaviour.values.share_active[position])} of its values, and furthest in"
        f" sample {scores.top_samples[position, 0]} ({scores.top_scores[position, 0]:.3g})."
    )


def _unlike(behaviour: Behaviour, top: TopImages) -> list[str]:
    """A caution where a sample run again for its image gives another score than it had."""
    shown = list(top.shown)
    had = behaviour.scores.top_scores[shown]
    spread = (behaviour.values.maximum - behaviour.values.minimum)[shown, None]
    far = np.nan_to_num(np.abs(top.scores - had) - _TOLERATED * spread)
    if far.max() <= 0:
        return []
    slot, rank = np.unravel_index(int(far.argmax()), far.shape)
    return [
        f"Run again for its image, sample {behaviour.scores.top_samples[shown[slot], rank]} drives"
        f" unit {behaviour.units[shown[slot]]} to {top.scores[slot, rank]:.3g}, where"
        f" {had[slot, rank]:.3g} was recorded: the images are not those of the scores. Give"
        " --batch-size as it was when the activations were recorded, or record them in float32."
    ]


def _arrays(behaviour: Behaviour) -> dict[str, Array]:
    values, scores = behaviour.values, behaviour.scores
    assert values.quantiles is not None
    over = "over samples and positions"
    plain = {
        "mean": (values.mean, f"mean of the values, {over}"),
        "std": (values.std, f"standard deviation of the values, {over}"),
        "minimum": (values.minimum, f"smallest value, {over}"),
        "maximum": (values.maximum, f"largest value, {over}"),
        "share_active": (values.share_active, "share of the values that is above the threshold"),
        "share_of_samples": (scores.share_active, "share of the samples that is active anywhere"),
        "selectivity": (
            behaviour.selectivity,
            "mean top score less mean score, in standard deviations of the scores",
        ),
    }
    arrays = {
        name: Array(held, ("unit",), description=told) for name, (held, told) in plain.items()
    }
    return arrays | {
        "quantiles": Array(
            values.quantiles.values, ("unit", "level"), description=f"of the values, {over}"
        ),
        "top_samples": Array(
            scores.top_samples,
            ("unit", "rank"),
            description="indices of the samples with the highest scores; -1 where there is none",
        ),
        "top_scores": Array(
            scores.top_scores, ("unit", "rank"), description="their largest values over space"
        ),
    }


def _coordinates(behaviour: Behaviour) -> dict[str, Sequence[float]]:
    assert behaviour.values.quantiles is not None
    return {
        "unit": behaviour.units,
        "rank": range(1, behaviour.params.top + 1),
        "level": behaviour.values.quantiles.levels,
    }


def _table(behaviour: Behaviour) -> Table:
    """The core's row of each unit under its own number, and what the scores add."""
    values, scores = behaviour.values, behaviour.scores
    added = zip(
        scores.share_active,
        behaviour.selectivity,
        (None if sample < 0 else int(sample) for sample in scores.top_samples[:, 0]),
        scores.top_scores[:, 0],
        strict=True,
    )
    rows = tuple(
        (unit, *row[1:], *more)
        for unit, row, more in zip(behaviour.units, values.rows(), added, strict=True)
    )
    assert values.quantiles is not None
    rough = "; quantiles within 0.4 %" if values.quantiles.method == "sketch" else ""
    return Table(
        (*values.columns, "share of samples", "selectivity", "top sample", "top score"),
        rows,
        f"each unit of {behaviour.site}, n = {values.n_samples} samples{rough}",
    )


def _overview(behaviour: Behaviour, context: Context) -> Figure:
    made = _made(behaviour, context)
    n = behaviour.values.n_units
    units = "unit" if n == 1 else f"{n:,} units"
    title = f"The {units} of {behaviour.site} of {context.generator.name}"
    drawing = draw_overview(behaviour, title=title, made=made)
    return Figure(drawing, f"Which units of {behaviour.site} are alive and selective ({made}).")


def _top_figure(
    behaviour: Behaviour, top: TopImages, context: Context, page: tuple[int, int]
) -> Figure:
    made, name = _made(behaviour, context), context.generator.name
    title = f"What drives the units of {behaviour.site} of {name} furthest"
    if behaviour.params.units is None:
        n = len(behaviour.shown)
        title += f": the {n} most selective of {behaviour.values.n_units:,}"
    if page[1] > 1:
        title += f" (page {page[0] + 1} of {page[1]})"
    numbers = ", ".join(str(behaviour.units[position]) for position in top.shown)
    caption = (
        f"Images with the highest activation of units {numbers} of {behaviour.site}, the"
        f" activation drawn over them ({made})."
    )
    return Figure(draw_top(behaviour, top, title=title, made=made), caption)


def _pages(shown: tuple[int, ...]) -> list[tuple[int, ...]]:
    starts = range(0, len(shown), _ROWS_PER_FIGURE)
    return [shown[start : start + _ROWS_PER_FIGURE] for start in starts]


def _made(behaviour: Behaviour, context: Context) -> str:
    return f"n = {behaviour.values.n_samples:,} samples, seed {context.seed}"


def _highest(values: NDArray[np.float64]) -> int | None:
    """The position of the largest value above 0; None: there is none."""
    known = np.nan_to_num(values, nan=0.0)
    return int(known.argmax()) if known.max() > 0 else None


def _listed(units: Sequence[int]) -> str:
    if not units:
        return ""
    more = ", ..." if len(units) > _MOST_LISTED else ""
    return f"{', '.join(map(str, units[:_MOST_LISTED]))}{more}: "


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
