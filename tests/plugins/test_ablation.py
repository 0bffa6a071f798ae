"""Ablation against planted generators whose effects are known, and from the command line."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import matplotlib.image
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    AreaMeasure,
    Context,
    Generator,
    Intervention,
    Latents,
    Measure,
    ParameterError,
    Probe,
    Result,
    Segmenter,
    SiteError,
    Swap,
    UnitSet,
    UnknownNameError,
    kernel_levels,
    load,
)
from ganprobe_ablation import Ablation, AblationParams
from ganprobe_ablation.axes import axis_limits
from ganprobe_ablation.left import share_left
from ganprobe_ablation.likeness import correlations
from ganprobe_ablation.ranking_figure import shown_places
from ganprobe_ablation.samples import choose_donors, split_samples
from ganprobe_ablation.study import Study, study_units
from subjects import random_network

Command = Callable[..., Any]

N_UNITS, DRAWN = 8, (3, 7)
AREAS = {3: 8 / 64, 7: 16 / 64}
"""The share of the image that each of the planted units draws."""


class Planted(nn.Module):
    """Latents (n, 4); units 3 and 7 of `maps` draw rows of the class area, the others dark noise.

    Unit 3 draws the first row of the image in full width, unit 7 the next two, both as bright as
    `brightness` of the latent says; what the others draw is in the last column alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        units = torch.stack([brightness(z) * (1 + unit) for unit in range(N_UNITS)], 1)
        maps = cast(Tensor, self.maps(units[:, :, None, None].expand(-1, -1, 4, 4).clone()))
        wide = maps.repeat_interleave(2, 2).repeat_interleave(2, 3)  # (n, units, 8, 8)
        image = torch.zeros_like(wide[:, :1])
        image[:, 0, 0] = wide[:, 3, 0] / 4
        image[:, 0, 1:3] = wide[:, 7, 1:3] / 8
        image[:, 0, 5:, 7] = wide[:, 0, 5:, 7] / 2
        return image


def brightness(z: Tensor) -> Tensor:
    """(n,) in (0.25, 0.75)."""
    return 0.25 + 0.5 * torch.sigmoid(z[:, 0])


class Pair(nn.Module):
    """Latents (n, 4); either of units 0 and 5 of `maps` is enough to draw the whole image."""

    def __init__(self, *, saturates: bool = False) -> None:
        super().__init__()
        self.maps = nn.Identity()
        self.saturates = saturates

    def forward(self, z: Tensor) -> Tensor:
        maps = cast(Tensor, self.maps(brightness(z)[:, None, None, None].repeat(1, 7, 4, 4)))
        if self.saturates:
            return torch.tanh(20 * (maps[:, :1] + maps[:, 5:6]))
        return torch.maximum(maps[:, :1], maps[:, 5:6])


class ClassArea(Measure):
    name, summary = "area", "mean brightness of the class area, and of the whole image"
    columns: ClassVar[tuple[str, ...]] = ("class", "all")

    def measure(self, images: Tensor) -> Tensor:
        return torch.stack([images[:, 0, :3].sum((1, 2)) / 64, images.mean((1, 2, 3))], 1)


class Bright(Measure):
    name, summary = "bright", "mean brightness"
    columns: ClassVar[tuple[str, ...]] = ("mean",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


MEASURES = {measure.name: measure for measure in (ClassArea(), Bright())}


def of(module: nn.Module, latent: int = 4, **how: Any) -> Generator:
    how = {"image_range": (0.0, 1.0), "name": "planted"} | how
    return Generator.from_module(module.eval(), latent=latent, **how)


def context_of(generator: Generator, seed: int = 0) -> Context:
    return Context(Probe(generator), seed, MEASURES.__getitem__)


FEW: dict[str, Any] = {
    "site": "maps", "measure": "area=class", "n_samples": 12, "n_ranked": 8, "top": 3,
    "n_draws": 5, "n_resamples": 400, "n_shown": 2,
}  # fmt: skip


def studied(generator: Generator | None = None, seed: int = 0, **params: Any) -> Study:
    context = context_of(generator or of(Planted()), seed)
    return study_units(context, AblationParams.parse(FEW | params))


def run(generator: Generator | None = None, seed: int = 0, **params: Any) -> Result:
    context = context_of(generator or of(Planted()), seed)
    return Ablation().run(context, AblationParams.parse(FEW | params))


def effects_of(study: Study) -> dict[int, float]:
    return dict(zip(study.ranking.units, study.effects.mean.tolist(), strict=True))


def mean_brightness(study: Study) -> float:
    return float(brightness(study.plan.samples.measured.z).double().mean())


def test_effects_are_the_area_that_a_unit_draws_and_nothing_elsewhere() -> None:
    study = studied()
    effects = effects_of(study)
    for unit in range(N_UNITS):
        expected = -AREAS.get(unit, 0.0) * mean_brightness(study)
        assert effects[unit] == pytest.approx(expected, abs=1e-6), unit
    is_found = dict(zip(study.ranking.units, study.effects.q < 0.05, strict=True))
    assert {unit for unit, found in is_found.items() if found} == set(DRAWN)


@pytest.mark.parametrize("strategy", ["rank", "greedy"])
def test_a_strategy_finds_the_planted_units_and_then_the_lowest_of_equals(strategy: str) -> None:
    study = studied(strategy=(strategy,))
    (curve,) = study.curves
    assert curve.units == (7, 3, 0)
    bright = mean_brightness(study)
    together = [-AREAS[7] * bright, -sum(AREAS.values()) * bright, -sum(AREAS.values()) * bright]
    assert curve.effects.mean == pytest.approx(together, abs=1e-6)


@pytest.mark.parametrize("saturates", [False, True])
def test_only_a_greedy_search_finds_two_units_that_stand_in_for_each_other(saturates: bool) -> None:
    pair = of(Pair(saturates=saturates))
    study = studied(pair, measure="bright", strategy=("rank", "greedy"), top=3)
    assert np.abs(study.effects.mean).max() < 1e-3
    rank, greedy = study.curves
    assert set(greedy.units[:2]) == {0, 5}
    whole = 1.0 if saturates else mean_brightness(study)
    assert greedy.effects.mean == pytest.approx([0, -whole, -whole], abs=1e-3)
    if not saturates:
        assert (study.effects.q == 1).all()
        assert rank.units == (0, 1, 2)
        assert np.abs(rank.effects.mean).max() == 0


def test_a_level_is_a_number_or_a_name() -> None:
    for given, read in (("mean", "mean"), ("0.5", "0.5"), (-2, "-2.0"), ("1e-3", "0.001")):
        assert AblationParams.parse(FEW | {"to": given}).to == read
    study = studied(to=-1.5)
    assert study.plan.target.template == Ablate("maps", to=-1.5)
    assert study.plan.target.words == "set to -1.5"


def test_the_order_given_is_followed_and_so_is_that_of_a_saved_set(tmp_path: Path) -> None:
    UnitSet((3, 0, 7), "maps").write(tmp_path / "set.json")
    for units in ((3, 0, 7), f"@{tmp_path / 'set.json'}"):
        study = studied(units=units, order="given", strategy=("rank", "greedy"))
        rank, greedy = study.curves
        assert study.ranking.units == rank.units == (3, 0, 7)
        assert greedy.units == (7, 3, 0)
        bright = mean_brightness(study)
        assert rank.effects.mean == pytest.approx(
            [-AREAS[3] * bright, -AREAS[3] * bright, -sum(AREAS.values()) * bright], abs=1e-6
        )
    result = run(units=(3, 0, 7), order="given")
    assert "Unit 3, the first of the order given, changes area=class by" in result.findings[1]
    assert result.arrays["ranked_by"].values.tolist() == [1, 2, 3]


def test_an_order_without_units_is_refused() -> None:
    with pytest.raises(ParameterError, match="no order was given; name units in it, as in --units"):
        studied(order="given")


class Lit(Segmenter):
    """Pixels that anything was drawn on, in the first three rows."""

    name, summary, classes = "lit", "pixels that are lit", ("lit",)

    def segment(self, images: Tensor) -> Tensor:
        lit = images > 0
        lit[:, :, 3:] = False
        return lit


def test_of_an_area_the_share_that_is_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURES, "area:lit", AreaMeasure(Lit()))
    how: dict[str, Any] = {"measure": "area:lit=lit", "units": (3, 7, 1), "order": "given"}
    study = studied(**how)
    assert study.is_area
    assert not studied().is_area
    left = study.left(study.curves[0])
    assert left.mean == pytest.approx([2 / 3, 0, 0])  # one of three rows, then all
    assert left.low == pytest.approx(left.mean)
    result = run(**how)
    assert result.arrays["left"].values[0] == pytest.approx([2 / 3, 0, 0])
    assert "That leaves 0% [0%, 0%] of the area" in result.findings[2]


def test_the_share_that_is_left_is_a_ratio_of_means_with_an_interval_around_it() -> None:
    study = studied(n_samples=40)
    generator = np.random.default_rng(0)
    base = generator.exponential(size=40)
    changes = -base * generator.uniform(0.2, 0.6, size=(2, 40))
    left = share_left(study.plan, base, changes)
    assert left.mean == pytest.approx((base + changes).sum(1) / base.sum())
    assert (left.low < left.mean).all()
    assert (left.mean < left.high).all()
    assert (left.high - left.low < 0.2).all()


@pytest.mark.slow
def test_intervals_of_the_share_that_is_left_hold_it_in_95_of_100_cases() -> None:
    plan = studied(n_samples=40).plan
    generator = np.random.default_rng(1)
    base = generator.exponential(size=(1000, 40))
    held = 0
    for row in base:
        changes = -row * generator.uniform(0.2, 0.6, size=(1, 40)) + generator.normal(0, 0.1, 40)
        left = share_left(plan, row, changes)
        held += bool(left.low[0] <= 0.6 <= left.high[0])
    assert 0.92 <= held / 1000 <= 0.98


def test_raising_ranks_the_other_way_round() -> None:
    lowered, raised = studied(), studied(direction="raise", top=8)
    assert raised.ranking.units[-2:] == (3, 7)
    assert lowered.ranking.units[:2] == (7, 3)
    assert raised.curves[0].units == raised.ranking.units


def test_an_effect_is_the_paired_difference_of_plain_runs() -> None:
    study = studied(to="0.25", strength=0.5, region="0,0,0.5,1")
    probe, latents = study.plan.context.probe, study.plan.samples.measured
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]]).expand(4, 4)
    measure = MEASURES["area"]
    base = measure(probe.images(latents))[:, 0].double().numpy()
    assert study.base == pytest.approx(base, abs=1e-6)
    for row, unit in enumerate(study.ranking.units):
        edit = Ablate(f"maps#{unit}", to=0.25, strength=0.5, region=mask)
        edited = measure(probe.run(latents, edit).images)[:, 0].double().numpy()
        assert study.by_sample[row] == pytest.approx(edited - base, abs=1e-6)


@pytest.mark.parametrize("region", ["left", "right", "0,0,0.5,1"])
def test_half_the_region_has_half_the_effect(region: str) -> None:
    whole, half = effects_of(studied()), effects_of(studied(region=region))
    for unit in DRAWN:
        assert half[unit] == pytest.approx(whole[unit] / 2, abs=1e-6)


def test_a_region_elsewhere_has_no_effect() -> None:
    assert np.abs(studied(region="bottom").effects.mean).max() < 1e-7


def test_a_mask_is_a_region_as_well(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.float32)
    mask[:, 3:] = 1
    matplotlib.image.imsave(tmp_path / "mask.png", mask, cmap="gray")
    masked, right = (studied(region=how) for how in (f"@{tmp_path / 'mask.png'}", "right"))
    assert masked.effects.mean == pytest.approx(right.effects.mean)


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        ("upper", "'upper' is no region; write left, right, top, bottom, centre, a box"),
        ("0.5,0,0.5,1", "with LEFT below RIGHT and TOP below BOTTOM"),
        ("0,0,2,1", "in shares of the image from 0 to 1"),
        ("@no/such.png", "cannot read the mask no/such.png of --region: No such file"),
    ],
)
def test_what_is_no_region_is_refused(region: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        studied(region=region)


def test_a_black_mask_and_a_site_without_space_are_refused(tmp_path: Path) -> None:
    matplotlib.image.imsave(tmp_path / "black.png", np.zeros((2, 2)), cmap="gray", vmax=1)
    with pytest.raises(ParameterError, match="covers nothing: it is black everywhere"):
        studied(region=f"@{tmp_path / 'black.png'}")
    with pytest.raises(ParameterError, match="0 has no axes y and x"):
        studied(of(random_network(0), 5), site="0", measure="bright", region="left")


def test_a_mean_is_each_units_own_over_the_ranking_samples() -> None:
    study = studied(of(random_network(1), 5), site="2", measure="bright", to="mean")
    probe, samples = study.plan.context.probe, study.plan.samples
    means = probe.run(samples.ranked, record=["2"])["2"].mean((0, 2, 3))
    for unit in range(6):
        own = study.plan.target.template.for_units((unit,))
        plain = Ablate(f"2#{unit}", to=float(means[unit]))
        one, other = (probe.run(samples.measured, edit).images for edit in (own, plain))
        assert torch.allclose(one, other, atol=1e-6)


class Dense(nn.Sequential):
    """Latents (n, 5) to images (n, 1, 2, 2), with linear layers alone, one without a bias."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(5, 6, bias=False), nn.LeakyReLU(0.2), nn.Linear(6, 4), nn.Tanh(),
            nn.Unflatten(1, (1, 2, 2)),
        )  # fmt: skip


KERNELS: list[tuple[Callable[[], nn.Module], str, str, Literal["eval", "sample"]]] = [
    (lambda: random_network(2), "4", "2", "eval"),
    (lambda: random_network(2), "3", "2", "eval"),
    (lambda: random_network(2), "4", "2", "sample"),
    (Dense, "1", "0", "eval"),
    (lambda: load("digits").module, "conv3", "conv3.conv", "eval"),
    (lambda: load("digits").module, "conv3", "conv3.conv", "sample"),
    (lambda: load("digits").module, "conv2:out", "conv2.conv", "eval"),
]


@pytest.mark.parametrize(("make", "site", "layer", "mode"), KERNELS)
def test_a_kernel_at_zero_is_as_with_its_weights_zeroed(
    make: Callable[[], nn.Module], site: str, layer: str, mode: Literal["eval", "sample"]
) -> None:
    torch.manual_seed(0)
    module = make().eval()
    n_latent = 10 if "conv" in layer else 5
    before = copy.deepcopy(module.state_dict())
    context = context_of(of(module, n_latent, normalisation=mode))
    tensor = context.probe.layers().resolve_one(site)
    output, levels = kernel_levels(context.probe, tensor)
    assert str(output.site) == layer
    latents = context.generator.sample(3, seed=1)
    for unit in (1, tensor.n_units - 1):
        edit = Ablate(output.site, to=levels, units=[unit])
        zeroed = copy.deepcopy(module)
        weights = cast(Tensor, zeroed.get_submodule(layer).weight)
        with torch.no_grad():
            (weights[:, unit] if "Transpose" in type(zeroed.get_submodule(layer)).__name__
             else weights[unit]).zero_()  # fmt: skip
        plain = Probe(of(zeroed, n_latent, normalisation=mode)).images(latents)
        assert torch.allclose(context.probe.run(latents, edit).images, plain, atol=1e-6)
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


class Shuffled(nn.Sequential):
    """Latents (n, 5); what comes after the convolution at 2 changes its units' places or scale."""

    def __init__(self, after: nn.Module) -> None:
        super().__init__(
            nn.Linear(5, 16), nn.Unflatten(1, (4, 2, 2)), nn.Conv2d(4, 4, 3, padding=1), after,
            nn.Conv2d(4, 1, 1),
        )  # fmt: skip


@pytest.mark.parametrize("after", [nn.GroupNorm(2, 4), nn.ChannelShuffle(2), nn.Softmax(dim=1)])
def test_a_kernel_whose_unit_reaches_others_is_refused(after: nn.Module) -> None:
    with pytest.raises(ParameterError, match="a unit of 2, the layer that could feed 3, changes"):
        studied(of(Shuffled(after), 5), site="3", measure="bright", to="kernel")


def test_a_kernel_is_refused_where_no_layer_has_the_sites_units() -> None:
    with pytest.raises(ParameterError, match="no convolution or linear layer ahead of 1 has its 4"):
        studied(of(Shuffled(nn.ReLU()), 5), site="1", measure="bright", to="kernel")
    with pytest.raises(ParameterError, match=r"ahead of 2:in has its 4 units; ablate at another"):
        studied(of(Shuffled(nn.ReLU()), 5), site="2:in", measure="bright", to="kernel")


def test_samples_are_ranked_on_others_than_they_are_measured_on() -> None:
    for samples, first in ((None, 0), ("5-60", 5), ("area.class>0.1", None)):
        params = AblationParams.parse(FEW | {"samples": samples})
        split = split_samples(context_of(of(Planted())), params)
        measured, ranked = split.measured.indices, split.ranked.indices
        assert measured is not None
        assert ranked is not None
        assert (len(measured), len(ranked)) == (12, 8)
        assert not set(measured) & set(ranked)
        assert first is None or measured[0] == first


def test_too_few_samples_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="--samples 0-14 names 15 samples, and 20 are needed:"):
        studied(samples="0-14")
    latents = torch.randn(15, 4).tolist()
    (tmp_path / "mine.json").write_text(json.dumps(latents))
    with pytest.raises(ParameterError, match=r"names 15 samples, .* 8 others to rank on"):
        studied(samples=f"@{tmp_path / 'mine.json'}")
    (tmp_path / "twice.json").write_text(json.dumps(latents + latents))
    with pytest.raises(ParameterError, match=r"5 latents .* are both among the first 12"):
        studied(samples=f"@{tmp_path / 'twice.json'}")


def test_random_sets_are_those_of_the_seed_among_all_units_of_the_site() -> None:
    one, again, other = studied(), studied(units="3,7,0"), studied(seed=1)
    assert one.random.draws == again.random.draws != other.random.draws
    assert np.array_equal(one.random_effects, again.random_effects)
    bright = mean_brightness(one)
    for draw, effects in zip(one.random.draws, one.random_effects, strict=True):
        area = np.cumsum([AREAS.get(unit, 0.0) for unit in draw])
        assert effects == pytest.approx(-area * bright, abs=1e-6)


@pytest.mark.parametrize("to", ["zero", "kernel"])
def test_a_swap_on_top_is_what_plain_runs_give(to: str) -> None:
    generator = of(random_network(3), 5, normalisation="sample")
    params: dict[str, Any] = {"site": "4", "measure": "bright", "to": to}
    study = studied(generator, swap_units="0,2", donor="100-104", **params)
    on_top, probe = study.on_top, study.plan.context.probe
    assert on_top is not None
    assert on_top.ablated == study.curves[0].units
    donors = generator.latent_space.sample([100 + row % 5 for row in range(12)], seed=0)
    ablate = study.plan.target.template.for_units(on_top.ablated)
    swap = Swap("4#0,2", donor=donors)
    conditions: list[list[Intervention]] = [[], [ablate], [swap], [ablate, swap]]
    for row, edits in enumerate(conditions):
        images = probe.run(study.plan.samples.measured, edits).images
        values = MEASURES["bright"](generator.to_unit_range(images))[:, 0].double().numpy()
        assert on_top.values[row] == pytest.approx(values, abs=1e-5)
        assert on_top.mean[row] == pytest.approx(values.mean(), abs=1e-5)
    nothing, ablated, swapped, both = on_top.values
    rows = [ablated - nothing, swapped - nothing, both - nothing, both - ablated, both - swapped]
    expected = [row.mean() for row in [*rows, both - ablated - swapped + nothing]]
    assert on_top.effects.mean == pytest.approx(expected)


def test_a_unit_that_is_ablated_and_swapped_is_swapped() -> None:
    study = studied(swap_units="0-7", donor="40", top=8)
    assert study.on_top is not None
    _, _, swapped, both = study.on_top.values
    assert both == pytest.approx(swapped, abs=1e-6)
    donor = study.plan.donors
    assert isinstance(donor, Latents)
    area = sum(AREAS.values()) * brightness(donor.z).double().numpy()
    assert both == pytest.approx(area, abs=1e-6)


def test_donors_are_taken_in_turn() -> None:
    context = context_of(of(Planted()))
    choice = AblationParams.parse(FEW | {"donor": "7,9"}).donor
    assert choice is not None
    assert choose_donors(context, choice, 5).indices == (7, 9, 7, 9, 7)


def test_likeness_is_the_absolute_correlation_of_map_and_image() -> None:
    torch.manual_seed(0)
    images, maps = torch.rand(3, 3, 8, 8), torch.rand(3, 4, 4, 4)
    small = images.mean(1).view(3, 4, 2, 4, 2).mean((2, 4))
    maps[:, 1], maps[:, 2], maps[:, 3] = -2 * small + 1, small.square(), 5.0
    found = correlations(maps, images)
    expected = np.array(
        [[np.corrcoef(maps[n, u].flatten(), small[n].flatten())[0, 1] for u in range(3)]
         for n in range(3)]
    )  # fmt: skip
    assert np.allclose(found[:, :3], expected)
    assert found[:, 1].tolist() == pytest.approx([-1.0] * 3)
    assert found[:, 3].tolist() == [0.0] * 3


def test_a_ranking_by_likeness_puts_digit_shaped_units_first() -> None:
    class Drawn(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 3 * 16), nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 1, 1))
            with torch.no_grad():
                cast(Tensor, self[2].weight).zero_()[0, 1] = -0.1
                cast(Tensor, self[2].bias).fill_(0.5)

    result = run(of(Drawn()), site="1", measure="bright", order="likeness")
    likeness = result.arrays["ranked_by"].values
    assert result.coordinates["unit"][0] == 1
    assert likeness[0] == pytest.approx(1.0, abs=1e-6)
    assert "Unit 1, whose map looks most like the image" in result.findings[1]
    with pytest.raises(ParameterError, match="0 has no maps \\(y, x\\) to compare"):
        run(of(Drawn()), site="0", measure="bright", order="likeness")


def test_a_result_holds_all_of_it() -> None:
    result = run(strategy=("rank", "greedy"), swap_units="0-2", donor="40")
    arrays = result.arrays
    assert {name: arrays[name].dims for name in arrays} == {
        **dict.fromkeys(("effect", "low", "high", "p", "q", "ranked_by"), ("unit",)),
        "effect_by_sample": ("unit", "sample"),
        "base": ("sample",),
        **dict.fromkeys(("curve", "curve_low", "curve_high", "curve_p"), ("strategy", "size")),
        "curve_units": ("strategy", "size"),
        "curve_by_sample": ("strategy", "size", "sample"),
        "random_curve": ("draw", "size"),
        "random_units": ("draw", "size"),
        **dict.fromkeys(("random_low", "random_high"), ("size",)),
        "on_top": ("condition", "sample"),
    }
    assert list(result.figures) == ["ranking", "curve", "images", "four"]
    assert [row[1] for row in result.tables["ranking"].rows[:2]] == [7, 3]
    assert len(result.tables["curve"].rows) == 6
    assert [row[0] for row in result.tables["four"].rows][3] == "ablated, then swapped"
    assert result.findings[0].startswith(
        "Of 8 units of maps, each alone set to 0, 2 change area=class with q < 0.05: 2 lower it, 0"
    )
    assert "(n = 12 samples, seed 0, 400 resamples)" in result.findings[0]
    assert "Unit 7, ranked first to lower it" in result.findings[1]
    assert "the chosen ones lie" in result.findings[2]
    assert result.findings[-1].startswith("Effects were evaluated by ")


def test_a_found_set_says_how_it_was_found_and_is_taken_up_again(tmp_path: Path) -> None:
    found = run(strategy=("greedy",)).unit_sets["greedy-3"]
    assert (found.units, found.site) == ((7, 3, 0), "maps")
    assert set(found.generator) == {"name", "weights_sha256", "normalisation"}
    assert found.found["measure"] == "area=class"
    assert (found.found["strategy"], found.found["n_ranked"], found.found["seed"]) == (
        "greedy", 8, 0,
    )  # fmt: skip
    found.write(tmp_path / "set.json")
    again = run(site=None, units=f"@{tmp_path / 'set.json'}", top=20)
    assert list(again.unit_sets) == ["rank-3"]
    assert again.unit_sets["rank-3"].units == (7, 3, 0)
    other = UnitSet((1,), "maps", {"name": "other", "weights_sha256": "0"})
    assert "were found on other weights, of 'other'" in run(units=other, top=1).findings[-1]


@pytest.mark.parametrize(
    ("params", "error", "reason"),
    [
        ({"site": None}, ParameterError, "which site"),
        ({"site": "maps#0-3", "units": "2"}, ParameterError, "--site maps#0-3 names units, and so"),
        ({"units": "2,8"}, ParameterError, "no unit 8 at maps: it has 8"),
        ({"units": UnitSet((1,), "conv9")}, ParameterError, "are of conv9, not of maps"),
        ({"to": "max"}, ParameterError, "--to: give zero, mean, kernel or a number, got 'max'"),
        ({"to": "nan"}, ParameterError, "--to: give zero, mean, kernel or a number"),
        ({"swap_units": "1"}, ParameterError, "--swap-units was given without --donor"),
        ({"donor": "1"}, ParameterError, "--donor was given without --swap-units"),
        ({"swap_units": "9", "donor": "1"}, ParameterError, "--swap-units: no unit 9 at maps"),
        ({"measure": "area=other"}, UnknownNameError, "no column 'other'"),
        ({"site": "nothing"}, UnknownNameError, "no layer 'nothing'"),
        ({"strength": 0}, ParameterError, "--strength: expected a number above 0 and at most 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    params: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        studied(**params)


def test_a_site_without_samples_is_refused() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.template = nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            level = cast(Tensor, self.template(torch.ones(4))).sum()
            return level + z[:, :1, None, None].expand(-1, 1, 4, 4)

    with pytest.raises(SiteError, match="template"):
        studied(of(Constant()), site="template", measure="bright")


def test_no_hook_stays_on_the_module() -> None:
    module = random_network(0)
    run(of(module, 5), site="4", measure="bright", to="kernel", swap_units="1", donor="3")
    layers = list(module.modules())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)


def test_figures_show_few_units_and_intervals_that_do_not_dwarf_the_rest() -> None:
    assert shown_places(30) == list(range(30))
    assert shown_places(100)[:24] + shown_places(100)[24:] == [*range(24), *range(94, 100)]
    mean: NDArray[np.float64] = np.array([-0.02, 0.01])
    left, right = axis_limits(mean, np.array([-3.0, 0.0]), np.array([0.0, 0.015]))
    assert -0.13 < left < -0.1
    assert 0.015 < right < 0.025


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_command_line_writes_a_folder_whose_sets_it_takes(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    few = ["--n-samples", 6, "--n-ranked", 4, "--top", 3, "--n-draws", 2, "--n-resamples", 100]
    asked = ["--measure", "digit=1", "--samples", "digit=1", *few]
    first = tmp_path / "first"
    done = ganprobe_command(
        "run", "ablation", "digits", "--site", "conv3#0-7", "--strategy", "rank", "--strategy",
        "greedy", "--to", "kernel", "--swap-units", "0-5", "--donor", "digit=3", *asked,
        "--output", first,
    )  # fmt: skip
    assert done.status == 0, done.err
    pictures = {f"figures/{name}.png" for name in ("ranking", "curve", "images", "four")}
    sets = {"units/rank-3.json", "units/greedy-3.json"}
    assert files_of(first) == {"result.json", "result.h5"} | pictures | sets
    given = ["--to", "0.1", "--units", f"@{first / 'units' / 'greedy-3.json'}", *asked]
    again = ganprobe_command("run", "ablation", "digits", *given, "--output", tmp_path / "again")
    assert again.status == 0, again.err
    assert "Of 3 units of conv3, each alone set to 0.1" in again.out
    record = json.loads((tmp_path / "again" / "result.json").read_text())
    assert record["provenance"]["parameters"]["units"]["site"] == "conv3"


def test_the_command_line_tells_what_can_be_asked(ganprobe_command: Command) -> None:
    told = " ".join(ganprobe_command("run", "ablation", "--help").out.split())
    for flag in AblationParams.model_fields:
        assert f"--{flag.replace('_', '-')}" in told
    assert "A unit that is in both is swapped" in told


@pytest.mark.slow
def test_the_first_units_of_the_ranking_of_digits_do_more_than_random_ones() -> None:
    from ganprobe_zoo.measures import Digit

    context = Context(Probe(load("digits")), 0, lambda _: Digit())
    asked = {"site": "conv3", "measure": "digit=1", "samples": "digit=1", "n_draws": 6}
    study = study_units(context, AblationParams.parse(asked | {"n_samples": 50, "n_ranked": 50}))
    assert study.curves[0].effects.high[-1] < study.random_effects[:, -1].min()
    assert study.base.mean() > 0.9
