"""What the study says, in sentences."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ganprobe import Context, Share, mean_interval
from ganprobe_arithmetic import ArithmeticParams
from ganprobe_arithmetic.judging import Verdicts
from ganprobe_arithmetic.study import InSpace, Study

_UNLIKELY = 0.05
_MOST_NAMED = 3


def findings(study: Study, context: Context) -> list[str]:
    """The most important first."""
    sentences = [_in_words(study, one, context) for one in study.spaces]
    if study.judges.judge is not None:
        sentences.append(_called(study))
    sentences.append(_sharpness(study))
    sentences += [_norms(study, one) for one in study.spaces]
    sentences += _drawn_again(study)
    if study.params.want is None:
        sentences.append(
            "Nothing was counted, as it was not said what an image must show: give --want."
        )
    return sentences


def exemplars(params: ArithmeticParams) -> str:
    """How many are in one draw, in words."""
    return f"{params.n_exemplars} exemplar{'' if params.n_exemplars == 1 else 's'}"


def _in_words(study: Study, one: InSpace, context: Context) -> str:
    made = (
        f"{study.formula} in {one.name}, {exemplars(study.params)} of each group,"
        f" {study.params.n_draws} draws, seed {context.seed}"
    )
    success, random, base = one.result.success, one.random.success, one.base.success
    if success is None or random is None or base is None:
        return f"{made[0].upper()}{made[1:]}."
    verdict = _verdict(success, random, base)
    return (
        f"{made}: {study.params.want} in {success} of results, in {random} of the same sum of"
        f" random groups, and in {base} of means of {study.base_name} alone: {verdict}."
    )


def _verdict(success: Share, random: Share, base: Share) -> str:
    more_than_random = _p(success, random) < _UNLIKELY and success.value > random.value
    more_than_base = _p(success, base) < _UNLIKELY and success.value > base.value
    if more_than_random and more_than_base:
        often = "it works" if success.value >= 0.5 else "it works at times"
        return f"{often}, more than chance (Fisher's exact test, p = {_p(success, random):.2g})"
    if more_than_random:
        return "more than random groups, but no more than without the sum"
    if _p(success, random) < _UNLIKELY:
        return f"less than chance gives (p = {_p(success, random):.2g})"
    return f"no more than chance gives (p = {_p(success, random):.2g})"


def _p(one: Share, other: Share) -> float:
    table = np.array([[share.successes, share.n - share.successes] for share in (one, other)])
    return float(np.asarray(stats.fisher_exact(table)[1]))


def _called(study: Study) -> str:
    judged = study.judges.judge
    assert judged is not None
    parts = [f"in {one.name} {_most(one.result, judged.columns)}" for one in study.spaces]
    return f"By {judged.name!r} the results are: {'; '.join(parts)}."


def _most(verdicts: Verdicts, columns: tuple[str, ...]) -> str:
    counts = verdicts.counts(len(columns))
    order = [int(slot) for slot in np.argsort(-counts, kind="stable")[:_MOST_NAMED] if counts[slot]]
    return ", ".join(
        f"{columns[slot]} ({100 * counts[slot] / counts.sum():.0f} %)" for slot in order
    )


def _sharpness(study: Study) -> str:
    rows = [("single samples", study.single)]
    rows += [(f"results in {one.name}", one.result) for one in study.spaces]
    parts = []
    for name, verdicts in rows:
        mean, low, high = mean_interval(verdicts.sharpness)
        parts.append(f"{mean[0]:.3g} [{low[0]:.3g}, {high[0]:.3g}] of {name}")
    return (
        f"Mean sharpness (measure 'appearance', 95 % interval): {', '.join(parts)}"
        f" (n = {len(study.single.sharpness)} samples, {study.params.n_draws} draws)."
    )


def _norms(study: Study, one: InSpace) -> str:
    ratio = float(one.norms.mean()) / one.typical_norm
    policy = (
        "left as it is" if study.params.norm == "none" else "brought back to the prior's mean norm"
    )
    outside = int(one.is_outside.sum())
    where = (
        "none lies"
        if not outside
        else "all lie"
        if outside == len(one.is_outside)
        else f"{outside} of {len(one.is_outside)} lie"
    )
    return (
        f"In {one.name} the norm of the sum was {policy}: {ratio:.2f} times the mean norm of the"
        f" prior's points; {where} where the prior's points hardly ever do."
    )


def _drawn_again(study: Study) -> list[str]:
    again = [group for group in study.groups.values() if not group.is_disjoint]
    if not again:
        return []
    names = ", ".join(f"{group.name} ({len(group.latents)})" for group in again)
    return [
        f"Of {names} there are too few exemplars for draws that share none: the intervals hold for"
        " these exemplars, not for others of their kind."
    ]
