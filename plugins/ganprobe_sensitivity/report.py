"""What the study found: sentences, tables, arrays, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganprobe import Array, Figure, Result, Table
from ganprobe_sensitivity.acts import Acts
from ganprobe_sensitivity.figures import (
    draw_associations,
    draw_cosines,
    draw_ranking,
    draw_where,
)
from ganprobe_sensitivity.moves import Moves
from ganprobe_sensitivity.one_page import draw_one_page
from ganprobe_sensitivity.sentences import (
    alike,
    best_places,
    column_words,
    findings,
    made,
    random_reach,
    step_words,
)
from ganprobe_sensitivity.study import Study, band

_SHARE = "share of black to white"


def make_result(study: Study) -> Result:
    """The result of a sensitivity analysis."""
    tables = {"elements": _element_table(study)}
    if study.associated is not None:
        tables["associations"] = _association_table(study)
    return Result(
        findings=findings(study),
        arrays=_arrays(study),
        coordinates=_coordinates(study),
        tables=tables,
        figures=_figures(study),
    )


def _arrays(study: Study) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    if study.steps is not None:
        arrays |= _of_moves(study.steps, "step", "finite step")
    if study.slopes is not None:
        arrays |= _of_moves(study.slopes, "jvp", "derivative")
    arrays |= _likeness_arrays(alike(study).elements)
    if study.caused is not None:
        arrays["caused"] = Array(
            study.caused.by_sample,
            ("element", "column", "sample"),
            description="change of the measure for one deviation upward, by a finite step",
        )
    arrays["shown_images"] = Array(
        study.images.numpy(),
        ("shown", "shown_sample", "position", "channel", "y", "x"),
        description="with the element low, in the middle and high, all else as in the sample",
    )
    return arrays | _association_arrays(study)


def _of_moves(moves: Moves, name: str, words: str) -> dict[str, Array]:
    what = f"RMS change of the image for one deviation, {words}"
    maps = f"mean absolute change for one deviation, {words}"
    return {
        name: Array(moves.elements.by_sample, ("element", "sample"), _SHARE, what),
        f"{name}_random": Array(
            moves.random.by_sample, ("direction", "sample"), _SHARE, f"{what}, random directions"
        ),
        f"{name}_where": Array(moves.elements.where, ("element", "map_y", "map_x"), _SHARE, maps),
        f"{name}_p": Array(
            moves.effects.p, ("element",), description="unlike the mean random direction"
        ),
        f"{name}_q": Array(moves.effects.q, ("element",), description="Benjamini-Hochberg of p"),
    }


def _likeness_arrays(acts: Acts) -> dict[str, Array]:
    both = ("element", "other_element")
    return {
        "cosine": Array(acts.cosines, both, description="of the changes, mean over samples"),
        "absolute_cosine": Array(acts.absolute, both, description="mean absolute over samples"),
        "independent": Array(
            acts.independent, ("sample",), description="participation ratio of the elements"
        ),
    }


def _association_arrays(study: Study) -> dict[str, Array]:
    if study.associated is None:
        return {}
    held: dict[str, Array] = {}
    for kind in ("pearson", "spearman", "mutual_information"):
        found = getattr(study.associated.found, kind)
        for part in ("value", "low", "high", "p", "q"):
            name = kind if part == "value" else f"{kind}_{part}"
            held[name] = Array(getattr(found, part), ("element", "column"))
    held["random_pearson"] = Array(
        study.associated.random, ("direction", "column"), description="control"
    )
    held["value"] = Array(study.associated.elements, ("associated", "element"), "deviations")
    held["measured"] = Array(study.associated.values, ("associated", "column"))
    return held


def _coordinates(study: Study) -> dict[str, Sequence[Any]]:
    plan = study.plan
    held: dict[str, Sequence[Any]] = {
        "element": list(plan.axes),
        "other_element": list(plan.axes),
        "shown": [plan.axes[place] for place in study.shown],
        "position": [-plan.reach, 0.0, plan.reach],
        "sample": plan.base.indices or range(len(plan.base)),
    }
    if study.associated is not None:
        held["column"] = [column.name for column in plan.columns]
        n = len(study.associated.values)
        held["associated"] = range(study.associated.first, study.associated.first + n)
    return held


def _element_table(study: Study) -> Table:
    plan, main = study.plan, study.main
    columns = ["rank", "element", "axis", "change %", "low", "high"]
    mean, low, high = study.sizes(main)
    slopes = study.sizes(study.slopes) if study.steps and study.slopes else None
    columns += ["derivative %", "derivative low", "derivative high"] if slopes else []
    columns += ["less random %", "p", "q", "above random", "image norm", "middle x", "middle y"]
    if study.links:
        columns += ["goes with", "by a move, s.d." if study.links.is_moved else "r", "its q"]
    rows = []
    for rank, place in enumerate(study.order):
        row: list[Any] = [rank + 1, plan.names[place], plan.axes[place]]
        row += [mean[place], low[place], high[place]]
        row += [part[place] for part in slopes] if slopes else []
        effects = main.effects
        row += [100 * effects.mean[place], effects.p[place], effects.q[place]]
        row += [bool(study.is_above[place]), _norm(study, place), *_middle(main.elements, place)]
        row += _best(study, place) if study.links else []
        rows.append(tuple(row))
    below, above = band(main)
    words = (
        f"change of the image {step_words(study)}, root mean square over pixels; random directions"
        f" {below:.3g} to {above:.3g} %; {made(study)}"
    )
    return Table(tuple(columns), tuple(rows), words)


def _norm(study: Study, place: int) -> float:
    """The mean Euclidean norm of the change, black to white 1."""
    n_numbers = np.prod(study.plan.context.probe.image_shape)
    return float(study.main.elements.by_sample[place].mean() * np.sqrt(n_numbers))


def _middle(acts: Acts, place: int) -> tuple[float | None, float | None]:
    """Where an element acts in the mean, in shares of width and height."""
    one = acts.where[place]
    if not one.sum():
        return None, None
    y, x = np.indices(one.shape) + 0.5
    height, width = one.shape
    return float((x * one).sum() / one.sum() / width), float((y * one).sum() / one.sum() / height)


def _best(study: Study, place: int) -> list[Any]:
    assert study.links is not None  # or there are no such columns
    chosen = best_places(study, place, least=0.0)
    if not chosen:
        return [None, None, None]
    links, name = study.links, column_words(study.plan)[chosen[0]]
    return [name, links.values[place, chosen[0]], links.q[place, chosen[0]]]


def _association_table(study: Study) -> Table:
    assert study.associated is not None  # or there is no such table
    found, plan = study.associated.found, study.plan
    reach = random_reach(study)
    columns = ["element", "measure", "r", "r low", "r high", "r q", "rank r", "rank r q"]
    columns += ["information", "information low", "information high", "information q"]
    columns += ["95 % of random |r|"]
    columns += ["effect", "effect low", "effect high", "effect q"] if study.caused else []
    rows = []
    for place in study.order:
        for at, column in enumerate(plan.columns):
            pearson, ranks, info = (
                [getattr(one, part)[place, at] for part in ("value", "low", "high", "q")]
                for one in (found.pearson, found.spearman, study.associated.information)
            )
            row = [plan.names[place], column.name, *pearson, ranks[0], ranks[3], *info, reach[at]]
            if study.caused is not None:
                row += [study.caused.told(name)[place, at] for name in ("mean", "low", "high")]
                row.append(study.caused.q[place, at])
            rows.append(tuple(row))
    words = (
        "each element with each measure over fresh samples: r, rank correlation, mutual information"
        f" in nats; effect: change of the measure when moved by one deviation; {made(study)}"
    )
    return Table(tuple(columns), tuple(rows), words)


def _figures(study: Study) -> dict[str, Figure]:
    how, space = made(study), study.plan.space.name
    drawn = {
        "one-page": (draw_one_page(study), f"What each element of {space} does ({how})."),
        "ranking": (draw_ranking(study), f"How much each element of {space} changes ({how})."),
        "where": (draw_where(study), f"Where each element of {space} acts ({how})."),
        "associations": (draw_associations(study), f"What elements of {space} go with ({how})."),
        "cosines": (draw_cosines(study), f"How alike effects of elements are ({how})."),
    }
    return {
        name: Figure(figure, words) for name, (figure, words) in drawn.items() if figure is not None
    }
