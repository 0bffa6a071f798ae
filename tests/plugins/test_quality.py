"""Quality: which noise is good, on planted generators where that is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor, nn

from ganprobe import (
    Context,
    ForwardError,
    Generator,
    LatentSpace,
    Measure,
    ParameterError,
    PluginError,
    Probe,
    SampleChoice,
    UnknownNameError,
    find_measure,
)
from ganprobe_quality import Quality, QualityParams
from ganprobe_quality.features import features_of
from ganprobe_quality.standards import Standard
from ganprobe_quality.study import Study, study_quality
from lenet import ARE_AT_HAND, GENERATOR, LeNet

_STEP = 0.05


class Quadrants(nn.Module):
    """Latents (n, 4, 1, 1) to images (n, 1, 8, 8): a quadrant's brightness tells its element."""

    def forward(self, z: Tensor) -> Tensor:
        levels = 0.5 + _STEP * z.flatten(1)
        return torch.as_tensor(
            levels.view(-1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
        )


def chance(z: Tensor) -> Tensor:
    """(n,) normal numbers that no model learns: far digits of the last element."""
    far = (1000 * z[:, 3]).frac().abs().double().clamp(1e-3, 1 - 1e-3)
    return torch.from_numpy(special.ndtri(far.numpy()))


RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "line": lambda z: z[:, 0] + chance(z),
    "size": lambda z: z[:, 0].abs() + 0.2 * chance(z),
    "region": lambda z: (z[:, 0] * z[:, 1]).sign() + 0.2 * chance(z),
    "nothing": chance,
    "nothing-else": lambda z: chance(-z.flip(1)),
    "first": lambda z: z[:, 0],
    "thrice": lambda z: 3 * z[:, 0] + 1,
    "opposite": lambda z: -z[:, 0],
    "same": lambda z: 0 * z[:, 0],
    "nan": lambda z: z[:, 0] / 0 * 0,
}


class Planted(Measure):
    """A score that is a known function of the latent, of one column."""

    summary = "Planted."
    columns = ("score",)

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def measure(self, images: Tensor) -> Tensor:
        z = (images[:, 0, ::4, ::4].flatten(1) - 0.5) / _STEP
        return RULES[self.name](z)[:, None].to(images.dtype)


class Sides(Measure):
    """Probabilities of left and right."""

    name, summary, columns = "sides", "Left or right.", ("left", "right")

    def measure(self, images: Tensor) -> Tensor:
        z = (images[:, 0, 0, 0] - 0.5) / _STEP
        return torch.stack([3 * z, -3 * z], 1).softmax(1)


def find(name: str) -> Measure:
    if name in RULES:
        return Planted(name)
    return Sides() if name == "sides" else find_measure(name)


def context_of(seed: int = 0, distribution: Any = "normal", **changes: Any) -> Context:
    space = LatentSpace((4, 1, 1), distribution)
    generator = Generator.from_module(
        Quadrants().eval(), latent=space, name="quadrants", image_range=(0.0, 1.0)
    )
    return Context(Probe(generator), seed, find, **changes)


def params_of(*judges: str, **changes: Any) -> QualityParams:
    small = {"n_samples": 400, "n_fresh": 200, "model": ("logistic",), "n_shown": 3}
    return QualityParams.parse(small | {"judge": judges} | changes)


def study_of(*judges: str, seed: int = 0, **changes: Any) -> Study:
    return study_quality(context_of(seed), params_of(*judges, **changes))


def auc_of(study: Study, model: str, verdict: int = 0) -> Any:
    return next(one for one in study.foresight[verdict].models if one.model == model)


def test_the_auc_of_a_planted_direction_is_the_one_known_in_closed_form() -> None:
    found = auc_of(study_of("line > 0", n_samples=2000), "logistic")
    correlation = 1 / math.sqrt(2)  # of the element with the score: as much noise as signal
    known = 0.5 + 2 * math.asin(correlation / math.sqrt(2)) / math.pi  # 0.8333
    assert found.low < known < found.high
    assert found.auc == pytest.approx(known, abs=0.03)
    assert found.has_signal
    better = 0.5 + math.asin(correlation) / math.pi  # of the half with a positive element: 0.75
    assert found.best_half.value == pytest.approx(better, abs=0.04)


@pytest.mark.parametrize(
    ("rule", "seen_by", "unseen_by"),
    [("size", ("curved", "neighbours"), ("logistic",)),
     ("region", ("neighbours",), ("logistic", "curved"))],
)  # fmt: skip
def test_a_signal_is_seen_by_the_models_that_can(
    rule: str, seen_by: tuple[str, ...], unseen_by: tuple[str, ...]
) -> None:
    study = study_of(rule, n_samples=800, model=(*seen_by, *unseen_by))
    for model in seen_by:
        assert auc_of(study, model).auc > 0.75
        assert auc_of(study, model).has_signal
    for model in unseen_by:
        assert auc_of(study, model).auc < 0.58
        assert not auc_of(study, model).has_signal


def test_the_mlp_sees_a_region() -> None:
    study = study_of("region", n_samples=600, model=("mlp",), folds=3)
    assert auc_of(study, "mlp").auc > 0.75


def test_no_signal_is_said_where_there_is_none() -> None:
    context, params = context_of(), params_of("nothing")
    result = Quality().run(context, params)
    assert result.findings[0].startswith("By nothing: no signal. No model tells good from other")
    assert (
        "whose interval holds 0.5, guessing; an AUC of 0.58 or more would have been"
        in (result.findings[0])
    )
    assert "could not be chosen ahead" in result.findings[1]
    assert "filter" not in result.figures
    assert list(result.latent_sets) == ["good"]


def test_chance_is_seldom_taken_for_a_signal() -> None:
    studies = [study_of("nothing", seed=seed, n_samples=200, folds=3) for seed in range(30)]
    n_seen = sum(study.foresight[0].best is not None for study in studies)
    assert n_seen <= 4  # 5 % of 30 are 1.5; more than 4 have a probability of 0.016


@pytest.mark.slow
def test_chance_is_seldom_taken_for_a_signal_by_all_models() -> None:
    every = ("logistic", "curved", "neighbours", "mlp")
    studies = [study_of("nothing", seed=seed, n_samples=200, model=every) for seed in range(40)]
    assert sum(study.foresight[0].best is not None for study in studies) <= 6


def test_p_values_are_corrected_for_all_that_was_tried() -> None:
    study = study_of("line", "nothing", model=("logistic", "curved"))
    models = [one for foresight in study.foresight for one in foresight.models]
    p = np.sort([one.p for one in models])
    holm = np.maximum.accumulate(np.minimum(p * [4, 3, 2, 1], 1))
    assert sorted(one.corrected_p for one in models) == pytest.approx(list(holm))


def test_features_of_the_curved_model_are_elements_sizes_squares_and_norm() -> None:
    z = np.array([[3.0, -4.0], [0.0, 1.0]])
    expected = [[3, -4, 3, 4, 9, 16, 5], [0, 1, 0, 1, 0, 1, 1]]
    assert features_of(z, "curved").tolist() == expected
    assert features_of(z, "mlp") is z


@pytest.mark.parametrize(
    ("other", "correlation", "both"),
    [("thrice", 1.0, 1.0), ("opposite", -1.0, 0.0), ("nothing", 0.0, 0.5)],
)
def test_agreement_of_judges_is_told(other: str, correlation: float, both: float) -> None:
    study = study_of("first", other)
    (agreement,) = study.agreements
    by_hand = stats.spearmanr(*study.judged.scores).statistic
    assert agreement.rank.value == pytest.approx(by_hand, abs=1e-9)
    assert agreement.rank.value == pytest.approx(correlation, abs=0.12)
    assert agreement.both is not None
    assert agreement.both.value == pytest.approx(both, abs=0.08)
    assert agreement.chance.value == 0.5


def test_a_judge_of_whom_less_is_better_agrees_with_its_opposite() -> None:
    study = study_of("first < 0.2", "opposite > -0.2")
    assert study.agreements[0].rank.value == pytest.approx(1.0)
    assert (study.good[0] == study.good[1]).all()
    best = study.judged.scores[0, study.judged.highest[0].rows]
    assert best.tolist() == sorted(study.judged.scores[0])[:3]


def test_scores_elements_and_norms_are_those_of_the_latents() -> None:
    study = study_of("first")
    assert np.allclose(study.judged.scores[0], study.z[:, 0], atol=1e-4)
    (found,) = study.elements
    assert found.value[0].value > 0.999
    assert found.value[0].is_found
    norms = np.linalg.norm(study.z, axis=1)
    for rank, values in (
        (found.value[2], study.z[:, 2]),
        (found.size[0], np.abs(study.z[:, 0])),
        (found.norm, norms),
    ):
        by_hand = stats.spearmanr(values, study.judged.scores[0]).statistic
        assert rank.value == pytest.approx(by_hand, abs=1e-6)
    order = np.argsort(norms)
    by_bin = [study.judged.scores[0, rows].mean() for rows in np.array_split(order, 10)]
    assert found.by_norm.mean == pytest.approx(by_bin)


def test_the_size_of_an_element_is_found_where_its_value_is_not() -> None:
    (found,) = study_of("size", n_samples=800).elements
    assert found.size[0].is_found
    assert not found.value[0].is_found
    assert found.norm.value > 0.2


def test_best_and_worst_images_are_those_of_the_extreme_scores_bit_for_bit() -> None:
    context, params = context_of(), params_of("first", n_samples=150)
    result = Quality().run(context, params)
    images = torch.cat(
        [context.generator.to_unit_range(run.images) for run in context.probe.runs(150, seed=0)]
    ).numpy()
    order = np.argsort(result.arrays["score"].values[0])
    assert (result.arrays["worst_image"].values[0] == images[order[:3]]).all()
    assert (result.arrays["best_image"].values[0] == images[order[::-1][:3]]).all()


def test_the_better_share_is_good_and_equal_scores_are_equally_good() -> None:
    judges = study_of("first").standard.judges
    scores = np.array([[0.0, 1.0, 1.0, 2.0, 0.5]])
    standard = Standard.of(judges, scores, good_share=0.4, is_jointly=False)
    assert standard.good(scores).tolist() == [[False, True, True, True, False]]
    assert standard.good(np.array([[0.9, 1.1]])).tolist() == [[False, True]]
    assert study_of("first", good_share=0.25).good.sum() == 100


def test_a_limit_is_passed_not_reached() -> None:
    judges = study_of("first > 1").standard.judges
    scores = np.array([[0.9, 1.0, 1.1]])
    standard = Standard.of(judges, scores, good_share=0.5, is_jointly=False)
    assert standard.good(scores).tolist() == [[False, False, True]]
    assert standard.cut(0) == 1.0


def test_all_judges_together_call_good_what_each_does() -> None:
    study = study_of("first", "nothing", kept_by="all")
    assert study.standard.names == ["first", "nothing", "all judges"]
    assert (study.good[2] == study.good[0] & study.good[1]).all()
    assert study.good[2, study.kept].all()
    ranks = np.stack([stats.rankdata(row, "max") / study.n for row in study.judged.scores])
    assert study.goodness[2] == pytest.approx(ranks.min(0))
    assert (np.diff(study.goodness[2, study.kept]) <= 0).all()


def test_the_filter_raises_the_share_on_samples_it_has_not_seen() -> None:
    study = study_of("line > 0", n_fresh=500)
    found = study.filtered
    assert found is not None
    assert found.judged.latents.indices == tuple(range(400, 900))
    assert found.passed.n == 250
    assert found.passed.value == pytest.approx(0.75, abs=0.07)  # as known in closed form
    assert found.turned_away.value == pytest.approx(0.25, abs=0.07)
    assert found.p < 1e-6
    assert found.predicted[found.passes].min() >= found.predicted[~found.passes].max()
    z = found.judged.latents.z.flatten(1)[:, 0].numpy()
    assert abs(stats.spearmanr(found.predicted, z).statistic) > 0.9
    kept = found.kept(20)
    assert (np.diff(found.predicted[kept]) <= 0).all()


def test_what_passes_is_a_share_that_is_asked_for() -> None:
    found = study_of("line > 0", accept=0.1).filtered
    assert found is not None
    assert found.passed.n == 20
    assert found.passed.value > 0.75


def test_good_latents_are_written_and_taken_by_another_analysis(tmp_path: Path) -> None:
    context = context_of()
    result = Quality().run(context, params_of("line > 0", n_kept=30))
    for name, held in result.latent_sets.items():
        held.write(tmp_path / f"{name}.json")
        chosen = SampleChoice.parse(f"@{tmp_path / name}.json")
        latents = replace(context, chosen=chosen).sample(30)
        assert latents.z.shape == (30, 4, 1, 1)
        again = context.generator.latent_space.sample(held.indices["z"], seed=0)
        assert torch.equal(latents.z, again.z)
        images = context.generator.to_unit_range(context.probe.images(latents))
        is_good = Planted("line")(images)[:, 0] > 0
        assert is_good.all() if name == "good" else is_good.float().mean() > 0.8
    assert list(result.latent_sets) == ["good", "predicted-good"]


def test_chosen_latents_are_judged_and_the_fresh_ones_are_of_the_prior(tmp_path: Path) -> None:
    context = context_of()
    Quality().run(context, params_of("line", n_kept=150)).latent_sets["good"].write(
        tmp_path / "good.json"
    )
    chosen = SampleChoice.parse(f"@{tmp_path / 'good.json'}")
    study = study_quality(replace(context, chosen=chosen), params_of("line"))
    assert study.n == 150  # fewer than asked for
    assert study.judged.latents.indices is None
    findings = Quality().run(replace(context, chosen=chosen), params_of("line")).findings
    assert any("not the prior" in one for one in findings)
    assert study.filtered is None or min(study.filtered.judged.latents.indices or ()) > 10**5


def test_samples_that_meet_a_condition_are_judged_and_fresh_ones_meet_it_too() -> None:
    context = replace(context_of(), chosen=SampleChoice.parse("first>0.5"))
    study = study_quality(context, params_of("line"))
    assert study.filtered is not None
    assert (study.z[:, 0] > 0.49).all()
    judged, fresh = study.judged.latents, study.filtered.judged.latents
    assert (fresh.z.flatten(1)[:, 0] > 0.49).all()
    assert not set(judged.indices or ()) & set(fresh.indices or ())


@pytest.mark.parametrize("distribution", ["uniform", "truncated"])
def test_other_priors_are_studied_alike(distribution: str) -> None:
    study = study_quality(context_of(distribution=distribution), params_of("first"))
    assert auc_of(study, "logistic").auc > 0.99


def test_one_sample_is_shown_and_nothing_is_made_of_it() -> None:
    result = Quality().run(context_of(), params_of("first", "nothing", n_samples=1))
    assert "1 of 1 samples are good and 0 are not, too few of one kind" in result.findings[0]
    assert "models" not in result.figures
    assert result.arrays["best_image"].values.shape == (2, 1, 1, 8, 8)


def test_a_judge_that_calls_all_equal_is_told() -> None:
    result = Quality().run(context_of(), params_of("same", "first"))
    assert "400 of 400 samples are good and 0 are not" in result.findings[0]
    assert any("no rank correlation" in one for one in result.findings)


def test_where_nothing_is_good_no_latents_are_written() -> None:
    result = Quality().run(context_of(), params_of("first > 100"))
    assert result.latent_sets == {}
    assert result.findings[-1] == "No sample was good: no latents are written."


def test_a_measure_of_probabilities_judges_by_how_sure_it_is() -> None:
    study = study_of("sides", "sides=left", "sides.right>0.9")
    names = ["sides (confidence)", "sides=left", "sides.right > 0.9"]
    assert study.standard.names == names
    sure, left, right = study.judged.scores
    assert sure == pytest.approx(np.maximum(left, right))
    assert left + right == pytest.approx(1.0, abs=1e-5)


def test_without_a_judge_all_that_fit_are_asked_and_that_is_said() -> None:
    measures = [find("first"), Sides(), find_measure("appearance"), find_measure("digit")]
    context = context_of(list_measures=lambda: measures)
    result = Quality().run(context, params_of())
    assert result.coordinates["judge"] == ["first", "sides (confidence) > 0.9"]
    assert any("No --judge was named" in one for one in result.findings)
    nothing_fits = Quality().run(context_of(), params_of())
    assert nothing_fits.coordinates["judge"] == ["appearance=sharpness"]
    assert any("sharpness says little" in one for one in nothing_fits.findings)


@pytest.mark.parametrize(
    ("judges", "error", "message"),
    [
        (("appearance",), ParameterError, "8 columns that are no probabilities; name one, as app"),
        (("appearance=loudness",), UnknownNameError, "no column 'loudness'"),
        (("firts",), UnknownNameError, "no measure 'firts'"),
        (("first > high",), ParameterError, "'high' in the judge 'first > high' is no number"),
        (("> 3",), ParameterError, "'> 3' is no judge; write"),
        (("first", "first "), None, ""),
        (("first>1", "first > 1.0"), ParameterError, "two judges are 'first > 1'"),
        (("",), ParameterError, "--judge: is empty"),
        (("digit",), PluginError, "measure 'digit' takes images"),
        (("nan",), PluginError, "judge 'nan' gave NaN or infinity"),
    ],
)
def test_judges_that_cannot_be_meant_are_refused(
    judges: tuple[str, ...], error: type[Exception] | None, message: str
) -> None:
    if error is None:
        assert len(params_of(*judges).judge) == 1
        return
    with pytest.raises(error, match=message):
        study_of(*judges, n_samples=10)


def test_a_generator_that_gives_nan_is_refused() -> None:
    class Broken(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.full((len(z), 1, 8, 8), torch.nan)

    generator = Generator.from_module(Broken().eval(), latent=4, name="broken")
    with pytest.raises(ForwardError, match="generator 'broken' gave NaN or infinity"):
        study_quality(Context(Probe(generator), 0, find), params_of("appearance=size"))


def test_the_result_has_named_dimensions_and_all_its_parts() -> None:
    result = Quality().run(context_of(), params_of("line", "nothing", model=("logistic", "curved")))
    sizes = result.sizes()
    assert (sizes["judge"], sizes["verdict"], sizes["model"]) == (2, 2, 2)
    assert (sizes["sample"], sizes["fresh"], sizes["element"]) == (400, 200, 4)
    assert set(result.figures) == {"gallery", "models", "filter", "judges", "elements", "norms"}
    rows = result.tables["models"].rows
    assert [row[:2] for row in rows] == [
        (judge, model) for judge in ("line", "nothing") for model in ("logistic", "curved")
    ]
    assert len(result.tables["elements"].rows) == 2 * (4 + 4 + 1)
    held_out = result.arrays["held_out"].values  # (verdict, model, sample)
    good = result.arrays["is_good"].values[0]
    assert held_out[0, 0][good].mean() > held_out[0, 0][~good].mean()


def test_the_same_seed_gives_the_same_and_another_one_other_samples() -> None:
    first, again, other = (
        Quality().run(context_of(seed), params_of("line", n_samples=100)).findings
        for seed in (0, 0, 1)
    )
    assert first == again != other


class Convolutions(nn.Module):
    """Latents (n, 100, 1, 1) to colour images (n, 3, 16, 16), as a DCGAN's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(100, 16, 4), nn.BatchNorm2d(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z)
        return images


def test_a_generator_of_colour_images_with_a_uniform_prior_is_studied() -> None:
    space = LatentSpace((100, 1, 1), "uniform")
    generator = Generator.from_module(Convolutions().eval(), latent=space, name="dcgan")
    context = Context(Probe(generator), 0, find)
    result = Quality().run(
        context, params_of("appearance=brightness", n_samples=333, model=("logistic",))
    )
    assert "which noise is good can be told ahead" in result.findings[0]
    assert result.latent_sets["good"].groups["z"].shape[1:] == (100, 1, 1)
    assert result.arrays["best_image"].values.shape == (1, 3, 3, 16, 16)


def test_a_command_writes_good_latents_and_the_next_takes_them(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished = ganprobe_command(
        "run", "quality", "digits", "--n-samples", 120, "--n-fresh", 20, "--model", "logistic",
        "--judge", "digit>0.9", "--n-kept", 5, "--n-shown", 2, "--output", "out/quality",
    )  # fmt: skip
    assert finished.status == 0, finished.err
    assert (tmp_path / "out/quality/figures/gallery.png").exists()
    finished = ganprobe_command(
        "run", "traversal", "digits", "--latents", "@out/quality/latents/good.json",
        "--bases", 2, "--steps", 3, "--figures", 1, "--dims", 0, "--output", "out/walks",
    )  # fmt: skip
    assert finished.status == 0, finished.err


@pytest.mark.slow
@pytest.mark.skipif(not ARE_AT_HAND, reason="the weights are not at hand")
def test_on_real_weights_regions_foresee_what_a_direction_does_not() -> None:
    """Known there: 86.6 % are good, and logistic regression has an AUC of .54."""
    from described import read_described

    context = Context(Probe(read_described(GENERATOR)), 0, lambda _: LeNet())
    models = ("logistic", "neighbours")
    study = study_quality(
        context, params_of("lenet>0.9", n_samples=3000, n_fresh=1000, model=models)
    )
    assert study.good.mean() == pytest.approx(0.866, abs=0.02)
    assert auc_of(study, "logistic").auc < 0.58
    assert auc_of(study, "neighbours").auc > 0.62
    assert study.filtered is not None
    assert study.filtered.passed.value > study.filtered.all.value + 0.03
