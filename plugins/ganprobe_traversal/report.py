"""What the walks say: sentences, tables and arrays."""

from __future__ import annotations

import re

from ganprobe import Array, Context, Figure, Result, Table
from ganprobe_traversal.figures import draw_ranking, draw_walk
from ganprobe_traversal.walk import Walks

_FOLLOWED_PER_DIMENSION = 2


def make_result(walks: Walks, context: Context) -> Result:
    """The result of a traversal: findings, ranking, arrays and figures."""
    coordinates = {
        "dim": list(walks.dims),
        "step": walks.values.tolist(),
        "shown_dim": list(walks.shown),
    }
    coordinates |= {
        f"{_dataset_name(name)}_column": list(columns) for name, columns in walks.columns.items()
    }
    return Result(
        findings=_findings(walks, context),
        arrays=_arrays(walks),
        coordinates=coordinates,
        tables={"ranking": _ranking_table(walks)},
        figures=_figures(walks, context),
    )


def describe(walks: Walks, position: int) -> str:
    """What each measure's mean does from the first to the last step of a dimension, in words."""
    return "; ".join(
        f"{name} {column!r} {first:.2f} to {last:.2f}"
        for name, values in walks.measures.items()
        for column, first, last in _strongest(
            values[position, :, 1:].mean(axis=0), walks.columns[name]
        )
    )


def _findings(walks: Walks, context: Context) -> list[str]:
    bases = walks.params.bases
    made = f"n = {bases} base samples, seed {context.seed}"
    first = walks.ranking[0]
    spread = ", ".join(
        f"{walks.dims[position]} ({_percent(walks.mean_effects[position])})"
        for position in walks.ranking[:8]
    )
    findings = [
        f"Dimension {walks.dims[first]} changes the image of {context.generator.name!r} most:"
        f" {_percent(walks.mean_effects[first])} of the way from black to white (root mean"
        f" square over pixels, mean over {walks.params.steps} steps from {walks.values[0]:g} to"
        f" {walks.values[-1]:g}; {made}).",
        f"Strongest first: {spread}.",
    ]
    for position in walks.ranking if walks.measures else []:
        findings.append(f"Dimension {walks.dims[position]}: {describe(walks, position)}.")
    if walks.is_outside.any():
        outside = ", ".join(f"{value:g}" for value in walks.values[walks.is_outside])
        low, high = context.generator.latent_space.usual_range
        findings.append(
            f"Steps {outside} lie outside the prior's usual range [{low:g}, {high:g}]: what"
            " changes there may be saturation, which the generator never showed in training."
        )
    return findings


def _strongest(means: object, columns: tuple[str, ...]) -> list[tuple[str, float, float]]:
    """(column, first, last) of the columns whose mean moves most between the two ends."""
    import numpy as np

    ends = np.asarray(means)[[0, -1]]  # (2, column)
    order = np.argsort(-np.abs(ends[1] - ends[0]), kind="stable")[:_FOLLOWED_PER_DIMENSION]
    return [(columns[int(c)], float(ends[0, c]), float(ends[1, c])) for c in order]


def _arrays(walks: Walks) -> dict[str, Array]:
    arrays = {
        "effect": Array(
            walks.effects,
            ("dim", "base", "step"),
            description="root mean square change of the image against its base, black to white 1",
        ),
        "base_value": Array(
            walks.base_values,
            ("dim", "base"),
            description="the base sample's own value of the dimension",
        ),
        "image": Array(
            walks.images,
            ("shown_dim", "row", "column", "channel", "y", "x"),
            description="images, black 0 and white 1; column 0 is the base, then the steps",
        ),
    }
    for name, values in walks.measures.items():
        arrays[f"measure_{_dataset_name(name)}"] = Array(
            values,
            ("dim", "base", "column", f"{_dataset_name(name)}_column"),
            description=f"measure {name!r} of each image; column 0 is the base, then the steps",
        )
    return arrays


def _ranking_table(walks: Walks) -> Table:
    columns = ("rank", "dimension", "mean_effect", "standard_error", "most_changing_step")
    errors = _standard_errors(walks)
    rows = tuple(
        (
            rank + 1,
            walks.dims[position],
            float(walks.mean_effects[position]),
            errors[position],
            float(walks.values[walks.effects[position].mean(axis=0).argmax()]),
        )
        for rank, position in enumerate(walks.ranking)
    )
    return Table(columns, rows, "effects from 0 to 1; standard errors over base samples")


def _standard_errors(walks: Walks) -> list[float | None]:
    """Over base samples; None where there is only one."""
    by_base = walks.effects.mean(axis=2)  # (dim, base)
    n = by_base.shape[1]
    if n < 2:
        return [None] * len(by_base)
    return [float(error) for error in by_base.std(axis=1, ddof=1) / n**0.5]


def _figures(walks: Walks, context: Context) -> dict[str, Figure]:
    name = context.generator.name
    made = f"{name}, seed {context.seed}, n = {walks.params.bases} base samples"
    errors = [error or 0.0 for error in _standard_errors(walks)]
    figures = {
        "ranking": Figure(
            draw_ranking(walks, errors, made),
            f"How much each latent dimension changes the image ({made}).",
        )
    }
    for slot, dim in enumerate(walks.shown):
        position = walks.dims.index(dim)
        caption = f"Dimension {dim} of {made}: {describe(walks, position) or 'walked'}."
        drawing = draw_walk(walks, slot, describe(walks, position), made)
        figures[f"dimension-{dim:03d}"] = Figure(drawing, caption)
    return figures


def _dataset_name(measure: str) -> str:
    return re.sub(r"[^\w.-]", "_", measure)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
