"""What an ablation found: sentences, tables, arrays, sets of units, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganprobe import Array, Context, Figure, Result, Table, UnitSet, control_band
from ganprobe_ablation.curve_figure import draw_curve
from ganprobe_ablation.on_top import COMPARISONS, CONDITIONS, OnTop
from ganprobe_ablation.pictures import draw_images, draw_on_top
from ganprobe_ablation.ranking_figure import draw_ranking
from ganprobe_ablation.sentences import findings, made
from ganprobe_ablation.study import Curve, Study


def make_result(study: Study, context: Context) -> Result:
    """The result of an ablation."""
    arrays, coordinates = _arrays(study), _coordinates(study)
    tables = {"ranking": _ranking_table(study), "curve": _curve_table(study)}
    if study.on_top is not None:
        arrays["on_top"] = Array(
            study.on_top.values, ("condition", "sample"), description="the measure"
        )
        coordinates["condition"] = CONDITIONS
        tables |= {"four": _four_table(study.on_top), "compared": _compared_table(study.on_top)}
    return Result(
        findings=findings(study),
        arrays=arrays,
        coordinates=coordinates,
        tables=tables,
        figures=_figures(study),
        unit_sets={
            f"{curve.strategy}-{len(curve.units)}": _unit_set(study, curve)
            for curve in study.curves
        },
    )


def _arrays(study: Study) -> dict[str, Array]:
    effects, change = study.effects, f"change of {study.plan.name}"
    band = control_band(study.random_effects)
    scores = {"likeness": "mean |r| of map and image", "given": "place in the order given"}
    order = study.plan.params.order
    score = scores.get(order, f"mean {change}")
    score += "" if order == "given" else ", ranking samples"
    return {
        "effect": Array(effects.mean, ("unit",), description=f"mean {change}, each unit alone"),
        "low": Array(effects.low, ("unit",), description="lower limit of its 95 % interval"),
        "high": Array(effects.high, ("unit",), description="upper limit of its 95 % interval"),
        "p": Array(effects.p, ("unit",), description="by sign flips, two-sided"),
        "q": Array(effects.q, ("unit",), description="Benjamini-Hochberg over units"),
        "ranked_by": Array(study.ranking.by, ("unit",), description=score),
        "effect_by_sample": Array(study.by_sample, ("unit", "sample"), description=change),
        "base": Array(study.base, ("sample",), description="the measure, nothing ablated"),
        **_curve_arrays(study, change),
        **_left_arrays(study),
        "random_curve": Array(
            study.random_effects, ("draw", "size"), description=f"mean {change}, random sets"
        ),
        "random_low": Array(band[0], ("size",), description="lower limit of the control band"),
        "random_high": Array(band[1], ("size",), description="upper limit of the control band"),
        "random_units": Array(
            np.array(study.random.draws), ("draw", "size"), description="the unit added"
        ),
    }


def _curve_arrays(study: Study, change: str) -> dict[str, Array]:
    def stacked(values: Sequence[Any], described: str, *more: str) -> Array:
        return Array(np.stack(values), ("strategy", "size", *more), description=described)

    curves = study.curves
    return {
        "curve": stacked([one.effects.mean for one in curves], f"mean {change}, units together"),
        "curve_low": stacked([one.effects.low for one in curves], "lower limit, 95 % interval"),
        "curve_high": stacked([one.effects.high for one in curves], "upper limit, 95 % interval"),
        "curve_p": stacked([one.effects.p for one in curves], "by sign flips, two-sided"),
        "curve_units": stacked([one.units for one in curves], "the unit added"),
        "curve_by_sample": stacked([one.by_sample for one in curves], change, "sample"),
    }


def _left_arrays(study: Study) -> dict[str, Array]:
    """Of an area, the share that is left."""
    if not study.is_area:
        return {}
    left = [study.left(curve) for curve in study.curves]
    dims, of = ("strategy", "size"), "share of the unedited area"
    random = 1 + study.random_effects / study.base.mean()
    return {
        "left": Array(np.stack([one.mean for one in left]), dims, of, "area left, units together"),
        "left_low": Array(np.stack([one.low for one in left]), dims, of, "lower limit, 95 %"),
        "left_high": Array(np.stack([one.high for one in left]), dims, of, "upper limit, 95 %"),
        "random_left": Array(random, ("draw", "size"), of, "area left, random sets"),
    }


def _coordinates(study: Study) -> dict[str, Sequence[Any]]:
    measured = study.plan.samples.measured
    return {
        "unit": study.ranking.units,
        "sample": measured.indices or range(len(measured)),
        "size": range(1, study.plan.n_top + 1),
        "strategy": [curve.strategy for curve in study.curves],
    }


def _ranking_table(study: Study) -> Table:
    effects, score = study.effects, study.plan.params.order
    columns = zip(
        range(1, len(effects) + 1), study.ranking.units, study.ranking.by.tolist(),
        effects.mean, effects.low, effects.high, effects.p, effects.q, strict=True,
    )  # fmt: skip
    return Table(
        ("rank", "unit", _score_name(score), "effect", "low", "high", "p", "q"),
        tuple(columns),
        f"change of {study.plan.name}, each unit alone {study.plan.target.words}; {made(study)}",
    )


def _score_name(order: str) -> str:
    return "place in the order given" if order == "given" else f"{order} on ranking samples"


def _curve_table(study: Study) -> Table:
    below, above = control_band(study.random_effects)
    rows = [
        (curve.strategy, size + 1, curve.units[size], curve.effects.mean[size],
         curve.effects.low[size], curve.effects.high[size], curve.effects.p[size],
         study.random_effects[:, size].mean(), below[size], above[size])
        for curve in study.curves
        for size in range(len(curve.units))
    ]  # fmt: skip
    return Table(
        ("strategy", "units", "unit added", "effect", "low", "high", "p",
         "random effect", "random low", "random high"),
        tuple(rows),
        f"change of {study.plan.name}, units together {study.plan.target.words}; {made(study)}",
    )  # fmt: skip


def _four_table(on_top: OnTop) -> Table:
    rows = zip(CONDITIONS, on_top.mean, on_top.low, on_top.high, strict=True)
    return Table(("condition", "mean", "low", "high"), tuple(rows), "the measure over samples")


def _compared_table(on_top: OnTop) -> Table:
    found = on_top.effects
    rows = zip(COMPARISONS, found.mean, found.low, found.high, found.p, found.q, strict=True)
    columns = ("compared", "effect", "low", "high", "p", "q")
    return Table(columns, tuple(rows), "paired differences of the conditions; both: swap on top")


def _unit_set(study: Study, curve: Curve) -> UnitSet:
    plan, params = study.plan, study.plan.params
    identity = plan.context.generator.to_json()
    return UnitSet(
        curve.units,
        plan.target.site,
        {name: identity[name] for name in ("name", "weights_sha256", "normalisation")},
        {
            "measure": plan.name,
            "strategy": curve.strategy,
            "order": params.order,
            "direction": params.direction,
            "to": params.to,
            "region": params.region,
            "strength": params.strength,
            "seed": plan.context.seed,
            "samples": None if params.samples is None else str(params.samples),
            "skipped": params.n_samples,
            "n_ranked": params.n_ranked,
            "values": curve.chosen.by.tolist(),
        },
    )


def _figures(study: Study) -> dict[str, Figure]:
    site, measure, how = study.plan.target.site, study.plan.name, made(study)
    words = study.plan.target.words
    figures = {
        "ranking": Figure(
            draw_ranking(study),
            f"What each unit of {site}, alone {words}, does to {measure} ({how}).",
        ),
        "curve": Figure(
            draw_curve(study),
            f"What the first units, together {words}, do to {measure}, beside random sets ({how}).",
        ),
        "images": Figure(
            draw_images(study), f"Samples with units of {site} {words}, and random units ({how})."
        ),
    }
    if study.on_top is not None:
        figures["four"] = Figure(
            draw_on_top(study, study.on_top),
            f"Samples with nothing done, units of {site} {words}, others swapped, both ({how}).",
        )
    return figures
