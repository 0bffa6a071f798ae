"""Insertion against a planted generator whose doors go into walls, and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganprobe import (
    Context,
    ParameterError,
    Probe,
    Result,
    Segmenter,
    SiteError,
    UnitSet,
    UnknownNameError,
)
from ganprobe_ablation.insertion import Insertion, InsertionParams
from ganprobe_ablation.insertion.plan import InsertionPlan, make_insertion_plan
from ganprobe_ablation.insertion.study import InsertionStudy, study_insertion
from planted_doors import DOOR, N_UNITS, Bands, Masonry, SoftMasonry, doors, two_halves, walls
from subjects import probe_of, random_network

Command = Callable[..., Any]

SEGMENTERS: dict[str, Segmenter] = {one.name: one for one in (Masonry(), SoftMasonry(), Bands())}
FEW: dict[str, Any] = {
    "site": "maps", "segmenter": "masonry", "class_name": "door", "units": (DOOR,), "level": 0.9,
    "n_samples": 12, "n_ranked": 8, "window": 1, "n_draws": 4, "n_resamples": 400, "n_shown": 2,
}  # fmt: skip


def context_of(probe: Probe, seed: int = 0) -> Context:
    def no_measure(name: str) -> Any:
        raise UnknownNameError("measure", name, ())

    return Context(probe, seed, no_measure, find_segmenter=SEGMENTERS.__getitem__)


def studied(probe: Probe | None = None, **params: Any) -> InsertionStudy:
    return study_insertion(context_of(probe or doors()), InsertionParams.parse(FEW | params))


def planned(probe: Probe, **params: Any) -> InsertionPlan:
    return make_insertion_plan(context_of(probe), InsertionParams.parse(FEW | params))


def run(probe: Probe | None = None, **params: Any) -> Result:
    return Insertion().run(context_of(probe or doors()), InsertionParams.parse(FEW | params))


@pytest.fixture(scope="module")
def planted() -> Result:
    return run(at="0.1,0.1")


def test_it_tells_that_doors_go_on_walls_and_nowhere_else(planted: Result) -> None:
    result = planted
    where, not_where = result.findings[:2]
    assert "Where can a door go? Unit 2 of maps at 0.9, in a window of 1 x 1 cell" in where
    assert "enlarge door most where there was wall (+6.25 [6.25, 6.25] % of the image" in where
    assert "appears at 100% of 96 places" in where
    assert (
        "No change is certain (q >= 0.05) where there was none of them 0 [0, 0] (q = 1" in not_where
    )
    table = result.tables["contexts"]
    by_there = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert by_there["wall"]["mean"] == pytest.approx(4 / 64)
    assert by_there["none of them"]["mean"] == 0
    assert by_there["anywhere"]["n_cells"] == 12 * 16


def test_the_average_effect_stands_beside_random_units_by_the_same_rule() -> None:
    study = studied(n_places=3)
    assert all(len(draw) == 1 for draw in study.plan.draws)
    for draw, effect in zip(study.plan.draws, study.random_effects, strict=True):
        assert (effect > 0) == (draw == (DOOR,))
    assert study.average.effects.mean[0] > 0.3
    assert study.average.drawn.shape == (12, 3)


def test_without_units_those_with_the_largest_iou_are_inserted() -> None:
    how = {"site": "front", "segmenter": "bands", "class_name": "bright", "level": 0.8}
    plan = planned(two_halves(1), **how, units=None, n_units=3)
    assert plan.iou is not None
    assert plan.units == tuple(np.argsort(-plan.iou, kind="stable")[:3].tolist())
    assert plan.samples.ranked.indices == tuple(range(12, 20))


def test_a_place_is_a_point_with_a_window_or_a_region() -> None:
    probe = doors()
    point, box = studied(probe, at="0.1,0.1"), studied(probe, at="0,0,0.25,0.25")
    left, none = studied(probe, at="left"), studied(probe)
    assert none.location is None
    assert point.location is not None
    assert box.location is not None
    assert left.location is not None
    wall = walls(point.plan.samples.measured.z)
    assert point.location.after == pytest.approx(np.tile(wall[:, 0, 0].double() * 4 / 64, (2, 1)))
    assert np.array_equal(point.location.after, box.location.after)
    assert left.location.after[1] == pytest.approx(wall[:, 0, 0].double().numpy() / 2)
    assert np.array_equal(point.location.pixels, box.location.pixels)
    assert point.location.random.shape == (4, 2)


def test_an_insertion_is_the_paired_difference_of_plain_runs() -> None:
    from ganprobe import Ablate

    probe, bands = two_halves(1), Bands()
    study = studied(
        probe, site="front", segmenter="bands", class_name="bright", units=(4, 1), at="0.5,0.3",
        level="class-mean", window=2,
    )  # fmt: skip
    location, plan = study.location, study.plan
    assert location is not None
    latents = plan.samples.measured

    def area(edits: list[Ablate]) -> np.ndarray:
        images = probe.generator.to_unit_range(probe.run(latents, edits).images)
        return bands(images)[:, 2].double().mean((1, 2)).numpy()

    levels = plan.levels[[4, 1]].tolist()
    edit = Ablate("front#4,1", to=levels, region=location.region)
    assert location.base[0] == pytest.approx(area([]))
    assert location.after[0] == pytest.approx(area([edit]))
    assert location.effects.mean[0] == pytest.approx((area([edit]) - area([])).mean())


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("nowhere", "--at 'nowhere' is no region; .* or a point X,Y in shares of the image"),
        ("3,0.5", r"two shares of the image from 0 to 1, as in 0\.5,0\.6; got 3,0\.5"),
    ],
)
def test_what_is_no_place_is_refused(at: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        studied(at=at)


def test_the_optimised_units_are_told_and_written() -> None:
    result = run(
        segmenter="soft masonry", units=None, n_units=1, optimise=True, n_steps=20, penalty=0.1
    )
    (name,) = (name for name in result.unit_sets if name.startswith("optimised"))
    assert result.unit_sets[name].units == (DOOR,)
    assert result.arrays["share"].values.shape == (N_UNITS,)
    assert result.arrays["step_effect"].values.shape == (20,)
    assert "shares" in result.figures
    (told,) = (one for one in result.findings if "largest shares after 20 steps" in one)
    assert "gradients of the segmenter's soft masks" in told


def test_levels_are_class_means_or_quantiles_or_a_number() -> None:
    probe = two_halves(1)
    how = {"site": "front", "segmenter": "bands", "class_name": "dark", "units": (0, 5)}
    by_rule = {
        level: planned(probe, **how, level=level).levels
        for level in ("class-mean", "quantile", "-0.5")
    }
    maps = probe.run(planned(probe, **how).samples.ranked, record=["front"])["front"]
    expected = np.quantile(maps.movedim(1, 0).flatten(1).numpy(), 0.995, axis=1)
    assert by_rule["quantile"].tolist() == pytest.approx(expected.tolist())
    assert by_rule["-0.5"].tolist() == [-0.5] * 6
    assert not torch.allclose(by_rule["class-mean"], by_rule["quantile"])
    with pytest.raises(ParameterError, match="give class-mean, quantile or a number"):
        InsertionParams.parse(FEW | {"level": "high"})


def test_what_cannot_be_inserted_is_refused() -> None:
    with pytest.raises(ParameterError, match="which site"):
        studied(site=None)
    with pytest.raises(ParameterError, match="names units, and so does --units 2"):
        studied(site="maps#1")
    with pytest.raises(UnknownNameError, match="dore"):
        studied(class_name="dore")
    with pytest.raises(SiteError, match="0 has no axes y and x"):
        studied(probe_of(random_network(0)), site="0", segmenter="bands", class_name="dark")
    with pytest.raises(ParameterError, match="larger than the site's 4 x 4 cells"):
        studied(window=7)


def test_arrays_and_tables_agree(planted: Result) -> None:
    result = planted
    change, there = result.arrays["change"], result.arrays["there"]
    assert change.dims == ("sample", "y", "x")
    assert change.values.shape == (12, 4, 4)
    assert set(np.unique(there.values)) == {-1, 1}
    mean = change.values.mean()
    row = next(row for row in result.tables["contexts"].rows if row[0] == "anywhere")
    assert row[1] == pytest.approx(mean)
    assert set(result.figures) == {"contexts", "images", "average"}
    assert result.coordinates["y"] == [0.125, 0.375, 0.625, 0.875]
    place = {row[0]: row for row in result.tables["place"].rows}
    assert place["image"][3] == pytest.approx(result.arrays["place_after"].values[0].mean())


def test_the_written_set_names_its_site_and_levels(planted: Result) -> None:
    (unit_set,) = planted.unit_sets.values()
    assert isinstance(unit_set, UnitSet)
    assert (unit_set.site, unit_set.units) == ("maps", (DOOR,))
    assert unit_set.found["levels"] == [0.9]


def test_from_the_command_line(ganprobe_command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = ganprobe_command(
        "run", "insertion", "digits", "--site", "conv3", "--segmenter", "luminance:3",
        "--class-name", "bright", "--n-samples", "4", "--n-ranked", "8", "--n-draws", "2",
        "--grid", "3", "--n-units", "4", "--n-resamples", "100", "--output", str(out),
    )  # fmt: skip
    assert run.status == 0, run.err
    written = json.loads((out / "result.json").read_text())
    assert any("Where can a bright go?" in one for one in written["findings"])
    assert (out / "figures" / "contexts.png").exists()


def test_a_class_that_there_is_not_is_named_without_a_traceback(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    wrong = ganprobe_command(
        "run", "insertion", "digits", "--site", "conv3", "--segmenter", "luminance:3",
        "--class-name", "door", "--output", str(tmp_path / "wrong"),
    )  # fmt: skip
    assert wrong.status == 2
    assert "no class 'door' in segmenter 'luminance:3'" in wrong.err
    assert "Traceback" not in wrong.err
