"""The tables: a row for each unit, and one for each class at each site."""

from __future__ import annotations

from collections.abc import Iterator

from ganprobe import Table
from ganprobe_dissection.labels import Labelled
from ganprobe_dissection.sentences import made
from ganprobe_dissection.study import Study

_Row = tuple[str | int | float | bool | None, ...]


def unit_table(study: Study) -> Table:
    """What each unit draws, site by site."""
    columns = (
        "site", "unit", "class", "IoU", "low", "high", "stability", "information quality",
        "IoU elsewhere", "coverage", "threshold", "dead", "interpretable", "top sample",
    )  # fmt: skip
    rows = tuple(row for site in study.sites for row in _unit_rows(study, site))
    return Table(
        columns, rows, f"each unit with its best class; elsewhere: other samples; {made(study)}"
    )


def _unit_rows(study: Study, site: Labelled) -> Iterator[_Row]:
    found = site.dissection
    quality, chance = site.of_best(found.information_quality), site.chance
    coverage, threshold = found.coverage, found.threshold
    if threshold.ndim == 2:
        coverage, threshold = site.of_best(coverage), site.of_best(threshold)
    for place, unit in enumerate(found.units):
        best = int(found.best_class[place])
        yield (
            found.site, unit, None if best < 0 else study.classes[best],
            found.best_iou[place], found.iou_low[place], found.iou_high[place],
            found.stability[place], quality[place], chance[place], coverage[place],
            threshold[place], bool(found.dead[place]), bool(site.is_label[place]),
            int(found.top_samples[place, 0]),
        )  # fmt: skip


def class_table(study: Study) -> Table:
    """How many units draw each class, and which does so best."""
    columns = (
        "site", "class", "units", "best unit", "IoU", "low", "high", "stability",
        "area", "largest possible IoU",
    )  # fmt: skip
    rows = tuple(row for site in study.sites for row in _class_rows(study, site))
    return Table(
        columns, rows, f"units that draw each class, area as share of pixels; {made(study)}"
    )


def _class_rows(study: Study, site: Labelled) -> Iterator[_Row]:
    found, ceiling = site.dissection, site.ceiling()
    for place, name in enumerate(study.classes):
        of_class = site.places(place)
        best: _Row = (None,) * 5
        if of_class:
            unit = of_class[0]
            best = (
                found.units[unit], found.best_iou[unit], found.iou_low[unit],
                found.iou_high[unit], found.stability[unit],
            )  # fmt: skip
        area = found.area[place] / found.n_pixels
        yield (found.site, name, len(of_class), *best, area, ceiling[place])
