"""The result: findings, arrays, tables, figures, and latents for other commands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganprobe import Array, Context, Figure, Latents, LatentSet, Result, Share, Table
from ganprobe_quality.figures import draw_elements, draw_judges, draw_models, draw_norms
from ganprobe_quality.filtering import Filtered
from ganprobe_quality.pictures import draw_filter, draw_gallery
from ganprobe_quality.predicting import Foreseen
from ganprobe_quality.ranks import Rank
from ganprobe_quality.sentences import findings
from ganprobe_quality.study import Study

_Row = tuple[str | int | float | bool | None, ...]


def make_result(study: Study, context: Context) -> Result:
    """The result of a study."""
    return Result(
        findings=findings(study, context),
        arrays=_arrays(study),
        coordinates=_coordinates(study),
        tables={
            "judges": _judges_table(study),
            "agreement": _agreement_table(study),
            "models": _models_table(study),
            "elements": _elements_table(study),
            **({} if study.filtered is None else {"filter": _filter_table(study.filtered)}),
        },
        figures=_figures(study, context),
        latent_sets=_latent_sets(study, context),
    )


def _coordinates(study: Study) -> dict[str, Any]:
    indices = study.judged.latents.indices
    names = study.standard.names
    coordinates: dict[str, Any] = {
        "judge": [judge.name for judge in study.standard.judges],
        "verdict": names,
    }
    if indices is not None:
        coordinates["sample"] = list(indices)
    if any(foresight.models for foresight in study.foresight):
        coordinates["model"] = list(study.params.model)
    if study.filtered is not None:
        coordinates["fresh"] = list(study.filtered.judged.latents.indices or ())
    return coordinates


def _arrays(study: Study) -> dict[str, Array]:
    judged = study.judged
    arrays = {
        "score": Array(judged.scores, ("judge", "sample"), description="each judge's score"),
        "is_good": Array(study.good, ("verdict", "sample"), description="whether a sample is good"),
        "norm": Array(
            np.linalg.norm(study.z, axis=1), ("sample",), description="norm of each latent"
        ),
        "rank_correlation": Array(
            np.array([[_values(one.value), _values(one.size)] for one in study.elements]),
            ("judge", "of", "element"),
            description="of each element's value, then of its size, with better scores",
        ),
        "best_image": Array(
            np.stack([shown.images for shown in judged.highest]),
            ("judge", "shown", "channel", "y", "x"),
            description="the best images, best first, black 0 and white 1",
        ),
        "worst_image": Array(
            np.stack([shown.images for shown in judged.lowest]),
            ("judge", "shown", "channel", "y", "x"),
            description="the worst images, worst first, black 0 and white 1",
        ),
    }
    return arrays | _held_out(study) | _of_filter(study)


def _values(ranks: tuple[Rank, ...]) -> list[float]:
    return [rank.value for rank in ranks]


def _held_out(study: Study) -> dict[str, Array]:
    """What each model said of each sample, which it had not learned from."""
    if not any(foresight.models for foresight in study.foresight):
        return {}
    unknown = np.full(study.n, np.nan)
    scores = [
        [one.scores for one in foresight.models] or [unknown] * len(study.params.model)
        for foresight in study.foresight
    ]
    text = "how sure each model, fitted without the sample, was that it is good"
    return {"held_out": Array(np.array(scores), ("verdict", "model", "sample"), description=text)}


def _of_filter(study: Study) -> dict[str, Array]:
    found = study.filtered
    if found is None:
        return {}
    text = "of fresh samples: "
    return {
        "fresh_score": Array(
            found.judged.scores, ("judge", "fresh"), description=f"{text}each judge's score"
        ),
        "fresh_predicted": Array(
            found.predicted, ("fresh",), description=f"{text}how sure the filter was"
        ),
        "fresh_passes": Array(
            found.passes, ("fresh",), description=f"{text}whether it was let pass"
        ),
        "fresh_is_good": Array(
            found.is_good, ("fresh",), description=f"{text}whether it turned out good"
        ),
    }


def _judges_table(study: Study) -> Table:
    rows: list[_Row] = []
    for place, judge in enumerate(study.standard.judges):
        scores = study.judged.scores[place]
        quantiles = np.quantile(scores, [0, 0.25, 0.5, 0.75, 1]).tolist()
        rows.append(
            (
                judge.name,
                study.standard.cut(place),
                int(study.good[place].sum()),
                study.n,
                *quantiles,
            )
        )
    columns = (
        "judge",
        "limit",
        "n_good",
        "n",
        "least",
        "quarter",
        "median",
        "three quarters",
        "most",
    )
    return Table(columns, tuple(rows), "from what score on a sample is good, and how scores spread")


def _agreement_table(study: Study) -> Table:
    names = study.standard.names
    rows = tuple(
        (
            *(names[one.one], names[one.other]),
            *(one.rank.value, one.rank.low, one.rank.high, one.rank.p),
            None if one.both is None else one.both.value,
            *(one.chance.value, one.p, study.n),
        )
        for one in study.agreements
    )
    columns = ("judge", "other", "rank_correlation", "low", "high", "p",
               "good_by_both", "good_by_other", "p_fisher", "n")  # fmt: skip
    text = (
        "Spearman's correlation with its 95 % interval; of what is good by the first, the share"
        " that is good by the other, beside that of all samples"
    )
    return Table(columns, rows, text)


def _models_table(study: Study) -> Table:
    rows = tuple(
        (name, one.model, *_auc(one), *_limits(one.best_half), *_limits(one.all), study.n)
        for name, foresight in zip(study.standard.names, study.foresight, strict=True)
        for one in foresight.models
    )
    columns = ("judge", "model", "auc", "low", "high", "p", "corrected_p", "has_signal",
               "best_half", "best_half_low", "best_half_high", "all", "all_low",
               "all_high", "n")  # fmt: skip
    text = (
        "AUC of held-out samples with its 95 % interval, p against 0.5 and after Holm over all"
        " rows; share of good samples in the half the model is surest of, and of all"
    )
    return Table(columns, rows, text)


def _auc(one: Foreseen) -> _Row:
    return one.auc, one.low, one.high, one.p, one.corrected_p, one.has_signal


def _limits(share: Share) -> tuple[float, float, float]:
    return share.value, share.low, share.high


def _elements_table(study: Study) -> Table:
    rows: list[_Row] = []
    for judge, found in zip(study.standard.judges, study.elements, strict=True):
        for what, ranks in (("value", found.value), ("size", found.size)):
            rows += [(judge.name, f"z{i}", what, *_rank(rank)) for i, rank in enumerate(ranks)]
        rows.append((judge.name, "norm", "value", *_rank(found.norm)))
    columns = ("judge", "element", "of", "rank_correlation", "low", "high", "p", "q")
    text = (
        "Spearman's correlation of an element's value, or its size, with better scores; q over all"
        " elements of a judge, the norm's alone"
    )
    return Table(columns, tuple(rows), text)


def _rank(rank: Rank) -> tuple[float, ...]:
    return rank.value, rank.low, rank.high, rank.p, rank.q


def _filter_table(found: Filtered) -> Table:
    kinds = (("let pass", found.passed), ("turned away", found.turned_away), ("all", found.all))
    rows = tuple((name, *_limits(share), share.successes, share.n) for name, share in kinds)
    columns = ("fresh samples", "good", "low", "high", "n_good", "n")
    text = f"what the filter ({found.by.model}) is worth; Fisher's exact test, p = {found.p:.3g}"
    return Table(columns, rows, text)


def _figures(study: Study, context: Context) -> dict[str, Figure]:
    made = (
        f"{context.generator.name}, {context.generator.normalisation}, seed {context.seed},"
        f" n = {study.n}"
    )
    figures = {"gallery": Figure(draw_gallery(study, made=made), "Best and worst by each judge.")}
    models = draw_models(study, made=f"{made}, {study.params.folds} folds")
    if models is not None:
        figures["models"] = Figure(models, "How well each model foresees good images.")
    if study.filtered is not None:
        text = "Fresh images that the filter is surest are good, and surest are not."
        drawn = draw_filter(study, study.filtered, made=f"{made} learned from")
        figures["filter"] = Figure(drawn, text)
    text = "How scores spread, and how far judges agree."
    figures["judges"] = Figure(draw_judges(study, made=made), text)
    text = "Elements of the latent that go with better images."
    figures["elements"] = Figure(draw_elements(study, made=made), text)
    figures["norms"] = Figure(draw_norms(study, made=made), "Scores by the norm of the latent.")
    return figures


def _latent_sets(study: Study, context: Context) -> dict[str, LatentSet]:
    sets = {}
    kept = study.standard.describe(study.standard.kept)
    found = {"analysis": "quality", "seed": context.seed, "good": kept, "n_judged": study.n}
    if len(study.kept):
        held = {"z": _rows(study.judged.latents, study.kept)}
        sets["good"] = LatentSet.of(held, generator=_identity(context), found=found)
    if study.filtered is not None:
        by = study.filtered
        rows = by.kept(study.params.n_kept)
        found = found | {"model": by.by.model, "auc": by.by.auc, "share_good": by.passed.to_json()}
        held = {"z": _rows(by.judged.latents, rows)}
        sets["predicted-good"] = LatentSet.of(held, generator=_identity(context), found=found)
    return sets


def _rows(latents: Latents, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Latents:
    return latents.take(rows.tolist())


def _identity(context: Context) -> dict[str, object]:
    identity = context.generator.to_json()
    return {key: identity[key] for key in ("name", "weights_sha256", "normalisation")}
