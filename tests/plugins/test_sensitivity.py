"""Sensitivity against planted generators whose answer is known, and from the command line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Context,
    Generator,
    LatentSpace,
    Measure,
    NotDifferentiableError,
    ParameterError,
    Probe,
    Result,
    SampleChoice,
    UnknownNameError,
)
from ganprobe_sensitivity import Sensitivity, SensitivityParams
from ganprobe_sensitivity.figures import alike_order
from ganprobe_sensitivity.sentences import column_words, number
from ganprobe_sensitivity.study import Study, study_elements
from subjects import TinyNetwork, random_network

Command = Callable[..., Any]

SIDE = 8


class Quadrant(nn.Module):
    """Latents (n, 4) to images (n, 1, 8, 8), each element with a job of its own.

    Element 0 brightens the left half and 1 does the same, half as much; 2 moves the lower right
    quadrant alone; 3 does nothing.
    """

    def forward(self, z: Tensor) -> Tensor:
        image = torch.zeros(len(z), 1, SIDE, SIDE, dtype=z.dtype)
        image[:, 0, :, :4] = (z[:, 0] + 0.5 * z[:, 1])[:, None, None]
        image[:, 0, 4:, 4:] = z[:, 2][:, None, None]
        return image


class Even(nn.Module):
    """Element 1 of latents (n, 2) acts through its size alone; element 0 as it is."""

    def forward(self, z: Tensor) -> Tensor:
        image = torch.zeros(len(z), 1, 2, 2, dtype=z.dtype)
        image[:, 0, 0] = z[:, :1]
        image[:, 0, 1] = z[:, 1:].abs() - 1
        return image


class Halves(Measure):
    name, summary = "halves", "mean brightness of the left and of the right half"
    columns: ClassVar[tuple[str, ...]] = ("left", "right")

    def measure(self, images: Tensor) -> Tensor:
        left, right = images.chunk(2, 3)
        return torch.stack([left.mean((1, 2, 3)), right.mean((1, 2, 3))], 1)


class Rows(Measure):
    name, summary = "rows", "mean brightness of the upper and of the lower half"
    columns: ClassVar[tuple[str, ...]] = ("up", "down")

    def measure(self, images: Tensor) -> Tensor:
        up, down = images.chunk(2, 2)
        return torch.stack([up.mean((1, 2, 3)), down.mean((1, 2, 3))], 1)


class Level(Measure):
    name, summary = "level", "mean brightness"
    columns: ClassVar[tuple[str, ...]] = ("mean",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


MEASURES: dict[str, Measure] = {one.name: one for one in (Halves(), Level(), Rows())}

FEW: dict[str, Any] = {
    "n_samples": 6, "n_directions": 5, "n_associated": 200, "n_resamples": 200, "n_shown": 3,
}  # fmt: skip


def of(module: nn.Module, latent: Any = 4, **how: Any) -> Generator:
    how = {"image_range": (-10.0, 10.0), "name": "planted"} | how
    return Generator.from_module(module.eval(), latent=latent, **how)


def context_of(
    generator: Generator, seed: int = 0, measures: tuple[str, ...] = (), latents: str | None = None
) -> Context:
    held = [MEASURES[name] for name in measures]
    chosen = None if latents is None else SampleChoice.parse(latents)
    return Context(
        Probe(generator), seed, MEASURES.__getitem__, list_measures=lambda: held, chosen=chosen
    )


def studied(
    generator: Generator, seed: int = 0, measures: tuple[str, ...] = (), **params: Any
) -> Study:
    context = context_of(generator, seed, measures)
    return study_elements(context, SensitivityParams.parse(FEW | params))


def run(
    generator: Generator, seed: int = 0, measures: tuple[str, ...] = (), **params: Any
) -> Result:
    return Sensitivity().run(
        context_of(generator, seed, measures), SensitivityParams.parse(FEW | params)
    )


def linear(weight: Tensor, **how: Any) -> Generator:
    """Images (n, 1, 4, 4) = z @ weight."""
    layer = nn.Linear(len(weight), 16, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
    module = nn.Sequential(layer, nn.Unflatten(1, (1, 4, 4)))
    return of(module, **({"latent": len(weight)} | how))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated"])
def test_the_size_of_an_element_is_the_norm_of_its_column_times_its_deviation(
    seed: int, distribution: Any
) -> None:
    weight = torch.randn(6, 16, generator=torch.Generator().manual_seed(seed)).double()
    space = LatentSpace((6,), distribution)
    study = studied(linear(weight, latent=space), seed, step=0.7)
    expected = (weight.norm(dim=1) / 4 / 20 * space.deviation).numpy()[:, None].repeat(6, 1)
    for moves in (study.steps, study.slopes):
        assert moves is not None
        assert np.allclose(moves.elements.by_sample, expected, rtol=1e-6)
        assert np.allclose(
            moves.random.by_sample[:, 0],
            (study.plan.random @ weight).norm(dim=1).numpy() / 4 / 20 * space.deviation,
            rtol=1e-6,
        )
        maps = (weight.abs() / 20 * space.deviation).reshape(6, 4, 4).numpy()
        assert np.allclose(moves.elements.where, maps, rtol=1e-6, atol=1e-9)
        cosines = nn.functional.cosine_similarity(weight[:, None], weight[None], dim=2).numpy()
        assert np.allclose(moves.elements.cosines, cosines, atol=1e-9)
    assert study.order == np.argsort(-expected[:, 0]).tolist()
    assert study.disagreement is not None
    assert study.disagreement < 1e-6


def test_squares_of_random_directions_are_on_average_those_of_the_elements() -> None:
    weight = torch.randn(5, 16).double()
    study = studied(linear(weight), n_directions=4000, n_samples=1, method="jvp")
    elements = study.main.elements.by_sample[:, 0]
    random = study.main.random.by_sample[:, 0]
    assert (random**2).mean() == pytest.approx((elements**2).mean(), rel=0.03)


def test_each_planted_element_does_its_job_where_it_was_planted() -> None:
    study = studied(of(Quadrant()), measures=("halves",), n_samples=8)
    assert study.order == [0, 2, 1, 3]
    where = study.main.elements.where
    assert (where[2, 4:, 4:] > 0).all()
    assert where[2].sum() == pytest.approx(where[2, 4:, 4:].sum())
    assert where[0, :, 4:].sum() == 0
    assert where[0] == pytest.approx(2 * where[1], abs=1e-7)
    assert (where[3] == 0).all()
    assert (study.main.elements.by_sample[3] == 0).all()


def test_equal_effects_have_cosine_one_and_apart_ones_none() -> None:
    study = studied(of(Quadrant()))
    acts = study.main.elements
    assert acts.cosines[0, 1] == pytest.approx(1, abs=1e-6)
    assert acts.absolute[0, 1] == pytest.approx(1, abs=1e-6)
    assert acts.cosines[0, 2] == acts.cosines[2, 3] == 0
    # 0 and 1 count as one, 2 as another, 3 not at all: 3**2 / (4 + 1)
    assert acts.independent == pytest.approx(np.full(6, 9 / 5), abs=1e-6)


def test_elements_go_with_what_they_move_and_moving_them_causes_it() -> None:
    study = studied(of(Quadrant()), measures=("halves",), n_associated=400, n_samples=12)
    assert study.associated is not None
    assert study.caused is not None
    found = study.associated.found.pearson
    is_found = found.q < 1e-3
    assert is_found[:3].tolist() == [[True, False], [True, False], [False, True]]
    assert found.value[0, 0] == pytest.approx(2 / math.sqrt(5), abs=0.05)
    assert found.value[2, 1] == pytest.approx(1, abs=1e-6)
    assert not is_found[3].any()
    effects = study.caused.effects.mean.reshape(4, 2)
    expected = [[1 / 20, 0], [0.5 / 20, 0], [0, 0.5 / 20], [0, 0]]
    assert effects == pytest.approx(np.array(expected), abs=1e-6)
    standardised = effects / study.associated.spread
    assert standardised[:3] == pytest.approx(found.value[:3], abs=0.15)


def test_an_effect_through_the_size_alone_is_found_without_a_correlation() -> None:
    study = studied(of(Even(), 2), measures=("rows",), n_associated=1000, n_samples=12)
    assert study.associated is not None
    found = study.associated.found
    assert found.pearson.q[0, 0] < 1e-6
    assert found.pearson.q[1, 1] > 0.01
    assert abs(found.pearson.value[1, 1]) < 0.12
    assert study.associated.information.q[1, 1] < 0.01
    assert study.associated.information.value[1, 1] > 0.3
    result = run(of(Even(), 2), measures=("rows",), n_associated=1000)
    assert any("1 more depend without being correlated" in told for told in result.findings)


@pytest.mark.parametrize("name", ["z", "0", "2", "3"])
def test_changes_are_those_of_plain_runs(name: str) -> None:
    generator = of(random_network(3), 5, image_range=(-1.0, 1.0))
    study = studied(generator, space=name, dims=(1, 0), step=0.8, method="difference")
    space, points, latents = study.plan.space, study.plan.points, study.plan.base
    base = space.images(points, latents).double()
    for row, axis in enumerate((1, 0)):
        weights = torch.zeros(1, space.n_axes)
        weights[0, axis] = study.plan.deviations[axis]
        side = torch.where(space.coordinates(points)[:, axis] > study.plan.means[axis], -1, 1)
        length = (0.8 * side).reshape(-1, *[1] * len(space.shape))
        moved = space.images(points + length * space.along(weights), latents).double()
        expected = ((moved - base) / 2 / 0.8).square().mean((1, 2, 3)).sqrt()
        assert study.main.elements.by_sample[row] == pytest.approx(expected.numpy(), rel=1e-4)


def test_steps_go_toward_the_middle_and_so_never_leave_a_bounded_prior() -> None:
    generator = of(TinyNetwork(), LatentSpace((5,), "uniform"))
    study = studied(generator, n_samples=40)
    steps = study.plan.steps(study.plan.unit())  # (element, n)
    ends = study.plan.standing.T + steps
    assert (ends.abs() * generator.latent_space.deviation <= 1 + 1e-6).all()
    assert study.plan.reach == pytest.approx(math.sqrt(3))
    assert not any("outside" in told for told in run(generator).findings)
    far = " ".join(run(generator, step=3.0).findings)
    assert re.search(r"\d+% of the steps end more than 1\.73 deviations from the middle", far)


def test_units_of_a_site_move_by_their_own_deviation() -> None:
    generator = of(random_network(3), 5)
    study = studied(generator, space="2")
    coordinates = study.plan.space.coordinates(
        study.plan.space.points(generator.sample(1000, seed=0))
    )
    assert torch.allclose(study.plan.deviations, coordinates.double().std(0), rtol=1e-4)
    assert study.plan.names[0] == "2#0"


def test_strips_show_an_element_low_in_the_middle_and_high() -> None:
    study = studied(of(Quadrant()), n_shown=4)
    place = study.shown.index(2)
    levels = study.images[place, :, :, 0, -1, -1]
    assert torch.allclose(levels, torch.tensor([-2.0, 0.0, 2.0]).expand(2, 3) / 20 + 0.5)
    others = study.images[place, :, :, 0, :, 0]
    assert torch.equal(others[:, 0], others[:, 2])


class Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        return given.sin()


class NoDerivative(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = Opaque.apply(z)
        return made.reshape(-1, 1, 1, 4)


def test_without_derivatives_differences_are_taken_and_the_reason_is_told() -> None:
    result = run(of(NoDerivative()))
    (told,) = [one for one in result.findings if one.startswith("All is by finite differences")]
    assert "generator 'planted' has no forward-mode derivative along z: " in told
    assert "step" in result.arrays
    assert "jvp" not in result.arrays
    with pytest.raises(NotDifferentiableError, match="no forward-mode derivative along z"):
        run(of(NoDerivative()), method="jvp")


def test_no_element_of_a_generator_that_treats_all_alike_stands_out() -> None:
    weight = torch.linalg.qr(torch.randn(16, 16).double())[0][:8]
    result = run(linear(weight), n_directions=40)
    assert result.findings[1].startswith("No element stands out from random directions")
    result = run(linear(weight * torch.tensor([1.0, 1, 1, 9, 1, 1, 1, 1])[:, None]))
    assert "1 of 8 elements changes the image more than random directions" in result.findings[1]
    assert result.findings[0].startswith("z[3] changes the image of 'planted' most: ")


def test_a_generator_that_ignores_its_latents_is_told_of_as_such() -> None:
    result = run(linear(torch.zeros(3, 16)), measures=("level",))
    assert result.findings[0].startswith("No element of z changes the image of 'planted' at all")
    assert "one-page" in result.figures


def test_a_result_holds_tables_arrays_and_figures() -> None:
    result = run(of(Quadrant()), measures=("halves", "level"), n_associated=300)
    assert list(result.figures) == ["one-page", "ranking", "where", "associations", "cosines"]
    elements = result.tables["elements"]
    rows = [dict(zip(elements.columns, row, strict=True)) for row in elements.rows]
    assert [row["element"] for row in rows] == ["z[0]", "z[2]", "z[1]", "z[3]"]
    assert rows[0]["goes with"] == "left"
    assert (rows[1]["middle x"], rows[1]["middle y"]) == (0.75, 0.75)
    assert rows[3]["middle x"] is None
    assert len(result.tables["associations"].rows) == 4 * 3
    assert result.arrays["step"].values.shape == (4, 6)
    assert result.coordinates["column"] == ["halves=left", "halves=right", "level"]
    assert "n = 6 samples, seed 0" in result.findings[0]
    assert any(re.match(r"z\[2\] goes with: right r = \+1\.00 \[", one) for one in result.findings)


def test_single_columns_may_be_named_and_wrong_ones_are_refused() -> None:
    generator = of(Quadrant())
    study = studied(generator, measure=("level", "halves=right", "halves=right"))
    assert [column.name for column in study.plan.columns] == ["level", "halves=right"]
    assert column_words(study.plan) == ["level", "right"]
    with pytest.raises(UnknownNameError, match="no column 'middle' in measure 'halves'"):
        studied(generator, measure=("halves=middle",))
    with pytest.raises(ParameterError, match="no latent dimension 9: there are 4, numbered 0-3"):
        studied(generator, dims=(0, 9))


def test_what_too_few_samples_cannot_tell_is_not_denied() -> None:
    few = run(of(Quadrant()), measures=("halves",), n_samples=3)
    assert not any("No element stands out" in told for told in few.findings)
    assert few.findings[-1].startswith("With 3 samples p cannot fall below 0.25, so that no one")
    enough = run(of(Quadrant()), measures=("halves",), n_samples=12)
    assert not any("raise --n-samples" in told for told in enough.findings)


def test_elements_of_a_site_are_told_by_what_moving_them_does() -> None:
    first = nn.Linear(2, 4)
    module = nn.Sequential(first, Quadrant())
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.2], [1.0, 0.1], [1.0, -0.3], [1.0, 0.4]]))
    study = studied(of(module, 2), measures=("halves",), space="0", n_samples=12)
    assert study.links is not None
    assert study.associated is not None
    assert study.links.is_moved
    assert (study.associated.found.pearson.value > 0.7).all()
    is_found = study.links.q < 0.05
    assert is_found.tolist() == [[True, False], [True, False], [False, True], [False, False]]
    result = run(of(module, 2), measures=("halves",), space="0")
    assert any(told.startswith("Elements of 0 vary together") for told in result.findings)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_few_samples_one_element_and_colour_images_work(n_samples: int) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 48), nn.Unflatten(1, (3, 4, 4)), nn.Tanh())
    generator = of(module, LatentSpace((4, 1, 1), "uniform"), image_range=(-1.0, 1.0))
    result = run(generator, measures=("level",), n_samples=n_samples, dims=(2,), n_directions=2)
    assert [row[1] for row in result.tables["elements"].rows] == ["z[2]"]
    assert list(result.figures) == ["one-page", "ranking", "where", "associations"]


def test_chosen_latents_are_moved() -> None:
    context = context_of(of(Quadrant()), latents="7,2,9")
    study = study_elements(context, SensitivityParams.parse(FEW))
    assert study.plan.base.indices == (7, 2, 9)


def test_the_same_seed_gives_the_same_result_and_another_one_another() -> None:
    generator = of(random_network(2), 5)
    one, two, other = (run(generator, seed, ("level",)) for seed in (1, 1, 2))
    assert one.findings == two.findings
    for name, array in one.arrays.items():
        assert np.array_equal(array.values, two.arrays[name].values, equal_nan=True), name
    assert not np.array_equal(one.arrays["step"].values, other.arrays["step"].values)


def test_similar_elements_stand_side_by_side_and_numbers_are_short() -> None:
    alike = np.eye(4)
    alike[0, 3] = alike[3, 0] = 0.9
    order = alike_order(alike)
    assert abs(order.index(0) - order.index(3)) == 1
    assert [number(value) for value in (0.62, -0.4, 1.0)] == ["+.62", "−.40", "+1.00"]


def test_the_command_writes_the_answer_on_one_page(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    output = tmp_path / "found"
    finished = ganprobe_command(
        "run", "sensitivity", "digits", "--n-samples", 4, "--n-directions", 3, "--n-associated",
        100, "--dims", "0-2", "--measure", "digit-shape", "--output", output,
    )  # fmt: skip
    assert finished.status == 0, finished.err
    assert "changes the image of 'digits' most" in finished.out
    page = matplotlib.image.imread(output / "figures" / "one-page.png")
    assert min(page.shape[:2]) > 200
    record = json.loads((output / "result.json").read_text())
    assert len(record["tables"]["elements"]["rows"]) == 3


def test_derivatives_and_steps_on_digits_agree(ganprobe_command: Command, tmp_path: Path) -> None:
    finished = ganprobe_command(
        "run", "sensitivity", "digits", "--space", "conv2", "--dims", "0-3", "--n-samples", 2,
        "--n-directions", 2, "--n-associated", 60, "--measure", "digit-shape",
        "--output", tmp_path / "found",
    )  # fmt: skip
    assert finished.status == 0, finished.err
    (told,) = re.findall(r"small step differ by ([\d.e-]+) of their length", finished.out)
    assert float(told) < 0.05
