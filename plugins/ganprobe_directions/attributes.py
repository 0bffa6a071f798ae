"""Attribute boundaries: directions toward more of something, with and without what goes along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ganprobe import (
    ParameterError,
    attribute_boundary,
    conditional_direction,
    extreme_rows,
)
from ganprobe_directions.columns import Attribute, Columns
from ganprobe_directions.families import (
    AttributeBoundary,
    Family,
    Floats,
    direction_set,
    file_name,
)
from ganprobe_directions.plan import BATCH, Plan

_NAMED = 2  # attributes that are projected out, which the name of a direction tells


def find_boundaries(plan: Plan) -> list[Family]:
    """The direction of each attribute, then those that others were projected out of."""
    values, columns = _values(plan)
    every = {one.label: one for one in (*plan.attributes, *plan.kept)}
    found = {
        label: _boundary(plan, one, values[:, columns.place(one)]) for label, one in every.items()
    }
    boundaries = [found[one.label] for one in plan.attributes]
    conditional, lost = _conditional(plan, found)
    names = (*(one.name for one in plan.attributes), *conditional)
    vectors = np.stack([one.boundary.normal for one in boundaries] + [*conditional.values()])
    known = {
        "method": "boundary",
        "extreme": plan.params.extreme,
        "attributes": [one.attribute.label for one in boundaries],
        "without": [one.label for one in plan.kept],
        "offsets": [one.boundary.offset for one in boundaries],
        "held_out_accuracy": [one.boundary.accuracy.to_json() for one in boundaries],
    }
    return [
        Family(
            file_name("boundary", plan.space.name),
            f"the boundaries in {plan.space.name}",
            plan.space,
            plan.space.extent(plan.prior),
            direction_set(plan, plan.space, vectors, names, known),
            (*(_told(plan, one) for one in boundaries), *_angles(plan, boundaries), *lost),
            boundaries=tuple(boundaries),
        )
    ]


def _values(plan: Plan) -> tuple[Floats, Columns]:
    """(samples, columns) of the attributes' measures, of the samples that are fitted to."""
    columns = Columns.of([one.measure for one in (*plan.attributes, *plan.kept)])
    rows = []
    context = plan.context
    with context.progress(len(plan.found_in), "attributes of samples") as bar:
        for batch in plan.found_in.split(BATCH):
            rows.append(columns.values(context.probe.images(batch), context.generator))
            bar.advance(len(batch))
    return np.concatenate(rows), columns


def _boundary(plan: Plan, attribute: Attribute, values: Floats) -> AttributeBoundary:
    try:
        least, most = extreme_rows(values, plan.params.extreme)
    except ParameterError as error:
        raise ParameterError(f"no boundary for {attribute.label}: {error}") from error
    rows = np.concatenate([least, most])
    is_high = np.arange(len(rows)) >= len(least)
    chosen = plan.found_in.take(rows.tolist())
    points = torch.cat([plan.space.points(batch).cpu() for batch in chosen.split(BATCH)])
    boundary = attribute_boundary(points.double().numpy(), is_high, seed=plan.context.seed)
    limits = (float(values[least].max()), float(values[most].min()))
    return AttributeBoundary(attribute, boundary, limits, is_high)


def _conditional(
    plan: Plan, found: dict[str, AttributeBoundary]
) -> tuple[dict[str, Floats], list[str]]:
    """Directions by name, and what is to be said of those of which nothing is left."""
    directions: dict[str, Floats] = {}
    lost = []
    for one in plan.attributes:
        others = [other for other in plan.kept or plan.attributes if other.label != one.label]
        if not others:
            continue
        name = f"{one.name}-without-{_listed(others)}"
        normals = [found[other.label].boundary.normal for other in others]
        try:
            directions[name] = conditional_direction(found[one.label].boundary.normal, normals)
        except ParameterError as error:
            lost.append(f"There is no {name}: {error}.")
    return directions, lost


def _listed(others: Sequence[Attribute]) -> str:
    return "-".join(one.name for one in others) if len(others) <= _NAMED else "others"


def _told(plan: Plan, one: AttributeBoundary) -> str:
    boundary, (low, high) = one.boundary, one.limits
    verdict = "is told" if boundary.is_found else "is NOT told"
    more = "" if boundary.is_found else " better than by chance, so that its direction is arbitrary"
    n_each = len(one.is_high) // 2
    return (
        f"{one.attribute.label} {verdict} from {plan.space.name} by a plane{more}: of the"
        f" {n_each} samples with the least (up to {low:.3g}) and the {n_each} with the most (from"
        f" {high:.3g}), {boundary.accuracy} lie on the right side of one that was fitted to others"
        f" (n = {len(plan.found_in)}, seed {plan.context.seed})."
    )


def _angles(plan: Plan, boundaries: Sequence[AttributeBoundary]) -> list[str]:
    """How far attributes go along with each other."""
    if len(boundaries) < 2:
        return []
    normals = np.stack([one.boundary.normal for one in boundaries])
    cosines: NDArray[np.float64] = np.abs(np.triu(normals @ normals.T, 1))
    row, column = np.unravel_index(int(cosines.argmax()), cosines.shape)
    value = float(normals[row] @ normals[column])
    first, second = (boundaries[int(place)].attribute.name for place in (row, column))
    chance = 1 / plan.space.n_numbers**0.5
    which = "The" if len(boundaries) == 2 else "Most alike: the"
    return [
        f"{which} directions of {first} and {second} have a cosine of {value:.2f} (random"
        f" directions of {plan.space.name}: ±{chance:.2f})."
    ]
