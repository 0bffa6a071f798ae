"""What the causal stage found, beside what the dissection did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ganprobe import Array, Figure, Result, UnitSet, control_band, draw_context_map
from ganprobe_dissection.causal_sentences import causal_findings
from ganprobe_dissection.causal_tables import context_table, effect_table, removal_table
from ganprobe_dissection.causes import Cause
from ganprobe_dissection.collateral_figure import draw_collateral
from ganprobe_dissection.fill import NO_CLASS
from ganprobe_dissection.four_rows import draw_four_rows
from ganprobe_dissection.palette import class_colours
from ganprobe_dissection.removal import Curve
from ganprobe_dissection.removal_figure import draw_removal

_EXAMPLES = 6


def with_causes(result: Result, causes: Sequence[Cause]) -> Result:
    """The result of a dissection with what the units of classes cause, if that was asked."""
    if not causes:
        return result
    told = [sentence for cause in causes for sentence in causal_findings(cause)]
    return replace(
        result,
        findings=[*result.findings[:1], *told, *result.findings[1:]],
        arrays=_joined(result.arrays, *map(_arrays, causes)),
        coordinates=_joined(result.coordinates, *map(_coordinates, causes)),
        tables=_joined(
            result.tables,
            {
                "removal": removal_table(causes),
                "effects": effect_table(causes),
                "context": context_table(causes),
            },
        ),
        figures=_joined(result.figures, *map(_figures, causes)),
        unit_sets=_joined(result.unit_sets, *map(_unit_sets, causes)),
    )


def _joined(first: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(first)
    for other in others:
        both |= other
    return both


def _arrays(cause: Cause) -> dict[str, Array]:
    """Those of one class at one site, their names behind each."""
    question, removal, insertion = cause.question, cause.removal, cause.insertion
    name, of_image = question.name, "shares of the image"
    order, size, draw = (f"{dim}_{name}" for dim in ("order", "removed", "draw"))
    found, context, levels = removal.collateral, insertion.context, insertion.levels
    band = control_band(removal.control.shares(question.column))
    column = question.column

    def curves(read: Any) -> Any:
        return np.stack([read(curve) for curve in removal.curves])

    plain: dict[str, tuple[Any, tuple[str, ...], str]] = {
        "share_left": (curves(lambda one: one.share), (order, size), "what is left of the class"),
        "share_low": (curves(lambda one: one.low), (order, size), "lower limit, 95 % interval"),
        "share_high": (curves(lambda one: one.high), (order, size), "upper limit, 95 % interval"),
        "removal_p": (curves(lambda one: one.effects.p), (order, size), "by sign flips"),
        "removal_q": (
            curves(lambda one: one.effects.q), (order, size), "Benjamini-Hochberg over sizes",
        ),
        "areas_removed": (
            curves(lambda one: one.areas), (order, size, "causal_sample", "class"), of_image,
        ),
        "random_areas": (
            removal.control.areas, (draw, size, "class"), f"random sets removed, mean, {of_image}",
        ),
        "random_low": (band[0], (size,), "what random sets leave, lower limit of the band"),
        "random_high": (band[1], (size,), "what random sets leave, upper limit of the band"),
        "areas": (removal.base, ("causal_sample", "class"), f"nothing edited, {of_image}"),
        "areas_inserted": (insertion.areas, ("causal_sample", "class"), of_image),
        "collateral": (found.mean, ("class",), f"change of areas, class removed, {of_image}"),
        "collateral_low": (found.low, ("class",), "lower limit, 95 % interval"),
        "collateral_high": (found.high, ("class",), "upper limit, 95 % interval"),
        "hole": (
            removal.hole, ("causal_sample", f"now_{name}"), f"what the class became, {of_image}",
        ),
        "level": (levels[list(insertion.units)], (f"inserted_{name}",), "what units are set to"),
        "context_change": (
            context.change, ("choosing_sample", f"y_{name}", f"x_{name}"),
            f"change of the class's area by inserting at a place, {of_image}",
        ),
        "context_there": (
            context.there, ("choosing_sample", f"y_{name}", f"x_{name}"),
            "place of the class that was there; -1: none",
        ),
        "inserted_share": (
            insertion.average.inserted[0], ("causal_sample",), f"of random places, {column}",
        ),
        "zeroed_share": (
            insertion.average.ablated[0], ("causal_sample",), "of the same, units at zero",
        ),
    }  # fmt: skip
    return {
        f"{key}_{name}": Array(np.asarray(values), dims, description=told)
        for key, (values, dims, told) in plain.items()
    }


def _coordinates(cause: Cause) -> dict[str, Sequence[Any]]:
    question = cause.question
    rows = question.measured.indices or range(len(question.measured))
    others = question.choosing.indices or range(len(question.choosing))
    return {
        f"order_{question.name}": [curve.order for curve in cause.removal.curves],
        f"removed_{question.name}": question.sizes,
        f"inserted_{question.name}": cause.insertion.units,
        f"now_{question.name}": (*question.segmenter.classes, NO_CLASS),
        "causal_sample": rows,
        "choosing_sample": others,
    }


def _figures(cause: Cause) -> dict[str, Figure]:
    question = cause.question
    name, site, how = question.class_name, question.site, question.made()
    first = question.choosing[:_EXAMPLES]
    images = question.context.generator.to_unit_range(question.context.probe.images(first))
    context = draw_context_map(
        cause.insertion.context,
        images.float().cpu().numpy(),
        made=how,
        class_colours=class_colours(question.segmenter),
        mark=cause.insertion.place,
    )
    return {
        f"four-{question.name}": Figure(
            draw_four_rows(cause),
            f"Samples as generated, with {name} and its units identified, with the units of {site}"
            f" removed, and inserted ({how}).",
        ),
        f"removal-{question.name}": Figure(
            draw_removal(cause.removal),
            f"What is left of {name} when its units of {site} are removed, beside random sets"
            f" ({how}).",
        ),
        f"collateral-{question.name}": Figure(
            draw_collateral(cause.removal),
            f"What else changes when the units of {name} at {site} are removed, and what is there"
            f" now ({how}).",
        ),
        f"context-{question.name}": Figure(
            context, f"Where {name} appears when its units of {site} are inserted ({how})."
        ),
    }


def _unit_sets(cause: Cause) -> dict[str, UnitSet]:
    """In the order of each curve, and the optimised ones."""
    question, optimised = cause.question, cause.insertion.optimised
    sets = {
        f"{question.name}-{curve.order.lower()}-{len(curve.units)}": _unit_set(cause, curve)
        for curve in cause.removal.curves
    }
    if optimised is not None:
        units = optimised.top(question.n_units)
        alpha = dict(zip(optimised.units, optimised.alpha.tolist(), strict=True))
        sets[f"{question.name}-optimised-{len(units)}"] = _named(
            cause, units, "optimised, largest share first",
            {"alpha": [alpha[unit] for unit in units], "way": optimised.way},
        )  # fmt: skip
    return sets


def _unit_set(cause: Cause, curve: Curve) -> UnitSet:
    order = {"IoU": "IoU, largest first", "greedy": "greedy, that leaves least of the class"}
    found = cause.removal.found
    values = {} if curve.order == "IoU" or found is None else {"left": found.values}
    return _named(cause, curve.units, order[curve.order], values)


def _named(cause: Cause, units: tuple[int, ...], order: str, values: Mapping[str, Any]) -> UnitSet:
    question, params = cause.question, cause.question.params
    identity = question.context.generator.to_json()
    return UnitSet(
        units,
        question.site,
        {name: identity[name] for name in ("name", "weights_sha256", "normalisation")},
        {
            "class": question.class_name,
            "segmenter": question.segmenter.name,
            "order": order,
            "seed": question.context.seed,
            "n_samples": params.n_samples,
            "n_choosing": params.n_choosing,
            "skipped": params.n_samples,
            **values,
        },
    )
