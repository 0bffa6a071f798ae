"""The study: samples judged, what foresees the verdicts, and a filter tried on fresh samples.

Costs one image for each sample, fresh ones too; each model is fitted some 15 times for each judge:
seconds for 2 000 samples of 100 elements. Latents are kept in memory, images are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import Context, Latents
from ganprobe_quality import QualityParams
from ganprobe_quality.agreement import Agreement, agreements
from ganprobe_quality.elements import Elements, study_elements
from ganprobe_quality.filtering import Filtered, filter_fresh
from ganprobe_quality.judges import find_judges
from ganprobe_quality.judging import Judged, judge_samples
from ganprobe_quality.predicting import Foresight, foresee
from ganprobe_quality.standards import Standard

Floats = NDArray[np.float64]

_FAR = 1_000_000  # where fresh samples begin when the judged ones are not the seed's first


@dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Args:
        z: (n, element) the latents that were judged.
        goodness: (verdict, n), better higher; `good`: (verdict, n) which are good.
        kept: (kept,) places of the good samples that are written, best first.
        filtered: fresh samples; None: nothing foresees the verdict.
    """

    params: QualityParams
    standard: Standard
    judged: Judged
    z: Floats
    goodness: Floats
    good: NDArray[np.bool_]
    agreements: list[Agreement]
    elements: list[Elements]
    foresight: list[Foresight]
    kept: NDArray[np.int64]
    filtered: Filtered | None

    @property
    def n(self) -> int:
        """How many samples were judged."""
        return len(self.z)


def study_quality(context: Context, params: QualityParams) -> Study:
    """Judge, compare, foresee, filter.

    Raises:
        ParameterError, UnknownNameError, PluginError: judges or samples that there are not.
    """
    latents = context.sample(params.n_samples, fewest=1)
    judges = find_judges(context, params.judge, latents)
    n_shown = max(1, min(params.n_shown, len(latents) // 2))
    judged = judge_samples(context, judges, latents, n_shown=n_shown)
    standard = Standard.of(
        judges,
        judged.scores,
        good_share=params.good_share,
        is_jointly=params.kept_by == "all",
    )
    z = flat(latents)
    goodness, good = standard.goodness(judged.scores), standard.good(judged.scores)
    n_judges, seed = len(judges), context.seed
    foresight = foresee(context, params, z, good)
    return Study(
        params=params,
        standard=standard,
        judged=judged,
        z=z,
        goodness=goodness,
        good=good,
        agreements=agreements(goodness[:n_judges], good[:n_judges], seed=seed),
        elements=study_elements(z, goodness[:n_judges], judged.scores, seed=seed),
        foresight=foresight,
        kept=_best_good(goodness[standard.kept], good[standard.kept], params.n_kept),
        filtered=filter_fresh(
            context,
            params,
            standard,
            foresight[standard.kept],
            learned_from=(z, good[standard.kept]),
            fresh=lambda: _fresh(context, params.n_fresh, latents),
            n_shown=n_shown,
        ),
    )


def flat(latents: Latents) -> Floats:
    """(n, element) of latents of any shape, float64."""
    return np.asarray(latents.z.flatten(1).double().cpu().numpy())


def _best_good(goodness: Floats, good: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    order = np.argsort(-goodness, kind="stable")
    return np.asarray(order[good[order]][:n])


def is_of_a_kind(context: Context) -> bool:
    """Whether there are more samples of those that are judged: of the prior, or of a finding."""
    return context.chosen is None or bool(context.chosen.conditions)


def _fresh(context: Context, n_fresh: int, judged: Latents) -> Latents:
    """Samples that are not among those that were judged: of the same kind, if there are more."""
    if is_of_a_kind(context):
        return context.sample(n_fresh, start=len(judged), fewest=2)
    start = max(_FAR, 1 + max(judged.indices or (0,)))
    return context.generator.sample(n_fresh, seed=context.seed, start=start)
