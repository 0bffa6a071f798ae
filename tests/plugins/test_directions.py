"""Directions of planted generators whose answer is known, and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganprobe import (
    Context,
    DirectionSet,
    Generator,
    LatentSpace,
    Measure,
    ParameterError,
    Probe,
    Result,
    SampleChoice,
    Space,
    UnknownNameError,
    load,
)
from ganprobe_directions import Directions, DirectionsParams
from ganprobe_directions.columns import read_attribute
from ganprobe_directions.effects import groups_of_lengths
from ganprobe_directions.study import Study, study_directions
from subjects import random_network

Command = Callable[..., Any]
Floats = NDArray[np.float64]


class Corners(Measure):
    """What the first two pixels say."""

    name, summary = "corner", "the first two pixels"
    columns: ClassVar[tuple[str, ...]] = ("left", "right")

    def measure(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :2]


class Bright(Measure):
    name, summary = "bright", "mean brightness"
    columns: ClassVar[tuple[str, ...]] = ("mean",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


class Halves(Measure):
    """Two classes: brighter at the left, or at the right."""

    name, summary = "half", "classes by the first two pixels"
    columns: ClassVar[tuple[str, ...]] = ("left", "right")

    def measure(self, images: Tensor) -> Tensor:
        return (300 * images[:, 0, 0, :2]).softmax(1)


class Patchy(Bright):
    """Has no value for one image in forty."""

    name = "patchy"

    def measure(self, images: Tensor) -> Tensor:
        value = images.mean((1, 2, 3))[:, None]
        return torch.where((images[:, 0, 1, 1] * 1e5).long()[:, None] % 40 == 0, torch.nan, value)


MEASURES = {measure.name: measure for measure in (Bright(), Corners(), Halves(), Patchy())}

FEW: dict[str, Any] = {
    "n_samples": 400, "n_bases": 8, "n_random": 4, "n_resamples": 100, "n_shown": 2,
    "n_components": 3, "measure": ("bright",),
}  # fmt: skip


def linear_generator(weight: Tensor, **space: Any) -> Generator:
    """Images (n, 1, 4, 4) = z @ weight; its range is wide enough that nothing is clipped."""
    linear = nn.Linear(len(weight), 16, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight.T)
    module = nn.Sequential(linear, nn.Unflatten(1, (1, 4, 4)), nn.Identity())
    latent = LatentSpace((len(weight),), **space)
    return Generator.from_module(
        module.eval(), latent=latent, image_range=(-100.0, 100.0), name="linear"
    )


def drawn_weight(size: int, seed: int, scales: tuple[float, ...] = (8, 4, 2, 1)) -> Tensor:
    """(size, 16) whose singular values are the scales, and 0 beyond."""
    random = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(size, size, generator=random).double()).Q
    right = torch.linalg.qr(torch.randn(16, 16, generator=random).double()).Q
    sizes = torch.zeros(size).double()
    sizes[: len(scales)] = torch.tensor(scales[:size], dtype=torch.float64)
    weight: Tensor = left @ torch.diag(sizes) @ right[:size]
    return weight


def context_of(generator: Generator, seed: int = 0, **how: Any) -> Context:
    probe = Probe(generator, dtype=how.pop("dtype", None))
    return Context(
        probe, seed, MEASURES.__getitem__, list_measures=lambda: list(MEASURES.values()), **how
    )


def studied(generator: Generator, seed: int = 0, **params: Any) -> Study:
    return study_directions(context_of(generator, seed), DirectionsParams.parse(FEW | params))


def run(generator: Generator, **params: Any) -> Result:
    return Directions().run(context_of(generator), DirectionsParams.parse(FEW | params))


def cosines(one: Any, other: Any) -> Floats:
    flat, others = np.asarray(one).reshape(len(one), -1), np.asarray(other).reshape(len(other), -1)
    lengths = np.linalg.norm(flat, axis=1) * np.linalg.norm(others, axis=1)
    return np.asarray((flat * others).sum(1) / lengths)


@pytest.mark.parametrize("seed", range(3))
def test_components_of_a_linear_generator_are_singular_vectors_at_both_ends(seed: int) -> None:
    weight = drawn_weight(4, seed)
    left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    of_site, in_z = studied(
        linear_generator(weight), seed, space="0", n_samples=4000, n_components=4
    ).families
    assert (of_site.name, in_z.name) == ("pca-0", "pca-0-in-z")
    assert np.abs(cosines(of_site.set.vectors, right)).min() > 0.99
    assert of_site.lengths == pytest.approx(sizes.numpy(), rel=0.08)
    assert (in_z.space.name, in_z.set.vectors.shape) == ("z", (4, 4))
    assert np.abs(cosines(in_z.set.vectors, left.T)).min() > 0.99
    moved = in_z.set.vectors @ weight.numpy()
    assert (cosines(moved, of_site.set.vectors) > 0.99).all()  # of the same sign, too
    assert in_z.set.found["explained"] == pytest.approx([1.0] * 4, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_closed_form_is_that_of_the_weights(seed: int) -> None:
    weight = drawn_weight(4, seed)
    (family,) = studied(linear_generator(weight), seed, method=("closed-form",)).families
    columns = (weight / weight.norm(dim=0)).numpy()
    left, sizes, _ = np.linalg.svd(columns)
    assert np.abs(cosines(family.set.vectors, left.T[:3])).min() > 0.99999
    assert family.set.found["eigenvalues"] == pytest.approx(sizes[:3] ** 2, rel=1e-5)
    assert family.set.found["layers"] == ["0"]
    assert family.set.names == ("sefa0", "sefa1", "sefa2")


@pytest.mark.parametrize("space", ["z", "2"])
def test_a_steps_image_is_that_of_the_base_moved_so_far(space: str) -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    study = studied(generator, space=space, method=("pca",), steps=5, reach=2.0)
    probe = Probe(generator)
    for family, strips in zip(study.families, study.strips, strict=True):
        latents = study.plan.bases[:2]
        points = family.space.points(latents).numpy()
        assert strips.steps.tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
        for place in range(len(family)):
            for at, step in enumerate(strips.steps):
                vector, length = family.set.vectors[place], family.lengths[place]
                moved = torch.from_numpy(points + step * length * vector).float()
                if family.space.is_latent:
                    images = probe.images(moved)
                else:
                    images = _rest(generator.module, moved)
                expected = generator.to_unit_range(images).numpy()
                assert strips.images[place, :, at] == pytest.approx(expected, abs=1e-5)


def _rest(module: nn.Module, maps: Tensor) -> Tensor:
    """The layers behind the third."""
    assert isinstance(module, nn.Sequential)
    image = maps.clone()
    with torch.no_grad():
        for layer in list(module)[3:]:
            image = layer(image)
    return image


@pytest.mark.parametrize("space", ["z", "0", "4"])
def test_the_middle_of_a_strip_is_the_base_to_the_last_bit(space: str) -> None:
    generator = Generator.from_module(random_network(2), latent=5)
    study = studied(generator, space=space, method=("pca",), n_shown=3)
    z = study.plan.bases[:3].z.repeat_interleave(7, 0)
    images = generator.to_unit_range(study.plan.context.probe.images(z))
    bases = images.reshape(3, 7, 1, 8, 8)[:, 3].numpy()
    for strips in study.strips:
        for images_of_one in strips.images:
            assert np.array_equal(images_of_one[:, 3], bases)


def test_effects_of_a_linear_generator_are_the_known_ones() -> None:
    weight = drawn_weight(4, 5)
    study = studied(linear_generator(weight), method=("closed-form",), effect_at=0.5)
    (family,), (effects,) = study.families, study.effects
    moved = family.set.vectors @ weight.numpy() * family.lengths[:, None] / 200
    assert effects.found is not None
    assert effects.found.mean == pytest.approx(moved.mean(1), abs=1e-6)
    rms = np.sqrt((moved**2).mean(1))
    assert effects.image == pytest.approx(np.repeat(rms[:, None], 8, 1), abs=1e-6)


def test_random_directions_have_the_length_of_the_direction_beside_them() -> None:
    weight = torch.eye(16, dtype=torch.float64) * 3.0  # any direction changes images alike
    study = studied(linear_generator(weight), space="0", method=("pca",), n_components=2)
    family, effects = study.families[0], study.effects[0]
    expected = 2 * family.lengths / 200 / 16**0.5
    for place in range(2):
        assert effects.control_image[place] == pytest.approx(expected[place], rel=0.05)
        assert effects.image[place] == pytest.approx(expected[place], rel=1e-4)


def test_lengths_within_five_per_cent_share_their_random_directions() -> None:
    assert groups_of_lengths(np.array([1.0, 5.0, 0.98, 4.9, 0.9])) == [[1, 3], [0, 2], [4]]


def test_a_direction_that_does_nothing_is_not_found_to_do_anything() -> None:
    weight = drawn_weight(4, 0, (20, 0, 0, 0))
    study = studied(
        linear_generator(weight), method=("closed-form",), n_components=4, n_bases=20, n_random=39
    )
    (effects,) = study.effects
    assert effects.is_found[:, 0].tolist() == [True, False, False, False]


def attributes_generator(seed: int, *, correlation: float) -> tuple[Generator, Tensor, Tensor]:
    """Its first pixel grows along one direction of z, the second along another."""
    random = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(8, 8, generator=random).double()).Q
    left = basis[0]
    right = correlation * basis[0] + (1 - correlation**2) ** 0.5 * basis[1]
    weight = torch.zeros(8, 16).double()
    weight[:, 0], weight[:, 1], weight[:, 2:] = left, right, 0.3 * basis[2][:, None]
    return linear_generator(weight), left, right


@pytest.mark.parametrize("seed", range(2))
def test_planted_attributes_are_found_and_freed_of_each_other(seed: int) -> None:
    generator, left, right = attributes_generator(seed, correlation=0.6)
    study = studied(
        generator, seed, attribute=("corner.left", "corner=right"), n_samples=8000, n_bases=20,
        n_random=20, measure=("corner",),
    )  # fmt: skip
    (family,), (effects,) = study.families, study.effects
    names = ("left", "right", "left-without-right", "right-without-left")
    assert family.set.names == names
    found = family.set.vectors
    assert found[0] @ left.numpy() > 0.99
    assert found[1] @ right.numpy() > 0.99
    assert abs(found[2] @ found[1]) < 1e-6
    assert abs(found[3] @ found[0]) < 1e-6
    assert [one.boundary.is_found for one in family.boundaries] == [True, True]
    assert effects.found is not None
    mean = effects.table(effects.found.mean) / study.scale.deviations
    assert mean[0, 0] == pytest.approx(2.0, abs=0.1)  # from -1 to +1 deviation
    assert mean[0, 1] == pytest.approx(1.2, abs=0.3)  # what goes along
    assert abs(mean[2, 1]) < 0.25
    assert mean[2, 0] == pytest.approx(1.6, abs=0.15)


def test_an_attribute_that_is_to_stay_is_projected_out_and_gets_no_strip() -> None:
    generator, _, right = attributes_generator(0, correlation=0.6)
    (family,) = studied(
        generator, attribute=("corner.left",), without=("corner.right",), n_samples=4000
    ).families
    assert family.set.names == ("left", "left-without-right")
    assert abs(family.set.vectors[1] @ right.numpy()) < 0.1
    assert family.set.found["without"] == ["corner=right"]


def test_where_nothing_is_left_of_a_direction_it_is_said() -> None:
    weight = torch.zeros(2, 16).double()
    weight[0, 0] = weight[1, 1] = weight[:, 2:] = 1.0
    result = run(
        linear_generator(weight), attribute=("bright",), n_samples=2000,
        without=("corner.left", "corner.right"),
    )  # fmt: skip
    assert any(
        "There is no bright-without-left-right: nothing is left" in one for one in result.findings
    )
    assert result.direction_sets["boundary-z"].names == ("bright",)


def test_an_attribute_that_the_latents_do_not_hold_is_told_to_have_no_boundary() -> None:
    class Salted(nn.Module):
        """Whose first pixel is as good as random."""

        def forward(self, z: Tensor) -> Tensor:
            salt = (z.double() * 1e4).sum(1).frac().abs()
            return torch.cat([salt[:, None], z.double().repeat(1, 4)[:, :15]], 1).reshape(
                -1, 1, 4, 4
            )

    generator = Generator.from_module(Salted().eval(), latent=4, image_range=(-9.0, 9.0))
    result = run(generator, attribute=("corner.left",), n_samples=2000, measure=("corner",))
    assert "is NOT told from z by a plane better than by chance" in result.findings[0]


def test_classes_are_told_to_stay_or_not() -> None:
    generator, *_ = attributes_generator(0, correlation=0.0)
    study = studied(
        generator, attribute=("corner.left",), n_samples=4000, measure=("half",), n_bases=30
    )
    same = study.effects[0].same_class["half"]
    weight = next(generator.module.parameters()).detach().double().numpy().T
    values, family = study.plan.bases.z.double().numpy() @ weight, study.families[0]
    moved = family.set.vectors[0] * family.lengths[0] @ weight
    ahead, behind = values + moved, values - moved
    expected = (ahead[:, 0] > ahead[:, 1]) == (behind[:, 0] > behind[:, 1])
    assert same[0].tolist() == expected.tolist()
    assert 0 < expected.mean() < 1


def test_components_of_a_latent_that_varies_alike_are_called_arbitrary() -> None:
    weight = drawn_weight(4, 0)
    told = run(linear_generator(weight), method=("pca",)).findings
    assert told[1].startswith("These components of z are arbitrary: the first has 1.")
    uneven = Generator.from_module(
        nn.Sequential(_Scaled(), nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4))).eval(),
        latent=4, w_site="0",
    )  # fmt: skip
    told = run(uneven, method=("pca",), space="w").findings
    assert not any("arbitrary" in one for one in told)


class _Scaled(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z * torch.tensor([1.0, 2.0, 1.0, 1.0])


def test_components_of_unit_means_move_whole_maps_alike() -> None:
    generator = Generator.from_module(random_network(0), latent=5)
    study = studied(generator, space="2", pca_of="means")
    vectors = study.families[0].set.vectors
    assert vectors.shape == (3, 6, 4, 4)
    assert vectors == pytest.approx(np.repeat(vectors[:, :, :1, :1], 16).reshape(vectors.shape))
    maps = Probe(generator).run(study.plan.found_in, record=["2"])["2"]
    means = maps.double().mean((2, 3)).numpy()
    expected = np.linalg.eigh(np.cov(means, rowvar=False))[1].T[::-1][:3]
    assert np.abs(cosines(vectors[:, :, 0, 0], expected)).min() > 1 - 1e-6


def dcgan() -> Generator:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.ConvTranspose2d(100, 8, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    space = LatentSpace((100, 1, 1), "uniform")
    return Generator.from_module(module.eval(), latent=space, name="dcgan")


def test_a_dcgan_of_uniform_latents_and_colour_images_is_studied_by_all_methods(
    tmp_path: Path,
) -> None:
    result = run(
        dcgan(), method=("pca", "closed-form", "boundary"), attribute=("bright",),
        extreme=0.1, n_bases=5, space="z",
    )  # fmt: skip
    sets = result.direction_sets
    assert list(sets) == ["pca-z", "closed-form-z", "boundary-z"]
    for held in sets.values():
        assert held.vectors.shape[1:] == (100, 1, 1)
        assert held.deviations == pytest.approx(np.full(len(held), 3**-0.5), rel=0.15)
    weights = next(dcgan().module.parameters()).detach().flatten(1).double().numpy()
    left, *_ = np.linalg.svd(weights / np.linalg.norm(weights, axis=0))
    assert np.abs(cosines(sets["closed-form-z"].vectors, left.T[:3])).min() > 0.9999
    assert any("lie outside the usual range of z" in one for one in result.findings)


@pytest.mark.parametrize("space", ["z", "0"])
def test_one_sample_and_no_measure_are_enough(space: str) -> None:
    context = Context(Probe(dcgan()), 0, MEASURES.__getitem__, chosen=SampleChoice.parse("7"))
    params = DirectionsParams.parse(FEW | {"measure": (), "n_bases": 1, "space": space})
    result = Directions().run(context, params)
    assert result.figures
    assert not any("effects" in name for name in result.figures)
    for name, array in result.arrays.items():
        if name.endswith("strips"):
            assert array.values.shape[1:] == (1, 7, 3, 8, 8)


def test_samples_without_a_value_are_left_out_and_counted() -> None:
    result = run(linear_generator(drawn_weight(4, 0)), measure=("patchy",), n_bases=40)
    assert any(
        "without a value in one of the measures were left out" in one for one in result.findings
    )


def test_saved_directions_are_read_back_and_walked(tmp_path: Path) -> None:
    generator = Generator.from_module(random_network(0), latent=5, name="tiny")
    result = run(generator, space="2", method=("pca",))
    path = tmp_path / "pca.safetensors"
    result.direction_sets["pca-2"].write(path)
    held = DirectionSet.parse(f"@{path}:pc1")
    assert (held.names, held.space) == (("pc1",), "2")
    assert held.generator["weights_sha256"] == generator.weights_sha256()
    assert (held.found["method"], held.found["n_samples"], held.found["seed"]) == ("pca", 400, 0)
    assert len(held.found["eigenvalues"]) == len(held.found["shares_of_variance"]) == 3
    space = Space.of(Probe(generator), held.space)
    latents = generator.sample(2, seed=0)
    assert held.deviations is not None
    step = torch.from_numpy(held.vectors[0] * held.deviations[0]).float()
    images = generator.to_unit_range(space.images(space.points(latents) + step, latents))
    strips = result.arrays["pca-2 strips"].values
    assert result.coordinates["step"][4] == 1.0
    assert strips[1, :, 4] == pytest.approx(images.numpy(), abs=1e-5)


def test_deviations_and_means_are_those_of_the_samples_along_each() -> None:
    generator = Generator.from_module(random_network(0), latent=5)
    for family in studied(generator, space="2", method=("pca", "boundary"), extreme=0.1,
                          attribute=("bright",)).families:  # fmt: skip
        others = generator.sample(400, seed=0, start=408)  # than directions were found in
        points = family.space.points(others).double()
        along = points.flatten(1).numpy() @ family.set.vectors.reshape(len(family), -1).T
        assert family.lengths == pytest.approx(along.std(0, ddof=1), rel=1e-6)
        assert family.set.means == pytest.approx(along.mean(0), abs=1e-6)


def test_bases_are_others_than_the_samples_that_directions_are_found_in() -> None:
    plan = studied(linear_generator(drawn_weight(4, 0))).plan
    assert plan.bases.indices is not None
    assert plan.found_in.indices is not None
    assert not set(plan.bases.indices) & set(plan.found_in.indices)
    chosen = SampleChoice.parse("corner.left>0.5")
    context = context_of(linear_generator(drawn_weight(4, 0)), chosen=chosen)
    asked = FEW | {"found_on": chosen, "n_samples": 30}
    plan = study_directions(context, DirectionsParams.parse(asked)).plan
    assert plan.bases.indices is not None
    assert plan.found_in.indices is not None
    assert not set(plan.bases.indices) & set(plan.found_in.indices)
    images = plan.context.generator.to_unit_range(plan.context.probe.images(plan.found_in))
    assert (images[:, 0, 0, 0] > 0.5).all()


@pytest.mark.parametrize(
    ("params", "error", "reason"),
    [
        ({"method": ("boundary",)}, ParameterError, "--method boundary needs an --attribute"),
        ({"method": ("pca",), "attribute": ("bright",)}, ParameterError, "--attribute is for"),
        ({"without": ("bright",)}, ParameterError, "--without is for boundaries"),
        ({"method": ("pca",), "layer": ("0",)}, ParameterError, "--layer is for --method closed"),
        ({"steps": 4}, ParameterError, "--steps: give an odd number of steps"),
        ({"attribute": ("bright", "bright.mean")}, ParameterError, "bright was given twice"),
        ({"attribute": ("corner.middle",)}, UnknownNameError, "no column 'middle'"),
        ({"space": "9"}, UnknownNameError, "no layer '9'"),
        ({"layer": ("2",)}, ParameterError, "--layer 2 takes 16 numbers for each sample"),
        ({"attribute": ("bright",)}, ParameterError, "on either side, got 2: 2 % of 100"),
    ],
)
def test_what_does_not_fit_is_refused(
    params: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        studied(linear_generator(drawn_weight(4, 0)), **({"n_samples": 100} | params))


def test_attributes_are_called_by_their_column_where_that_says_something() -> None:
    context = context_of(linear_generator(drawn_weight(4, 0)))
    named = [read_attribute(context, one) for one in ("corner.left", "bright", "bright=mean")]
    assert [one.name for one in named] == ["left", "bright", "bright"]
    assert [one.label for one in named] == ["corner=left", "bright", "bright"]


def test_the_same_seed_gives_the_same_result() -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    one, again = (studied(generator, 3, space="2") for _ in range(2))
    other = studied(generator, 4, space="2")
    assert np.array_equal(one.families[0].set.vectors, again.families[0].set.vectors)
    assert np.array_equal(one.effects[0].control, again.effects[0].control)
    assert not np.array_equal(one.families[0].set.vectors, other.families[0].set.vectors)


def test_no_hook_stays_on_the_module() -> None:
    module = random_network(0)
    run(Generator.from_module(module, latent=5), space="2", method=("pca",))
    run(Generator.from_module(module, latent=5), method=("closed-form",))
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_command_line_writes_figures_and_sets_that_are_read_back(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    done = ganprobe_command(
        "run", "directions", "digits", "--space", "conv3", "--n-samples", 60, "--n-bases", 4,
        "--n-random", 2, "--n-components", 2, "--n-shown", 1, "--measure", "digit",
        "--n-resamples", 100, "--output", tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "The first 2 principal components of conv3 (12544 numbers) hold" in done.out
    figures = {"pca-conv3-strips", "pca-conv3-effects", "pca-conv3-spectrum",
               "pca-conv3-in-z-strips", "pca-conv3-in-z-effects"}  # fmt: skip
    assert files_of(tmp_path) == {
        "result.json", "result.h5", "directions/pca-conv3.safetensors",
        "directions/pca-conv3-in-z.safetensors", *(f"figures/{name}.png" for name in figures),
    }  # fmt: skip
    held = DirectionSet.parse(f"@{tmp_path / 'directions' / 'pca-conv3-in-z.safetensors'}:pc0")
    assert held.vectors.shape == (1, 10)
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["provenance"]["parameters"]["space"] == "conv3"


@pytest.mark.slow
def test_digits_are_thickened_and_slanted() -> None:
    from ganprobe_zoo.measures import Digit, DigitShape

    measures = {"digit-shape": DigitShape(), "digit": Digit()}
    context = Context(Probe(load("digits")), 0, measures.__getitem__)
    params = DirectionsParams.parse(
        {"attribute": ("digit-shape.thickness", "digit-shape.slant"), "n_samples": 5000,
         "measure": ("digit-shape", "digit")}
    )  # fmt: skip
    study = study_directions(context, params)
    (family,), (effects,) = study.families, study.effects
    assert [one.boundary.accuracy.value > 0.9 for one in family.boundaries] == [True, True]
    labels = [study.plan.columns.labels[place] for place in effects.columns]
    assert effects.found is not None
    mean = effects.table(effects.found.mean)
    low = effects.table(effects.found.low)
    thicker = labels.index("digit-shape=thickness")
    slanted = labels.index("digit-shape=slant")
    assert low[2, thicker] > 0.3  # pixels
    assert low[3, slanted] > 10  # degrees
    assert abs(mean[3, thicker]) < 0.15
    strips = study.strips[0].values
    assert strips is not None
    assert (np.diff(strips[1].mean(0)) > 0).all()
