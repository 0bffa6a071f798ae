"""What a tour gives: sentences, a table, arrays, figures and a film."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganprobe import Animation, Array, Figure, Result, Table
from ganprobe_traversal.films import film_of
from ganprobe_traversal.panels import are_shares
from ganprobe_traversal.report import dataset_name
from ganprobe_traversal.sentences import percent
from ganprobe_traversal.tour import Tour
from ganprobe_traversal.tour_figure import draw_curves, draw_tour

__all__ = ["report_tour"]

_TOLD_LEGS, _TOLD_MEASURES = 6, 4
_SHRUNK = 0.9


def report_tour(tour: Tour) -> Result:
    """The result of a random walk, or of one between samples."""
    figures = {"walk": Figure(draw_tour(tour, _described(tour)), f"The images: {tour.route.made}.")}
    curves = draw_curves(tour)
    if curves is not None:
        figures["measures"] = Figure(curves, f"The measures on the way: {tour.route.made}.")
    return Result(
        findings=_findings(tour),
        arrays=_arrays(tour),
        coordinates=_coordinates(tour),
        tables={"ways": _table(tour)},
        figures=figures,
        animations=_animations(tour),
    )


def _findings(tour: Tour) -> list[str]:
    route = tour.route
    told = _legs(tour) if route.is_chained else [_random(tour)]
    return [*told, *_norms(tour), _outside(tour)]


def _random(tour: Tour) -> str:
    route, n_steps = tour.route, len(tour.route.positions)
    many = "s" if len(route.names) > 1 else ""
    return (
        f"{len(route.names)} random walk{many} of {n_steps} steps in {route.space.name} of"
        f" {route.context.generator.name!r}: a step changes the image by"
        f" {percent(float(tour.changes.mean()))} of black to white on average (root mean square),"
        f" at most by {percent(float(tour.changes.max()))}; from the first step to the last it is"
        f" {percent(float(tour.spans.mean()))} (seed {route.context.seed})."
    )


def _legs(tour: Tour) -> list[str]:
    """How each leg changes the image, and where it jumps."""
    found = []
    for row, name in enumerate(tour.route.names[:_TOLD_LEGS]):
        largest = int(tour.changes[row].argmax())
        share = tour.route.positions[largest : largest + 2]
        found.append(
            f"From {name}, {'along the sphere' if tour.route.is_spherical else 'straight'}, the"
            f" image changes by {percent(float(tour.spans[row]))} of black to white (root mean"
            f" square), most in one step, {percent(float(tour.changes[row, largest]))}, between"
            f" {share[0]:.2g} and {share[1]:.2g} of the way{_moved(tour, row)}."
        )
    more = len(tour.route.names) - _TOLD_LEGS
    return [*found, *([f"{more} more legs are in the table `ways`."] if more > 0 else [])]


def _moved(tour: Tour, row: int) -> str:
    """Of each measure the column that a leg moves most, in deviations over the whole tour."""
    told: list[tuple[float, str]] = []
    for measure in tour.route.measures:
        values = tour.measures[measure.name]
        ends, spread = values[row, [0, -1]], values.std(axis=(0, 1))
        far = np.abs(ends[1] - ends[0])
        moves = far / np.where(spread > 0, spread, np.inf)
        column = int((far if are_shares(values) else moves).argmax())
        first, last = f"{ends[0, column]:.2f}", f"{ends[1, column]:.2f}"
        if first != last:
            words = f"; {measure.name} {measure.columns[column]!r} {first} to {last}"
            told.append((float(moves[column]), words))
    told.sort(key=lambda one: -one[0])
    return "".join(words for _, words in told[:_TOLD_MEASURES])


def _norms(tour: Tour) -> list[str]:
    """Where a straight way runs through points that are shorter than the prior's."""
    route = tour.route
    share = float(route.norms.min()) / route.extent.typical_norm
    if not route.is_chained or route.is_spherical or not route.space.is_latent or share > _SHRUNK:
        return []
    is_bounded = route.extent.prior is not None and np.isfinite(route.extent.prior.bound)
    way_out = "--walk random stays typical" if is_bounded else "--walk slerp keeps the norm"
    return [
        f"The straight way runs through points of norm {route.norms.min():.3g}, {percent(share)} of"
        f" the prior's typical {route.extent.typical_norm:.3g}; {way_out}."
    ]


def _outside(tour: Tour) -> str:
    route = tour.route
    n_steps, n_outside = route.is_outside.size, int(route.is_outside.sum())
    if not n_outside:
        return f"All {n_steps} steps of the {route.how} lie within the prior."
    low, high = route.extent.norm_limits
    limits = f"the norms of the prior's points, {low:.3g} to {high:.3g},"
    if route.extent.prior is not None and np.isfinite(route.extent.prior.bound):
        limits = f"the prior's bound of {route.extent.prior.bound:g}"
    return (
        f"{n_outside} of {n_steps} steps of the {route.how} lie outside {limits} and so outside"
        " the prior: the generator hardly ever saw such points in training."
    )


def _described(tour: Tour) -> str:
    told = f"from first to last step {percent(float(tour.spans.mean()))} of black to white"
    return f"{told}, in one step at most {percent(float(tour.changes.max()))}"


def _coordinates(tour: Tour) -> dict[str, Any]:
    coordinates: dict[str, Any] = {
        "row": list(tour.route.names),
        "step": tour.route.positions.tolist(),
    }
    return coordinates | {
        f"{dataset_name(measure.name)}_column": list(measure.columns)
        for measure in tour.route.measures
    }


def _arrays(tour: Tour) -> dict[str, Array]:
    route = tour.route
    arrays = {
        "image": Array(
            tour.images, ("row", "step", "channel", "y", "x"), description="black 0 and white 1"
        ),
        "change": Array(
            tour.changes,
            ("row", "interval"),
            description="root mean square change from each step to the next, black to white 1",
        ),
        "is_outside": Array(
            route.is_outside.astype(np.uint8),
            ("row", "step"),
            description="1 where a point lies outside the prior",
        ),
        "norm": Array(route.norms, ("row", "step"), description="of the point, Euclidean"),
    }
    if route.space.is_latent:
        z = route.points.float().cpu().numpy()
        dims = ("row", "step", *(f"latent_axis_{axis}" for axis in range(z.ndim - 2)))
        arrays["z"] = Array(z, dims, description="the latents")
    for name, values in tour.measures.items():
        column = f"{dataset_name(name)}_column"
        arrays[f"measure_{dataset_name(name)}"] = Array(
            values, ("row", "step", column), description=f"measure {name!r} of each image"
        )
    return arrays


def _table(tour: Tour) -> Table:
    route = tour.route
    rows = [
        (name, float(tour.spans[row]), float(tour.changes[row].mean()),
         float(tour.changes[row].max()), float(route.norms[row].min()),
         float(route.norms[row].max()), int(route.is_outside[row].sum()))
        for row, name in enumerate(route.names)
    ]  # fmt: skip
    return Table(
        ("way", "change", "mean_step", "largest_step", "least_norm", "largest_norm", "outside"),
        tuple(rows),
        f"{route.made}: root mean square changes of the image, black to white 1, from first to last"
        " step and in one step; norms of the points; how many steps lie outside the prior",
    )


def _animations(tour: Tour) -> dict[str, Animation]:
    route = tour.route
    if not route.params.animate:
        return {}
    images, is_outside = tour.images, route.is_outside
    if route.is_chained:  # one after the other, each sample once
        kept = np.ones(is_outside.size, dtype=np.bool_)
        kept[is_outside.shape[1] :: is_outside.shape[1]] = False
        kept[-1] &= not route.is_closed
        images = images.reshape(1, -1, *images.shape[2:])[:, kept]
        is_outside = is_outside.reshape(1, -1)[:, kept]
    caption = f"{route.made}{', a closed loop' if route.is_closed else ', there and back'}."
    film = film_of(images, is_outside, caption, route.params, is_closed=route.is_closed)
    return {route.params.walk: film}
