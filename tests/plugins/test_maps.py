"""Maps against a plain forward hook, and sheets against the values that they are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganprobe import (
    Context,
    Generator,
    ParameterError,
    Probe,
    Result,
    SiteError,
    UnitSet,
    UnknownNameError,
    load,
)
from ganprobe_maps import Maps, MapsParams
from ganprobe_maps.activations import SiteMaps, record_maps
from ganprobe_maps.canvas import image_places
from ganprobe_maps.colours import relative
from ganprobe_maps.figures import enlarged
from ganprobe_maps.grid import Grid, drawn_size
from ganprobe_maps.sheets import Sheet, ordered_units, plan_sheets

Command = Callable[..., Any]

LATENT = 6
DEAD, CONSTANT = 2, 4


class Layouts(nn.Module):
    """One site of each layout: maps, units last, tokens, a line of tokens, flat, volumes."""

    def __init__(self, *, n_units: int = 6, breaks: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT, n_units * 9)
        self.maps, self.last, self.tokens, self.line = (nn.Identity() for _ in range(4))
        self.flat, self.volume, self.number, self.shared = (nn.Identity() for _ in range(4))
        self.n_units, self.breaks = n_units, breaks

    def forward(self, z: Tensor) -> Tensor:
        maps = cast(Tensor, self.first(z)).view(-1, self.n_units, 3, 3)
        planted = torch.ones(self.n_units)
        planted[[DEAD, CONSTANT]] = 0
        maps = maps * planted[:, None, None]
        maps = maps + torch.eye(self.n_units)[CONSTANT][:, None, None]
        if self.breaks:
            maps = maps.masked_fill(torch.eye(3, dtype=torch.bool), torch.nan)
        self.last(maps.permute(0, 2, 3, 1))
        self.tokens(maps.flatten(2).transpose(1, 2))  # (n, 9, units)
        self.line(maps.flatten(2)[:, :, :8].transpose(1, 2))  # (n, 8, units)
        self.flat(maps.mean((2, 3)))
        self.volume(maps[:, :, None])
        self.number(z.sum(1))
        self.shared(torch.ones(1, 3, 3, 3))
        return cast(Tensor, self.maps(maps))[:, :1].repeat_interleave(4, 2)


def layouts(**how: Any) -> Generator:
    torch.manual_seed(0)
    axes = {"last": -1}
    module = Layouts(**how).eval()
    return Generator.from_module(module, latent=LATENT, name="layouts", unit_axes=axes)


def context_of(generator: Generator, seed: int = 0) -> Context:
    return Context(Probe(generator), seed, lambda name: pytest.fail(name))


def recorded(generator: Generator | None = None, **params: Any) -> SiteMaps:
    given = {"site": "maps"} | params
    return record_maps(context_of(generator or layouts()), MapsParams(**given))


def run(generator: Generator | None = None, seed: int = 0, **params: Any) -> Result:
    given = {"site": "maps"} | params
    return Maps().run(context_of(generator or layouts(), seed), MapsParams(**given))


def sheets(generator: Generator | None = None, **params: Any) -> list[Sheet]:
    return list(plan_sheets(recorded(generator, **params), "layouts"))


def hooked(generator: Generator, layer: str, samples: list[int], seed: int = 0) -> NDArray[Any]:
    """What a plain forward hook sees of these samples, in one forward."""
    seen: list[Tensor] = []
    module = generator.module.get_submodule(layer)
    handle = module.register_forward_hook(lambda _module, _given, made: seen.append(made))
    try:
        with torch.no_grad():
            generator.module(generator.latent_space.sample(samples, seed=seed).z)
    finally:
        handle.remove()
    return seen[0].numpy()


def test_the_maps_are_those_that_a_plain_forward_hook_sees() -> None:
    digits = load("digits")
    result = run(digits, seed=3, site="conv2#0,9", source="5,8", donor="7,2", n_samples=2)
    ours, theirs = (hooked(digits, "conv2", samples, seed=3) for samples in ([5, 8], [7, 2]))
    assert np.array_equal(result.arrays["source"].values, ours)
    assert np.array_equal(result.arrays["donor"].values, theirs)
    assert np.array_equal(result.arrays["difference"].values, theirs - ours)
    assert result.arrays["difference"].dims == ("sample", "unit", "y", "x")
    assert list(result.figures) == [
        f"sample-{sample}-{kind}" for sample in (5, 8) for kind in ("source", "donor", "difference")
    ]


def test_no_hook_stays_on_the_generator() -> None:
    generator = layouts()
    run(generator, donor="3")
    assert not any(module._forward_hooks for module in generator.module.modules())


def test_statistics_are_those_that_numpy_computes() -> None:
    generator = layouts()
    arrays = run(generator, donor="3,4", source="0,1", n_samples=2).arrays
    ours, theirs = (hooked(generator, "maps", pair).astype(float) for pair in ([0, 1], [3, 4]))
    squared = ((theirs - ours) ** 2).sum((2, 3))
    expected = {
        "mean": ours.mean((2, 3)),
        "std": ours.std((2, 3)),
        "share_above_0": (ours > 0).mean((2, 3)),
        "minimum": ours.min((2, 3)),
        "maximum": ours.max((2, 3)),
        "donor_mean": theirs.mean((2, 3)),
        "rms_difference": (squared / 9) ** 0.5,
        "share_of_difference": squared / squared.sum(1, keepdims=True),
    }
    for name, computed in expected.items():
        assert np.allclose(arrays[name].values, computed, rtol=1e-12, atol=1e-14), name
        assert arrays[name].dims == ("sample", "unit")


def test_the_table_has_a_row_for_each_sample_and_unit() -> None:
    result = run(donor="3", source="0,1", n_samples=2, units=(1, 3))
    table, arrays = result.tables["units"], result.arrays
    assert len(table.rows) == 2 * 6
    row = dict(zip(table.columns, table.rows[6 + 3], strict=True))
    assert (row["source"], row["unit"], row["is_marked"]) == ("sample 1", 3, True)
    for name in ("mean", "maximum", "donor_mean", "rms_difference", "share_of_difference"):
        assert row[name] == arrays[name].values[1, 3]


def test_dead_and_constant_units_are_counted_and_labelled() -> None:
    assert run(seed=2).findings[0] == (
        "maps of 'layouts': 1 of 6 units are dead (2: zero everywhere) in sample 0, 1 constant"
        " (4); n = 1 sample, seed 2."
    )
    below = sheets()[0].below
    assert (below[DEAD], below[CONSTANT]) == ("zero", "const.")
    assert "0 constant" in run(site="flat").findings[0]  # a single value is no map


def test_the_units_that_differ_most_are_named_with_their_share() -> None:
    digits = load("digits")
    result = run(digits, site="conv2", source="5", donor="13", units=(13, 120), only_units=True)
    squared = (result.arrays["difference"].values[0].astype(float) ** 2).sum((1, 2))
    shares = np.sort(squared / squared.sum())[::-1]
    assert f"in units {squared.argmax()} ({100 * shares[0]:.3g} %), " in result.findings[1]
    held = f"the 20 that differ most, of 128, hold {100 * shares[:20].sum():.3g} % of it"
    assert result.findings[1].endswith(f"{held}; n = 1 pair, seed 0.")
    marked = 100 * squared[[13, 120]].sum() / squared.sum()
    assert f"The 2 units of --units hold {marked:.3g} %" in result.findings[2]
    assert "chosen at random would hold 1.56 % on average" in result.findings[2]


@pytest.mark.parametrize(
    ("site", "shape"), [("maps", (3, 3)), ("last", (3, 3)), ("tokens", (3, 3)), ("line", (1, 8))]
)
def test_every_layout_is_drawn_as_maps_of_its_units(site: str, shape: tuple[int, int]) -> None:
    whole = hooked(layouts(), "maps", [0]).reshape(1, 6, -1)
    result = run(site=site, donor="3")
    values = result.arrays["source"].values
    assert values.shape == (1, 6, *shape)
    assert np.array_equal(values.reshape(1, 6, -1), whole[:, :, : shape[0] * shape[1]])
    assert set(result.figures) == {"source", "donor", "difference"}


def test_units_without_space_are_drawn_as_bars() -> None:
    result = run(site="flat", donor="3", units=(1,))
    assert result.arrays["source"].values.shape == (1, 6, 1, 1)
    bars = result.figures["difference"].drawing.axes[-1].patches
    heights = [cast(Any, bar).get_height() for bar in bars]
    assert np.allclose(heights, result.arrays["difference"].values[0, :, 0, 0])
    assert len({cast(Any, bar).get_facecolor() for bar in bars}) == 2  # unit 1 is marked


def test_marked_units_get_a_frame_and_may_stand_alone(tmp_path: Path) -> None:
    UnitSet((3, 1), site="maps").write(tmp_path / "set.json")
    found = f"@{tmp_path / 'set.json'}"
    (framed,) = sheets(site=None, units=found)
    assert (framed.units, set(framed.marked)) == (tuple(range(6)), {1, 3})
    assert "Framed: the 2 units of --units." in framed.note
    (alone,) = sheets(site=None, units=found, only_units=True)
    assert (alone.units, set(alone.marked)) == ((1, 3), set())
    assert "2 of 6 units" in alone.title
    assert sheets(site="maps#1,5", units=(1,))[0].units == (1, 5)


def test_a_sheet_has_256_units_and_others_follow() -> None:
    pages = sheets(layouts(n_units=300), donor="3")
    assert [page.name for page in pages] == [
        f"{kind}-{page}" for kind in ("source", "donor", "difference") for page in (1, 2)
    ]
    assert [len(page.units) for page in pages[:2]] == [256, 44]
    assert "page 2 of 2" in pages[1].title
    assert pages[0].colours == pages[1].colours == pages[2].colours


@pytest.mark.parametrize("order", ["index", "mean", "difference"])
def test_the_order_is_the_same_on_all_sheets_of_a_sample(order: str) -> None:
    maps = recorded(donor="3", source="1", order=order)
    statistics = maps.statistics
    assert statistics.squared is not None
    keys = {"index": np.arange(6.0), "mean": -statistics.source["mean"][0],
            "difference": -statistics.squared[0]}  # fmt: skip
    expected = tuple(np.argsort(keys[order], kind="stable"))
    assert ordered_units(maps, 0) == expected
    for sheet in plan_sheets(maps, "layouts"):
        assert sheet.units == expected
        assert ("Sorted: the largest" in sheet.note) == (order != "index")


def test_differences_have_one_scale_around_zero_and_the_image_of_both() -> None:
    sheet = sheets(donor="3", scale="unit")[2]
    assert sheet.colours.low == -sheet.colours.high == -np.abs(sheet.maps).max()
    assert [label for label, _ in sheet.images] == ["sample 0", "sample 3"]
    assert "red: the donor is higher" in sheet.note
    assert sheet.title == "maps of 'layouts', sample 3 less sample 0: 6 units"


def test_a_scale_is_for_all_units_or_each_units_own() -> None:
    (alike,), (own,) = sheets(scale="site"), sheets(scale="unit")
    assert (alike.colours.low, alike.colours.high) == (alike.maps.min(), alike.maps.max())
    assert "One scale for all units" in alike.note
    assert "Each map has its own scale" in own.note
    flat = own.maps.reshape(6, -1)
    changing = [unit for unit in range(6) if unit not in (DEAD, CONSTANT)]
    assert np.array_equal(flat[changing].min(1), np.zeros(4))
    assert np.array_equal(flat[changing].max(1), np.ones(4))
    assert np.array_equal(flat[[DEAD, CONSTANT]], np.zeros((2, 9)))


def test_a_few_extremes_do_not_darken_a_sheet_and_it_says_so() -> None:
    sheet = sheets(layouts(n_units=300))[0]
    assert sheet.colours.high < sheet.maps.max()
    assert "Beyond its arrows: the outermost 0.1 % of the values" in sheet.note


def test_values_that_are_no_numbers_are_told_and_left_white() -> None:
    result = run(layouts(breaks=True), donor="3", scale="unit")
    assert "36 values are NaN or infinite, and are left white." in result.findings
    assert "there is none, or NaN in it" in result.findings[1]
    maps = np.array([[[1.0, np.nan], [3.0, np.inf]]])
    assert np.array_equal(relative(maps), [[[0, np.nan], [1, np.nan]]], equal_nan=True)


def test_one_donor_serves_all_sources_and_equal_choices_do_not_overlap() -> None:
    maps = recorded(source="0-3", n_samples=3, donor="5")
    assert maps.donor is not None
    assert maps.donor.labels == ("sample 5",) * 3
    shared = recorded(source="0-3", n_samples=2, donor="0-3")
    assert shared.donor is not None
    assert (shared.source.labels, shared.donor.labels) == (
        ("sample 0", "sample 1"),
        ("sample 2", "sample 3"),
    )
    told = run(source="0-3", n_samples=3).findings
    assert "--source names 4 samples, of which --n-samples takes 3." in told


def test_each_value_of_a_small_map_is_a_whole_number_of_pixels() -> None:
    for side in range(1, 129):
        width, height = drawn_size((side, side))
        assert width % side == 0
        assert width <= 160
        assert height == (30 if side == 1 else width)
    drawn = enlarged(np.arange(4.0).reshape(2, 2), (6, 4))
    assert np.array_equal(drawn[::2, ::3], [[0, 1], [2, 3]])
    assert enlarged(np.arange(16.0).reshape(4, 4), (2, 2)).tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_maps_of_a_grid_do_not_overlap_and_stay_inside() -> None:
    for n_units, shape in ((1, (28, 28)), (7, (7, 7)), (64, (14, 14)), (256, (1, 77))):
        grid = Grid.of(n_units, shape)
        corners = [grid.corner(number) for number in range(n_units)]
        assert len(set(corners)) == n_units
        assert max(left for left, _ in corners) + grid.cell[0] <= grid.size[0] <= 2250
        assert max(top for _, top in corners) + grid.cell[1] <= grid.size[1]


def test_images_go_below_each_other_where_there_is_room() -> None:
    high, _ = image_places([(28, 28), (28, 28)], 900)
    flat, _ = image_places([(28, 28), (28, 28)], 300)
    assert high[0][0] == high[1][0]
    assert flat[0][1] == flat[1][1]
    assert flat[0][0] + flat[0][2] < flat[1][0]


def test_impossible_wishes_are_refused() -> None:
    refused: list[tuple[type[Exception], dict[str, Any], str]] = [
        (UnknownNameError, {"site": "mops"}, "no layer 'mops' .*; nearest: maps"),
        (ParameterError, {"site": None}, "no site was named; give --site"),
        (ParameterError, {"units": (0, 6)}, "no unit 6 at maps: it has 6, numbered 0-5"),
        (ParameterError, {"only_units": True}, "--only-units draws the units of --units, and none"),
        (ParameterError, {"order": "difference"}, "--order difference needs a second sample"),
        (ParameterError, {"donor": "0"}, "sample 0 would be its own donor; choose another"),
        (ParameterError, {"units": UnitSet((1,), site="flat")}, "the units 1 are of flat, not of"),
        (ParameterError, {"site": "maps#1", "units": (2,), "only_units": True}, "none of the unit"),
        (SiteError, {"site": "volume"}, "volume has 3 axes of space, .*, and sheets show two at"),
        (SiteError, {"site": "number"}, "number has no units"),
        (SiteError, {"site": "shared"}, "shared has no batch axis"),
    ]
    for kind, params, message in refused:
        with pytest.raises(kind, match=message):
            recorded(**params)


def test_more_units_than_can_be_drawn_are_refused_with_the_way_out() -> None:
    digits = load("digits")
    with pytest.raises(ParameterError, match=r"has 12,544 units, and 4,096 can be drawn; name som"):
        recorded(digits, site="fc1.linear")
    assert len(sheets(digits, site="fc1.linear#0-300")) == 2


def test_the_command_line_writes_sheets(ganprobe_command: Command, tmp_path: Path) -> None:
    asked = ("--site", "conv3", "--source", "digit=1", "--donor", "digit=3", "--units", "3,7-9",
             "--only-units", "--order", "difference", "--scale", "unit")  # fmt: skip
    finished = ganprobe_command("run", "maps", "digits", *asked, "--output", tmp_path / "out")
    assert finished.status == 0, finished.err
    assert "The 4 units of --units hold" in finished.out
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert list(record["figures"]) == ["source", "donor", "difference"]
    for figure in record["figures"].values():
        assert (tmp_path / "out" / figure["file"]).stat().st_size > 10_000
    refused = ganprobe_command("run", "maps", "digits", "--output", tmp_path / "none")
    assert refused.status == 2
    assert "no site was named; give --site" in refused.err
