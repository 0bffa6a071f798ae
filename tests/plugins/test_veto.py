"""Veto against networks whose answer is known, and against numbers computed by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import h5py
import numpy as np
import pytest
import torch
from matplotlib.image import imsave
from numpy.typing import NDArray
from torch import Tensor, nn

from ganprobe import (
    Context,
    Generator,
    Measure,
    ParameterError,
    Probe,
    Result,
    SiteError,
    UnknownNameError,
    load,
    read_region,
)
from ganprobe_veto import Veto, VetoParams
from ganprobe_veto.courses import follow
from ganprobe_veto.damping import Damping, find_damping
from ganprobe_veto.pairs import choose_pairs
from ganprobe_veto.saturation import flat_share
from ganprobe_veto.trace import Trace, trace_edit
from subjects import random_network

Command = Callable[..., Any]
Floats = NDArray[np.float64]


class Bright(Measure):
    name, summary = "bright", "Whether an image is."
    columns: ClassVar[tuple[str, ...]] = ("yes", "no")

    def measure(self, images: Tensor) -> Tensor:
        return torch.stack([images.mean((1, 2, 3)) + 10, 0 * images.mean((1, 2, 3))], 1)


def generator_of(module: nn.Module, latent: int = 6) -> Generator:
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.weight.requires_grad:
            nn.init.normal_(layer.weight, 0, 0.5)
    return Generator.from_module(module.eval(), latent=latent, name="planted")


def context_of(generator: Generator, seed: int = 0) -> Context:
    return Context(Probe(generator, dtype=torch.float64), seed, lambda name: Bright())


def traced(generator: Generator, seed: int = 0, **params: Any) -> Trace:
    given = {"n_samples": 7, "n_controls": 2, "donor": "100-106"} | params
    return trace_edit(context_of(generator, seed), VetoParams.parse(given))


def damping_of(trace: Trace) -> Damping:
    return find_damping(trace, seed=0, n_resamples=200)


def run(generator: Generator, **params: Any) -> Result:
    given = {"n_samples": 7, "n_controls": 2, "n_resamples": 99, "donor": "100-106"} | params
    return Veto().run(context_of(generator), VetoParams.parse(given))


def tiny() -> Generator:
    return Generator.from_module(random_network(1), latent=5, name="tiny")


def linear(*more: nn.Module) -> Generator:
    return generator_of(
        nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 9), *more, nn.Unflatten(1, (1, 3, 3)))
    )


class Gated(nn.Module):
    """Units 0 and 1 of `maps` never pass the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.gate = nn.Linear(6, 8), nn.Linear(8, 8).requires_grad_(False)
        self.gate.weight.copy_(torch.eye(8))
        self.gate.bias.copy_(torch.tensor([-1000.0] * 2 + [0.0] * 6))
        self.relu, self.last = nn.ReLU(), nn.Linear(8, 9)

    def forward(self, z: Tensor) -> Tensor:
        pixels = cast(Tensor, self.last(self.relu(self.gate(self.maps(z)))))
        return pixels.view(-1, 1, 3, 3)


def test_an_edit_that_a_relu_kills_does_not_survive_it() -> None:
    trace = traced(generator_of(Gated()), site="maps", units="0,1")
    assert trace.names == ["maps", "gate", "relu", "last", "image"]
    assert np.allclose(trace.survival[:2], 1.0)
    assert not trace.survival[2:].any()
    assert not trace.progress[2:].any()
    assert (trace.random_change[2:] > 0).all()
    worst = damping_of(trace).worst
    assert worst is not None
    assert trace.names[worst.place] == "relu"
    assert worst.kept == 0.0


@pytest.mark.parametrize(("site", "n_units"), [("0", 32), ("1", 8), ("3", 6), ("4", 6), ("5", 1)])
def test_a_swap_of_all_units_arrives_and_goes_nowhere_else(site: str, n_units: int) -> None:
    trace = traced(tiny(), site=site, n_units=n_units)
    assert np.allclose(trace.progress, 1.0, atol=1e-12)
    assert np.allclose(trace.residual, 0.0, atol=1e-7)
    assert np.allclose(trace.blend_progress, 1.0, atol=1e-12)
    assert damping_of(trace).worst is None


def test_a_blend_keeps_its_progress_through_a_linear_network_exactly() -> None:
    trace = traced(linear(), site="0", units="1,4")
    length = trace.change[0] / trace.destination_change[0]  # t of each sample
    assert np.allclose(trace.blend_progress, length, rtol=1e-10)
    result = run(linear(), site="0", n_units=8)
    assert result.findings[1].startswith("No layer vetoes the edit: over none does its mean")
    assert "saturation is not known" in result.findings[2]


def by_hand(network: nn.Sequential, source: Tensor, donor: Tensor) -> dict[str, list[Floats]]:
    """Half a swap of units 1 and 4 at layer 2, by forwards cut there, in numpy."""

    def tail(maps: Tensor) -> list[Floats]:
        tensors = [maps]
        for layer in network[3:]:
            tensors.append(layer(tensors[-1].clone()))
        return [tensor.flatten(1).numpy() for tensor in tensors]

    with torch.no_grad():
        start, aim = network[:3](source), network[:3](donor)
        mixed = start.clone()
        mixed[:, [1, 4]] = (start[:, [1, 4]] + aim[:, [1, 4]]) / 2
        courses = zip(tail(start), tail(mixed), tail(aim), strict=True)
    found: dict[str, list[Floats]] = {"progress": [], "residual": [], "change": []}
    for base, edited, whole in courses:
        moved, way = edited - base, whole - base
        length = np.sqrt((way**2).sum(1))
        progress = (moved * way).sum(1) / length**2
        aside = np.sqrt(((moved - progress[:, None] * way) ** 2).sum(1))
        found["progress"].append(progress)
        found["residual"].append(aside / length)
        found["change"].append(np.sqrt((moved**2).sum(1) / (base**2).sum(1)))
    return found


@pytest.mark.parametrize("batch_size", [3, 16])
def test_progress_and_residual_are_those_computed_by_hand(batch_size: int) -> None:
    generator = tiny()
    trace = traced(generator, site="2", units="1,4", strength=0.5, batch_size=batch_size)
    network = nn.Sequential(*random_network(1).double())
    source, donor = (generator.sample(7, start=start).z.double() for start in (0, 100))
    assert trace.names == ["2", "3", "4", "5", "6", "image"]
    for name, expected in by_hand(network, source, donor).items():
        rows = [*expected, expected[-1]]  # the image is what the last layer returned
        assert np.allclose(getattr(trace, name), rows, rtol=1e-9, atol=1e-12), name
    with torch.no_grad():
        slopes = 1 - network[6](network[:6](source)) ** 2
    by_sample = (slopes < 0.01).flatten(1).double().mean(1).numpy()
    assert np.array_equal(trace.saturation[-1, 0], by_sample)


def test_the_map_tells_of_each_pixel() -> None:
    generator = tiny()
    trace = traced(generator, site="2", units="1,4")
    base, edited, whole = (
        trace.images[kind].astype(float) for kind in ("source", "edited", "destination")
    )
    assert len(base) == 5  # shown
    trace = traced(generator, site="2", units="1,4", n_samples=5)
    way = whole - base
    expected = ((edited - base) * way).sum((0, 1)) / (way**2).sum((0, 1))
    assert np.allclose(trace.progress_map, expected, rtol=1e-3, atol=1e-4)
    assert np.isclose(trace.way_map.sum(), 1.0)


def test_saturated_is_where_the_derivative_is_below_one_in_a_hundred() -> None:
    edge = float(np.arctanh(0.99**0.5))  # the derivative of tanh is 1 - tanh²
    given = torch.tensor([[0.0, edge - 0.01, edge + 0.01, -9.0], [-edge - 0.01, 0.0, 1.0, 2.0]])
    assert flat_share(nn.Tanh(), given).tolist() == [0.5, 0.25]
    assert flat_share(nn.ReLU(inplace=True), given).tolist() == [0.5, 0.5]
    assert flat_share(nn.LeakyReLU(0.01), given).tolist() == [0.0, 0.0]
    assert flat_share(nn.Hardtanh(), given).tolist() == [0.75, 0.75]
    assert given[0, 3] == -9.0


def test_a_destination_that_differs_by_rounding_alone_is_no_other_place() -> None:
    base = torch.ones(2, 100)
    whole, moved = base.clone(), base + 1
    whole[0, 0] += torch.finfo(torch.float32).eps
    whole[1] += 1e-3
    progress = follow([base], [whole], [moved]).progress[0]
    assert np.isnan(progress[0])
    assert np.isclose(progress[1], 1000, rtol=1e-3)


class Branching(nn.Module):
    """`beside` does not see what `maps` makes; `act` runs twice; a tanh is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.beside, self.act = nn.Linear(6, 8), nn.Linear(6, 8), nn.Tanh()
        self.block, self.last = nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 9)

    def forward(self, z: Tensor) -> Tensor:
        maps = self.act(self.maps(z))
        branch = self.act(self.beside(z))
        pixels = cast(Tensor, self.last(torch.tanh(9 * (self.block(maps) + branch))))
        return pixels.view(-1, 1, 3, 3)


def test_a_branch_that_is_not_downstream_is_left_out_and_each_call_is_a_site() -> None:
    trace = traced(generator_of(Branching()), site="maps", units="0-3")
    # act@1 has the branch; block passes on what block.1 returned; last is given a function's value
    assert trace.names == ["maps", "act@0", "block.0", "block.1", "last:in", "last", "image"]
    assert [trace.names[place] for place in trace.non_linear] == ["act@0", "block.1"]
    later = traced(generator_of(Branching()), site="act@0", units="0-3")
    assert later.names == trace.names[1:]
    other = traced(generator_of(Branching()), site="beside", units="0-3")
    assert other.names == ["beside", "act@1", "last:in", "last", "image"]
    assert [stop.before for stop in other.stops] == [0, 0, 1, 2, 3]


def test_what_a_function_between_layers_does_is_not_blamed_on_the_next_layer() -> None:
    trace = traced(generator_of(Branching()), site="maps", units="0-3", donor=None, to="5")
    damping = damping_of(trace)
    stop = trace.stops[-3]
    assert (stop.name, stop.kind, stop.is_between) == ("last:in", "input of Linear", True)
    assert damping.falls[-3] is not None
    with pytest.raises(SiteError, match="act stands for 2 tensors; name one: act@0, act@1"):
        traced(generator_of(Branching()), site="act")


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Linear(8, 8)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + cast(Tensor, self.conv(maps))


def test_a_container_that_adds_something_is_a_site_of_its_own() -> None:
    module = nn.Sequential(
        nn.Linear(6, 8), Residual(), nn.Sequential(nn.Linear(8, 9)), nn.Unflatten(1, (1, 3, 3))
    )
    trace = traced(generator_of(module), site="0", units="1")
    assert trace.names == ["0", "1.conv", "1", "2.0", "3", "image"]


def test_random_edits_are_as_large_as_the_edit_and_the_seed_settles_all() -> None:
    one = traced(tiny(), seed=3, site="2")
    assert np.allclose(one.random_change[0], one.change[0], rtol=1e-12)
    assert np.allclose(one.blend_change[0], one.change[0], rtol=1e-12)
    again = traced(tiny(), seed=3, site="2", batch_size=2)
    assert one.edit.units == again.edit.units
    for name in ("progress", "survival", "blend_progress", "sets_progress", "saturation"):
        assert np.allclose(getattr(one, name), getattr(again, name), rtol=1e-9, atol=1e-12), name
    other = traced(tiny(), seed=4, site="2")
    assert not np.allclose(one.survival[1:], other.survival[1:])


def test_sixteen_in_a_hundred_units_are_drawn_unless_others_are_named() -> None:
    digits = context_of(load("digits"))
    params = VetoParams.parse({"site": "conv2", "n_samples": 1, "n_controls": 1})
    trace = trace_edit(digits, params)
    assert len(trace.edit.units) == 20
    assert trace.sets_progress.shape == (1, len(trace.stops), 1)


def test_ablations_are_made_as_they_are_named() -> None:
    generator = tiny()
    maps = Probe(generator, dtype=torch.float64).run(generator.sample(7), record=["2"])["2"]
    for to, level in (("zero", 0.0), ("mean", maps[:, 4].mean().item()), ("1.5", 1.5)):
        trace = traced(generator, site="2", units="4", donor=None, to=to, batch_size=3)
        moved = (maps[:, 4] - level).square().sum((1, 2)).sqrt()
        expected = moved / maps.flatten(1).norm(dim=1)
        assert np.allclose(trace.change[0], expected, rtol=1e-10), to
        assert not trace.edit.is_swap


def test_a_silenced_kernel_is_one_whose_weights_are_zero() -> None:
    generator = tiny()
    trace = traced(generator, site="4", units="0,5", donor=None, to="kernel")
    assert str(trace.edit.made_at) == "2"
    silenced, network = random_network(1).double(), random_network(1).double()
    assert isinstance(silenced[2], nn.ConvTranspose2d)
    with torch.no_grad():
        silenced[2].weight[:, [0, 5]] = 0
        z = generator.sample(7).z.double()
        base, edited = network(z), silenced(z)
    change = (edited - base).flatten(1).norm(dim=1) / base.flatten(1).norm(dim=1)
    assert np.allclose(trace.change[-1], change, rtol=1e-9)
    assert (trace.edit.tensor.n_units, len(trace.edit.levels or ())) == (6, 6)


def test_a_site_that_no_kernels_make_is_refused() -> None:
    with pytest.raises(ParameterError, match="no convolution or linear layer ahead of 1 has its 8"):
        traced(tiny(), site="1", donor=None, to="kernel")
    mixed = linear(nn.Softmax(dim=1))
    with pytest.raises(ParameterError, match="a unit of 1, the layer that could feed 2, changes"):
        traced(mixed, site="2", donor=None, to="kernel")


def test_a_region_bounds_the_edit(tmp_path: Path) -> None:
    assert read_region("left", (2, 4)).tolist() == [[1, 1, 0, 0]] * 2
    assert read_region("0,0.5,0.375,1", (2, 4)).tolist() == [[0, 0, 0, 0], [1, 0.5, 0, 0]]
    mask = np.zeros((8, 8, 3))
    mask[:, :4] = 1
    imsave(tmp_path / "mask.png", mask)
    drawn = read_region(f"@{tmp_path / 'mask.png'}", (8, 8))
    assert torch.equal(drawn, read_region("left", (8, 8)))
    some = traced(tiny(), site="2", units="1", region="left")
    whole = traced(tiny(), site="2", units="1")
    rest = traced(tiny(), site="2", units="1", region="right")
    assert np.allclose(some.progress[0] + rest.progress[0], whole.progress[0])
    assert "in a region" in str(some.edit)


def test_donors_are_other_samples_than_their_sources() -> None:
    context = context_of(tiny())
    chosen: list[dict[str, Any]] = [
        {"source": "bright=yes", "donor": "bright=yes"},
        {"donor": "bright=yes"},
        {"source": "3,0-2,4", "donor": "bright=yes"},
        {"source": "bright=yes & bright.yes>0", "donor": "bright=yes"},
    ]
    for choice in chosen:
        pairs = choose_pairs(context, VetoParams.parse(choice | {"site": "2", "n_samples": 5}))
        assert pairs.source.indices is not None
        assert pairs.donor is not None
        assert pairs.donor.indices is not None
        assert len(pairs) == len(pairs.donor) == 5
        assert all(map(int.__ne__, pairs.source.indices, pairs.donor.indices)), choice
    same = VetoParams.parse(chosen[0] | {"site": "2", "n_samples": 5})
    assert choose_pairs(context, same).donor.indices == (5, 6, 7, 8, 9)  # type: ignore[union-attr]
    with pytest.raises(ParameterError, match="--source 4,5 and --donor 3,5 make a sample its own"):
        choose_pairs(context, VetoParams.parse({"site": "2", "source": "4,5", "donor": "3,5"}))


def test_as_many_pairs_are_made_as_source_and_donor_name() -> None:
    assert traced(tiny(), site="2", source="3", donor="9").progress.shape == (6, 1)
    assert len(traced(tiny(), site="2", source="0-3", donor="9-11").pairs) == 3
    few = run(tiny(), site="2", source="3", donor="9")
    assert "1 are too few samples for an interval" in few.findings[1]


def test_a_set_that_was_saved_says_its_site(tmp_path: Path) -> None:
    made = run(tiny(), site="2", n_units=2)
    made.unit_sets["edited"].write(tmp_path / "set.json")
    again = run(tiny(), units=f"@{tmp_path / 'set.json'}")
    assert np.array_equal(made.arrays["progress"].values, again.arrays["progress"].values)
    with pytest.raises(ParameterError, match="are of 2, not of 3; leave out --site"):
        run(tiny(), site="3", units=f"@{tmp_path / 'set.json'}")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "--site is needed: the layer whose units are edited, as in conv2"),
        ({"site": "2", "units": "6"}, "no unit 6 at 2: it has 6, numbered 0-5"),
        ({"site": "2", "n_units": 7}, "--n-units 7 is more than 2 has: 6 units"),
        ({"site": "2", "units": "1", "n_units": 2}, "leave one of them out"),
        ({"site": "2", "to": "zero"}, "--donor 100-106 asks for a swap and --to zero for an abla"),
        ({"site": "2", "donor": None, "to": "up"}, "'up' is no level; write zero, mean, a number"),
        ({"site": "2", "donor": None, "to": "nan"}, "'nan' is no level; write zero, mean, a numb"),
        ({"site": "2", "region": "inside"}, "'inside' is no region; write left, right, top, bot"),
        ({"site": "2", "region": "0.5,0,0.2,1"}, "'0.5,0,0.2,1': a box is LEFT,TOP"),
        ({"site": "2", "region": "@no.png"}, "cannot read the mask no.png"),
        ({"site": "2", "strength": 0.0}, "nothing was edited: the swap of 1 of 6 random units of"),
        ({"site": "2", "strength": 1.5}, "--strength: expected a number from 0 to 1, got 1.5"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        traced(tiny(), **params)


def test_other_sites_and_modes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="no layer 'conv9' in generator 'tiny'"):
        traced(tiny(), site="conv9")
    with pytest.raises(ParameterError, match="normalisation 'batch', where samples of a batch"):
        traced(tiny().with_normalisation("batch"), site="2")
    sample = traced(tiny().with_normalisation("sample"), site="2")
    assert np.isfinite(sample.progress).all()


class Deaf(Branching):
    def forward(self, z: Tensor) -> Tensor:
        self.maps(z)
        return cast(Tensor, self.last(self.beside(z))).view(-1, 1, 3, 3)


def test_a_site_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ParameterError, match="nothing that follows depends on maps: the swap of"):
        traced(generator_of(Deaf()), site="maps")


def test_samples_in_which_nothing_is_edited_are_told_and_have_no_survival() -> None:
    trace = traced(generator_of(Gated()), site="relu", donor=None, units="2")
    untouched = trace.change[0] == 0
    assert 0 < untouched.sum() < 7
    assert np.isnan(trace.survival[:, untouched]).all()
    assert trace.n_untouched == untouched.sum()
    result = run(generator_of(Gated()), site="relu", donor=None, units="2")
    assert f"In {trace.n_untouched} of 7 samples the edit changes nothing" in result.findings[-1]


def test_no_hook_stays_on_the_generator() -> None:
    generator = tiny()
    traced(generator, site="2")
    for layer in generator.module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks


def test_the_result_has_names_for_all_that_it_holds() -> None:
    result = run(tiny(), site="2", units="1,4", judge="bright")
    assert set(result.figures) == {"veto", "images", "where"}
    assert result.arrays["progress"].dims == ("site", "sample")
    assert result.arrays["saturation"].dims == ("non_linear_site", "state", "sample")
    assert result.coordinates["site"] == ["2", "3", "4", "5", "6", "image"]
    table = result.tables["layers"]
    tanh = dict(zip(table.columns, table.rows[4], strict=True))
    assert (tanh["site"], tanh["kind"], tanh["compared with"]) == ("6", "Tanh", "5")
    assert tanh["progress"] == pytest.approx(result.arrays["progress"].values[4].mean())
    assert cast(float, tanh["low"]) < cast(float, tanh["progress"]) < cast(float, tanh["high"])
    assert "Measure 'bright' finds in the edited image what it finds" in result.findings[-1]


def test_the_command_traces_digits(ganprobe_command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--n-units", "20", "--n-samples", "6", "--n-controls", "2", "--judge", "digit"]
    choice = ["--site", "conv2", "--source", "digit=1", "--donor", "digit=3"]
    done = ganprobe_command("run", "veto", "digits", *choice, *flags, "--output", out)
    assert done.status == 0, done.err
    assert "conv4.act (Tanh) damps it most" in done.out
    kept = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in ("veto", "images", "where")}
    assert kept == figures | {"result.json", "result.h5", "units/edited.json"}
    record = json.loads((out / "result.json").read_text())
    assert record["provenance"]["parameters"]["donor"] == "digit=3"
    with h5py.File(out / "result.h5") as file:
        assert file["progress"].shape == (7, 6)
        assert file["site"].asstr()[-1] == "image"
    assert "--donor" in ganprobe_command("run", "veto", "--help").out


BESIDE = Path(__file__).parents[3] / "shared" / "data"
DESCRIPTION = Path(os.environ.get("GANPROBE_TEST_WEIGHTS", BESIDE)) / "mnist_swap_gan.json"


@pytest.mark.slow
@pytest.mark.skipif(not DESCRIPTION.exists(), reason="the weights are not at hand")
def test_the_final_tanh_damps_random_swaps_on_real_weights() -> None:
    from described import read_described
    from ganprobe_zoo.measures import Digit

    context = Context(Probe(read_described(DESCRIPTION)), 0, lambda name: Digit())
    given = {"site": "act2", "source": "digit=1", "donor": "digit=3", "n_samples": 48}
    trace = trace_edit(context, VetoParams.parse(given))
    assert trace.names == ["act2", "conv3", "bn3", "act3", "conv4", "act4", "image"]
    sets = trace.sets_progress.mean((0, 2))
    assert ((sets[:4] > 0.13) & (sets[:4] < 0.18)).all()
    assert 0.07 < sets[-1] < 0.12
    worst = damping_of(trace).worst
    assert worst is not None
    assert trace.names[worst.place] == "act4"
    assert 0.7 < trace.saturation[-1, 0].mean() < 0.82
