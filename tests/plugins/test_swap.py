"""Swap: searches against planted generators, exact identities, and counts taken by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Context,
    Generator,
    Measure,
    ParameterError,
    Probe,
    SiteError,
    UnitSet,
    UnknownNameError,
    search_units,
)
from ganprobe import Swap as SwapUnits
from ganprobe_swap import Swap, SwapParams
from ganprobe_swap.experiment import Experiment, experiment
from ganprobe_swap.figures import overlaps
from ganprobe_swap.pairs import choose_sides
from ganprobe_swap.report import make_result
from ganprobe_swap.sentences import own_rates

N_UNITS, SIZE = 10, 4


class Quadrants(nn.Module):
    """Latents (n, 2) to images (n, 1, 8, 8): units 3 and 7 draw the class, the others noise.

    Unit u of ``maps`` is the first latent times its own weight; 3 draws the upper left quarter of
    the image, 7 the lower right one, and every other unit a single pixel, faintly.
    """

    def __init__(self, *, is_saturating: bool = False, is_redundant: bool = False) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Linear(2, N_UNITS), nn.Unflatten(1, (N_UNITS, 1, 1)))
        self.draw = nn.ConvTranspose2d(N_UNITS, 1, 8, bias=False)
        self.is_saturating, self.is_redundant = is_saturating, is_redundant
        linear = self.maps[0]
        assert isinstance(linear, nn.Linear)
        with torch.no_grad():
            linear.weight.zero_()
            linear.weight[:, 0] = 1.0
            linear.bias.zero_()
            self.draw.weight.zero_()
            for unit in range(N_UNITS):
                self.draw.weight[unit, 0, 7, unit % 8 if unit % 8 < 4 else 0] = 0.02
            self.draw.weight[3] = 0.0
            self.draw.weight[7] = 0.0
            self.draw.weight[3, 0, :4, :4] = 1.0
            self.draw.weight[7, 0, 4:, 4:] = 1.0

    def forward(self, z: Tensor) -> Tensor:
        maps = self.maps(z)
        if self.is_redundant:  # either of 3 and 7 is enough, for both quarters
            either = torch.maximum(maps[:, 3], maps[:, 7])
            maps = maps.clone()
            maps[:, 3] = maps[:, 7] = either
        images: Tensor = self.draw(maps)
        return torch.tanh(8.0 * images) if self.is_saturating else images


class Bright(Measure):
    """Two columns: how dark two quarters are, and how bright; one alone leaves it below half."""

    name, summary = "bright", "Whether both quarters are bright, not one alone."
    columns: ClassVar[tuple[str, ...]] = ("no", "yes")
    image_shape = (1, 8, 8)

    def measure(self, images: Tensor) -> Tensor:
        light = torch.stack([images[..., :4, :4], images[..., 4:, 4:]]).mean((0, 2, 3, 4))
        return torch.stack([1.0 - light, light], 1)


class Light(Measure):
    name, summary = "light", "Mean of all pixels."
    columns: ClassVar[tuple[str, ...]] = ("mean",)

    def measure(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


def find(name: str) -> Measure:
    measures: dict[str, Measure] = {"bright": Bright(), "light": Light()}
    if name not in measures:
        raise UnknownNameError("measure", name, measures)
    return measures[name]


def context_of(seed: int = 0, **planted: bool) -> Context:
    generator = Generator.from_module(
        Quadrants(**planted).eval(), latent=2, name="planted", image_range=(-1.0, 1.0)
    )
    return Context(Probe(generator), seed, find)


def latents_file(folder: Path, **groups: list[list[float]]) -> Path:
    path = folder / "latents.json"
    path.write_text(json.dumps(groups))
    return path


def run(context: Context, **params: Any) -> Experiment:
    return experiment(context, SwapParams.parse({"site": "maps", **params}))


@pytest.fixture
def dark_and_bright(tmp_path: Path) -> dict[str, str]:
    """Four sources whose quarters are dark, and four donors whose are bright."""
    drawn = np.random.default_rng(0).uniform(0.6, 0.9, (2, 4))
    groups = {"dark": [[-one, 0.0] for one in drawn[0]], "bright": [[one, 0.0] for one in drawn[1]]}
    path = latents_file(tmp_path, **groups)
    return {"source": f"@{path}:dark", "donor": f"@{path}:bright"}


@pytest.mark.parametrize("objective", ["toward", "away", "bright=yes", "-bright=no"])
@pytest.mark.parametrize("is_saturating", [False, True])
def test_every_search_finds_the_two_units_that_draw_the_class(
    objective: str, is_saturating: bool, dark_and_bright: dict[str, str]
) -> None:
    context = context_of(is_saturating=is_saturating)
    strategies = ["greedy", "rank", "joint", "integrated"]
    done = run(context, objective=[objective], strategy=strategies, n_units=2, **dark_and_bright,
               judge="bright")  # fmt: skip
    for found in done.found:
        assert all(sorted(units) == [3, 7] for units in found.units.tolist()), found.name
        rates = {found and found.name: becomes for found, becomes, _ in own_rates(done)}
        assert rates[found.name].value == 1.0


def test_staying_at_the_source_leaves_those_two_for_the_end(
    dark_and_bright: dict[str, str],
) -> None:
    done = run(context_of(), objective=["stay"], strategy=["greedy"], n_units=N_UNITS,
               judge="bright", **dark_and_bright)  # fmt: skip
    assert all(set(units[-2:]) == {3, 7} for units in done.found[0].units.tolist())


def test_of_a_redundant_pair_one_is_found_and_the_other_adds_nothing(
    dark_and_bright: dict[str, str],
) -> None:
    done = run(context_of(is_redundant=True), objective=["toward"], strategy=["greedy"],
               n_units=2, judge="bright", **dark_and_bright)  # fmt: skip
    (found,) = done.found
    assert found.units[:, 0].tolist() == [3, 3, 3, 3]  # a tie with 7: the lowest
    assert 7 not in found.units[:, 1].tolist() or found.paths[0, 1] == found.paths[0, 0]
    sizes = done.curves["toward-greedy"]
    assert sizes.of_sets(slice(0, 1)).rate("donor").value == 1.0


def test_a_full_swap_gives_the_donors_image_and_an_empty_one_the_sources(
    dark_and_bright: dict[str, str],
) -> None:
    context = context_of(is_saturating=True)
    done = run(context, n_units=N_UNITS, strategy=["random"], **dark_and_bright)
    pairs, probe = done.pairs, context.probe
    swap = SwapUnits("maps", donor=pairs.donors, units=done.random.units[0].tolist())
    assert torch.equal(probe.run(pairs.sources, swap).images, probe.images(pairs.donors))
    assert torch.equal(probe.run(pairs.sources, []).images, probe.images(pairs.sources))
    ends = [paths[:, -1] for paths in done.random.paths.values()]
    assert np.allclose(ends, 0.0, atol=1e-12)


def test_random_sets_are_nested_seeded_and_those_of_fewer_draws(
    dark_and_bright: dict[str, str],
) -> None:
    few, many, again, other = (
        run(context_of(seed), n_units=5, strategy=["random"], n_draws=n, **dark_and_bright)
        for seed, n in ((0, 3), (0, 6), (0, 3), (1, 3))
    )
    assert np.array_equal(few.random.units, many.random.units[:3])
    assert np.array_equal(few.random.units, again.random.units)
    assert not np.array_equal(few.random.units, other.random.units)
    assert all(len(set(units)) == 5 for units in many.random.units.tolist())


def test_verdicts_are_those_of_plain_runs(dark_and_bright: dict[str, str]) -> None:
    context = context_of()
    done = run(context, objective=["away"], strategy=["rank", "joint"], n_units=4,
               judge="bright", **dark_and_bright)  # fmt: skip
    probe, bright = context.probe, Bright()
    for found in done.found:
        for pair in range(4):
            units = found.sets(4)[pair]
            for place, size in enumerate(done.sizes.tolist()):
                swap = SwapUnits("maps", donor=done.pairs[pair].donors, units=units[:size].tolist())
                images = probe.run(done.pairs[pair].sources, swap).images
                called = int(bright(context.generator.to_unit_range(images)).argmax())
                assert done.curves[found.name].called[place, pair] == called


def test_paths_are_those_of_a_search_on_each_pair_alone(dark_and_bright: dict[str, str]) -> None:
    context = context_of()
    done = run(context, objective=["toward"], strategy=["greedy"], n_units=3, **dark_and_bright)
    for pair in range(4):
        source, donor = done.pairs[pair].sources, done.pairs[pair].donors
        target = context.probe.images(donor)

        def distance(images: Tensor, target: Tensor = target) -> Tensor:
            return (images - target).square().flatten(1).mean(1)

        found = search_units(context.probe, source, SwapUnits("maps", donor=donor), distance,
                             n_units=3, maximise=False)  # fmt: skip
        assert done.found[0].units[pair].tolist() == list(found.units)
        assert done.found[0].paths[pair] == pytest.approx(found.values, rel=1e-5)


def test_pairs_held_out_are_others_than_those_searched_on() -> None:
    params = SwapParams.parse(
        {"source": "bright=no", "donor": "bright=no", "pairs": 3, "held_out": 4}
    )
    (sides,) = choose_sides(context_of(), params)
    assert sides.held_out is not None
    used = [
        index
        for pairs in (sides.searched, sides.held_out)
        for side in (pairs.sources, pairs.donors)
        for index in side.indices or ()
    ]
    assert len(used) == 14
    assert len(set(used)) == 14  # also no sample is its own donor


def test_of_a_list_the_first_pairs_are_searched_and_the_others_held_out() -> None:
    params = SwapParams.parse({"source": "0-5", "donor": "10-15", "pairs": 2})
    (sides,) = choose_sides(context_of(), params)
    assert (sides.searched.sources.indices, sides.searched.donors.indices) == ((0, 1), (10, 11))
    assert sides.held_out is not None
    assert sides.held_out.donors.indices == (12, 13, 14, 15)


def test_a_sample_that_is_named_alone_stands_in_every_pair() -> None:
    params = SwapParams.parse({"source": "7", "donor": "1-3"})
    (sides,) = choose_sides(context_of(), params)
    assert sides.searched.sources.indices == (7, 7, 7)
    assert sides.searched.name(2) == "7 ← 3"


def test_sets_are_tried_on_pairs_of_another_kind(dark_and_bright: dict[str, str]) -> None:
    other = f"{dark_and_bright['donor']} into {dark_and_bright['source']}"
    done = run(context_of(), transfer=[other], judge="bright", n_units=2, strategy=["joint"],
               **dark_and_bright)  # fmt: skip
    assert [one.kind for one in done.found_elsewhere] == [other]
    done = run(context_of(), transfer=["bright=yes:bright=no"], judge="bright", n_units=2,
               strategy=["joint"], pairs=2, held_out=2, **dark_and_bright)  # fmt: skip
    assert [one.kind for one in done.found_elsewhere] == ["bright=yes into bright=no"]
    kinds = [(one.pairs.kind, one.found.kind if one.found else "random") for one in done.tested]
    assert len(set(kinds)) == len(kinds) == 6
    assert all(one.verdicts.rate("donor").value == 1.0 for one in done.tested if one.found)


def test_a_saved_set_names_its_site_and_is_swapped_as_it_is(
    dark_and_bright: dict[str, str], tmp_path: Path
) -> None:
    UnitSet((7, 3), "maps").write(tmp_path / "set.json")
    done = run(context_of(), site=None, units=f"@{tmp_path / 'set.json'}", judge="bright",
               **dark_and_bright)  # fmt: skip
    (found,) = done.found
    assert (found.strategy, found.units.tolist(), done.n_units) == ("given", [[7, 3]], 2)
    assert done.curves["toward-given"].of_sets(slice(1, 2)).rate("donor").value == 1.0
    told = run(context_of(), units="7,3", objective=["bright=no", "bright=yes"], **dark_and_bright)
    values = [(float(one.base[0]), float(one.paths[0, -1])) for one in told.found]
    bright = find("bright")
    for column, (base, reached) in enumerate(values):
        pairs = told.pairs
        swap = SwapUnits("maps#3,7", donor=pairs.donors)
        for expected, edits in ((base, []), (reached, [swap])):
            images = context_of().probe.run(pairs.sources, edits).images
            shown = context_of().generator.to_unit_range(images)
            assert float(bright(shown)[:, column].mean()) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ParameterError, match="units 7,3 are of maps, not of draw"):
        run(context_of(), site="draw", units=f"@{tmp_path / 'set.json'}", **dark_and_bright)


def test_only_the_units_that_the_site_names_are_searched(dark_and_bright: dict[str, str]) -> None:
    done = run(context_of(), site="maps#2,5,7", n_units=2, judge="bright", **dark_and_bright)
    assert all(set(units) <= {2, 5, 7} for found in done.found for units in found.units.tolist())
    assert set(done.random.units.ravel().tolist()) <= {2, 5, 7}
    assert done.chance == pytest.approx(2 * 2 / 3)  # of those, not of the site
    told = make_result(done, context_of()).findings
    assert told[0].startswith("2 of the 10 units of maps, chosen among 3, were swapped")


def test_raising_a_column_and_lowering_it_are_kept_apart(dark_and_bright: dict[str, str]) -> None:
    done = run(context_of(), objective=["bright=no", "-bright=no"], strategy=["joint"],
               n_units=2, **dark_and_bright)  # fmt: skip
    result = make_result(done, context_of())
    raised, lowered = (one.units.tolist() for one in done.found)
    assert raised != lowered
    sets = {name: [list(one.units)] for name, one in result.unit_sets.items()}
    assert sets == {"bright_no-joint-2": raised, "less_bright_no-joint-2": lowered}
    assert result.arrays["bright_no-joint units"].values.tolist() == raised
    assert result.arrays["less_bright_no-joint units"].values.tolist() == lowered


def test_overlaps_count_each_two_sets_once() -> None:
    units = np.array([[1, 2, 3], [3, 2, 9], [4, 5, 6]])
    assert sorted(overlaps(units).tolist()) == [0, 0, 2]


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"n_units": 11}, ParameterError, "--n-units 11 of 10 units at maps; ask for fewer"),
        ({"units": "3,12"}, ParameterError, "no unit 12 at maps: it has 10, numbered 0-9"),
        ({"objective": ["nearer"]}, UnknownNameError, "no objective 'nearer'; nearest: .*toward"),
        ({"objective": ["bright=maybe"]}, UnknownNameError, "no column 'maybe'"),
        ({"judge": "light"}, ParameterError, "'light' has one column, so that it cannot tell"),
        ({"transfer": ["bright=no"]}, ParameterError, "names no donor; write source:donor"),
        ({"site": "map"}, UnknownNameError, "no layer 'map'.*nearest: maps"),
        ({"site": None}, ParameterError, "where are units swapped\\? Give --site"),
        ({"pairs": 9}, ParameterError, "stands for 4 samples, and 9 are needed"),
        ({"source": "3", "donor": "8", "pairs": 4}, ParameterError, "3 into 8 is one pair, and"),
        ({"source": "0-2", "donor": "0-2"}, ParameterError, "3 samples are to be given their own"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    params: dict[str, Any],
    error: type[Exception],
    match: str,
    dark_and_bright: dict[str, str],
) -> None:
    with pytest.raises(error, match=match):
        run(context_of(), **{**dark_and_bright, **params})


def test_statistics_of_a_batch_are_refused_before_anything_runs() -> None:
    module = nn.Sequential(nn.Linear(2, 9), nn.BatchNorm1d(9), nn.Unflatten(1, (1, 3, 3))).eval()
    generator = Generator.from_module(module, latent=2, name="norm", normalisation="batch")
    with pytest.raises(ParameterError, match="'norm' is in normalisation 'batch', where samples"):
        run(Context(Probe(generator), 0, find), site="0", source="0", donor="1")


def test_a_failed_search_leaves_no_hook(dark_and_bright: dict[str, str]) -> None:
    context = context_of()
    with pytest.raises((SiteError, ParameterError, UnknownNameError)):
        run(context, **{**dark_and_bright, "strategy": ["gradient"], "objective": ["hues"]})
    run(context, n_units=2, **dark_and_bright)
    module = context.generator.module
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())


@pytest.mark.parametrize("strategy", [[], ["random"], ["greedy"]])
def test_the_result_holds_units_paths_settings_figures_and_sets(
    strategy: list[str], dark_and_bright: dict[str, str], tmp_path: Path
) -> None:
    params = SwapParams.parse(
        {"site": "maps", "n_units": 3, "judge": "bright", "strategy": strategy, **dark_and_bright}
    )
    result = Swap().run(context_of(), params)
    assert {"strip", "progressive"} <= result.figures.keys()
    assert result.unit_sets
    for unit_set in result.unit_sets.values():
        assert (unit_set.site, len(unit_set.units)) == ("maps", 3)
        assert unit_set.generator["normalisation"] == "eval"
        assert unit_set.found["seed"] == 0
        unit_set.write(tmp_path / "set.json")
        assert UnitSet.read(tmp_path / "set.json") == unit_set
    if strategy != ["random"]:
        assert {"curve", "transfer"} <= result.figures.keys()
        assert result.arrays["toward-greedy units"].values.shape == (4, 3)
        assert result.arrays["toward-greedy path"].values.shape == (4, 3)
        assert any("called what the donor is" in finding for finding in result.findings)


def test_the_command_swaps_digits_and_writes_sets_that_it_takes_again(
    ganprobe_command: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "swap"
    first = ganprobe_command(
        *"run swap digits --site conv3 --source digit=1 --donor digit=3 --pairs 2 --held-out 3"
        " --n-units 4 --strategy joint --strategy rank --n-draws 2 --normalisation sample"
        f" --output {out}".split()
    )
    assert first.status == 0, first.err
    assert "called what the donor is" in first.out
    record = json.loads((out / "result.json").read_text())
    assert record["provenance"]["generator"]["normalisation"] == "sample"
    assert record["provenance"]["parameters"]["source"] == "digit=1"
    again = ganprobe_command(
        *"run swap digits --source digit=0 --donor digit=4 --pairs 2 --held-out 0 --n-draws 2"
        f" --units @{out}/units/toward-joint-4.json --output {tmp_path / 'again'}".split()
    )
    assert again.status == 0, again.err
    assert "given one set for all" in again.out.replace("given:", "given")
    wrong = ganprobe_command(
        *"run swap digits --site conv3 --source digit=1 --donor digit=3 --strategy best"
        f" --output {tmp_path / 'wrong'}".split()
    )
    assert wrong.status == 2
    assert "Traceback" not in wrong.err
    assert not (tmp_path / "wrong").exists()
