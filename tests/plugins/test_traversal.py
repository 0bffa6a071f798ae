"""Traversal against planted generators whose answer is known."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from ganprobe import (
    Context,
    DirectionSet,
    ForwardError,
    Generator,
    LatentSpace,
    Measure,
    ParameterError,
    PluginError,
    Probe,
    Result,
    SampleChoice,
    UnknownNameError,
    load,
)
from ganprobe_traversal import Traversal, TraversalParams
from ganprobe_traversal.films import there_and_back
from ganprobe_traversal.plan import plan_walks
from ganprobe_traversal.random_walks import from_normal, random_walk, to_normal
from ganprobe_traversal.routes import Route, plan_route
from ganprobe_traversal.tour import Tour, take_tour
from ganprobe_traversal.trends import compared_steps, find_trends
from ganprobe_traversal.walk import Walks, layout, take_walks
from subjects import random_network


class Brightness(Measure):
    name, summary = "brightness", "Mean of all pixels."
    columns: ClassVar[tuple[str, ...]] = ("mean",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3)).unsqueeze(1)


class OtherShape(Brightness):
    name = "other"
    image_shape = (3, 64, 64)


class Ends(Brightness):
    """The first pixel, which a planted generator moves by sign, and the last, by size."""

    name = "ends"
    columns: ClassVar[tuple[str, ...]] = ("sign", "size", "still")

    def measure(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return torch.stack([flat[:, 0], flat[:, -1], flat[:, 1]], dim=1)


class BySignAndSize(nn.Module):
    """Latents (n, 3): the first moves one pixel by its sign, the second another by its size."""

    def forward(self, z: Tensor) -> Tensor:
        images = torch.zeros(len(z), 1, 4, 4, dtype=z.dtype)
        images[:, 0, 0, 0] = 0.1 * z[:, 0] + 0.01 * z[:, 2]
        images[:, 0, 3, 3] = 0.05 * z[:, 1].square() + 0.01 * z[:, 2]
        return images


class Mapped(nn.Module):
    """Latents (n, 6), w = mapping(z) (n, 4), and images that are linear in w."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
        self.synthesis = nn.Sequential(nn.Linear(4, 48), nn.Unflatten(1, (3, 4, 4)))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.synthesis(self.mapping(z))
        return images


def linear_generator(weight: Tensor, **space: Any) -> Generator:
    """Images (n, 1, 4, 4) = z @ weight; its range is wide enough that nothing is clipped."""
    linear = nn.Linear(len(weight), 16, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight.T)
    module = nn.Sequential(linear, nn.Unflatten(1, (1, 4, 4)))
    latent = LatentSpace((len(weight),), **space)
    return Generator.from_module(module.eval(), latent=latent, image_range=(-100.0, 100.0))


def random_weight(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 16, generator=torch.Generator().manual_seed(seed)).double()


def mapped_generator(**space: Any) -> Generator:
    torch.manual_seed(3)
    latent = LatentSpace((6,), **space)
    limits = (-20.0, 20.0)
    return Generator.from_module(
        Mapped().eval(), latent=latent, image_range=limits, w_site="mapping"
    )


def small_dcgan(seed: int = 0) -> Generator:
    """Latents (n, 20, 1, 1), uniform, to colour images (n, 3, 8, 8), after batch normalisation."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.ConvTranspose2d(20, 12, 4, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(12, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    return Generator.from_module(
        module.eval(), latent=LatentSpace((20, 1, 1), "uniform"), name="dcgan"
    )


def context_of(
    generator: Generator, seed: int = 0, *measures: Measure, chosen: str | None = None
) -> Context:
    known = {measure.name: measure for measure in measures}
    choice = None if chosen is None else SampleChoice.parse(chosen)
    return Context(
        Probe(generator),
        seed,
        known.__getitem__,
        list_measures=lambda: list(known.values()),
        chosen=choice,
    )


def walk(generator: Generator, seed: int = 0, *measures: Measure, **params: Any) -> Walks:
    context = context_of(generator, seed, *measures)
    return take_walks(plan_walks(context, TraversalParams(**params)))


def route(generator: Generator, kind: str, seed: int = 0, **params: Any) -> Route:
    return plan_route(context_of(generator, seed), TraversalParams.parse({"walk": kind, **params}))


def tour(generator: Generator, kind: str, seed: int = 0, **params: Any) -> Tour:
    return take_tour(route(generator, kind, seed, **params))


def run(generator: Generator, *measures: Measure, seed: int = 0, **params: Any) -> Result:
    return Traversal().run(context_of(generator, seed, *measures), TraversalParams.parse(params))


@pytest.mark.parametrize("seed", range(3))
def test_effects_of_a_linear_generator_are_the_known_ones(seed: int) -> None:
    weight = random_weight(6, seed)
    generator = linear_generator(weight)
    walks = walk(generator, seed, bases=5, steps=7)
    own = generator.sample(5, seed=seed).z.double()  # (base, dim)
    steps = torch.linspace(-3, 3, 7, dtype=torch.float64)
    distance = (steps - own.T.unsqueeze(2)).abs()  # (dim, base, step)
    expected = distance * (weight.square().mean(dim=1).sqrt() / 200).view(-1, 1, 1)
    assert np.allclose(walks.effects, expected.numpy(), rtol=1e-6, atol=1e-9)
    assert walks.ranking == np.argsort(-expected.mean(dim=(1, 2)).numpy()).tolist()


@pytest.mark.parametrize(("n_bases", "dims"), [(1, 7), (3, 7), (40, 2), (33, 7)])
def test_effects_do_not_depend_on_how_forwards_are_made_up(n_bases: int, dims: int) -> None:
    generator = linear_generator(random_weight(7))
    walks = walk(generator, bases=n_bases, dims=range(dims), steps=4)
    probe, bases = Probe(generator), generator.sample(n_bases).z
    expected = np.zeros((dims, n_bases, 4))
    for dim in range(dims):
        for step, value in enumerate(np.linspace(-3, 3, 4)):
            moved = bases.clone()
            moved[:, dim] = float(value)
            change = (probe.images(moved) - probe.images(bases)) / 200
            expected[dim, :, step] = change.square().mean(dim=(1, 2, 3)).sqrt().numpy()
    assert np.allclose(walks.effects, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("n_bases", "n_pairs", "most"),
    [(16, 900, 32), (1, 9, 32), (40, 90, 32), (5, 42, 128), (1, 1, 8)],
)
def test_forwards_are_as_long_as_they_may_be_and_few_images_are_left_over(
    n_bases: int, n_pairs: int, most: int
) -> None:
    n_block, together = layout(n_bases, n_pairs, most)
    assert 1 <= n_block <= n_bases
    assert 1 <= together <= n_pairs
    assert n_block * together <= most
    assert 2 * n_block * together > min(most, n_bases * n_pairs) or together == n_pairs
    assert layout(16, 900, 32) == (16, 2)


def test_a_linear_generators_walk_is_affine() -> None:
    walks = walk(linear_generator(random_weight(4)), bases=3, steps=9, figures=4)
    images = walks.images[:, :, 1:].astype(np.float64)
    second_difference = np.diff(images, n=2, axis=2)
    assert np.abs(second_difference).max() < 1e-6


def test_images_that_are_made_again_are_those_that_were_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = walk(small_dcgan(), bases=5, dims=(0, 3, 4), steps=4, figures=2, rows=3)
    monkeypatch.setattr("ganprobe_traversal.walk._KEPT_BYTES", 0)
    again = walk(small_dcgan(), bases=5, dims=(0, 3, 4), steps=4, figures=2, rows=3)
    assert kept.images.shape == again.images.shape == (2, 3, 5, 3, 8, 8)
    assert np.allclose(kept.images, again.images, atol=1e-6)
    assert np.ptp(kept.images) > 0.01


def test_a_dimension_that_does_nothing_ranks_last_with_no_effect() -> None:
    weight = torch.randn(5, 16)
    weight[3] = 0.0
    walks = walk(linear_generator(weight), bases=4)
    assert walks.ranking[-1] == 3
    assert walks.mean_effects[3] == 0.0


@pytest.mark.parametrize("dim", [0, 3, 4])
def test_a_step_at_the_base_value_is_the_base_image_bit_for_bit(dim: int) -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    own = float(generator.sample(1, seed=2).z[0, dim])
    walks = walk(generator, 2, dims=(dim,), bases=1, low=own, high=own + 1.0, steps=4)
    assert np.array_equal(walks.images[0, 0, 1], walks.images[0, 0, 0])
    assert walks.effects[0, 0, 0] == 0.0
    assert (walks.effects[0, 0, 1:] > 0).all()


@pytest.mark.parametrize("n_bases", [1, 5, 35])
@pytest.mark.parametrize("space", ["w", "synthesis.0", "mapping.1"])
def test_step_0_of_a_relative_walk_is_the_base_bit_for_bit(space: str, n_bases: int) -> None:
    walks = walk(mapped_generator(), space=space, bases=n_bases, steps=5, dims=(0, 2))
    assert (walks.effects[:, :, 2] == 0).all()
    assert (walks.effects[:, :, [0, 1, 3, 4]] > 0).all()
    assert np.array_equal(walks.images[:, :, 3], walks.images[:, :, 0])


def test_step_0_is_the_base_bit_for_bit_where_the_generator_draws_noise() -> None:
    class Noisy(Mapped):
        def forward(self, z: Tensor) -> Tensor:
            images = super().forward(z)
            return images + torch.randn_like(images)

    torch.manual_seed(3)
    generator = Generator.from_module(
        Noisy().eval(), latent=6, image_range=(-20.0, 20.0), w_site="mapping"
    )
    walks = walk(generator, space="w", bases=5, steps=3)
    assert (walks.effects[:, :, 1] == 0).all()
    assert (walks.effects[:, :, 0] > 0).all()
    assert np.array_equal(walks.images[:, :, 2], walks.images[:, :, 0])


def test_a_walk_in_w_moves_by_the_deviations_of_w() -> None:
    generator = mapped_generator()
    walks = walk(generator, space="w", bases=3, steps=3, low=-2.0, high=2.0, figures=4)
    module, z = generator.module, generator.sample(1000).z
    assert isinstance(module, Mapped)
    with torch.no_grad():
        w = module.mapping(z)
        for slot, way in enumerate(walks.shown):
            moved = w[:3].clone()
            moved[:, way] += 2.0 * w[:, way].std()
            expected = generator.to_unit_range(module.synthesis(moved)).numpy()
            assert np.allclose(walks.images[slot, :, 3], expected, atol=1e-6)
    assert walks.plan.ways.title(2) == "Dimension w[2]"


def test_a_walk_at_a_site_moves_a_unit_everywhere() -> None:
    generator = small_dcgan()
    walks = walk(generator, space="2", dims=(4,), bases=2, steps=3, figures=1)
    module, z = generator.module, generator.sample(1000).z
    assert isinstance(module, nn.Sequential)
    with torch.no_grad():
        maps = module[:3](z)
        moved = maps[:2].clone()
        moved[:, 4] += 3.0 * maps.mean(dim=(2, 3))[:, 4].std()
        expected = generator.to_unit_range(module[3:](moved)).numpy()
    assert np.allclose(walks.images[0, :, 3], expected, atol=1e-6)


def test_a_walk_along_a_direction_moves_by_its_deviations() -> None:
    weight = random_weight(4)
    generator = linear_generator(weight)
    vector = np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0]])
    found = DirectionSet(vector, ("slant", "bar"), deviations=np.array([1.5, 2.0]))
    walks = walk(generator, direction=found, bases=4, steps=3)
    unit = torch.from_numpy(found.vectors)
    change = 3.0 * torch.tensor([[1.5], [2.0]]) * (unit @ weight)  # (direction, pixel)
    expected = change.square().mean(1).sqrt() / 200
    for step, times in enumerate([1.0, 0.0, 1.0]):
        assert np.allclose(walks.effects[:, :, step], times * expected[:, None], rtol=1e-6)
    result = run(generator, direction=found, bases=4, steps=3)
    assert {"direction-slant", "direction-bar"} < set(result.figures)
    strongest = found.names[int(expected.argmax())]
    assert result.findings[0].startswith(f"Direction {strongest} changes")


def test_walked_latents_differ_from_their_base_in_one_coordinate() -> None:
    plan = plan_walks(context_of(small_dcgan()), TraversalParams(bases=4, dims=(5, 0, 19)))
    ways, steps = torch.tensor([0, 1, 1, 2]), torch.tensor([-1.0, 0.5, 0.25, 0.0]).double()
    moved = plan.ways.move(plan.points, ways, steps)
    assert moved.shape == (4, 20, 1, 1)
    for row, (dim, value) in enumerate([(5, -1.0), (0, 0.5), (0, 0.25), (19, 0.0)]):
        others = [other for other in range(20) if other != dim]
        assert torch.equal(moved[row, others], plan.points[row, others])
        assert moved[row, dim].item() == value


def test_steps_follow_the_prior_and_those_outside_are_marked() -> None:
    generator = linear_generator(torch.randn(3, 16), distribution="uniform")
    inside = walk(generator, bases=1, steps=3).plan
    assert inside.steps.tolist() == [-1.0, 0.0, 1.0]
    assert not inside.is_outside.any()
    wide = run(generator, bases=1, steps=5, low=-2.0, high=2.0)
    (outside,) = [one for one in wide.findings if "lie outside" in one]
    assert outside.startswith("Steps -2, 2 lie outside the prior's usual range [-1, 1]")
    assert wide.arrays["is_outside"].values.tolist() == [[[1, 0, 0, 0, 1]]] * 3


def test_a_walk_far_out_of_a_bounded_prior_is_told_to_be_saturated() -> None:
    result = run(small_dcgan(), bases=4, steps=9, low=-2000.0, high=2000.0, dims=(0, 1))
    (outside,) = [one for one in result.findings if "saturation" in one]
    pinned, is_outside = result.arrays["pinned"].values, result.arrays["is_outside"].values == 1
    assert pinned[is_outside].mean() > 0.8 > 0.1 > pinned[~is_outside].mean()
    assert f"{100 * pinned[is_outside].mean():.1f} % of an image's values" in outside
    assert f"against {100 * pinned[~is_outside].mean():.1f} % within it" in outside


def test_a_relative_step_is_outside_by_where_its_own_base_stands() -> None:
    generator = linear_generator(random_weight(3))
    plan = plan_walks(
        context_of(generator), TraversalParams(space="0", bases=6, steps=5, low=-4.0, high=4.0)
    )
    images = generator.sample(1000).z.double() @ random_weight(3)
    for way in range(16):
        mean, deviation = images[:, way].mean(), images[:, way].std()
        for base in range(6):
            reached = images[base, way] + deviation * torch.linspace(-4, 4, 5)
            expected = (reached - mean).abs() > 3 * deviation
            assert plan.is_outside[way, base].tolist() == expected.tolist()


def test_a_direction_that_leaves_the_bound_of_a_prior_is_outside() -> None:
    found = DirectionSet(np.eye(20)[:1].reshape(1, 20, 1, 1), ("first",))
    plan = plan_walks(
        context_of(small_dcgan()), TraversalParams(direction=found, bases=3, steps=21)
    )
    reached = plan.points[:, 0, 0, 0, None].numpy() + plan.steps
    assert np.array_equal(plan.is_outside[0], np.abs(reached) > 1.0)


def test_a_measure_is_followed_along_the_walk() -> None:
    weight = torch.zeros(3, 16)
    weight[1] = 20.0
    result = run(linear_generator(weight), Brightness(), bases=4, steps=3, measure=("brightness",))
    followed = result.arrays["measure_brightness"]
    assert followed.dims == ("dim", "base", "column", "brightness_column")
    expected = [(20.0 * step + 100.0) / 200.0 for step in (-3.0, 0.0, 3.0)]
    assert np.allclose(followed.values[1, :, 1:, 0], expected, atol=1e-6)
    own = (20.0 * linear_generator(weight).sample(4).z[:, 1] + 100.0) / 200.0
    assert np.allclose(followed.values[:, :, 0, 0], own.expand(3, 4), atol=1e-6)
    assert "brightness 'mean' 0.20 to 0.80" in result.figures["dimension-001"].caption


def test_without_a_name_every_measure_that_fits_is_followed_and_none_is_none() -> None:
    generator = linear_generator(torch.randn(3, 16))
    known = Brightness(), OtherShape(), Ends()
    every = run(generator, *known, bases=2, steps=2)
    assert {"measure_brightness", "measure_ends"} < set(every.arrays)
    assert "measure_other" not in every.arrays
    none = run(generator, *known, bases=2, steps=2, measure=("none",))
    assert not [name for name in none.arrays if name.startswith("measure")]
    assert "measures" not in none.tables


def test_what_sign_and_what_size_do_is_told_apart() -> None:
    generator = Generator.from_module(
        BySignAndSize().eval(), latent=3, image_range=(-1.0, 1.0), name="planted"
    )
    walks = walk(generator, 0, Ends(), bases=12, steps=7)
    trends = find_trends(walks)
    assert trends is not None
    change, bend = trends.by_way(trends.changes.mean), trends.by_way(trends.bends.mean)
    assert np.allclose(change[:2, :2], [[0.3, 0.0], [0.0, 0.0]], atol=1e-6)
    assert np.allclose(bend[:2, :2], [[0.0, 0.0], [0.0, 0.225]], atol=1e-6)
    assert set(trends.significant()) == {(0, 0), (2, 0), (2, 1)}
    assert trends.significant_bends() == [(1, 1)]
    findings = run(generator, Ends(), bases=12, steps=7).findings
    assert any(one.startswith("Dimension 0: ends 'sign' +0.3 [0.3, 0.3]") for one in findings)
    assert any(one.startswith("Dimension 1 goes by size, not by sign: ends 'size'")
               for one in findings)  # fmt: skip
    assert not any("'still'" in one for one in findings)


def test_changes_are_paired_by_base_and_corrected_over_all() -> None:
    result = run(linear_generator(random_weight(3)), Ends(), bases=12, steps=5, seed=4)
    table = result.tables["measures"]
    values = result.arrays["measure_ends"].values
    ranks = [row[1] for row in result.tables["ranking"].rows]
    at = {name: place for place, name in enumerate(table.columns)}
    assert len(table.rows) == 9
    for row in table.rows:
        dim, column = int(row[0]), Ends.columns.index(str(row[at["column"]]))  # type: ignore[arg-type]
        change = values[dim, :, -1, column] - values[dim, :, 1, column]
        assert row[at["change"]] == pytest.approx(change.mean())
        assert row[at["size"]] == pytest.approx(change.mean() / values[..., column].std(), rel=1e-6)
    p = [float(row[at["p"]]) for row in table.rows]  # type: ignore[arg-type]
    q = [row[at["q"]] for row in table.rows]
    assert q == pytest.approx(stats.false_discovery_control(p))
    assert [row[0] for row in table.rows[::3]] == ranks


def test_few_bases_have_no_interval_and_the_findings_say_so() -> None:
    result = run(linear_generator(torch.randn(3, 16)), Brightness(), bases=2)
    assert any("intervals and p values of it take four or more" in one for one in result.findings)
    (row, *_) = result.tables["measures"].rows
    assert np.isnan(float(row[6]))  # type: ignore[arg-type]


def test_no_effect_is_said_to_be_none() -> None:
    result = run(linear_generator(torch.zeros(3, 16)), Brightness(), bases=4)
    assert "3 change nothing at all." in result.findings[1]
    assert any("none change from -3 to 3 with q < 0.05" in one for one in result.findings)


def test_compared_steps_lie_within_the_prior_where_two_do() -> None:
    steps = np.linspace(-4, 4, 9)
    outside = np.broadcast_to(np.abs(steps) > 3, (2, 5, 9))
    assert compared_steps(steps, outside) == ((1, 7), [4])
    everywhere = np.ones_like(outside)
    assert compared_steps(steps, everywhere) == ((0, 8), [4])
    assert compared_steps(np.linspace(-3, 3, 4), np.zeros((1, 1, 4), bool)) == ((0, 3), [1, 2])


def test_a_measure_for_other_images_is_refused_by_name() -> None:
    with pytest.raises(PluginError, match=r"takes images \(3, 64, 64\), but .* makes \(1, 4, 4\)"):
        run(linear_generator(torch.randn(3, 16)), OtherShape(), bases=1, measure=("other",))


class Miscounting(Brightness):
    columns: ClassVar[tuple[str, ...]] = ("one", "two")


def test_a_measure_that_breaks_its_word_is_named() -> None:
    with pytest.raises(PluginError, match=r"'brightness' gave \(\d+, 1\) for \d+ images and 2 col"):
        run(linear_generator(torch.randn(3, 16)), Miscounting(), bases=4, dims=(0,))


def test_a_walk_that_leaves_the_numbers_is_named() -> None:
    generator = linear_generator(torch.full((2, 16), 1e30))
    with pytest.raises(ForwardError, match=r"gave NaN or infinity on a walk along dimensions \[0"):
        walk(generator, bases=1, high=1e30)


def test_a_result_holds_the_ranking_arrays_and_figures() -> None:
    result = run(linear_generator(torch.randn(6, 16)), bases=3, steps=4, rows=2, figures=2)
    ranking = result.tables["ranking"]
    effects = [row[ranking.columns.index("mean_effect")] for row in ranking.rows]
    assert effects == sorted(effects, reverse=True)  # type: ignore[type-var]
    assert result.arrays["effect"].values.shape == (6, 3, 4)
    assert result.arrays["image"].values.shape == (2, 2, 5, 1, 4, 4)
    first, second = (row[1] for row in ranking.rows[:2])
    assert list(result.figures) == [
        "ranking", "all-dimensions", f"dimension-{first:03d}", f"dimension-{second:03d}",
    ]  # fmt: skip
    assert result.findings[0].startswith(f"Dimension {first} changes the image")
    assert "n = 3 base samples, seed 0" in result.findings[0]


def test_one_base_and_colour_images_work() -> None:
    result = run(small_dcgan(), Brightness(), bases=1, steps=2, dims=(3,))
    assert result.arrays["image"].values.shape[3] == 3


def test_latents_given_are_the_bases_and_rows_bear_their_numbers() -> None:
    generator = linear_generator(random_weight(3))
    context = context_of(generator, chosen="7,3")
    plan = plan_walks(context, TraversalParams(bases=16))
    assert torch.equal(plan.points.float(), generator.latent_space.sample([7, 3], seed=0).z)
    result = Traversal().run(context, TraversalParams(bases=16))
    assert list(result.coordinates["base"]) == [7, 3]
    drawn = result.figures["dimension-000"].drawing
    names = [label.get_text() for axes in drawn.axes for label in axes.get_yticklabels()]
    assert names[0].startswith("sample 7")


def test_animations_go_there_and_back_with_a_mark_where_they_leave_the_prior() -> None:
    generator = small_dcgan()
    result = run(generator, bases=3, steps=5, low=-2.0, high=2.0, figures=1, dims=(2,),
                 animate=("gif", "png"), fps=5.0)  # fmt: skip
    film = result.animations["dimension-002"]
    assert len(film.frames) == 8
    assert film.formats == ("gif", "png")
    assert film.frames_per_second == 5.0
    is_red = (film.frames == [192, 0, 0]).all(axis=-1)
    corner = is_red[:, 0, 0]  # the frame of the first image
    assert corner.tolist() == [True, False, False, False, True, False, False, False]
    assert is_red[2].any()  # the bar's ends
    assert there_and_back(4) == [0, 1, 2, 3, 2, 1]
    assert there_and_back(2) == [0, 1]


@pytest.mark.parametrize("kind", ["lerp", "slerp", "loop"])
def test_a_way_between_samples_goes_through_them_bit_for_bit(kind: str) -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    found = tour(generator, kind, through=("0,3", "8"), steps=6)
    z = generator.latent_space.sample([0, 3, 8], seed=0).z
    ends = [(0, 1), (1, 2), (2, 0)][: 3 if kind == "loop" else 2]
    assert found.route.points.shape == (len(ends), 6, 5)
    for row, (first, last) in enumerate(ends):
        assert torch.equal(found.route.points[row, 0], z[first])
        assert torch.equal(found.route.points[row, -1], z[last])
    images = generator.to_unit_range(Probe(generator).images(z))
    assert np.allclose(found.images[:, 0], images[[one for one, _ in ends]], atol=1e-6)


def test_lerp_is_straight_and_slerp_keeps_the_norm() -> None:
    generator = linear_generator(random_weight(200))
    straight, sphere = (route(generator, kind, through=("0,1",), steps=11)
                        for kind in ("lerp", "slerp"))  # fmt: skip
    second = torch.diff(straight.points[0].double(), n=2, dim=0)
    assert second.abs().max() < 1e-5
    norms = sphere.norms[0]
    assert np.allclose(norms, np.linspace(norms[0], norms[-1], 11), rtol=1e-5)
    assert not sphere.is_outside.any()
    assert straight.is_outside[0, 4:7].all()
    assert not straight.is_outside[0, [0, -1]].any()


def test_a_straight_way_through_points_that_are_too_short_is_said_to_be() -> None:
    result = run(linear_generator(random_weight(200)), walk="lerp", through=("0,1",), steps=11)
    assert any("--walk slerp keeps the norm" in one for one in result.findings)
    assert "lie outside the norms of the prior's points" in result.findings[-1]
    bounded = linear_generator(random_weight(200), distribution="uniform")
    result = run(bounded, walk="lerp", through=("0,1",), steps=11)
    assert any("--walk random stays typical" in one for one in result.findings)
    assert result.findings[-1] == "All 11 steps of the lerp (straight) lie within the prior."


@pytest.mark.parametrize(("distribution", "is_spherical"), [("normal", True), ("uniform", False)])
def test_a_loop_takes_the_way_that_stays_in_the_prior(
    distribution: str, is_spherical: bool
) -> None:
    generator = linear_generator(random_weight(50), distribution=distribution)
    found = route(generator, "loop", through=("0-3",), steps=12)
    assert found.is_spherical is is_spherical
    assert not found.is_outside.any()


def test_a_closed_loop_as_a_film_has_each_point_once() -> None:
    result = run(small_dcgan(), walk="loop", through=("0,1,2",), steps=5, animate=("gif",))
    film = result.animations["loop"]
    assert len(film.frames) == 3 * 4
    assert not (film.frames[0] == film.frames[-1]).all()
    open_way = run(small_dcgan(), walk="slerp", through=("0,1,2",), steps=5, animate=("gif",))
    assert len(open_way.animations["slerp"].frames) == 2 * 9 - 2


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated"])
def test_a_random_walk_begins_at_its_base_and_stays_in_the_prior(distribution: str) -> None:
    generator = linear_generator(random_weight(30), distribution=distribution)
    found = route(generator, "random", rows=5, steps=60)
    assert torch.equal(found.points[:, 0].float(), generator.sample(5).z)
    assert not found.is_outside.any()
    values = found.points.flatten().numpy()
    expected = generator.sample(2000, seed=9).z.flatten().numpy()
    assert values.std() == pytest.approx(expected.std(), rel=0.1)
    assert values.mean() == pytest.approx(0.0, abs=0.1 * float(expected.std()))


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated"])
def test_a_prior_is_mapped_to_a_normal_distribution_and_back(distribution: Any) -> None:
    prior = LatentSpace((50,), distribution)
    z = prior.sample(range(100), seed=2).z
    normal = to_normal(z, prior)
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 0.01
    assert torch.allclose(from_normal(normal, prior).float(), z, atol=1e-5)


def test_points_of_random_walks_are_distributed_as_the_prior() -> None:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(400, 17, 1, generator=generator).double()
    ends = torch.stack([
        random_walk(one[0], one[1:], 20, seed)[-1] for seed, one in enumerate(drawn)
    ])  # fmt: skip
    assert stats.kstest(ends.flatten().numpy(), "norm").pvalue > 0.01


def test_a_random_walk_is_smooth_and_the_same_for_the_same_seed() -> None:
    generator = linear_generator(random_weight(100))
    one, two, other = (route(generator, "random", seed, rows=2, steps=40) for seed in (4, 4, 5))
    assert torch.equal(one.points, two.points)
    assert not torch.equal(one.points, other.points)
    points = one.points.double()
    steps = torch.diff(points, dim=1).norm(dim=2)
    bends = torch.diff(points, n=2, dim=1).norm(dim=2)
    assert steps.mean() == pytest.approx(0.15 * 10, rel=0.15)
    assert bends.max() < 0.5 * steps.min()


@pytest.mark.parametrize("space", ["w", "synthesis.0"])
@pytest.mark.parametrize("kind", ["random", "lerp", "loop"])
def test_walks_between_points_of_other_spaces_begin_at_the_samples_image(
    space: str, kind: str
) -> None:
    generator = mapped_generator()
    found = tour(generator, kind, space=space, steps=4, rows=3)
    expected = generator.to_unit_range(Probe(generator).images(generator.sample(4).z))
    n = len(found.images)
    assert np.allclose(found.images[:, 0], expected[:n], atol=1e-6)
    if kind == "lerp":
        assert np.abs(np.diff(found.images.astype(float), n=2, axis=1)).max() < 1e-5


def test_a_route_tells_of_its_measures_and_steps() -> None:
    generator = linear_generator(random_weight(3))
    result = run(generator, Brightness(), walk="slerp", through=("0,1,2",), steps=5)
    assert list(result.figures) == ["walk", "measures"]
    assert result.arrays["measure_brightness"].values.shape == (2, 5, 1)
    assert result.arrays["z"].dims == ("row", "step", "latent_axis_0")
    change = np.diff(result.arrays["image"].values.astype(float), axis=1)
    expected = np.sqrt((change**2).mean(axis=(2, 3, 4)))
    assert np.allclose(result.arrays["change"].values, expected, atol=1e-7)
    assert [row[0] for row in result.tables["ways"].rows] == ["sample 0 to sample 1",
                                                              "sample 1 to sample 2"]  # fmt: skip
    assert result.findings[0].startswith("From sample 0 to sample 1, along the sphere, the image")


def test_the_same_seed_gives_the_same_result() -> None:
    generator = Generator.from_module(random_network(1), latent=5)
    one, two, other = (walk(generator, seed, bases=3, steps=3) for seed in (4, 4, 5))
    assert np.array_equal(one.effects, two.effects)
    assert not np.array_equal(one.effects, other.effects)


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "no such dimension": ({"dims": (0, 3)}, "no latent dimension 3: there are 3"),
    "no such unit": ({"space": "0", "dims": (16,)}, "no dimension of 0 16: there are 16"),
    "a range that runs down": (
        {"low": 2.0, "high": 1.0}, "--low must be below --high, got 2 and 1",
    ),
    "directions of another size": (
        {"direction": DirectionSet(np.ones((1, 5)), ("pc0",))},
        r"the directions pc0 are \(5,\) each, but a point of z of this generator is \(3,\)",
    ),
    "directions of another space": (
        {"direction": DirectionSet(np.ones((1, 3)), ("pc0",)), "space": "0"},
        "the directions are of z, not of --space 0; leave --space out",
    ),
    "directions and dimensions": (
        {"direction": DirectionSet(np.ones((1, 3)), ("pc0",)), "dims": (0,)},
        "--dims and --direction exclude each other",
    ),
    "through along dimensions": ({"through": ("0,1",)}, "--through is for --walk lerp, slerp or"),
    "a way through one sample": (
        {"walk": "lerp", "through": ("4",)}, "goes from one sample to the next, and '4' is one",
    ),
    "a range of a loop": ({"walk": "loop", "low": -1.0}, "--low is for walks along dimensions"),
    "a random walk through samples": (
        {"walk": "random", "through": ("0,1",)}, "a random walk begins at --latents",
    ),
    "w of a generator without": ({"space": "w"}, "does not say where its w is"),
}  # fmt: skip


@pytest.mark.parametrize(("params", "message"), IMPOSSIBLE.values(), ids=list(IMPOSSIBLE))
def test_impossible_walks_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        run(linear_generator(torch.randn(3, 16)), **params)


def test_a_space_that_there_is_not_is_named() -> None:
    with pytest.raises(UnknownNameError, match="conv2"):
        run(linear_generator(torch.randn(3, 16)), space="conv2")


def test_statistics_of_the_batch_are_refused() -> None:
    generator = small_dcgan().with_normalisation("batch")
    for kind in ("dims", "loop"):
        with pytest.raises(ParameterError, match="steps of a walk change each other's images"):
            run(generator, walk=kind)
    assert run(small_dcgan().with_normalisation("sample"), bases=1, dims=(0,), steps=2).findings


def test_digits_lean_along_the_dimension_that_slants_them() -> None:
    walks = walk(load("digits"), bases=2, steps=3)
    assert (walks.effects > 0).all()
    assert walks.pages.shape == (10, 3, 1, 28, 28)
    assert walks.mean_effects[walks.ranking[0]] > 0.1
