"""The result of tracing: findings, a table of the layers, arrays and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganprobe import Array, Context, Figure, Result, Table, UnitSet, control_band
from ganprobe_veto import VetoParams
from ganprobe_veto.damping import Damping, find_damping, means_of_sets
from ganprobe_veto.figures import draw_route
from ganprobe_veto.pictures import draw_images, draw_where
from ganprobe_veto.trace import Trace
from ganprobe_veto.words import findings, goal

_OF_SAMPLES = {
    "progress": "<h' - h, hd - h> / |hd - h|^2 of the edit: 0 nothing, 1 arrived",
    "residual": "length of the edit's change at right angles to hd - h, over that of hd - h",
    "change": "|h' - h| / |h| of the edit",
    "survival": "|h' - h| of the edit over that of random edits of equal norm (mean over these)",
    "destination_change": "|hd - h| / |h|",
    "blend_progress": "progress of a blend of all units, of the edit's norm at the site",
    "blend_change": "|h' - h| / |h| of that blend",
    "random_change": "|h' - h| / |h| of random edits of equal norm (mean over these)",
}
_STATES = ("unedited", "edited", "destination")
_COLUMNS = (
    "site", "kind", "compared with", "progress", "low", "high", "fall", "fall low", "fall high",
    "residual", "change", "survival", "blend progress", "random sets' progress",
    "random sets low", "random sets high", "saturation",
)  # fmt: skip


def make_result(trace: Trace, context: Context, params: VetoParams) -> Result:
    """The result."""
    damping = find_damping(trace, seed=context.seed, n_resamples=params.n_resamples)
    return Result(
        findings=findings(trace, damping, context),
        arrays=_arrays(trace),
        coordinates=_coordinates(trace),
        tables={"layers": _table(trace, damping)},
        figures=_figures(trace, damping, context),
        unit_sets={"edited": _unit_set(trace, context)},
    )


def _arrays(trace: Trace) -> dict[str, Array]:
    arrays = {
        name: Array(getattr(trace, name), ("site", "sample"), description=told)
        for name, told in _OF_SAMPLES.items()
    }
    arrays["random_sets_progress"] = Array(
        trace.sets_progress,
        ("draw", "site", "sample"),
        description="progress of random sets of as many units as the edit has",
    )
    arrays["progress_map"] = Array(
        trace.progress_map,
        ("y", "x"),
        description="progress at each pixel: sum of (h' - h)(hd - h) over that of (hd - h)^2",
    )
    if trace.non_linear:
        arrays["saturation"] = Array(
            trace.saturation,
            ("non_linear_site", "state", "sample"),
            description="share of values at which the layer's derivative is below 1 %",
        )
    arrays["way_map"] = Array(
        trace.way_map,
        ("y", "x"),
        description="how much of the way lies at each pixel: share of the sum of (hd - h)^2",
    )
    donor = trace.pairs.donor
    if donor is not None and donor.indices is not None:
        told = "index of each sample's donor"
        arrays["donor_sample"] = Array(np.array(donor.indices), ("sample",), description=told)
    return arrays


def _coordinates(trace: Trace) -> dict[str, Sequence[Any]]:
    found: dict[str, Sequence[Any]] = {"site": trace.names}
    if trace.pairs.source.indices is not None:
        found["sample"] = trace.pairs.source.indices
    if trace.non_linear:
        found |= {"non_linear_site": [trace.names[place] for place in trace.non_linear]}
        found |= {"state": _STATES}
    return found


def _table(trace: Trace, damping: Damping) -> Table:
    sets = means_of_sets(trace)
    low, high = control_band(sets)
    rows = tuple(
        (
            *(trace.names[place], trace.stops[place].kind),
            *_progress(trace, damping, place),
            _mean(trace.residual[place]),
            _mean(trace.change[place]),
            damping.survival[place].mean,
            damping.blend[place].mean,
            *(float(sets[:, place].mean()), float(low[place]), float(high[place])),
            _saturation(trace, place),
        )
        for place in range(len(trace.stops))
    )
    told = (
        f"{trace.edit}; destination: {goal(trace)}; means over {len(trace.pairs)} samples"
        " with 95 % intervals; saturation of the unedited run"
    )
    return Table(_COLUMNS, rows, told)


def _progress(trace: Trace, damping: Damping, place: int) -> tuple[str | float | None, ...]:
    """Compared with, progress with its limits, fall with its limits."""
    reached, fall = damping.progress[place], damping.falls[place]
    before = trace.names[trace.stops[place].before] if place else None
    limits = (None,) * 3 if fall is None else (fall.mean, fall.low, fall.high)
    return before, reached.mean, reached.low, reached.high, *limits


def _mean(row: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    known = row[np.isfinite(row)]
    return float(known.mean()) if len(known) else None


def _saturation(trace: Trace, place: int) -> float | None:
    if place not in trace.non_linear:
        return None
    return float(trace.saturation[trace.non_linear.index(place), 0].mean())


def _figures(trace: Trace, damping: Damping, context: Context) -> dict[str, Figure]:
    name = context.generator.name
    made = f"{name}, seed {context.seed}, n = {len(trace.pairs)} samples"
    title = f"What becomes of the {trace.edit}"
    return {
        "veto": Figure(
            draw_route(trace, damping, title=title, made=made),
            f"Progress of the {trace.edit} toward {goal(trace)} at each layer ({made}).",
        ),
        "images": Figure(
            draw_images(trace, title=title, made=made),
            f"Sources with the {trace.edit}, with the whole edit and with controls ({made}).",
        ),
        "where": Figure(
            draw_where(trace, title=title, made=made),
            f"Where in the image the {trace.edit} makes progress to {goal(trace)} ({made}).",
        ),
    }


def _unit_set(trace: Trace, context: Context) -> UnitSet:
    """The units that were edited, for other analyses."""
    generator = context.generator
    made = {"name": generator.name, "normalisation": generator.normalisation}
    found = {"analysis": "veto", "are_random": trace.edit.are_random, "seed": context.seed}
    return UnitSet(trace.edit.units, str(trace.edit.site), made, found)
