"""What a dissection found: sentences, tables, arrays, sets of units, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganprobe import Array, Figure, Result, UnitSet
from ganprobe_dissection.bars import draw_bars
from ganprobe_dissection.card_figure import draw_cards
from ganprobe_dissection.heatmap import draw_heatmap
from ganprobe_dissection.labels import Labelled, file_names
from ganprobe_dissection.place_figure import draw_place
from ganprobe_dissection.sentences import findings, made
from ganprobe_dissection.study import Study
from ganprobe_dissection.tables import class_table, unit_table


def make_result(study: Study) -> Result:
    """The result of a dissection."""
    arrays: dict[str, Array] = {}
    for site in study.sites:
        arrays |= _arrays(site)
    area = study.sites[0].dissection.area / study.sites[0].dissection.n_pixels
    arrays["area"] = Array(area, ("class",), description="share of all pixels that is of the class")
    return Result(
        findings=findings(study),
        arrays=arrays,
        coordinates=_coordinates(study),
        tables={"units": unit_table(study), "classes": class_table(study)},
        figures=_figures(study),
        unit_sets=_unit_sets(study),
    )


def _arrays(site: Labelled) -> dict[str, Array]:
    """Those of one site, its name behind each."""
    found, unit = site.dissection, f"unit_{site.name}"
    of_level = (unit, "class") if found.threshold.ndim == 2 else (unit,)
    rank = f"rank_{site.name}"
    plain: dict[str, tuple[Any, tuple[str, ...], str]] = {
        "iou": (found.iou, (unit, "class"), "intersection over union with each class"),
        "iou_elsewhere": (
            site.elsewhere.iou, (unit, "class"), "the same with the masks of other samples",
        ),
        "information_quality": (
            found.information_quality, (unit, "class"), "mutual information over joint entropy",
        ),
        "class_mean": (found.class_mean, (unit, "class"), "mean activation over a class's pixels"),
        "intersection": (found.intersection, (unit, "class"), "pixels active and of the class"),
        "active": (found.active, of_level, "pixels above the threshold"),
        "coverage": (found.coverage, of_level, "share of all pixels above the threshold"),
        "threshold": (
            found.threshold, of_level, f"the level above which a unit is active,"
            f" {found.threshold_method}",
        ),
        "threshold_error": (
            found.threshold_error, of_level, "how far the threshold is off at most; 0 where exact",
        ),
        "best_class": (found.best_class, (unit,), "place of the class of largest IoU; -1: none"),
        "best_iou": (found.best_iou, (unit,), "the IoU of that class"),
        "iou_low": (found.iou_low, (unit,), "lower limit of its 95 % interval"),
        "iou_high": (found.iou_high, (unit,), "upper limit of its 95 % interval"),
        "stability": (found.stability, (unit,), "share of resamples that keep the best class"),
        "is_label": (site.is_label, (unit,), "the unit counts as drawing its best class"),
        "dead": (found.dead, (unit,), "the unit has one value over all samples and places"),
        "peak_level": (found.peak_level, (unit,), "the level that the share of raw values exceed"),
        "top_samples": (found.top_samples, (unit, rank), "samples of the largest values"),
        "top_values": (found.top_values, (unit, rank), "their largest values"),
    }  # fmt: skip
    return {
        f"{name}_{site.name}": Array(np.asarray(values), dims, description=told)
        for name, (values, dims, told) in plain.items()
    }


def _coordinates(study: Study) -> dict[str, Sequence[Any]]:
    coordinates: dict[str, Sequence[Any]] = {"class": study.classes}
    for site in study.sites:
        coordinates[f"unit_{site.name}"] = site.dissection.units
        n_ranks = site.dissection.top_samples.shape[1]
        coordinates[f"rank_{site.name}"] = range(1, n_ranks + 1)
    return coordinates


def _unit_sets(study: Study) -> dict[str, UnitSet]:
    """For each site and class those that count as drawing it, largest IoU first."""
    names = file_names(study.classes)
    return {
        f"{site.name}-{names[name]}": _unit_set(study, site, place)
        for site in study.sites
        for place, name in enumerate(study.classes)
        if site.places(place)
    }


def _unit_set(study: Study, site: Labelled, of_class: int) -> UnitSet:
    params, found, places = study.plan.params, site.dissection, site.places(of_class)
    identity = study.plan.context.generator.to_json()
    tensor = study.plan.tensors[study.sites.index(site)]
    return UnitSet(
        tuple(found.units[place] for place in places),
        str(tensor.site),
        {name: identity[name] for name in ("name", "weights_sha256", "normalisation")},
        {
            "class": study.classes[of_class],
            "segmenter": study.plan.segmenter.name,
            "order": "IoU, largest first",
            "iou": found.iou[places, of_class],
            "stability": found.stability[places],
            "domain": params.domain,
            "share": params.share,
            "least_iou": params.least_iou,
            "least_information": params.needed_information,
            "seed": study.plan.context.seed,
            "n_samples": params.n_samples,
        },
    )


def _figures(study: Study) -> dict[str, Figure]:
    sites = ", ".join(site.dissection.site for site in study.sites)
    how = made(study)
    figures = {
        "classes": Figure(draw_bars(study), f"How many units of {sites} draw each class ({how}).")
    }
    if study.cards:
        figures["cards"] = Figure(
            draw_cards(study),
            f"Units of {sites} with the images that drive each furthest, outlined where it is"
            f" active ({how}).",
        )
    figures["iou"] = Figure(
        draw_heatmap(study), f"IoU of the units of {sites} with each class ({how})."
    )
    if any(site.has_chance for site in study.sites):
        figures["place"] = Figure(
            draw_place(study),
            f"IoU of the units of {sites}, and what they reach with masks of other samples"
            f" ({how}).",
        )
    return figures
