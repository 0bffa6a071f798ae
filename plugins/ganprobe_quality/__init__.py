"""Quality: which noise gives good images, by whose judgement, and can that be known ahead?"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from ganprobe import Analysis, Context, Field, Params, Result, hookimpl

Model = Literal["logistic", "curved", "neighbours", "mlp"]


class QualityParams(Params):
    """Who judges, what is good, and what is tried to foresee it."""

    judge: tuple[str, ...] = Field(
        default=(),
        max_length=6,
        description="Who says how good an image is, more being better: a measure's column,"
        " 'digit-realness', 'appearance=sharpness'; or a measure of probabilities alone, 'digit':"
        " how sure it is, its largest column. With a limit, what lies beyond it is good:"
        " 'digit>0.9', 'appearance.size<0.6'. Of several, the first one decides what is kept."
        " Without it: every measure that fits and has one column, or probabilities: then above 0.9"
        " is good.",
    )
    good_share: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description="The share of the samples that is good, for a judge without a limit: 0.5 is"
        " the better half.",
    )
    kept_by: Literal["first", "all"] = Field(
        default="first",
        description="Whose good samples are kept: those of the first judge, or those that all"
        " judges call good.",
    )
    n_samples: int = Field(
        default=2000, ge=1, le=1_000_000, description="Samples that are judged and learned from."
    )
    model: tuple[Model, ...] = Field(
        default=("logistic", "curved", "neighbours", "mlp"),
        min_length=1,
        description="What is tried to foresee good images from the latent alone: logistic"
        " regression on its elements (one direction), curved (the same on elements, their sizes"
        " and squares, and the norm: how far out), neighbours and mlp (regions of any shape).",
    )
    folds: int = Field(default=5, ge=3, le=20, description="Parts of the cross-validation.")
    partitions: int = Field(
        default=1,
        ge=1,
        le=100,
        description="How many times samples are divided into folds anew: more of them take as many"
        " times as long, and depend less on chance.",
    )
    n_fresh: int = Field(
        default=1000,
        ge=2,
        le=1_000_000,
        description="Fresh samples that the best model filters, to see what that is worth.",
    )
    accept: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description="The share of the fresh samples that the filter lets pass.",
    )
    n_kept: int = Field(
        default=200, ge=1, le=100_000, description="Good latents that are written, at most."
    )
    n_shown: int = Field(default=10, ge=1, le=24, description="Best and worst images shown.")

    @field_validator("judge")
    @classmethod
    def _is_written(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if any(not one.strip() for one in given):
            raise ValueError("is empty; name a measure")
        return tuple(dict.fromkeys(one.strip() for one in given))

    @field_validator("model")
    @classmethod
    def _each_once(cls, given: tuple[Model, ...]) -> tuple[Model, ...]:
        return tuple(dict.fromkeys(given))


class Quality(Analysis[QualityParams]):
    """Find out which noise gives good images, and whether that can be told ahead.

    Samples are judged, by one measure or several side by side: how they spread, how far they
    agree, their best and worst images. Then it is tried to foresee from the latent alone which
    images a judge calls good: by single elements and by the norm (rank correlations), and by
    models (area under the ROC curve, AUC, of held-out samples, with its 95 % interval: 0.5 is
    guessing). Where nothing foresees it, "no signal" is said, and how much there could be.

    The best model then filters fresh samples, which are judged too: that is what it is worth. Good
    latents of the samples are written to latents/good.json, the accepted fresh ones to
    latents/predicted-good.json; other analyses take these files with --latents @FILE.
    """

    name = "quality"
    summary = "Which noise gives good images, by which judge, and whether that can be told ahead."
    Params = QualityParams
    uses_latents = True
    examples = (
        "ganprobe run quality digits --output out/quality",
        "ganprobe run quality digits --judge 'digit>0.99' --judge digit-realness \\\n"
        "      --n-samples 5000 --output out/sure",
        "ganprobe run traversal digits --latents @out/quality/latents/good.json \\\n"
        "      --output out/good-walks",
    )

    def run(self, context: Context, params: QualityParams) -> Result:
        """Judge, foresee, filter, tell."""
        from ganprobe_quality.report import make_result
        from ganprobe_quality.study import study_quality

        return make_result(study_quality(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``quality``."""
    return [Quality]
