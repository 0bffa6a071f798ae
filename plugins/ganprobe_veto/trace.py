"""The trace: what following an edit from its site to the image gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ganprobe import Context, Measure, ParameterError
from ganprobe_veto import VetoParams
from ganprobe_veto.batches import Batch, Follower
from ganprobe_veto.courses import Floats
from ganprobe_veto.edits import Edit, plan_edit
from ganprobe_veto.pairs import Pairs, choose_pairs
from ganprobe_veto.route import Stop, find_route
from ganprobe_veto.verdicts import Verdicts


@dataclass(frozen=True, eq=False)
class Trace:
    """What tracing gave, at the stops that the destination reaches, over n samples.

    Args:
        stops: the first is the edit's site, the last the image.
        progress, residual: (stop, sample) of the edit.
        change: (stop, sample) |h' - h| / |h|.
        survival: (stop, sample) |h' - h| over that of random edits, mean over these.
        destination_change: (stop, sample) |hd - h| / |h|.
        blend_progress, blend_change: (stop, sample) of the blend of all units.
        random_change: (stop, sample) of random edits of equal norm, mean over these.
        sets_progress: (draw, stop, sample) of random sets of as many units.
        saturation: (layer, state, sample) share of values that are saturated; states are
            unedited, edited and destination.
        progress_map: (y, x) of the image: sum of (h' - h)(hd - h) over that of (hd - h)².
        way_map: (y, x) share of the sum of (hd - h)².
        images: by kind: (shown sample, channel, y, x) in [0, 1].
        verdicts: on all images; None: there is no judge.
        n_untouched: samples in which the edit changed nothing.
    """

    edit: Edit
    pairs: Pairs
    stops: tuple[Stop, ...]
    progress: Floats
    residual: Floats
    change: Floats
    survival: Floats
    destination_change: Floats
    blend_progress: Floats
    blend_change: Floats
    random_change: Floats
    sets_progress: Floats
    saturation: Floats
    progress_map: Floats
    way_map: Floats
    images: Mapping[str, NDArray[np.float32]]
    verdicts: Verdicts | None
    n_untouched: int

    @property
    def names(self) -> list[str]:
        """Of the stops."""
        return [stop.name for stop in self.stops]

    @property
    def non_linear(self) -> list[int]:
        """The places of the non-linear stops, in the order of `saturation`."""
        return [place for place, stop in enumerate(self.stops) if stop.is_non_linear]


def trace_edit(context: Context, params: VetoParams) -> Trace:
    """Choose the samples, plan the edit, find the route, and follow it in batches.

    Raises:
        ParameterError: as `choose_pairs` and `plan_edit`; or nothing is edited.
        UnknownNameError, SiteError: as `plan_edit`; or the judge is unknown.
        ForwardError: NaN or infinity came out of a layer.
    """
    judge = None if params.judge is None else context.measure(params.judge)
    pairs = choose_pairs(context, params)
    edit = plan_edit(context, params, pairs.source)
    stops = find_route(context, edit.tensor, pairs.source[:2])
    follower = Follower(context, params, edit, stops, judge)
    batches = []
    with context.progress(len(pairs), "samples traced") as bar:
        for start in range(0, len(pairs), params.batch_size):
            chosen = slice(start, start + params.batch_size)
            batches.append(follower.batch(pairs, chosen))
            bar.advance(len(pairs.source[chosen]))
    return _gathered(edit, pairs, stops, batches, judge)


def _gathered(
    edit: Edit,
    pairs: Pairs,
    stops: tuple[Stop, ...],
    batches: Sequence[Batch],
    judge: Measure | None,
) -> Trace:
    """All batches as one, at the stops that are downstream."""
    names = batches[0].numbers
    whole = {name: np.concatenate([one.numbers[name] for one in batches], -1) for name in names}
    _check_edited(edit, whole)
    reached = np.isfinite(whole["progress"]).any(1)  # (stop,)
    at = {name: np.compress(reached, held, -2) for name, held in whole.items()
          if name != "saturation"}  # fmt: skip
    is_kept = reached[[place for place, stop in enumerate(stops) if stop.is_non_linear]]
    gained, needed = np.sum([one.pixels for one in batches], axis=0)
    return Trace(
        edit=edit,
        pairs=pairs,
        stops=_kept(stops, reached),
        progress=at["progress"],
        residual=at["residual"],
        change=_ratio(at["distance"], at["norm"]),
        survival=_ratio(at["distance"], at["random_distance"]),
        destination_change=_ratio(at["destination_distance"], at["norm"]),
        blend_progress=at["blend_progress"],
        blend_change=_ratio(at["blend_distance"], at["norm"]),
        random_change=_ratio(at["random_distance"], at["norm"]),
        sets_progress=at["sets_progress"],
        saturation=whole["saturation"][is_kept],
        progress_map=_ratio(gained, needed),
        way_map=needed / needed.sum(),
        images={
            kind: np.concatenate([one.images[kind] for one in batches])
            for kind in batches[0].images
        },
        verdicts=None if judge is None else Verdicts.of(judge, [one.verdicts for one in batches]),
        n_untouched=int((whole["distance"][0] == 0).sum()),
    )


def _check_edited(edit: Edit, numbers: Mapping[str, Floats]) -> None:
    """Raise `ParameterError` where the edit or its destination is no change at all."""
    if not numbers["distance"][0].any():
        n = numbers["distance"].shape[1]
        raise ParameterError(
            f"nothing was edited: the {edit} changes none of {n} samples there; give other units,"
            " a larger --strength or --region, or other donors"
        )
    if not np.isfinite(numbers["progress"][1:]).any():
        raise ParameterError(
            f"nothing that follows depends on {edit.site}: the {edit} ends there, as it does where"
            " all units are edited; give a --site on the way to the image"
        )


def _kept(stops: Sequence[Stop], reached: NDArray[np.bool_]) -> tuple[Stop, ...]:
    """The stops that are reached, each compared with one that is."""
    places = np.cumsum(reached) - 1
    return tuple(
        replace(stop, before=int(places[stop.before if reached[stop.before] else place - 1]))
        for place, stop in enumerate(stops)
        if reached[place]
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """NaN where it is of nothing."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
