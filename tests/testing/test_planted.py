"""Planted generators are what they say: by plain forwards, by sweeps, by every unit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ganprobe import (
    Ablate,
    AreaMeasure,
    Intervention,
    Latents,
    ParameterError,
    Patch,
    Probe,
    Swap,
    UnknownNameError,
)
from ganprobe.testing import Feature, Planted, planted_generator
from ganprobe.testing.layout import FEATURES, THINGS

SITES = ("early", "late")
ALONE: tuple[tuple[Feature, tuple[str, ...]], ...] = (
    ("parts", ("door",)),
    ("pair", ("lamp",)),
    ("gate", ("wall", "window")),
    ("artifact", ("blot",)),
)


def seen(planted: Planted, latents: Latents, *edits: Intervention) -> np.ndarray:
    """(n, classes, 16, 16) what the segmenter sees in the images, which are of larger blocks."""
    images = Probe(planted.generator).run(latents, edits).images
    masks = planted.segmenter(planted.generator.to_unit_range(images)).numpy()
    step = masks.shape[-1] // 16
    blocks = masks[..., ::step, ::step]
    assert (masks == blocks.repeat(step, axis=2).repeat(step, axis=3)).all()
    return blocks


def area(planted: Planted, latents: Latents, name: str, **how: Any) -> np.ndarray:
    """(n,) the true area of a class, in shares of the image."""
    at = planted.truth.classes.index(name)
    return planted.truth.areas(latents, **how)[:, at]


@pytest.mark.parametrize(("seed", "size"), [(0, 16), (1, 32), (2, 48)])
def test_every_pixel_is_of_the_class_that_the_truth_tells_from_the_latents(
    seed: int, size: int
) -> None:
    planted = planted_generator(seed=seed, size=size)
    latents = planted.generator.sample(400, seed=seed + 10)
    assert planted.generator.forward(latents).shape == (400, 3, size, size)
    for truth in planted.truths.values():
        assert (seen(planted, latents) == truth.drawn(latents)).all()
    shares = AreaMeasure(planted.segmenter)(planted.generator.forward(latents))
    assert shares.double().numpy() == pytest.approx(planted.truth.areas(latents), abs=1e-7)


@pytest.mark.parametrize(("seed", "site"), [(4, "early"), (5, "late")])
def test_every_unit_that_is_removed_or_inserted_changes_what_the_truth_tells(
    seed: int, site: str
) -> None:
    planted = planted_generator(seed=seed)
    latents, truth = planted.generator.sample(60, seed=seed), planted.truths[site]
    region = np.random.default_rng(seed).random((8, 8) if site == "early" else (16, 16)) < 0.5
    mask = torch.from_numpy(region)
    for unit in range(truth.n_units):
        removed = seen(planted, latents, Ablate(site, units=[unit]))
        assert (removed == truth.drawn(latents, removed=[unit])).all(), unit
        inserted = seen(planted, latents, Ablate(site, units=[unit], to=1.0, region=mask))
        assert (inserted == truth.drawn(latents, inserted=[unit], region=region)).all(), unit


@pytest.mark.parametrize("site", SITES)
def test_random_sets_of_units_in_random_regions_do_what_the_truth_tells(site: str) -> None:
    rng = np.random.default_rng(6)
    for seed in range(4):
        planted = planted_generator(seed=seed)
        latents, truth = planted.generator.sample(50, seed=seed), planted.truths[site]
        order = rng.permutation(truth.n_units).tolist()
        removed, inserted = order[: len(order) // 3], order[-len(order) // 3 :]
        region = rng.random((8, 8) if site == "early" else (16, 16)) < 0.7
        mask = torch.from_numpy(region)
        level = float(1 + 20 * rng.random())
        off = Ablate(site, units=removed, region=mask)
        on = Ablate(site, units=inserted, region=mask, to=level)
        expected = truth.drawn(latents, removed=removed, inserted=inserted, region=region)
        assert (seen(planted, latents, off, on) == expected).all()


@pytest.mark.parametrize("site", SITES)
def test_a_sweep_gives_what_runs_give_and_what_the_truth_tells(site: str) -> None:
    planted = planted_generator(seed=7)
    latents, truth = planted.generator.sample(20, seed=1), planted.truths[site]
    probe, measure = Probe(planted.generator), AreaMeasure(planted.segmenter)
    donors = planted.generator.sample(20, seed=2)
    units = range(truth.n_units)
    edits: list[Intervention] = [Ablate(site, units=[unit]) for unit in units]
    edits += [Swap(site, donor=donors, units=[unit]) for unit in units]
    swept = probe.sweep(latents, edits, measure).values
    plain = torch.stack([measure(probe.run(latents, edit).images) for edit in edits])
    assert torch.equal(swept.cpu(), plain.to(swept))
    for unit in units:
        assert (swept[unit].numpy() == truth.areas(latents, removed=[unit])).all()


def test_each_unit_of_the_door_draws_half_of_it_at_either_site() -> None:
    planted = planted_generator(seed=8, features=("parts",))
    latents = planted.generator.sample(300, seed=8)
    for truth in planted.truths.values():
        whole = truth.areas(latents)[:, 0]
        assert whole.max() > 0
        for unit in truth.units["door"]:
            assert truth.areas(latents, removed=[unit])[:, 0] == pytest.approx(whole / 2)
        assert truth.areas(latents, removed=truth.units["door"]).max() == 0


def test_either_of_a_pair_draws_the_whole_lamp_to_the_last_bit_of_the_image() -> None:
    planted = planted_generator(seed=9)
    latents, probe = planted.generator.sample(100, seed=9), Probe(planted.generator)
    images = probe.images(latents)
    for site, truth in planted.truths.items():
        assert truth.redundant == ("lamp",)
        pair = truth.units["lamp"]
        for unit in pair:
            assert torch.equal(probe.run(latents, Ablate(site, units=[unit])).images, images)
        gone = truth.areas(latents, removed=pair)[:, truth.classes.index("lamp")]
        assert area(planted, latents, "lamp").max() > 0 == gone.max()


def test_a_window_is_drawn_on_a_wall_alone() -> None:
    planted = planted_generator(seed=10)
    latents, truth = planted.generator.sample(100, seed=10), planted.truth
    assert truth.gates == {"window": "wall"}
    window, wall = truth.units["window"], truth.units["wall"]
    drawn = seen(planted, latents, Ablate("early", units=window, to=2.0))
    names = truth.classes
    walls = truth.drawn(latents, removed=window)[:, names.index("wall")]
    over = truth.drawn(latents)[:, [names.index("lamp"), names.index("door"), names.index("blot")]]
    assert (drawn[:, names.index("window")] == walls & ~over.any(1)).all()
    assert area(planted, latents, "window", removed=wall).max() == 0
    everywhere = seen(planted, latents, Ablate("early", units=[*wall, *window], to=2.0))
    assert (everywhere[:, names.index("window")] == ~over.any(1)).all()


def test_a_blot_covers_other_things_which_come_back_when_it_is_removed() -> None:
    planted = planted_generator(seed=11)
    latents, truth = planted.generator.sample(300, seed=11), planted.truth
    change = truth.areas(latents, removed=truth.artifacts) - truth.areas(latents)
    by_class = dict(zip(truth.classes, change.mean(0), strict=True))
    assert by_class["blot"] == -area(planted, latents, "blot").mean() < 0
    assert min(by_class[name] for name in ("wall", "lamp", "door")) > 0


@pytest.mark.parametrize("site", SITES)
def test_silent_units_are_the_same_everywhere_and_noise_anywhere(site: str) -> None:
    planted = planted_generator(seed=12, n_noise=5)
    truth = planted.truths[site]
    latents = planted.generator.sample(600, seed=12)
    maps = Probe(planted.generator).run(latents, record=[site])[site]  # (n, units, y, x)
    flat = maps.transpose(0, 1).flatten(1)
    assert [flat[unit].unique().tolist() for unit in (*truth.dead, *truth.constant)] == [[0], [1.5]]
    assert len(truth.noise) == 5
    masks = torch.from_numpy(truth.drawn(latents)).float()
    small = torch.nn.functional.avg_pool2d(masks, 16 // maps.shape[-1]).flatten(2)
    for unit in truth.noise:
        fires = (maps[:, unit] > 0).float()
        assert 0.1 < fires.mean() < 0.22  # a normal value above 1, in 16 %
        assert fires.mean(0).std() < 0.03  # and so in each cell
        for name, mask in zip(truth.classes, small.unbind(1), strict=True):
            found = torch.corrcoef(torch.stack([fires.flatten(), mask.flatten()]))[0, 1]
            assert abs(found) < 0.03, name


def test_a_follower_fires_where_doors_are_and_draws_nothing() -> None:
    planted = planted_generator(seed=13)
    latents, probe = planted.generator.sample(200, seed=13), Probe(planted.generator)
    for site, truth in planted.truths.items():
        (unit,) = truth.followers
        assert truth.labels[unit] == "door"
        maps = probe.run(latents, record=[site])[site]
        drawn = (maps[:, list(truth.units["door"])] > 0).any(1)
        assert torch.equal(maps[:, unit] > 0, drawn)
        for level in (0.0, 3.0):
            edited = probe.run(latents, Ablate(site, units=[unit], to=level)).images
            assert torch.equal(edited, probe.images(latents))


def test_units_and_latents_of_another_seed_have_other_numbers() -> None:
    several = [planted_generator(seed=seed) for seed in range(12)]
    for name in ("door", "lamp", "wall", "window", "blot"):
        for site in SITES:
            assert len({planted.truths[site].units[name] for planted in several}) > 3
        assert len({planted.truth.latents[name] for planted in several}) > 8
    assert planted_generator(seed=3).truth.units == several[3].truth.units
    latents = several[3].generator.sample(4, seed=1)
    again = planted_generator(seed=3).generator.forward(latents)
    assert torch.equal(several[3].generator.forward(latents), again)


@pytest.mark.parametrize(("feature", "classes"), ALONE)
def test_a_feature_can_be_planted_alone(feature: Feature, classes: tuple[str, ...]) -> None:
    planted = planted_generator(seed=14, features=(feature,), n_noise=0)
    assert planted.segmenter.classes == planted.truth.classes == classes
    latents = planted.generator.sample(200, seed=14)
    assert (seen(planted, latents) == planted.truth.drawn(latents)).all()
    assert planted.truth.areas(latents).min(0).tolist() == [0] * len(classes)
    assert (planted.truth.areas(latents).max(0) > 0).all()
    units = [unit for units in planted.truth.units.values() for unit in units]
    assert sorted(units) == list(range(planted.truth.n_units))


def test_every_unit_has_one_job() -> None:
    planted = planted_generator(seed=15)
    for truth in planted.truths.values():
        drawing = [unit for units in truth.units.values() for unit in units]
        others = (truth.followers, truth.dead, truth.constant, truth.noise)
        every = [*drawing, *(unit for units in others for unit in units)]
        assert sorted(every) == list(range(truth.n_units))
        assert set(truth.labels) == {*drawing, *truth.followers}
    assert planted.sites == SITES
    assert planted.truth is planted.truths[planted.site]


def test_soft_masks_agree_with_masks_and_have_gradients_at_drawn_pixels() -> None:
    planted = planted_generator(seed=16)
    images = planted.generator.forward(planted.generator.sample(100, seed=16)).requires_grad_()
    soft, masks = planted.segmenter.soft(images), planted.segmenter(images)
    assert planted.segmenter.is_differentiable
    assert torch.equal(soft > 0.5, masks)
    (gradient,) = torch.autograd.grad(soft[masks].sum(), images)
    assert (gradient.abs().sum(1)[masks.any(1)] > 0).all()


def test_a_context_knows_the_planted_segmenter_and_the_areas_it_sees() -> None:
    planted = planted_generator(seed=17)
    context = planted.context(seed=5)
    measure, column = context.column("area:planted=door")
    assert (measure.name, measure.columns[column], context.seed) == ("area:planted", "door", 5)
    assert context.segmenter("planted") is planted.segmenter
    assert "area:planted" in [one.name for one in context.measures()]
    assert context.measure("appearance").name == "appearance"
    with pytest.raises(UnknownNameError, match="no segmenter 'plnted'"):
        context.segmenter("plnted")
    with pytest.raises(UnknownNameError, match=r"no column 'dor' .*; nearest: door"):
        context.column("area:planted=dor")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"size": 40}, "the size of an image is a multiple of 16, got 40"),
        ({"size": 8}, "the size of an image is a whole number from 16 on, got 8"),
        ({"n_noise": -1}, "the number of noise units is a whole number from 0 on, got -1"),
        ({"seed": -3}, "a seed is a whole number from 0 on, got -3"),
        ({"features": ("parts", "doors")}, "features are some of parts, .* got 'doors'"),
        ({"features": ("parts", "parts")}, "each once, got 'parts'"),
        ({"features": ("silent",)}, r"none of \('silent',\) draws anything; add one of: gate, "),
        ({"features": ()}, r"none of \(\) draws anything"),
        ({"features": ("pair", "follower")}, "fires wherever a door is; plant 'parts' with it"),
    ],
)
def test_what_cannot_be_planted_is_refused(how: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        planted_generator(**how)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"removed": [99]}, "no unit 99 at early: it has 18, numbered 0-17"),
        ({"inserted": [-1]}, "no unit -1 at early"),
        ({"region": np.ones((4, 4))}, r"a region at early is \(8, 8\) booleans, got \(4, 4\)"),
    ],
)
def test_what_the_truth_cannot_tell_is_refused(how: dict[str, Any], reason: str) -> None:
    planted = planted_generator(seed=18)
    with pytest.raises(ParameterError, match=reason):
        planted.truth.drawn(planted.generator.sample(2), **how)
    with pytest.raises(ParameterError, match=re.escape("are (n, 23), got (2, 5)")):
        planted.truth.areas(np.zeros((2, 5)))


def test_latents_may_be_given_as_tensors_and_arrays_of_any_dtype() -> None:
    planted = planted_generator(seed=19)
    latents = planted.generator.sample(20)
    expected = planted.truth.areas(latents)
    for z in (latents.z, latents.z.double(), latents.z.numpy(), latents.z.tolist()):
        assert (planted.truth.areas(z) == expected).all()


def test_the_layout_has_places_apart_but_for_windows_and_blots() -> None:
    covered = {thing.name: thing.cells().sum(0) for thing in THINGS}
    assert all(cells.max() == 1 for cells in covered.values())
    assert (covered["wall"] + covered["lamp"] + covered["door"]).max() == 1
    assert {thing.feature for thing in THINGS} < set(FEATURES)
    colours: Sequence[tuple[int, ...]] = [thing.colour for thing in THINGS]
    assert len({*colours, (0, 0, 0)}) == len(THINGS) + 1


def test_ganprobe_itself_does_not_import_its_test_doubles() -> None:
    code = "import sys, ganprobe, ganprobe.cli, ganprobe.catalogue\n"
    code += "print([name for name in sys.modules if name.startswith('ganprobe.testing')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_patch_of_any_level_from_one_on_draws_the_same() -> None:
    planted = planted_generator(seed=20)
    latents, units = planted.generator.sample(10), planted.truth.units["wall"]
    images = [
        seen(planted, latents, Patch("early", values=torch.full((1, 8, 8), level), units=units))
        for level in (1.0, 2.5, 80.0)
    ]
    assert (images[0] == images[1]).all()
    assert (images[0] == images[2]).all()
    assert (images[0] == planted.truth.drawn(latents, inserted=units)).all()
