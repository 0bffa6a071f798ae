"""Inversion against generators whose latents are known, and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from described import read_described
from ganprobe import (
    Context,
    Generator,
    LatentSpace,
    ParameterError,
    Probe,
    Result,
    SampleChoice,
    UnknownNameError,
    load,
)
from ganprobe_inversion import Inversion, InversionParams
from ganprobe_inversion.descent import n_left
from ganprobe_inversion.sentences import findings as findings_of
from ganprobe_inversion.study import Study, study_inversion
from ganprobe_inversion.targets import distinct
from lenet import GENERATOR
from subjects import random_network

Command = Callable[..., Any]


def linear(seed: int = 0) -> Generator:
    """Latents (n, 3) to images (n, 1, 4, 4), whose least squares solution is known."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 16, bias=False), nn.Unflatten(1, (1, 4, 4))).eval()
    nn.init.orthogonal_(module[0].weight)  # type: ignore[arg-type]
    return Generator.from_module(module, latent=3, image_range=(-4.0, 4.0), name="linear")


def tiny(seed: int = 0) -> Generator:
    return Generator.from_module(random_network(seed), latent=5, name="tiny")


def dcgan() -> Generator:
    """Latents (n, 100, 1, 1), uniform, to images in colour (n, 3, 8, 8)."""
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.ConvTranspose2d(100, 8, 4),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(8, 3, 4, 2, 1),
        nn.Tanh(),
    )
    return Generator.from_module(
        module.eval(), latent=LatentSpace((100, 1, 1), "uniform"), name="dcgan"
    )


def context_of(generator: Generator, seed: int = 0, **more: Any) -> Context:
    return Context(Probe(generator), seed, lambda name: pytest.fail(name), **more)


FEW: dict[str, Any] = {
    "n_own": 3, "method": ("pool+gradient",), "n_pool": 150, "n_starts": 4, "n_steps": 120,
    "encoder_steps": 8, "n_shown": 2,
}  # fmt: skip


def studied(generator: Generator, seed: int = 0, **params: Any) -> Study:
    return study_inversion(context_of(generator, seed), InversionParams.parse(FEW | params))


def run(generator: Generator, seed: int = 0, **params: Any) -> Result:
    return Inversion().run(context_of(generator, seed), InversionParams.parse(FEW | params))


def picture(path: Path, seed: int = 0, shape: tuple[int, ...] = (4, 4)) -> Path:
    pixels = np.random.default_rng(seed).integers(60, 196, shape, dtype=np.uint8)
    iio.imwrite(path, pixels)
    return path


def as_latents(path: Path, generator: Generator) -> tuple[NDArray[np.float64], float]:
    """The latents of least squares for a linear generator, and the mean square of what is left."""
    image = 8.0 * np.asarray(iio.imread(path), np.float64).ravel() / 255 - 4.0
    weight = generator.module[0].weight.detach().double().numpy()  # type: ignore[index]
    z, *_ = np.linalg.lstsq(weight, image, rcond=None)
    return z, float(np.mean(((weight @ z - image) / 8) ** 2))


@pytest.mark.parametrize("method", ["gradient", "pool+gradient", "encoder+gradient"])
def test_a_picture_gets_the_latents_of_least_squares(tmp_path: Path, method: str) -> None:
    generator, path = linear(), picture(tmp_path / "my.png")
    study = studied(generator, images=(path,), method=(method,), n_steps=200, stay_in_prior=False)
    z, floor = as_latents(path, generator)
    assert np.allclose(study.found.points[3].double().numpy(), z, atol=1e-3)
    assert study.found.errors[3] == pytest.approx(floor, rel=1e-4)
    assert study.is_recovered(study.found).tolist() == [True, True, True, False]


@pytest.mark.parametrize("generator", [tiny(), tiny(1)], ids=["one", "other"])
def test_own_images_are_recovered_with_the_latents_that_they_were_made_of(
    generator: Generator,
) -> None:
    study = studied(generator, n_own=8, n_pool=500, n_starts=8, n_steps=300)
    assert study.is_recovered(study.found).all()
    own = study.plan.targets.own
    assert own is not None
    assert torch.equal(own.z, generator.sample(8, seed=0).z)
    assert (study.found.points - own.z).norm(dim=1).median() < 0.1


@pytest.mark.parametrize("n_pool", [1, 7, 131, 400])
def test_the_nearest_of_the_pool_are_those_of_a_search_through_all(n_pool: int) -> None:
    study = studied(tiny(), n_own=3, n_pool=n_pool, n_starts=min(4, n_pool), n_steps=1)
    plan, probe = study.plan, study.plan.context.probe
    images = probe.images(plan.sample("pool", n_pool)).double()
    targets = plan.targets.images.double()
    wanted = [[float(((image / 2 + 0.5 - one) ** 2).mean()) for image in images] for one in targets]
    order = np.argsort(np.array(wanted), axis=1)[:, : min(4, n_pool)]
    assert np.array_equal(study.nearest.indices.numpy(), order)
    least = np.take_along_axis(np.array(wanted), order, 1)
    assert study.nearest.errors.numpy() == pytest.approx(least, abs=1e-7)
    assert study.random_errors == pytest.approx(least[:, 0], rel=1e-5)
    assert torch.equal(study.nearest.latents[0, 0], plan.sample("pool", n_pool).z[order[0, 0]])


def test_own_images_are_not_in_the_pool_nor_in_what_the_encoder_learns_from() -> None:
    plan = studied(tiny(), n_steps=1).plan
    own = plan.targets.own
    assert own is not None
    for stream in ("pool", "pairs", "held out", "random start", "extent"):
        assert not torch.isin(plan.sample(stream, 200).z, own.z).any()
    assert len({plan.seed(stream) for stream in ("pool", "pairs", "held out", "extent")}) == 4


def test_errors_are_those_of_plain_images_of_the_points_found() -> None:
    methods = ("gradient", "pool+gradient", "encoder", "encoder+gradient")
    study = studied(tiny(), method=methods, n_steps=30)
    generator = study.plan.context.generator
    assert list(study.outcomes) == ["pool", *methods]
    for one in study.outcomes.values():
        images = generator.to_unit_range(study.plan.context.probe.images(one.points))
        wanted = (images - study.plan.targets.images).double().square().mean((1, 2, 3))
        assert one.errors == pytest.approx(wanted.numpy(), rel=1e-4)
        if one.path is not None:
            assert (np.diff(one.path, axis=0) <= 0).all()
            assert one.path[-1] == pytest.approx(one.errors, rel=1e-3, abs=1e-7)
    best = np.min([one.errors for one in study.outcomes.values()], axis=0)
    assert np.array_equal(study.found.errors, best)


def test_a_descent_begins_at_the_nearest_and_more_starts_do_not_harm() -> None:
    one, many = (studied(tiny(), n_starts=k, n_steps=80) for k in (1, 16))
    for study in (one, many):
        path = study.outcomes["pool+gradient"].path
        assert path is not None
        assert path[0] == pytest.approx(study.random_errors, rel=1e-5)
    assert many.found.errors.mean() <= one.found.errors.mean()


def test_half_of_the_starts_go_on_at_four_places() -> None:
    left = [n_left(16, step, 80) for step in range(81)]
    assert [left.count(n) for n in (16, 8, 4, 2, 1)] == [4, 5, 10, 20, 42]
    assert n_left(1, 80, 80) == 1
    assert n_left(3, 4, 80) == 2


@pytest.mark.parametrize("distribution", ["uniform", "truncated", "normal"])
def test_latents_stay_in_the_prior_unless_they_may_leave(tmp_path: Path, distribution: Any) -> None:
    space = LatentSpace((3,), distribution)
    generator = Generator.from_module(linear().module, latent=space, image_range=(-4.0, 4.0))
    iio.imwrite(tmp_path / "far.png", np.array([[0, 255] * 2] * 4, np.uint8))
    how: dict[str, Any] = {
        "images": (tmp_path / "far.png",), "n_steps": 30, "n_own": 0, "learning_rate": 0.5,
        "method": ("pool+gradient", "encoder"), "encoder_steps": 3,
    }  # fmt: skip
    inside, free = studied(generator, **how), studied(generator, **how, stay_in_prior=False)
    for one in inside.outcomes.values():
        assert not inside.plan.extent.is_outside(one.points).any()
    assert free.plan.extent.is_outside(free.found.points).all()
    assert free.found.errors[0] < inside.found.errors[0]
    findings = " ".join(findings_of(free))
    assert "1.00 [0.21, 1.00] (1 of 1) of the given images lies outside of the prior" in findings


def test_a_weight_of_the_prior_prefers_small_latents() -> None:
    plain, weighted = (studied(tiny(), prior_weight=weight) for weight in (0.0, 0.1))
    assert weighted.found.points.norm() < plain.found.points.norm()


def test_uniform_latents_with_two_more_axes_and_colour_are_taken(tmp_path: Path) -> None:
    path = picture(tmp_path / "my.png", shape=(8, 8, 3))
    methods = ("gradient", "pool+gradient", "encoder", "encoder+gradient")
    study = studied(dcgan(), images=(path,), method=methods, n_steps=100, n_own=2)
    assert study.found.points.shape == (3, 100, 1, 1)
    assert study.ratios(study.found)[:2].max() < 0.15
    assert study.found.points.abs().max() <= 1
    result = run(dcgan(), images=(path,), n_steps=5, n_own=1)
    assert result.latent_sets["real"].groups["z"].shape == (1, 100, 1, 1)


def test_pixels_beyond_black_and_white_come_back() -> None:
    class Shifted(nn.Module):
        """Images in [0, 1] where z is in [-1, 1]; a start beyond gives nothing but white."""

        def forward(self, z: Tensor) -> Tensor:
            return (z[:, :1] / 2 + 0.5)[:, :, None, None].expand(-1, 1, 2, 2)

    generator = Generator.from_module(Shifted().eval(), latent=1, image_range=(0.0, 1.0))
    study = studied(generator, seed=3, n_own=12, method=("gradient",), n_steps=200)
    starts = study.plan.sample("random start", 12).z
    assert ((starts.abs() > 1) & (study.plan.targets.images[:, :, 0, 0] < 1)).any()
    assert study.found.errors.max() < 1e-6


def test_nothing_is_left_on_the_module() -> None:
    generator = tiny()
    before = {name: tensor.clone() for name, tensor in generator.module.state_dict().items()}
    studied(generator, method=("gradient", "encoder+gradient"), n_steps=3)
    assert all(parameter.grad is None for parameter in generator.module.parameters())
    assert all(parameter.requires_grad for parameter in generator.module.parameters())
    assert all(torch.equal(before[name], value) for name, value in
               generator.module.state_dict().items())  # fmt: skip
    assert not any(layer.training for layer in generator.module.modules())
    assert not any(layer._forward_hooks for layer in generator.module.modules())


def test_the_same_seed_gives_the_same_and_leaves_the_random_state_alone() -> None:
    methods = ("gradient", "pool+gradient", "encoder", "encoder+gradient")
    generator = tiny()
    state = torch.get_rng_state()
    first = studied(generator, method=methods, n_steps=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    second = studied(generator, method=methods, n_steps=5)
    for name, one in first.outcomes.items():
        assert torch.equal(one.points, second.outcomes[name].points), name
    other = studied(tiny(), seed=1, method=methods, n_steps=5)
    assert not torch.equal(other.found.points, first.found.points)


def test_the_encoder_learns_what_a_linear_generator_does() -> None:
    study = studied(linear(), method=("encoder",), encoder_steps=300, n_own=20)
    encoder = study.encoder
    assert encoder is not None
    assert encoder.held_out[0] > 5 * encoder.held_out[-1]
    assert encoder.held_out[-1] < 0.1
    own = study.plan.targets.own
    assert own is not None
    unseen = float((study.outcomes["encoder"].points - own.z).square().mean())
    assert unseen < 0.2
    assert encoder.steps[-1] == 300


def test_a_site_can_make_what_latents_cannot(tmp_path: Path) -> None:
    path = picture(tmp_path / "my.png")
    how: dict[str, Any] = {"images": (path,), "n_steps": 300, "n_own": 2}
    by_latents, by_site = studied(linear(), **how), studied(linear(), **how, space="0")
    assert not by_latents.is_recovered(by_latents.found)[2]
    assert by_site.is_recovered(by_site.found).all()
    values = torch.from_numpy(np.asarray(iio.imread(path), np.float32) / 255 * 8 - 4)
    assert torch.allclose(by_site.found.points[2], values.flatten(), atol=0.1)
    result = run(tiny(), n_steps=2, space="2")
    assert result.latent_sets == {}
    assert result.arrays["points"].values.shape == (3, 96)
    assert "the best of all methods, at 2)" in result.findings[0]


def test_latents_that_are_named_are_the_own_images() -> None:
    context = context_of(tiny(), chosen=SampleChoice.parse("5,9"))
    study = study_inversion(context, InversionParams.parse(FEW))
    assert study.plan.targets.names == ("sample 5", "sample 9")
    own = study.plan.targets.own
    assert own is not None
    assert torch.equal(own.z, tiny().sample(10, seed=0).z[[5, 9]])


def test_findings_tell_own_and_given_apart(tmp_path: Path) -> None:
    paths = tuple(picture(tmp_path / f"my-{n}.png", n) for n in range(4))
    result = run(linear(), images=paths, n_steps=150)
    given, own, beyond, *_ = result.findings
    assert given.startswith("The given images: 0.00 [0.00, 0.49] (0 of 4) recovered; mean squared")
    assert own.startswith("The generator's own images: 1.00 [0.44, 1.00] (3 of 3) recovered;")
    assert "seed 0" in given
    assert beyond.startswith("This generator cannot reproduce 4 of the 4 given images from latents")
    rows = result.tables["summary"].rows
    assert {(row[0], row[1]) for row in rows} == {
        (kind, name)
        for kind in ("own", "real")
        for name in ("pool", "pool+gradient", "best of all")
    }
    floors = [as_latents(path, linear())[1] for path in paths]
    best = next(row for row in rows if row[:2] == ("real", "best of all"))
    assert best[2] == pytest.approx(np.mean(floors), rel=1e-3)


def test_a_search_that_fails_on_own_images_does_not_blame_the_generator(tmp_path: Path) -> None:
    result = run(tiny(), images=(picture(tmp_path / "my.png", shape=(8, 8)),), n_steps=1)
    assert "so that it cannot tell whether the generator can" in result.findings[2]


def test_negatives_get_a_hint(tmp_path: Path) -> None:
    class Dark(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return 0.1 * torch.sigmoid(z)[:, None, :, None].expand(-1, 1, 4, 4)

    generator = Generator.from_module(Dark().eval(), latent=4, image_range=(0.0, 1.0))
    iio.imwrite(tmp_path / "ink.png", np.full((4, 4), 240, np.uint8))
    how: dict[str, Any] = {"images": (tmp_path / "ink.png",), "n_steps": 2}
    assert run(generator, **how).findings[-1].endswith("try with --invert-colours.")
    assert "try" not in run(generator, **how, invert_colours=True).findings[-1]


def test_what_was_done_to_pictures_is_told(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[4:8, :, 3], pixels[..., 0] = 255, 200
    iio.imwrite(tmp_path / "red.png", pixels)
    told = " ".join(run(tiny(), images=(tmp_path / "red.png",), n_steps=1).findings)
    assert "1 of 1 given images were resized to the generator's 8 x 8 pixels: red.png." in told
    assert "transparent in places, which are taken as white: red.png." in told
    assert "in colour, and taken as grey: red.png." in told


def test_names_of_two_folders_do_not_clash() -> None:
    assert distinct(["a", "b", "a", "a", "a-2"]) == ["a", "b", "a-2", "a-3", "a-2-2"]


def test_one_image_alone_is_enough_and_the_pool_alone_too(tmp_path: Path) -> None:
    alone = run(tiny(), images=(picture(tmp_path / "z.png", shape=(8, 8)),), n_own=0, n_steps=2)
    assert set(alone.latent_sets) == {"real"}
    assert list(alone.latent_sets["real"].groups) == ["z"]
    pool = run(tiny(), n_own=1, method=("pool",))
    assert set(pool.figures) == {"own", "errors"}


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no image to find latents for: give one with --imag"):
        studied(tiny(), n_own=0)
    with pytest.raises(ParameterError, match="--n-starts 9 are taken from a pool of 8; give"):
        studied(tiny(), n_starts=9, n_pool=8)
    with pytest.raises(ParameterError, match=r"there is no image .*no\.png"):
        studied(tiny(), images=(tmp_path / "no.png",))
    with pytest.raises(ParameterError, match="cut it to that proportion"):
        studied(tiny(), images=(picture(tmp_path / "wide.png", shape=(8, 20)),))
    with pytest.raises(UnknownNameError, match="no layer 'conv9'"):
        studied(tiny(), space="conv9")
    with pytest.raises(ParameterError, match="depends on the others of its batch"):
        studied(tiny().with_normalisation("batch"))
    with pytest.raises(ParameterError, match="--learning-rate"):
        InversionParams.parse({"learning_rate": 0})


def ink(path: Path) -> Path:
    """A seven in ink on transparent paper, 56 x 56."""
    y, x = np.mgrid[:56, :56]
    bar = (abs(y - 14) < 3) & (x > 14) & (x < 42)
    stem = (abs((x - 40) + (y - 14) * 0.5) < 3.5) & (y > 12) & (y < 46)
    pixels = np.zeros((56, 56, 4), np.uint8)
    pixels[..., 3] = 255 * (bar | stem)
    iio.imwrite(path, pixels)
    return path


def test_the_latents_of_my_digit_go_into_other_commands(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    few = "--n-own 1 --n-pool 40 --n-starts 2 --n-steps 8 --encoder-steps 2 --invert-colours"
    done = ganprobe_command(
        "run", "inversion", "digits", "--images", ink(tmp_path / "my seven.png"), *few.split(),
        "--output", out,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.out.startswith("The given images: ")
    record = json.loads((out / "result.json").read_text())
    assert set(record["latent_sets"]) == {"own", "real"}
    assert {"real", "own", "errors", "convergence", "encoder"} == set(record["figures"])
    context = context_of(load("digits"))
    for name in ("", ":my seven"):
        latents = context.latents(f"@{out}/latents/real.json{name}")
        images = context.generator.to_unit_range(context.probe.images(latents))
        columns = record["tables"]["images"]["columns"]
        row = dict(zip(columns, record["tables"]["images"]["rows"][1], strict=True))
        assert row["image"] == "my seven"
        target = study_target(tmp_path / "my seven.png")
        assert float((images - target).square().mean()) == pytest.approx(row[row["best"]], rel=1e-4)
    swapped = ganprobe_command(
        "run", "swap", "digits", "--site", "conv2", "--source", f"@{out}/latents/real.json",
        "--donor", "3", "--pairs", 1, "--held-out", 0, "--n-units", 2, "--n-draws", 2,
        "--strategy", "rank", "--output", tmp_path / "swap",
    )  # fmt: skip
    assert swapped.status == 0, swapped.err


def study_target(path: Path) -> Tensor:
    from ganprobe import read_image

    return torch.from_numpy(read_image(path, (1, 28, 28), invert_colours=True).values)


@pytest.mark.parametrize("content", [b"no picture", None])
def test_a_picture_that_cannot_be_read_is_one_sentence_and_leaves_no_folder(
    ganprobe_command: Command, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "my.png").write_bytes(content)
    out = tmp_path / "out"
    done = ganprobe_command(
        "run", "inversion", "digits", "--images", tmp_path / "my.png", "--output", out
    )
    assert done.status == 2
    assert len(done.err.strip().splitlines()) <= 3
    assert "Traceback" not in done.err
    assert "my.png" in done.err
    assert not out.exists()


@pytest.mark.slow
def test_digits_recovers_its_own_images_to_one_percent_of_the_nearest_of_10000() -> None:
    study = studied(load("digits"), n_own=50, n_pool=10_000, n_starts=16, n_steps=300)
    ratios = study.ratios(study.found)
    assert np.median(ratios) < 0.001
    assert study.is_recovered(study.found).sum() >= 48, np.sort(ratios)[-5:]


@pytest.mark.slow
@pytest.mark.skipif(not GENERATOR.exists(), reason="the weights are not at hand")
def test_a_published_generator_gives_the_errors_that_are_known_of_it() -> None:
    """Of images in [-1, 1]: best of 1 000 .134; from there Adam .000, from a random latent .219."""
    study = studied(
        read_described(GENERATOR),
        n_own=40,
        n_pool=1000,
        n_starts=8,
        n_steps=200,
        method=("gradient", "pool+gradient"),
    )
    assert 4 * study.random_errors.mean() == pytest.approx(0.134, abs=0.03)
    assert study.is_recovered(study.found).sum() >= 39
    assert 4 * study.outcomes["pool+gradient"].errors.mean() < 0.001
    assert 4 * study.outcomes["gradient"].errors.mean() > 0.05
