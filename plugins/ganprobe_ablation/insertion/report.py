"""What an insertion found: sentences, tables, arrays, sets of units, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganprobe import Array, Figure, Result, Table, UnitSet, control_band, draw_context_map
from ganprobe_ablation.insertion.average_figure import draw_average
from ganprobe_ablation.insertion.pictures import draw_inserted, first_images
from ganprobe_ablation.insertion.sentences import insertion_findings, made_insertion, units_words
from ganprobe_ablation.insertion.shares_figure import draw_shares
from ganprobe_ablation.insertion.study import InsertionStudy

_OF_IMAGE = "share of the image"


def make_result(study: InsertionStudy) -> Result:
    """The result of an insertion."""
    tables = {"contexts": _context_table(study), "average": _average_table(study)}
    if study.location is not None:
        tables["place"] = _place_table(study)
    return Result(
        findings=insertion_findings(study),
        arrays=_arrays(study),
        coordinates=_coordinates(study),
        tables=tables,
        figures=_figures(study),
        unit_sets=_unit_sets(study),
    )


def _arrays(study: InsertionStudy) -> dict[str, Array]:
    plan, found, average = study.plan, study.context, study.average
    name, places = plan.name, ("sample", "y", "x")
    arrays = {
        "base": Array(found.base, ("sample",), _OF_IMAGE, f"area of {name}, nothing inserted"),
        "change": Array(found.change, places, _OF_IMAGE, f"change of {name}, inserted here"),
        "change_here": Array(
            found.change_here, places, _OF_IMAGE, f"change of {name} under the window alone"
        ),
        "there": Array(
            found.there.astype(np.int16), places, "", "place of the class before; -1: none of them"
        ),
        "took": Array(found.took.astype(np.uint8), places, "", f"{name} appeared, 0 or 1"),
        "level": Array(plan.levels.numpy(), ("unit",), "", "what each unit of the site becomes"),
        "inserted": Array(
            average.inserted, ("set", "sample"), "share of the window", f"{name}, units at levels"
        ),
        "ablated": Array(
            average.ablated, ("set", "sample"), "share of the window", f"{name}, units at 0"
        ),
        "average_effect": Array(
            average.effects.mean, ("set",), "share of the window", "inserted less ablated, mean"
        ),
    }
    if plan.iou is not None:
        arrays["iou"] = Array(plan.iou, ("unit",), "", f"with {name}, on the ranking samples")
    return arrays | _location_arrays(study) | _optimised_arrays(study)


def _location_arrays(study: InsertionStudy) -> dict[str, Array]:
    found = study.location
    if found is None:
        return {}
    dims = ("where", "sample")
    return {
        "place_base": Array(found.base, dims, _OF_IMAGE, "nothing inserted"),
        "place_after": Array(found.after, dims, _OF_IMAGE, "units inserted at the place"),
        "place_random": Array(
            found.random, ("draw", "where"), _OF_IMAGE, "mean change by random units"
        ),
    }


def _optimised_arrays(study: InsertionStudy) -> dict[str, Array]:
    found = study.optimised
    if found is None:
        return {}
    return {
        "share": Array(found.alpha, ("unit",), "", "how far each unit is moved, in [0, 1]"),
        "share_start": Array(found.start, ("unit",), "", "where the shares began"),
        "step_effect": Array(
            found.effect, ("step",), "share of the window", "of the step's samples"
        ),
        "step_loss": Array(found.loss, ("step",), "", "penalty less effect"),
    }


def _coordinates(study: InsertionStudy) -> dict[str, Sequence[Any]]:
    measured, found = study.plan.samples.measured, study.context.places
    coordinates: dict[str, Sequence[Any]] = {
        "sample": measured.indices or range(len(measured)),
        "y": [(row + 0.5) / found.grid[0] for row in range(found.grid[0])],
        "x": [(column + 0.5) / found.grid[1] for column in range(found.grid[1])],
        "unit": range(study.plan.tensor.n_units),
        "set": _set_names(study),
    }
    if study.location is not None:
        coordinates["where"] = ("image", "place")
    return coordinates


def _set_names(study: InsertionStudy) -> list[str]:
    chosen = ["inserted", "optimised"][: study.n_chosen]
    return [*chosen, *(f"random {number}" for number in range(len(study.plan.draws)))]


def _context_table(study: InsertionStudy) -> Table:
    found = study.context
    names = (
        "there", "mean", "low", "high", "p", "q", "here", "took", "took_low", "took_high",
        "n_cells", "n_samples", "n_absent", "n_took",
    )  # fmt: skip
    rows = [
        tuple(getattr(one, name) for name in names) for one in (*found.by_class, found.anywhere)
    ]
    return Table(
        ("what was there", *names[1:]),
        tuple(rows),
        f"change of the area of {study.plan.name}, {_OF_IMAGE}; {made_insertion(study.plan)}",
    )


def _average_table(study: InsertionStudy) -> Table:
    found, chosen = study.average, study.n_chosen
    low, high = (float(limit) for limit in control_band(study.random_effects))
    rows = [
        (name, found.inserted[row].mean(), found.ablated[row].mean(), found.base.mean(),
         found.effects.mean[row], found.effects.low[row], found.effects.high[row],
         found.effects.p[row], low, high)
        for row, name in enumerate(_set_names(study)[:chosen])
    ]  # fmt: skip
    return Table(
        ("units", "at levels", "at 0", "unedited", "effect", "low", "high", "p",
         "random low", "random high"),
        tuple(rows),
        f"share of the window that {study.plan.name} covers; {made_insertion(study.plan)}",
    )  # fmt: skip


def _place_table(study: InsertionStudy) -> Table:
    found = study.location
    assert found is not None
    low, high = control_band(found.random)
    rows = [
        (where, found.base[row].mean(), found.after[row].mean(), found.effects.mean[row],
         found.effects.low[row], found.effects.high[row], found.effects.p[row], low[row], high[row])
        for row, where in enumerate(("image", "place"))
    ]  # fmt: skip
    return Table(
        ("where", "before", "after", "change", "low", "high", "p", "random low", "random high"),
        tuple(rows),
        f"area of {study.plan.name}, {_OF_IMAGE}, inserted at {found.written}",
    )


def _unit_sets(study: InsertionStudy) -> dict[str, UnitSet]:
    plan, params = study.plan, study.plan.params
    identity = plan.context.generator.to_json()
    generator = {name: identity[name] for name in ("name", "weights_sha256", "normalisation")}

    def named(units: tuple[int, ...], row: int, **how: Any) -> UnitSet:
        found = {
            "segmenter": params.segmenter, "class": plan.name, "level": params.level,
            "levels": plan.levels[list(units)].tolist(), "seed": plan.context.seed,
            "average_effect": float(study.average.effects.mean[row]), **how,
        }  # fmt: skip
        return UnitSet(units, plan.site, generator, found)

    iou = None if plan.iou is None else plan.iou[list(plan.units)].tolist()
    sets = {f"inserted-{len(plan.units)}": named(plan.units, 0, iou=iou)}
    if study.optimised is not None:
        units = study.optimised_units
        share = dict(zip(study.optimised.units, study.optimised.alpha.tolist(), strict=True))
        shares = [share[unit] for unit in units]
        how = study.optimised.how
        sets[f"optimised-{len(units)}"] = named(units, 1, share=shares, optimised=how)
    return sets


def _figures(study: InsertionStudy) -> dict[str, Figure]:
    plan, how = study.plan, made_insertion(study.plan)
    figures = {
        "contexts": Figure(
            draw_context_map(
                study.context, first_images(plan), made=how,
                class_colours=plan.segmenter.class_colours,
            ),
            f"Where {units_words(plan)} make {plan.name} appear ({how}).",
        ),
        "images": Figure(
            draw_inserted(study), f"Samples before and after {units_words(plan)} ({how})."
        ),
        "average": Figure(
            draw_average(study),
            f"Average causal effect on {plan.name}, beside random units ({how}).",
        ),
    }  # fmt: skip
    if study.optimised is not None:
        figures["shares"] = Figure(
            draw_shares(study), f"Optimised shares of the units of {plan.site} ({how})."
        )
    return figures
