"""Causal tests on planted generators: what units do at a place is what the truth tells."""

from __future__ import annotations

from math import erf, sqrt
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from ganprobe import (
    average_causal_effect,
    average_causal_effects,
    context_map,
    dissect,
    insertion_levels,
    optimise_units,
    paired_effects,
)
from ganprobe.testing import Planted, PlantedTruth, planted_generator

MOST = ("door", "lamp", "wall", "blot")
CELLS = [(y, x) for y in range(8) for x in range(8)]


def cell(y: int, x: int, n: int = 8) -> NDArray[np.bool_]:
    region = np.zeros((n, n), dtype=bool)
    region[y, x] = True
    return region


def seen_at(
    truth: PlantedTruth, z: object, name: str, y: int, x: int, **units: tuple[int, ...]
) -> NDArray[np.float64]:
    """(n,) the share of a cell of the early site that a class covers, edited in it alone."""
    drawn = truth.drawn(z, region=cell(y, x), **units)  # type: ignore[arg-type]
    part = drawn[:, truth.classes.index(name), 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
    shares: NDArray[np.float64] = part.mean((1, 2), dtype=np.float64)
    return shares


def sets_of(truth: PlantedTruth, name: str) -> list[tuple[int, ...]]:
    """The units that draw a class; one of several alone; others that draw nothing."""
    own = truth.units[name]
    return [own, *((unit,) for unit in own[1:]), (*truth.followers, *truth.noise)]


@pytest.mark.parametrize("name", ["lamp", "window"])
def test_an_average_causal_effect_is_what_the_truth_tells_at_every_place(name: str) -> None:
    planted = planted_generator(seed=51)
    truth, sets = planted.truth, sets_of(planted.truth, name)
    latents = planted.generator.sample(3, seed=2)
    found = average_causal_effects(
        planted.context().probe, latents, "early", sets, 2.0, planted.segmenter, name,
        n_places="all", window=1, n_resamples=100,
    )  # fmt: skip
    for row, units in enumerate(sets):
        for values, how in ((found.inserted, "inserted"), (found.ablated, "removed")):
            told = [seen_at(truth, latents, name, y, x, **{how: units}) for y, x in CELLS]
            assert values[row] == pytest.approx(np.mean(told, axis=0), abs=1e-7)
    assert found.effects.mean == pytest.approx((found.inserted - found.ablated).mean(1))
    assert (found.inserted[-1] == found.ablated[-1]).all()
    assert found.effects.mean[0] > 0


@pytest.mark.parametrize("name", ["door", "window"])
def test_a_context_map_is_what_the_truth_tells_of_each_place_of_each_sample(name: str) -> None:
    planted = planted_generator(seed=52)
    truth, units = planted.truth, planted.truth.units[name]
    latents = planted.generator.sample(5, seed=3)
    found = context_map(
        planted.context().probe, latents, "early", units, 2.0, planted.segmenter, name, window=1,
        n_resamples=200,
    )  # fmt: skip
    at, base = truth.classes.index(name), truth.areas(latents)
    for y, x in CELLS:
        inserted = truth.areas(latents, inserted=units, region=cell(y, x))
        told = (inserted - base)[:, at]
        assert found.change[:, y, x] == pytest.approx(told, abs=1e-7)
        assert found.change_here[:, y, x] == pytest.approx(told, abs=1e-7)


def test_a_window_goes_on_walls_and_has_no_effect_elsewhere() -> None:
    planted = planted_generator(seed=53)
    latents = planted.generator.sample(14, seed=4)
    for site, window in (("early", 1), ("late", 2)):
        units = planted.truths[site].units["window"]
        found = context_map(
            planted.context().probe, latents, site, units, 2.0, planted.segmenter, "window",
            grid=8, window=window, n_resamples=1000,
        )  # fmt: skip
        effects = {one.there: one for one in found.by_class}
        assert set(effects) == {"none of them", "wall", "window", "lamp", "door", "blot"}
        wall = effects.pop("wall")
        assert wall.took == 1
        assert wall.low > 0
        assert wall.q < 0.05
        assert all(one.mean == one.low == one.high == 0 for one in effects.values())
        assert all(one.n_took == 0 and one.p == 1 for one in effects.values())


@pytest.mark.parametrize("name", MOST)
def test_levels_of_a_class_draw_it_when_they_are_inserted(name: str) -> None:
    planted = planted_generator(seed=54)
    probe, latents = planted.context().probe, planted.generator.sample(200, seed=5)
    for site, truth in planted.truths.items():
        units, few = truth.units[name], latents[:20]
        levels = insertion_levels(
            probe, site, latents, segmenter=planted.segmenter, class_name=name
        )
        found = average_causal_effect(
            probe, few, site, units, levels, planted.segmenter, name, grid=1,
            window=probe.layers().resolve_one(site).spatial_shape[0], n_resamples=100,
        )  # fmt: skip
        place = truth.classes.index(name)
        assert found.inserted[0] == pytest.approx(truth.areas(few, inserted=units)[:, place])
        assert found.ablated[0].max() == truth.areas(few, removed=units)[:, place].max() == 0


@pytest.mark.parametrize(
    ("site", "name"),
    [("early", "door"), *(pytest.param("late", name, marks=pytest.mark.slow) for name in MOST)],
)
def test_optimised_units_are_those_that_draw_the_class_and_not_one_that_follows(
    site: str, name: str
) -> None:
    found, expected = optimised(planted_generator(seed=55), site, name, "gradient", 30)
    assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lamp", "wall"])
def test_units_that_are_optimised_without_gradients_are_the_same(name: str) -> None:
    for seed in (56, 57):
        found, expected = optimised(planted_generator(seed=seed), "early", name, "perturbations")
        assert found == expected


def optimised(
    planted: Planted,
    site: str,
    name: str,
    way: Literal["gradient", "perturbations"],
    n_steps: int = 100,
) -> tuple[set[int], set[int]]:
    """The units of the largest shares, beginning at their IoU; and those that draw the class."""
    context, truth = planted.context(seed=6), planted.truths[site]
    (labels,) = dissect(
        context.probe, planted.segmenter, site, n_samples=200, read=context.activations
    )
    place = truth.classes.index(name)
    found = optimise_units(
        context.probe, context.sample(40), site, labels.class_mean[:, place].tolist(),
        planted.segmenter, name, start=labels.iou[:, place] / labels.iou[:, place].max(), way=way,
        n_steps=n_steps,
    )  # fmt: skip
    return set(found.top(len(truth.units[name]))), set(truth.units[name])


@pytest.mark.slow
def test_95_percent_intervals_of_an_average_causal_effect_cover_it_in_93_to_97_percent() -> None:
    planted = planted_generator(seed=58, n_noise=0)
    n, n_repeats = 40, 600
    found = average_causal_effect(
        planted.context().probe, planted.generator.sample(n * n_repeats, seed=7), "early",
        planted.truth.units["wall"], 2.0, planted.segmenter, "wall", grid=1, window=8,
        n_resamples=39,
    )  # fmt: skip
    differences = (found.inserted - found.ablated).reshape(n_repeats, n)
    repeats = paired_effects(differences, n_resamples=1000, seed=8)
    is_covered = (repeats.low <= expected_wall()) & (expected_wall() <= repeats.high)
    assert 0.93 <= is_covered.mean() <= 0.97


def expected_wall() -> float:
    """The mean share of an image that walls everywhere leave to be seen, by the layout."""
    taken = 0.5 - erf(0.5 / sqrt(2)) / 2
    over = np.zeros((8, 8))
    windows, lamps = [(1, 2), (6, 4), (4, 0)], [(0, 6), (3, 1), (6, 7)]
    doors = [(2, 5), (3, 5), (2, 7), (3, 7), (5, 0), (6, 0)]
    for y, x in [*windows, *lamps, *doors, (0, 6), (2, 5), (5, 3), (4, 4)]:
        over[y, x] += 1
    return float(((1 - taken) ** over).mean())
