"""Units against planted generators whose answer is known, live and from stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Context,
    Generator,
    ParameterError,
    Probe,
    Result,
    Site,
    SiteError,
    UnitSet,
    UnknownNameError,
    load,
)
from ganprobe_units import Units, UnitsParams
from ganprobe_units.behaviour import Behaviour, as_rows, score_samples, watch_units
from ganprobe_units.figures import opacity_of, overlaid
from ganprobe_units.images import TopImages, generate_top_images

Command = Callable[..., Any]

N_UNITS = 6
DEAD, CONSTANT, RARE = 2, 3, 4
PATTERN = torch.tensor([[1.0, 0.5], [0.25, 0.0]])


class Planted(nn.Module):
    """Latents (n, 6); unit j at `maps` is a function of z[j] alone times a pattern (2, 2)."""

    def __init__(self, *, has_space: bool = True, noise: float = 0.0) -> None:
        super().__init__()
        self.maps = nn.Identity()
        self.has_space, self.noise = has_space, noise

    def forward(self, z: Tensor) -> Tensor:
        units = torch.stack(
            [z[:, 0].relu(), (z[:, 1] - 1).relu(), -z[:, 2].abs(), torch.full_like(z[:, 3], 3.0),
             (z[:, 4] > 1.5).to(z.dtype), z[:, 5]], dim=1,
        )  # fmt: skip
        if self.noise:
            units = units + self.noise * torch.randn_like(units)
        if not self.has_space:
            return cast(Tensor, self.maps(units))[:, :3, None, None].expand(-1, -1, 4, 4)
        mapped = cast(Tensor, self.maps(units[:, :, None, None] * PATTERN))  # (n, 6, 2, 2)
        return mapped[:, :1].repeat_interleave(4, 2).repeat_interleave(4, 3)  # (n, 1, 8, 8)


def planted(**how: Any) -> Generator:
    return Generator.from_module(Planted(**how).eval(), latent=N_UNITS, name="planted")


def context_of(generator: Generator, seed: int = 0, file: Path | None = None) -> Context:
    return Context(Probe(generator), seed, lambda name: pytest.fail(name), activations_file=file)


def watched(generator: Generator | None = None, **params: Any) -> Behaviour:
    return watch_units(context_of(generator or planted()), UnitsParams(**{"site": "maps"} | params))


def run(generator: Generator | None = None, file: Path | None = None, **params: Any) -> Result:
    context = context_of(generator or planted(), file=file)
    return Units().run(context, UnitsParams(**{"site": "maps"} | params))


def by_hand(n_samples: int) -> NDArray[np.float64]:
    """(sample, unit, position) the values of seed 0, from the same latents."""
    z = planted().sample(n_samples, seed=0).z
    units = torch.stack(
        [z[:, 0].clamp(min=0), (z[:, 1] - 1).clamp(min=0), -z[:, 2].abs(), 0 * z[:, 3] + 3,
         (z[:, 4] > 1.5).float(), z[:, 5]], dim=1,
    )  # fmt: skip
    return (units[:, :, None] * PATTERN.flatten()).double().numpy()


def test_statistics_are_those_computed_by_hand() -> None:
    arrays, values = run(n_samples=200).arrays, by_hand(200)
    by_unit = values.transpose(1, 0, 2).reshape(N_UNITS, -1)
    scores = values.max(2)  # (sample, unit)
    expected = {
        "mean": by_unit.mean(1),
        "std": by_unit.std(1),
        "minimum": by_unit.min(1),
        "maximum": by_unit.max(1),
        "share_active": (by_unit > 0).mean(1),
        "share_of_samples": (scores > 0).mean(0),
        "quantiles": np.quantile(by_unit, [0, 0.05, 0.5, 0.95, 1], axis=1).T,
    }
    for name, computed in expected.items():
        assert np.allclose(arrays[name].values, computed, rtol=1e-12, atol=1e-14), name
    ranked = np.argsort(-scores.T, axis=1, kind="stable")[:, :8]  # ties to the lowest index
    assert np.array_equal(arrays["top_samples"].values, ranked)
    assert np.array_equal(arrays["top_scores"].values, np.take_along_axis(scores.T, ranked, 1))
    assert arrays["top_samples"].dims == ("unit", "rank")


def test_a_dead_and_a_constant_unit_are_named() -> None:
    result = run(n_samples=200)
    table = result.tables["units"]
    notes = {row[0]: row[table.columns.index("note")] for row in table.rows}
    assert notes == {0: "", 1: "", DEAD: "dead", CONSTANT: "", RARE: "", 5: ""}
    assert result.findings[0] == (
        "maps of 'planted': 1 of 6 units are dead (2: never above 0), 0 are constant;"
        " n = 200 samples, seed 0."
    )
    flat = run(planted(has_space=False), n_samples=200)
    assert "1 are constant" in flat.findings[0]
    row = flat.tables["units"].rows[CONSTANT]
    assert row[table.columns.index("note")] == "constant"
    assert np.isnan(flat.arrays["selectivity"].values[CONSTANT])


def test_selectivity_of_a_unit_that_is_on_or_off_tells_how_rare_it_is() -> None:
    behaviour = watched(n_samples=500, top=4)
    share = behaviour.scores.share_active[RARE]
    assert 0.02 < share < 0.2
    assert np.isclose(behaviour.selectivity[RARE], ((1 - share) / share) ** 0.5, rtol=1e-12)


@pytest.mark.parametrize("scale", [0.01, 64.0])
def test_selectivity_is_the_same_however_a_unit_is_scaled(scale: float) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(5, 9)
    module = nn.Sequential(linear, nn.ReLU(), nn.Unflatten(1, (1, 3, 3)))
    generator = Generator.from_module(module.eval(), latent=5)
    plain = watched(generator, site="1", n_samples=64).selectivity
    with torch.no_grad():
        linear.weight.mul_(scale)
        linear.bias.mul_(scale)
    assert np.allclose(watched(generator, site="1", n_samples=64).selectivity, plain, rtol=1e-5)


def test_the_most_selective_units_are_shown_or_those_that_were_asked_for() -> None:
    behaviour = watched(n_samples=300, n_shown=3)
    by_selectivity = np.argsort(-np.nan_to_num(behaviour.selectivity, nan=-1), kind="stable")
    assert behaviour.shown == tuple(by_selectivity[:3])
    assert CONSTANT not in watched(n_samples=300, n_shown=6).shown
    assert watched(units=(5, CONSTANT, 0), n_samples=20).shown == (5, CONSTANT, 0)
    some = watched(site="maps#5,2,0", units=(0, 5), n_samples=20)
    assert (some.units, some.shown) == ((5, 2, 0), (2, 0))


def test_top_images_are_those_of_the_samples_and_maps_of_the_unit() -> None:
    generator = planted()
    context = context_of(generator)
    params = UnitsParams(site=Site("maps"), n_samples=100, top=3, units=UnitSet((1, 5)))
    behaviour = watch_units(context, params)
    top = generate_top_images(context, behaviour, behaviour.shown)
    assert np.array_equal(top.scores, behaviour.scores.top_scores[[1, 5]])
    assert top.maps is not None
    assert top.images.shape == (2, 3, 1, 112, 112)
    for slot, unit in enumerate(behaviour.shown):
        for rank, sample in enumerate(behaviour.scores.top_samples[unit]):
            latents = generator.latent_space.sample([int(sample)], seed=0)
            image = generator.to_unit_range(context.probe.images(latents))[0]
            assert np.array_equal(top.images[slot, rank, :, ::14, ::14], image.numpy())
            score = behaviour.scores.top_scores[unit, rank]
            corners = top.maps[slot, rank][[0, 0, -1, -1], [0, -1, 0, -1]]
            assert np.allclose(corners, score * PATTERN.flatten().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("image_shape", "shown"),
    [((1, 28, 28), (112, 112)), ((3, 200, 100), (200, 100)), ((3, 512, 1024), (128, 256))],
)
def test_images_of_any_size_come_in_a_resolution_for_figures(
    image_shape: tuple[int, int, int], shown: tuple[int, int]
) -> None:
    size = int(np.prod(image_shape))
    module = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, size), nn.Unflatten(1, image_shape))
    context = context_of(Generator.from_module(module.eval(), latent=2))
    behaviour = watch_units(context, UnitsParams(site=Site("0"), n_samples=2, top=1))
    top = generate_top_images(context, behaviour, behaviour.shown)
    assert top.images.shape[2:] == (image_shape[0], *shown)
    assert np.isfinite(top.images).all()
    assert top.maps is None


def test_the_overlay_is_opaque_where_the_unit_is_at_its_largest() -> None:
    behaviour = watched(n_samples=100, top=2, units=(0, DEAD))
    maps = np.zeros((2, 2, 2, 2), np.float32)
    maps[0, 0] = [[-1.0, 0.0], [behaviour.values.maximum[0] / 2, behaviour.values.maximum[0]]]
    top = TopImages((0, DEAD), np.zeros((2, 2, 1, 2, 2), np.float32), maps, np.zeros((2, 2)))
    assert np.allclose(opacity_of(behaviour, top, 0, 0), [[0.0, 0.0], [0.5, 1.0]])
    assert not opacity_of(behaviour, top, 1, 0).any()
    grey = np.full((1, 2, 2), 0.5, np.float32)
    assert (overlaid(grey, None) == 0.5).all()
    drawn = overlaid(grey, np.array([[0, 0], [0, 1]], np.float32))
    assert (drawn[0, 0] == 0.5).all()
    assert drawn[1, 1, 0] > 0.85 > 0.2 > drawn[1, 1, 2]
    assert overlaid(np.zeros((3, 2, 2), np.float32), None).shape == (2, 2, 3)


def test_values_that_are_not_finite_are_left_out_and_told() -> None:
    class Broken(Planted):
        def forward(self, z: Tensor) -> Tensor:
            z = z.clone()
            z[:, 5] = torch.nan
            z[z[:, 0] > 1, 0] = torch.inf
            return super().forward(z)

    generator = Generator.from_module(Broken().eval(), latent=N_UNITS)
    result = run(generator, n_samples=50, top=3, units=(0, 5))
    assert (result.arrays["top_samples"].values[5] == -1).all()
    assert np.isfinite(result.arrays["top_scores"].values[0]).all()
    assert "values are NaN or infinite, and were left out." in result.findings[-1]
    table = result.tables["units"]
    row = dict(zip(table.columns, table.rows[5], strict=True))
    assert (row["mean"], row["top sample"], row["note"]) == (None, None, "no finite value")


def test_the_score_of_a_sample_is_its_largest_finite_value() -> None:
    rows = torch.tensor([[[1.0, torch.nan], [torch.inf, -2.0], [-torch.inf, torch.nan]]])
    assert score_samples(rows).tolist() == [[1.0, -2.0, -torch.inf]]
    assert score_samples(rows[:, :1, :1]).tolist() == [[1.0]]
    assert as_rows(torch.zeros(2, 4, 5, 3), 3).shape == (2, 3, 20)
    assert as_rows(torch.zeros(2, 3), 1).shape == (2, 3, 1)
    assert as_rows(torch.ones(2, 3, dtype=torch.int64), 1).dtype == torch.float64


def test_sites_of_any_layout_are_watched() -> None:
    class Layouts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.last, self.whole = nn.Identity(), nn.Identity(), nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            self.tokens(z[:, None, :].expand(-1, 4, -1))  # (n, tokens, 6)
            self.last(z[:, None, None, :].expand(-1, 2, 2, -1))  # (n, 2, 2, 6)
            self.whole((z * 10).long())  # (n, 6)
            return z[:, :3, None, None].expand(-1, -1, 4, 4)

    generator = Generator.from_module(Layouts().eval(), latent=N_UNITS, unit_axes={"last": -1})
    z = generator.sample(40, seed=0).z.double()
    for site in ("tokens", "last"):
        behaviour = watched(generator, site=site, n_samples=40)
        assert np.allclose(behaviour.values.mean, z.mean(0).numpy(), rtol=1e-12)
        assert Units().run(context_of(generator), behaviour.params).figures.keys() == {
            "top", "units",
        }  # fmt: skip
    whole = watched(generator, site="whole", n_samples=40)
    assert np.allclose(whole.values.mean, (z.float() * 10).long().double().mean(0).numpy())


def test_a_figure_has_twelve_rows_and_others_follow() -> None:
    module = nn.Sequential(nn.Linear(5, 27), nn.Unflatten(1, (3, 3, 3)), nn.Flatten(0, 0))
    generator = Generator.from_module(module.eval(), latent=5)
    result = run(generator, site="0", n_samples=30, n_shown=25, top=2)
    assert list(result.figures) == ["top", "top-2", "top-3", "units"]
    assert "the 25 most selective" in result.figures["top"].drawing.texts[0].get_text()
    assert "(page 3 of 3)" in result.figures["top-3"].drawing.texts[0].get_text()


def test_a_result_tells_what_stands_out_with_n_and_seed() -> None:
    result = run(n_samples=400, top=4)
    behaviour = watched(n_samples=400, top=4)
    varies, selective = (
        int(np.nanargmax(x)) for x in (behaviour.values.std, behaviour.selectivity)
    )
    assert "n = 400 samples, seed 0" in result.findings[0]
    assert result.findings[1].startswith(f"Unit {varies} varies most: ")
    share = f"{100 * behaviour.values.share_active[selective]:.3g} %"
    assert result.findings[2].startswith(f"Unit {selective} is the most selective: its top 4 ")
    assert share in result.findings[2]
    for figure in result.figures.values():
        assert "n = 400 samples, seed 0" in figure.caption


def test_a_threshold_moves_what_is_active_and_dead() -> None:
    behaviour = watched(n_samples=100, threshold=3.5)
    assert behaviour.values.is_dead[CONSTANT]
    assert behaviour.values.share_active[5] == (by_hand(100)[:, 5] > 3.5).mean()
    assert "dead (" in run(n_samples=100, threshold=100.0).findings[0]


def test_impossible_wishes_are_refused() -> None:
    refused: list[tuple[type[Exception], dict[str, Any], str]] = [
        (UnknownNameError, {"site": "mops"}, "no layer 'mops' .*; nearest: maps"),
        (ParameterError, {"site": "maps#6"}, "no unit 6 at maps: it has 6, numbered 0-5"),
        (ParameterError, {"units": (0, 6)}, "--units: no unit 6 at maps: it has 6, numbered 0-5"),
        (ParameterError, {"site": "maps#1", "units": (2,)}, "no unit 2 at maps#1: it has 1, no o"),
        (ParameterError, {"n_samples": 7}, "--top 8 needs as many samples, got --n-samples 7"),
    ]
    for kind, params, message in refused:
        with pytest.raises(kind, match=message):
            watched(**params)


def test_a_site_without_units_or_samples_is_refused() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.number, self.shared = nn.Identity(), nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            self.number(z.sum(1))  # (n,)
            return z[:, :3, None, None] * cast(Tensor, self.shared(torch.ones(1, 3, 4, 4)))

    generator = Generator.from_module(Odd().eval(), latent=5)
    with pytest.raises(SiteError, match="number has no units: a sample of it is a single number"):
        watched(generator, site="number")
    with pytest.raises(SiteError, match="shared has no batch axis"):
        watched(generator, site="shared")


def test_images_meet_the_noise_that_their_scores_came_from(tmp_path: Path) -> None:
    generator = planted(noise=1.0)
    params = UnitsParams(site=Site("maps"), n_samples=50, top=4, batch_size=16, n_shown=4)
    context = context_of(generator)
    behaviour = watch_units(context, params)
    top = generate_top_images(context, behaviour, behaviour.shown)
    assert np.array_equal(top.scores, behaviour.scores.top_scores[list(behaviour.shown)])

    recorded = context.probe.record(50, ["maps"], tmp_path / "a.h5", batch_size=10)
    findings = Units().run(context_of(generator, file=recorded), params).findings
    assert not any("the images are not" in finding for finding in findings)


def test_a_generator_that_changes_is_told() -> None:
    class Growing(Planted):
        n_calls = 0

        def forward(self, z: Tensor) -> Tensor:
            self.n_calls += 1
            return super().forward(z * self.n_calls)

    generator = Generator.from_module(Growing().eval(), latent=N_UNITS)
    findings = run(generator, n_samples=50, top=4).findings
    assert any("the images are not those of the scores" in finding for finding in findings)


def test_progress_runs_to_its_end() -> None:
    done: dict[str, list[int]] = {}

    class Bar:
        def __init__(self, counted: list[int]) -> None:
            self.counted = counted

        def advance(self, n: int = 1) -> None:
            self.counted[1] += n

    @contextmanager
    def progress(total: int, what: str) -> Iterator[Bar]:
        yield Bar(done.setdefault(what, [total, 0]))

    context = Context(Probe(planted()), 0, lambda name: pytest.fail(name), progress)
    Units().run(context, UnitsParams(site=Site("maps"), n_samples=100, top=2))
    assert set(done) == {"samples at maps", "top images"}
    assert all(total == advanced > 0 for total, advanced in done.values())


def saved(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
    """What a result folder holds, apart from how and when it was made."""
    record = json.loads((folder / "result.json").read_text())
    del record["provenance"]
    with h5py.File(folder / "result.h5") as file:
        arrays = {name: file[name][...] for name in file}
    return record, arrays, {path.name: path.read_bytes() for path in folder.glob("figures/*")}


def few(site: str = "conv2", **given: object) -> list[object]:
    """A quick command line."""
    wished = {"n-samples": 20, "top": 2, "n-shown": 2, "batch-size": 8} | given
    flags = [part for name, value in wished.items() for part in (f"--{name}", value)]
    return ["run", "units", "digits", "--site", site, *flags]


def record(path: Path, generator: Generator | None = None, **how: Any) -> Path:
    wished: dict[str, Any] = {"batch_size": 8, "sites": ["conv2"], "samples": 20} | how
    return Probe(generator or load("digits")).record(output=path, **wished)


@pytest.mark.parametrize(
    ("site", "how"),
    [
        ("conv2", {}),
        ("conv2", {"samples": 32, "sites": ["fc1", "conv2"], "images": True}),
        ("conv2#3,5", {}),
        ("conv2#5,3", {"sites": ["conv2#2-6"]}),
        ("conv2", {"compression": "zstd"}),
    ],
)
def test_a_store_gives_what_the_generator_gives_bit_for_bit(
    ganprobe_command: Command, tmp_path: Path, site: str, how: dict[str, Any]
) -> None:
    # Batches of the store and of the run begin at the same samples; the last is whole in both.
    how, given = {"samples": 24} | how, few(site, **{"n-samples": 24})
    store = record(tmp_path / "a.h5", **how)
    live = ganprobe_command(*given, "--output", tmp_path / "live")
    stored = ganprobe_command(*given, "--activations", store, "--output", tmp_path / "stored")
    assert (live.status, stored.status) == (0, 0), stored.err
    one, other = saved(tmp_path / "live"), saved(tmp_path / "stored")
    assert one[0] == other[0]
    assert one[2] == other[2]
    assert one[1].keys() == other[1].keys()
    for name, array in one[1].items():
        assert array.dtype == other[1][name].dtype
        assert array.tobytes() == other[1][name].tobytes(), name
    provenance = json.loads((tmp_path / "stored" / "result.json").read_text())["provenance"]
    assert provenance["parameters"]["activations"]["file"] == str(store)
    assert provenance["parameters"]["site"] == site


def test_a_rounded_store_works_and_the_provenance_says_so(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    store = record(tmp_path / "half.h5", dtype="float16")
    given = few()
    assert ganprobe_command(*given, "--output", tmp_path / "live").status == 0
    done = ganprobe_command(*given, "--activations", store, "--output", tmp_path / "half")
    assert done.status == 0, done.err
    made = json.loads((tmp_path / "half" / "result.json").read_text())["provenance"]
    assert made["parameters"]["activations"]["dtypes"] == {"conv2": "float16"}
    live, half = saved(tmp_path / "live")[1], saved(tmp_path / "half")[1]
    assert not np.array_equal(live["mean"], half["mean"])
    assert np.allclose(live["mean"], half["mean"], atol=1e-3)
    assert np.allclose(live["top_scores"], half["top_scores"], rtol=1e-3)


def other_digits() -> Generator:
    generator = load("digits")
    with torch.no_grad():
        next(generator.module.parameters()).add_(0.01)
    return generator


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"seed": 1}, "seed 1 (now 0); name another file, or leave --activations out"),
        ({"generator": "other"}, "does not hold these activations of digits: weights "),
        ({"interventions": [Ablate("conv2#3")]}, "(now [])"),
        ({"samples": 19}, "holds 19 samples, and 20 are needed; record it again: ganprobe record"),
        ({"sites": ["conv3"]}, "holds conv3, not conv2; record it again: ganprobe record digits"),
        ({"sites": ["conv2#3"]}, "holds conv2#3, not conv2; record it again"),
    ],
    ids=["seed", "weights", "interventions", "samples", "site", "units"],
)
def test_a_store_of_something_else_is_refused_and_nothing_is_written(
    ganprobe_command: Command, tmp_path: Path, how: dict[str, Any], reason: str
) -> None:
    generator = other_digits() if how.pop("generator", None) else None
    store = record(tmp_path / "a.h5", generator, **how)
    refused = ganprobe_command(*few(), "--activations", store, "--output", tmp_path / "out")
    assert (refused.status, refused.out) == (1, "")
    (sentence,) = refused.err.strip().splitlines()
    assert sentence.startswith(f"ganprobe: {store} ")
    assert reason in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_the_command_line_tells_what_can_be_asked(ganprobe_command: Command) -> None:
    told = ganprobe_command("run", "units", "--help").out
    for flag in ("--site", "--n-samples", "--units", "--activations", "--threshold"):
        assert flag in told
    assert "  ganprobe run units digits --site conv2 --output out/units" in told


def test_a_wrong_site_names_the_nearest(ganprobe_command: Command, tmp_path: Path) -> None:
    wrong = ganprobe_command(*few("conv22"), "--output", tmp_path / "out")
    assert "no layer 'conv22' in generator 'digits'; nearest: conv2" in wrong.err
    several = ganprobe_command(*few("conv?"), "--output", tmp_path / "out")
    assert "conv? stands for 3 tensors; name one: conv2, conv3, conv4" in several.err
    assert wrong.status == several.status == 2
    assert not (tmp_path / "out").exists()
