"""What walks along dimensions or directions give: sentences, tables, arrays, figures, films."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ganprobe import Animation, Array, Figure, Result, Table
from ganprobe_traversal.films import film_of
from ganprobe_traversal.ranking_figure import draw_page, draw_ranking, standard_errors
from ganprobe_traversal.sentences import describe_way, findings_of_walks
from ganprobe_traversal.trends import Trends, find_trends
from ganprobe_traversal.trends_figure import draw_trends
from ganprobe_traversal.walk import Walks
from ganprobe_traversal.way_figure import draw_way

__all__ = ["dataset_name", "report_walks"]


def report_walks(walks: Walks) -> Result:
    """The result of a traversal along dimensions or directions."""
    trends = find_trends(walks)
    tables = {"ranking": _ranking_table(walks)}
    if trends is not None:
        tables["measures"] = _trends_table(walks, trends)
    return Result(
        findings=findings_of_walks(walks, trends),
        arrays=_arrays(walks),
        coordinates=_coordinates(walks),
        tables=tables,
        figures=_figures(walks, trends),
        animations=_animations(walks, trends),
    )


def dataset_name(name: str) -> str:
    """A name that a dataset and a file can have."""
    return re.sub(r"[^\w.-]", "_", name)


def _coordinates(walks: Walks) -> dict[str, Any]:
    plan = walks.plan
    coordinates: dict[str, Any] = {
        "dim": list(plan.ways.keys),
        "base": list(plan.latents.indices or range(plan.n_bases)),
        "step": plan.steps.tolist(),
        "shown_dim": [plan.ways.keys[way] for way in walks.shown],
    }
    return coordinates | {
        f"{dataset_name(measure.name)}_column": list(measure.columns) for measure in plan.measures
    }


def _arrays(walks: Walks) -> dict[str, Array]:
    plan = walks.plan
    own = plan.ways.coordinates(plan.points).T.double().cpu().numpy()
    arrays = {
        "effect": Array(
            walks.effects,
            ("dim", "base", "step"),
            description="root mean square change of the image against its base, black to white 1",
        ),
        "is_outside": Array(
            plan.is_outside.astype(np.uint8),
            ("dim", "base", "step"),
            description="1 where a step lies outside the prior's usual range",
        ),
        "pinned": Array(
            walks.pinned,
            ("dim", "base", "step"),
            description="share of the image's values at black or white: saturated ones",
        ),
        "base_value": Array(
            own, ("dim", "base"), description="the base's own coordinate, in the space's unit"
        ),
        "deviation": Array(
            plan.ways.deviations, ("dim",), description="of the coordinate over the prior's samples"
        ),
        "image": Array(
            walks.images,
            ("shown_dim", "row", "column", "channel", "y", "x"),
            description="images, black 0 and white 1; column 0 is the base, then the steps",
        ),
    }
    for name, values in walks.measures.items():
        arrays[f"measure_{dataset_name(name)}"] = Array(
            values,
            ("dim", "base", "column", f"{dataset_name(name)}_column"),
            description=f"measure {name!r} of each image; column 0 is the base, then the steps",
        )
    return arrays


def _ranking_table(walks: Walks) -> Table:
    columns = ("rank", "dimension", "mean_effect", "standard_error", "most_changing_step")
    errors = standard_errors(walks)
    rows = tuple(
        (
            rank + 1,
            walks.plan.ways.keys[way],
            float(walks.mean_effects[way]),
            errors[way],
            float(walks.plan.steps[walks.effects[way].mean(axis=0).argmax()]),
        )
        for rank, way in enumerate(walks.ranking)
    )
    return Table(columns, rows, "effects from 0 to 1; standard errors over base samples")


def _trends_table(walks: Walks, trends: Trends) -> Table:
    changes, bends, steps = trends.changes, trends.bends, walks.plan.steps
    rows = []
    for way in walks.ranking:
        for column, (measure, name) in enumerate(trends.columns):
            at = trends.place(way, column)
            rows.append(
                (
                    walks.plan.ways.keys[way], measure, name,
                    float(trends.starts[way, column]), float(trends.finishes[way, column]),
                    changes.mean[at], changes.low[at], changes.high[at], changes.p[at],
                    changes.q[at], float(trends.sizes[way, column]),
                    bends.mean[at], bends.low[at], bends.high[at], bends.p[at], bends.q[at],
                )
            )  # fmt: skip
    first, last = (f"{steps[end]:g}" for end in trends.ends)
    return Table(
        ("dimension", "measure", "column", "start", "finish", "change", "low", "high", "p", "q",
         "size", "bend", "bend_low", "bend_high", "bend_p", "bend_q"),
        tuple(rows),
        f"means over bases at steps {first} and {last}; change: finish less start, twice the odd"
        " part; bend: mean of both less the middle, the even part; limits of 95 % intervals; q over"
        " all rows; size: the change in standard deviations over all images of the walks",
    )  # fmt: skip


def _figures(walks: Walks, trends: Trends | None) -> dict[str, Figure]:
    made, figures = walks.plan.made, dict[str, Figure]()
    figures["ranking"] = Figure(
        draw_ranking(walks), f"How much each dimension changes the image ({made})."
    )
    figures["all-dimensions"] = Figure(
        draw_page(walks), f"One base sample walked along every dimension ({made})."
    )
    drawn = None if trends is None else draw_trends(walks, trends)
    if drawn is not None:
        figures["measures"] = Figure(drawn, f"What each dimension does to each measure ({made}).")
    for slot, way in enumerate(walks.shown):
        told = describe_way(walks, trends, way)
        caption = f"{walks.plan.ways.title(way)} of {made}: {told or 'walked'}."
        figures[_file_name(walks, way)] = Figure(draw_way(walks, slot, told), caption)
    return figures


def _animations(walks: Walks, trends: Trends | None) -> dict[str, Animation]:
    plan = walks.plan
    if not plan.params.animate:
        return {}
    films = {}
    for slot, way in enumerate(walks.shown):
        told = describe_way(walks, trends, way)
        caption = f"{plan.ways.title(way)} of {plan.made}, there and back: {told or 'walked'}."
        images = walks.images[slot][:, 1:]
        films[_file_name(walks, way)] = film_of(
            images, plan.is_outside[way][: len(images)], caption, plan.params
        )
    return films


def _file_name(walks: Walks, way: int) -> str:
    key = walks.plan.ways.keys[way]
    return f"dimension-{key:03d}" if isinstance(key, int) else f"direction-{dataset_name(key)}"
