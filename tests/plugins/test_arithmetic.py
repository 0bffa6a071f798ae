"""Arithmetic: sums of groups' means, on planted generators whose attributes are linear in z."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Context,
    DirectionSet,
    Generator,
    LatentSet,
    LatentSpace,
    Measure,
    ParameterError,
    Probe,
    Result,
    ShapeError,
    UnknownNameError,
    find_measure,
)
from ganprobe_arithmetic import Arithmetic, ArithmeticParams
from ganprobe_arithmetic.formula import Formula
from ganprobe_arithmetic.groups import read_groups
from ganprobe_arithmetic.study import Study, study_sums


class Quadrants(nn.Module):
    """Latents (n, 4, 1, 1) to images (n, 1, 8, 8): a quadrant's brightness is linear in z.

    The layer `mixed` turns z by an orthogonal matrix; `turned` turns it back. `beside` is the
    generator's own shortcut from z to the image, of strength 0 unless told otherwise.
    """

    def __init__(self, *, shortcut: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        turn = torch.linalg.qr(torch.randn(4, 4)).Q
        self.mixed, self.turned = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        with torch.no_grad():
            self.mixed.weight.copy_(turn)
            self.turned.weight.copy_(turn.T)
        self.shortcut = shortcut

    def forward(self, z: Tensor) -> Tensor:
        flat = z.flatten(1)
        levels = 0.2 * (self.turned(self.mixed(flat)) + self.shortcut * flat)
        return torch.as_tensor(
            levels.view(-1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
        )


class Levels(Measure):
    """Of each quadrant: z again."""

    name = "levels"
    summary = "The four quadrants."
    columns = ("a", "b", "c", "d")

    def measure(self, images: Tensor) -> Tensor:
        levels = images[:, 0, ::4, ::4].flatten(1)  # (n, 4)
        return (2 * levels - 1) / 0.2


def find(name: str) -> Measure:
    return Levels() if name == "levels" else find_measure(name)


def context_of(*, distribution: Any = "normal", shortcut: float = 0.0, seed: int = 0) -> Context:
    space = LatentSpace((4, 1, 1), distribution)
    module = Quadrants(shortcut=shortcut).eval()
    generator = Generator.from_module(module, latent=space, name="quadrants")
    return Context(Probe(generator), seed, find)


GROUPS: dict[str, Any] = {
    "group": (
        "ab: levels.a>0.4 & levels.b>0.4",
        "a: levels.a>0.4 & levels.b<-0.4",
        "base: levels.a<-0.4 & levels.b<-0.4",
    ),
    "formula": "ab - a + base",
    "want": "levels.b>0 & levels.a<0",
    "n_draws": 40,
    "n_shown": 3,
}


def params_of(**changes: Any) -> ArithmeticParams:
    return ArithmeticParams.parse(GROUPS | changes)


def success_of(study: Study, space: int = 0) -> tuple[int, int, int]:
    one = study.spaces[space]
    shares = one.result.success, one.random.success, one.base.success
    return tuple(share.successes for share in shares if share)  # type: ignore[return-value]


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_attributes_that_are_linear_in_z_add(distribution: str) -> None:
    study = study_sums(context_of(distribution=distribution), params_of())
    result, random, base = success_of(study)
    assert result >= 36  # b goes up by 0.8 and more, a stays below
    assert random <= 20  # a quarter, in the mean
    assert base == 0


def test_a_result_is_the_signed_sum_of_means_to_float_rounding() -> None:
    context = context_of()
    study = study_sums(context, params_of(formula="2*ab - 0.5*a + base", space=("z", "mixed")))
    groups, turn = study.groups, context.generator.module.state_dict()["mixed.weight"].double()
    means = {
        name: torch.stack([group.latents.z[rows].double().mean(0) for rows in group.draws])
        for name, group in groups.items()
    }
    expected = 2 * means["ab"] - 0.5 * means["a"] + means["base"]  # (draw, 4, 1, 1)
    for one in study.spaces:
        points = torch.cat([some for some, _ in one.sums.batches(groups, 40)]).double().flatten(1)
        by_hand = expected.flatten(1) if one.name == "z" else expected.flatten(1) @ turn.T
        assert torch.allclose(points, by_hand, atol=1e-5)
        assert np.allclose(one.norms, by_hand.norm(dim=1), atol=1e-5)


def test_a_site_behind_a_linear_layer_gives_the_images_that_z_gives() -> None:
    study = study_sums(context_of(), params_of(space=("z", "mixed")))
    in_z, at_site = study.spaces
    assert np.allclose(in_z.result.images, at_site.result.images, atol=1e-5)
    assert success_of(study, 0) == success_of(study, 1)


def test_what_lies_beside_a_site_comes_from_the_same_sum_in_z() -> None:
    with_shortcut = study_sums(context_of(shortcut=1.0), params_of(space=("z", "mixed")))
    in_z, at_site = with_shortcut.spaces
    assert np.allclose(in_z.result.images, at_site.result.images, atol=1e-5)


def test_the_norm_is_brought_back_to_that_of_the_prior_when_asked() -> None:
    study = study_sums(context_of(), params_of(norm="prior"))
    one = study.spaces[0]
    assert np.allclose(one.norms, one.typical_norm, rtol=1e-5)
    assert one.typical_norm == pytest.approx(1.88, abs=0.1)  # the mean of a chi of 4
    left = study_sums(context_of(), params_of()).spaces[0]
    assert left.norms.std() > 0.1


def test_draws_share_no_exemplar_where_there_are_enough() -> None:
    study = study_sums(context_of(), params_of())
    for group in study.groups.values():
        assert group.is_disjoint
        assert len(np.unique(group.draws)) == group.draws.size == 120


def test_few_exemplars_are_drawn_again_and_that_is_said(tmp_path: Path) -> None:
    context = context_of()
    LatentSet.of({"mine": context.generator.sample(4, seed=9)}).write(tmp_path / "mine.json")
    groups = (f"mine: @{tmp_path / 'mine.json'}:mine", *GROUPS["group"][1:])
    params = params_of(group=groups, formula="mine - a + base")
    study = study_sums(context, params)
    mine = study.groups["mine"]
    assert not mine.is_disjoint
    assert all(len(set(row)) == 3 for row in mine.draws.tolist())
    findings = Arithmetic().run(context, params).findings
    assert any("Of mine (4) there are too few exemplars" in one for one in findings)


def test_a_direction_of_the_formula_moves_by_its_standard_deviation(tmp_path: Path) -> None:
    context = context_of()
    up = np.zeros((1, 4, 1, 1))
    up[0, 1] = 1.0
    DirectionSet(up, ("b-up",), deviations=np.array([1.5])).write(tmp_path / "up.safetensors")
    params = params_of(
        group=("base: levels.a<-0.4 & levels.b<-0.4",),
        formula="base + 2*b-up",
        direction=f"@{tmp_path / 'up.safetensors'}",
        n_exemplars=1,
    )
    study = study_sums(context, params)
    one = study.spaces[0]
    points = torch.cat([some for some, _ in one.sums.batches(study.groups, 40)]).flatten(1)
    base = study.groups["base"].latents.z.flatten(1)
    assert torch.allclose(points - base, torch.tensor([0.0, 3.0, 0.0, 0.0]), atol=1e-6)
    assert success_of(study)[0] >= 35


def test_noise_in_the_figure_stays_within_its_bounds_and_its_centre_is_the_result() -> None:
    context = context_of()
    one = study_sums(context, params_of(noise=0.25)).spaces[0]
    levels = Levels()(torch.from_numpy(one.noisy))
    middle = Levels()(torch.from_numpy(one.result.images[:1]))
    assert one.noisy.shape == (8, 1, 8, 8)
    assert ((levels - middle).abs() <= 0.25 + 1e-5).all()
    assert (levels - middle).abs().max() > 0.15


def test_the_result_says_how_often_it_worked_beside_its_controls() -> None:
    context = context_of()
    result = Arithmetic().run(context, params_of(space=("z", "mixed"), judge="levels"))
    first = result.findings[0]
    assert first.startswith("ab - a + base in z, 3 exemplars of each group, 40 draws, seed 0:")
    assert "more than chance (Fisher's exact test, p = " in first
    assert any(one.startswith("By 'levels' the results are: in z b (") for one in result.findings)
    names = {"equation-z", "equation-mixed", "draws", "success", "sharpness"}
    assert set(result.figures) == names
    rows = {(row[0], row[1]): row for row in result.tables["success"].rows}
    assert rows["z", "result"][2] > rows["z", "random groups"][2]  # type: ignore[operator]
    assert result.arrays["success"].values.shape == (2, 40)
    assert result.arrays["n_called"].values.sum() == 80


def test_chance_alone_is_told_from_success() -> None:
    params = params_of(formula="base - a + ab", want="levels.c>0")
    findings = Arithmetic().run(context_of(seed=1), params).findings
    assert "no more than chance gives (p = " in findings[0]


def test_without_anything_wanted_nothing_is_counted() -> None:
    result = Arithmetic().run(context_of(), params_of(want=None))
    assert "Nothing was counted" in result.findings[-1]
    assert "success" not in result.figures
    assert "success" not in result.arrays


def test_a_direction_between_the_first_groups_is_found_and_taken_by_the_next_run(
    tmp_path: Path,
) -> None:
    context = context_of()
    result = Arithmetic().run(context, params_of(space=("z", "mixed")))
    found = result.direction_sets["ab-less-a-z"]
    assert abs(found.vectors.reshape(4)[1]) > 0.95  # the groups differ in b
    assert found.found["n"] == {"ab": 120, "a": 120}
    found.write(tmp_path / "b.safetensors")
    again = params_of(
        group=("base: levels.b<-0.4",),
        formula="base + 2*ab-less-a",
        direction=f"@{tmp_path / 'b.safetensors'}",
    )
    assert success_of(study_sums(context, replace_want(again, "levels.b>0")))[0] >= 35
    groups = result.latent_sets["groups"]
    assert list(groups.groups) == ["ab", "a", "base"]
    assert groups.seed == 0


def replace_want(params: ArithmeticParams, want: str) -> ArithmeticParams:
    return params.model_copy(update={"want": ArithmeticParams.parse(GROUPS | {"want": want}).want})


def test_the_same_seed_gives_the_same_and_another_one_other_draws() -> None:
    first, again = (Arithmetic().run(context_of(), params_of()) for _ in range(2))
    assert first.findings == again.findings
    other = Arithmetic().run(replace(context_of(), seed=5), params_of())
    assert other.findings != first.findings


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a-b+c", "a - b + c"),
        ("-a + 2*b", "- a + 2*b"),
        (" .5 * a+b-lines - c ", "0.5*a + b-lines - c"),
        ("b-lines-a", "b-lines - a"),
        ("a-2*b", "a - 2*b"),
    ],
)
def test_a_formula_reads_and_writes_itself_back(text: str, written: str) -> None:
    known = ["a", "b", "c", "b-lines"]
    formula = Formula.parse(text, known)
    assert str(formula) == written
    assert Formula.parse(str(formula), known) == formula


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ParameterError, "a formula names each thing once, got ''"),
        ("a a", ParameterError, "'a a' is no formula; write names with"),
        ("a - a", ParameterError, "a formula names each thing once"),
        ("a *", ParameterError, "is no formula"),
        ("a + ones", UnknownNameError, "no group 'ones' in the formula; nearest: one"),
    ],
)
def test_a_formula_that_is_none_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Formula.parse(text, ["a", "one"])


def test_groups_have_their_own_names_or_letters() -> None:
    read = read_groups(["digit=7 & crossed", "ones: 0-3", "@mine.json:ones"])
    assert [name for name, _ in read] == ["A", "ones", "C"]
    assert [str(choice) for _, choice in read] == ["digit=7 & crossed>0", "0-3", "@mine.json:ones"]
    assert str(Formula.of_groups(["A", "B", "C"])) == "A - B + C"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"group": ()}, ParameterError, "--group"),
        ({"group": ("a: 0-3", "a: 4-7")}, ParameterError, "two groups are called 'a'"),
        ({"group": ("a: 0-3",) * 1, "formula": "a + up"}, UnknownNameError, "no group 'up'"),
        ({"group": ("a: 0", "b: 1", "c: 2", "d: 3"), "formula": ""}, ParameterError,
         "what is made of 4 groups"),
        ({"group": ("a: 0-1",), "formula": "a"}, ParameterError, "stands for 2 samples, and 3"),
        ({"space": ("nowhere",)}, UnknownNameError, "no layer 'nowhere'"),
        ({"space": ()}, ParameterError, "--space: is empty"),
        ({"want": "5"}, ParameterError, "--want: names samples; say what an image must show"),
        ({"want": "levels.e>0"}, UnknownNameError, "no column 'e' in measure 'levels'"),
        ({"judge": "leveld"}, UnknownNameError, "no measure 'leveld'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_made(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        study_sums(context_of(), params_of(**changes))


def test_directions_of_another_space_or_shape_are_refused(tmp_path: Path) -> None:
    DirectionSet(np.eye(4)[:1], ("up",), "mixed").write(tmp_path / "mixed.safetensors")
    DirectionSet(np.eye(7)[:1], ("up",)).write(tmp_path / "other.safetensors")
    how = {"group": ("a: 0-9",), "formula": "a + up"}
    with pytest.raises(ParameterError, match="up are of mixed, and the sum is made in z; give --s"):
        study_sums(context_of(), params_of(**how, direction=f"@{tmp_path / 'mixed.safetensors'}"))
    with pytest.raises(ShapeError, match="they are of another generator"):
        study_sums(context_of(), params_of(**how, direction=f"@{tmp_path / 'other.safetensors'}"))


BESIDE = Path(__file__).parents[3] / "shared" / "data"
DESCRIPTION = Path(os.environ.get("GANPROBE_TEST_WEIGHTS", BESIDE)) / "mnist_swap_gan.json"


@pytest.mark.skipif(not DESCRIPTION.exists(), reason="the weights are not at hand")
def test_crossed_seven_less_seven_plus_one_is_no_one_in_z_and_has_a_bar_at_the_site(
    tmp_path: Path,
) -> None:
    from described import read_network
    from lenet import LeNet

    stored = json.loads(DESCRIPTION.read_text())["stored_latents"]
    path = tmp_path / "stored.json"
    LatentSet({name: np.array(z, np.float32) for name, z in stored.items()}).write(path)
    module = read_network(DESCRIPTION)
    generator = Generator.from_module(module, latent=5, name="swap", normalisation="sample")
    context = Context(
        Probe(generator), 0, lambda name: LeNet() if name == "lenet" else find_measure(name)
    )
    params = ArithmeticParams.parse(
        {
            "group": (f"crossed: @{path}:crossed", f"seven: @{path}:sevens", f"one: @{path}:ones"),
            "formula": "crossed - seven + one",
            "space": ("z", "act2"),
            "judge": "lenet",
            "want": "digit-shape.bar>3",
            "n_draws": 40,
            "n_shown": 1,
        }
    )
    result: Result = Arithmetic().run(context, params)
    called = result.arrays["n_called"].values  # (space, digit)
    assert called[0, 4] + called[0, 8] >= 34  # in z a 4 or an 8
    assert called[0, 1] == 0
    assert called[1, 4] + called[1, 8] <= 4  # at the site neither
    means = {row[:2]: row[2] for row in result.tables["success"].rows}
    assert means["act2", "result"] > means["act2", "mean of one alone"] + 0.3  # type: ignore[operator]
