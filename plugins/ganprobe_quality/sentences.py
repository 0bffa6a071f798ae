"""What the study says, in sentences."""

from __future__ import annotations

from ganprobe import Context
from ganprobe_quality.agreement import Agreement
from ganprobe_quality.elements import Elements
from ganprobe_quality.filtering import Filtered
from ganprobe_quality.predicting import UNLIKELY, Foreseen, Foresight
from ganprobe_quality.ranks import Rank
from ganprobe_quality.study import Study, is_of_a_kind

_MOST_NAMED = 3


def findings(study: Study, context: Context) -> list[str]:
    """The most important first."""
    kept = study.standard.kept
    others = [place for place in range(len(study.foresight)) if place != kept]
    return [
        _foreseen(study, context, kept),
        _filtered(study, context),
        *(_foreseen(study, context, place) for place in others),
        *(_agreement(study, one) for one in study.agreements),
        *(_elements(study, place, one) for place, one in enumerate(study.elements)),
        _judges(study, context),
        *_chosen(study, context),
        _written(study),
    ]


def _foreseen(study: Study, context: Context, verdict: int) -> str:
    name, foresight = study.standard.names[verdict], study.foresight[verdict]
    if not foresight.models:
        return _not_tried(study, name, foresight)
    made = f"(n = {study.n}, seed {context.seed}, {study.params.folds} folds)"
    best = foresight.best
    if best is None:
        return f"By {name}: no signal. {_no_signal(foresight)} {made}."
    return (
        f"By {name}: which noise is good can be told ahead, in part. AUC of held-out samples, where"
        f" 0.5 is guessing: {_all_models(foresight)} {made}. Of the half that {best.model} is"
        f" surest of {best.best_half} are good, of all {best.all}.{_kind(foresight)}"
    )


def _not_tried(study: Study, name: str, foresight: Foresight) -> str:
    return (
        f"By {name}: {foresight.n_good} of {study.n} samples are good and {foresight.n_other} are"
        " not, too few of one kind to learn what foresees it; judge more samples, or give another"
        " limit or --good-share."
    )


def _no_signal(foresight: Foresight) -> str:
    best = max(foresight.models, key=lambda one: one.auc)
    could = f"an AUC of {foresight.visible:.2f} or more would have been seen in 8 of 10 such runs"
    if best.low > 0.5:
        return (
            f"The best model, {best.model}, has an AUC of {_auc(best)}, where 0.5 is guessing, but"
            f" as the best of all that was tried that is chance (p = {best.p:.2g}, corrected"
            f" {best.corrected_p:.2g}); {could}"
        )
    return (
        "No model tells good from other noise: the best, "
        f"{best.model}, has an AUC of {_auc(best)}, whose interval holds 0.5, guessing; {could}"
    )


def _all_models(foresight: Foresight) -> str:
    return ", ".join(
        f"{one.model} {_auc(one)}{'' if one.has_signal else ' (no signal)'}"
        for one in foresight.models
    )


def _auc(one: Foreseen) -> str:
    return f"{one.auc:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _kind(foresight: Foresight) -> str:
    """What sort of signal it is, where the models' intervals tell."""
    tried, best = {one.model: one for one in foresight.models}, foresight.best
    assert best is not None  # it was asked before
    simple = [tried[model] for model in ("logistic", "curved") if model in tried]
    as_good = [one.model for one in simple if one.has_signal and one.auc >= best.low]
    if "logistic" in as_good:
        return " One direction of the latent space tells it about as well as anything tried."
    if as_good and "logistic" in tried and tried["logistic"].auc < best.low:
        return " It is a matter of how far out elements or the norm are, more than of a direction."
    if best not in simple and simple and all(one.auc < best.low for one in simple):
        return " It is a matter of regions of the latent space, more than of single elements."
    return ""


def _filtered(study: Study, context: Context) -> str:
    found = study.filtered
    name = study.standard.names[study.standard.kept]
    if found is None:
        return (
            f"So noise that is good by {name} could not be chosen ahead of seeing its images: no"
            " filter was made."
        )
    return (
        f"The filter, {found.by.model} fitted on all {study.n} samples, lets {found.passed.n} of"
        f" {found.all.n} fresh samples pass: {found.passed} of them are good by {name}, against"
        f" {found.all} of all and {found.turned_away} of those turned away (seed {context.seed}):"
        f" {_worth(found)}."
    )


def _worth(found: Filtered) -> str:
    if found.p >= UNLIKELY:
        return f"no more than chance gives (Fisher's exact test, p = {found.p:.2g})"
    verb = "raises" if found.passed.value > found.turned_away.value else "lowers"
    return f"it {verb} the share of good images (Fisher's exact test, p = {found.p:.2g})"


def _agreement(study: Study, one: Agreement) -> str:
    names = study.standard.names
    first, second = names[one.one], names[one.other]
    said = (
        f"rank correlation {one.rank} (Spearman, n = {study.n})"
        if one.rank.is_known
        else "no rank correlation, as one of them calls all samples equal or there are too few"
    )
    if one.both is None:
        return f"{first} and {second}: {said}; nothing is good by {first}."
    chance = f"p = {one.p:.2g}"
    return (
        f"{first} and {second} {_how_far(one)}: {said}; of what is good by {first}, {one.both} is"
        f" good by {second}, of all samples {one.chance.value:.2f} (Fisher's exact test, {chance})."
    )


def _how_far(one: Agreement) -> str:
    rank = one.rank
    if not rank.is_known:
        return "cannot be compared"
    if not rank.p < UNLIKELY:
        return "neither agree nor disagree"
    strength = (
        "well" if abs(rank.value) >= 0.7 else "in part" if abs(rank.value) >= 0.3 else "little"
    )
    return f"{'agree' if rank.value > 0 else 'disagree'} {strength}"


def _elements(study: Study, judge: int, found: Elements) -> str:
    name = study.standard.names[judge]
    n_elements = len(found.value)
    told = [(f"z{place}", rank) for place, rank in enumerate(found.value) if rank.is_found]
    told += [(f"|z{place}|", rank) for place, rank in enumerate(found.size) if rank.is_found]
    told.sort(key=lambda one: -abs(one[1].value))
    norm = _norm(found.norm)
    if not told:
        return (
            f"By {name}, none of {n_elements} elements goes with better images, by its value or its"
            f" size (rank correlations, q < 0.05, n = {study.n}); {norm}."
        )
    words = ", ".join(
        f"{'larger' if rank.value > 0 else 'smaller'} {which} ({rank})"
        for which, rank in told[:_MOST_NAMED]
    )
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return (
        f"By {name}, images are better with {words}{more} (rank correlations with q < 0.05 of"
        f" {n_elements} elements and their sizes, n = {study.n}); {norm}."
    )


def _norm(rank: Rank) -> str:
    if not rank.is_known:
        return "of the norm nothing can be told"
    if not rank.p < UNLIKELY:
        return f"the norm tells nothing ({rank}, p = {rank.p:.2g})"
    return (
        f"{'larger' if rank.value > 0 else 'smaller'} norms are better ({rank}, p = {rank.p:.2g})"
    )


def _judges(study: Study, context: Context) -> str:
    standard = study.standard
    parts = [
        f"{standard.describe(place)} ({int(study.good[place].sum())} of {study.n})"
        for place in range(len(standard.names))
    ]
    why = "" if study.params.judge else _why(study)
    kept = standard.names[standard.kept]
    return f"Good is: {'; '.join(parts)}. The kept ones are good by {kept}.{why}"


def _why(study: Study) -> str:
    if [judge.name for judge in study.standard.judges] == ["appearance=sharpness"]:
        return (
            " No --judge was named and no other measure fits: sharpness says little of how good an"
            " image is."
        )
    return (
        " No --judge was named: all measures that fit and have one column or probabilities were"
        " asked, which need not mean quality."
    )


def _chosen(study: Study, context: Context) -> list[str]:
    if context.chosen is None:
        return []
    judged = (
        f"Judged were the samples {context.chosen}, not the prior: what is learned of them holds"
        " for their like."
    )
    if study.filtered is None:
        return [judged]
    fresh = "chosen in the same way" if is_of_a_kind(context) else "of the prior"
    return [f"{judged} Fresh samples are {fresh}."]


def _written(study: Study) -> str:
    sets = []
    if len(study.kept):
        sets.append(f"good ({len(study.kept)} latents that were judged good, best first)")
    if study.filtered is not None:
        n = len(study.filtered.kept(study.params.n_kept))
        sets.append(f"predicted-good ({n} fresh ones that the filter is surest of)")
    if not sets:
        return "No sample was good: no latents are written."
    return f"For --latents of other analyses, latents/ holds {' and '.join(sets)}."
