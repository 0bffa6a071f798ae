"""The result: findings, arrays, tables, figures, and what other commands can take."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ganprobe import (
    Array,
    Context,
    DirectionSet,
    Figure,
    LatentSet,
    Result,
    Table,
    mean_interval,
)
from ganprobe_arithmetic.figures import draw_counts, draw_draws, draw_equation, draw_sharpness
from ganprobe_arithmetic.judging import Verdicts
from ganprobe_arithmetic.sentences import exemplars, findings
from ganprobe_arithmetic.study import InSpace, Study
from ganprobe_arithmetic.sums import mean_points

_NUMBERS_AT_ONCE = 1 << 24


def make_result(study: Study, context: Context) -> Result:
    """The result of a study."""
    judged = study.judges.judge
    coordinates: dict[str, Any] = {"space": list(study.params.space)}
    if judged is not None:
        coordinates["called"] = list(judged.columns)
    return Result(
        findings=findings(study, context),
        arrays=_arrays(study),
        coordinates=coordinates,
        tables={"success": _success_table(study), "groups": _groups_table(study)},
        figures=_figures(study, context),
        latent_sets={"groups": _groups(study, context)},
        direction_sets=_directions(study, context),
    )


def _arrays(study: Study) -> dict[str, Array]:
    spaces = study.spaces
    arrays = {
        "sharpness": Array(
            np.stack([one.result.sharpness for one in spaces]),
            ("space", "draw"),
            description="sharpness of each result, by the measure 'appearance'",
        ),
        "norm": Array(
            np.stack([one.norms for one in spaces]),
            ("space", "draw"),
            description="Euclidean norm of each result's point",
        ),
        "is_outside": Array(
            np.stack([one.is_outside for one in spaces]),
            ("space", "draw"),
            description="whether the point lies where the prior's hardly ever do",
        ),
        "image": Array(
            np.stack([one.result.images for one in spaces]),
            ("space", "shown_draw", "channel", "y", "x"),
            description="results of the first draws, black 0 and white 1",
        ),
    }
    if study.params.want is not None:
        text = f"whether a result shows {study.params.want}"
        wanted = [one.result.wanted for one in spaces if one.result.wanted is not None]
        arrays["success"] = Array(np.stack(wanted), ("space", "draw"), description=text)
    if study.judges.judge is not None:
        n = len(study.judges.judge.columns)
        counts = np.stack([one.result.counts(n) for one in spaces])
        text = f"how many results the measure {study.judges.judge.name!r} calls so"
        arrays["n_called"] = Array(counts, ("space", "called"), description=text)
    return arrays


def _success_table(study: Study) -> Table:
    columns = ("space", "what", "success", "low", "high", "n", "sharpness", "low ", "high ")
    rows = [
        (one.name, what, *_success(verdicts), *_mean(verdicts))
        for one in study.spaces
        for what, verdicts in (
            ("result", one.result),
            (f"mean of {study.base_name} alone", one.base),
            ("random groups", one.random),
        )
    ]
    rows.append(("", "single samples", *_success(study.single), *_mean(study.single)))
    text = "shares with 95 % Wilson intervals, mean sharpness with 95 % bootstrap intervals"
    return Table(columns, tuple(rows), text)


def _success(verdicts: Verdicts) -> tuple[float | int | None, ...]:
    share = verdicts.success
    if share is None:
        return None, None, None, len(verdicts.sharpness)
    return share.value, share.low, share.high, share.n


def _mean(verdicts: Verdicts) -> tuple[float, float, float]:
    mean, low, high = mean_interval(verdicts.sharpness)
    return float(mean[0]), float(low[0]), float(high[0])


def _groups_table(study: Study) -> Table:
    rows = tuple(
        (group.name, group.choice, len(group.latents), group.is_disjoint)
        for group in study.groups.values()
    )
    text = "the groups; whether no exemplar is in two draws"
    return Table(("group", "choice", "n_exemplars", "draws_share_none"), rows, text)


def _figures(study: Study, context: Context) -> dict[str, Figure]:
    made = (
        f"{context.generator.name}, {context.generator.normalisation}, seed {context.seed},"
        f" {study.params.n_draws} draws of {exemplars(study.params)}, norm:"
        f" {study.params.norm}"
    )
    figures = {
        f"equation-{_plain(one.name)}": Figure(
            draw_equation(study, one, made=made), f"One draw of {study.formula}, in {one.name}."
        )
        for one in study.spaces
    }
    figures["draws"] = Figure(draw_draws(study, made=made), "The first draws, in each space.")
    if study.params.want is not None or study.judges.judge is not None:
        text = "How often the result is what was wanted, and what it looks like to the judge."
        figures["success"] = Figure(draw_counts(study, made=made), text)
    text = "Sharpness of results, of means and of single samples."
    figures["sharpness"] = Figure(draw_sharpness(study, made=made), text)
    return figures


def _plain(space: str) -> str:
    """A space's name as a file's."""
    return "".join(sign if sign.isalnum() or sign in "_.-" else "_" for sign in space)


def _groups(study: Study, context: Context) -> LatentSet:
    found = {
        "analysis": "arithmetic",
        "seed": context.seed,
        "choices": {name: group.choice for name, group in study.groups.items()},
    }
    groups = {name: group.latents for name, group in study.groups.items()}
    return LatentSet.of(groups, generator=_identity(context), found=found)


def _directions(study: Study, context: Context) -> dict[str, DirectionSet]:
    """In each space, from the mean of the second group to that of the first, of all exemplars."""
    groups = list(study.groups.values())[:2]
    if len(groups) < 2:
        return {}
    sets = {}
    for one in study.spaces:
        vector = _mean_of_all(one, 0, study) - _mean_of_all(one, 1, study)
        if not vector.norm() > 0:
            continue
        name = f"{groups[0].name}-less-{groups[1].name}"
        found = {
            "analysis": "arithmetic",
            "method": "difference of means",
            "n": {group.name: len(group.latents) for group in groups},
            "length": float(vector.norm()),
        }
        spread = _coordinates(one, vector / vector.norm(), context)
        sets[_plain(f"{name}-{one.name}")] = DirectionSet(
            vector[None].numpy(),
            (name,),
            one.name,
            np.array([spread.std()]),
            np.array([spread.mean()]),
            _identity(context),
            found,
        )
    return sets


def _mean_of_all(one: InSpace, place: int, study: Study) -> torch.Tensor:
    latents = list(study.groups.values())[place].latents
    batch = max(1, _NUMBERS_AT_ONCE // one.sums.space.n_numbers)
    total = sum(
        mean_points(one.sums.space, some, len(some))[0].double().cpu() * len(some)
        for some in latents.split(batch)
    )
    return torch.as_tensor(total) / len(latents)


def _coordinates(one: InSpace, unit: torch.Tensor, context: Context) -> np.ndarray:
    """The samples' coordinates along a direction of length 1."""
    latents = context.generator.sample(256, seed=context.seed)
    points = one.sums.space.points(latents).double().cpu()
    return np.asarray((points.flatten(1) @ unit.flatten()).numpy())


def _identity(context: Context) -> dict[str, object]:
    identity = context.generator.to_json()
    return {key: identity[key] for key in ("name", "weights_sha256", "normalisation")}
