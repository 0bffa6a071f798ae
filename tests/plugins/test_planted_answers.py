"""The analyses that ship, scored on planted generators: they find what is there, and no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ganprobe import Ablate, AreaMeasure, Context, Result, Site, Swap, random_units, search_units
from ganprobe.testing import Planted, planted_generator
from ganprobe_ablation import Ablation, AblationParams
from ganprobe_ablation.insertion import InsertionParams
from ganprobe_ablation.insertion.study import study_insertion
from ganprobe_ablation.study import Study, study_units
from ganprobe_dissection import DissectionParams
from ganprobe_dissection.study import study_sites
from ganprobe_sensitivity import SensitivityParams
from ganprobe_sensitivity.study import study_elements
from ganprobe_swap import SwapParams
from ganprobe_swap.experiment import experiment
from ganprobe_units import UnitsParams
from ganprobe_units.behaviour import watch_units

FEW: dict[str, Any] = {
    "site": "early", "measure": "area:planted=door", "n_samples": 40, "n_ranked": 20, "top": 3,
    "n_draws": 4, "n_resamples": 2000, "n_shown": 2,
}  # fmt: skip


def context_of(planted: Planted) -> Context:
    return planted.context(seed=planted.seed + 500)


def studied(planted: Planted, **params: Any) -> Study:
    return study_units(context_of(planted), AblationParams.parse(FEW | params))


def told(study: Study, planted: Planted, units: tuple[int, ...], name: str) -> np.ndarray:
    """(n,) what the truth tells of the change of a class's area, of the measured samples."""
    site = study.plan.target.site
    truth, latents = planted.truths[site], study.plan.samples.measured
    change = truth.areas(latents, removed=units) - truth.areas(latents)
    return change[:, truth.classes.index(name)]


@pytest.mark.parametrize(
    ("seed", "site", "name"),
    [(81, "early", "door"), (83, "early", "wall"), (84, "late", "blot")],
)
def test_ablation_finds_the_units_that_draw_a_class_and_their_areas(
    seed: int, site: str, name: str
) -> None:
    planted = planted_generator(seed=seed)
    truth = planted.truths[site]
    own = truth.units[name]
    study = studied(planted, site=site, measure=f"area:planted={name}")
    assert set(study.ranking.units[: len(own)]) == set(own)
    for row, unit in enumerate(study.ranking.units):
        assert study.by_sample[row] == pytest.approx(told(study, planted, (unit,), name), abs=1e-7)
    found = study.effects.q < 0.05
    lowered = {unit for unit, is_found in zip(study.ranking.units, found, strict=True) if is_found}
    assert set(own) <= lowered <= {*own, *truth.artifacts}
    together = told(study, planted, own, name)
    (curve,) = study.curves
    assert curve.by_sample[len(own) - 1] == pytest.approx(together, abs=1e-7)
    assert together.mean() == pytest.approx(-study.base.mean())


def test_random_sets_do_what_the_truth_tells_of_each_of_them() -> None:
    planted = planted_generator(seed=85, n_noise=2)
    study = studied(planted)
    for draw, effects in zip(study.random.draws, study.random_effects, strict=True):
        expected = [told(study, planted, draw[: size + 1], "door").mean() for size in range(3)]
        assert effects == pytest.approx(expected, abs=1e-7)
    of_none = random_units(
        context_of(planted).probe, planted.generator.sample(20, seed=1),
        Ablate("early", units=[*planted.truth.noise, *planted.truth.followers]),
        AreaMeasure(planted.segmenter), n_units=3,
        column=planted.segmenter.place_of("door"),
    )  # fmt: skip
    assert (of_none.values == of_none.base).all()


@pytest.mark.parametrize("site", ["early", "late"])
def test_of_a_redundant_pair_neither_has_an_effect_and_greedy_adds_one_to_the_other(
    site: str,
) -> None:
    planted = planted_generator(seed=86, features=("parts", "pair", "silent"), n_noise=2)
    pair, n_units = planted.truths[site].units["lamp"], planted.truths[site].n_units
    study = studied(
        planted, site=site, measure="area:planted=lamp", top=n_units, strategy=("rank", "greedy")
    )
    alone = dict(zip(study.ranking.units, study.effects.mean, strict=True))
    assert alone[pair[0]] == alone[pair[1]] == 0
    assert study.base.mean() > 0
    _, greedy = study.curves
    first, second = sorted(greedy.units.index(unit) for unit in pair)
    assert second == first + 1
    assert greedy.effects.mean[second] == pytest.approx(-study.base.mean())
    assert greedy.effects.mean[first] > -study.base.mean() / 2


def test_a_greedy_search_among_the_pair_needs_both() -> None:
    planted = planted_generator(seed=87)
    pair = planted.truth.units["lamp"]
    latents, column = planted.generator.sample(20, seed=2), planted.segmenter.place_of("lamp")
    found = search_units(
        context_of(planted).probe, latents, Ablate("early", units=pair),
        AreaMeasure(planted.segmenter), n_units=2, maximise=False, column=column,
    )  # fmt: skip
    assert found.values == (found.base, 0.0)


def test_a_greedy_search_returns_exactly_the_units_of_the_door() -> None:
    planted = planted_generator(seed=88)
    column = planted.segmenter.place_of("door")
    latents, measure = planted.generator.sample(20, seed=3), AreaMeasure(planted.segmenter)
    for site, truth in planted.truths.items():
        found = search_units(
            context_of(planted).probe, latents, Ablate(site), measure, n_units=2,
            maximise=False, column=column,
        )  # fmt: skip
        assert set(found.units) == set(truth.units["door"])
        expected = [truth.areas(latents, removed=found.units[:size]) for size in (0, 1, 2)]
        reached = [areas[:, column].mean() for areas in expected]
        assert [found.base, *found.values] == pytest.approx(reached, abs=1e-7)


def test_a_window_needs_its_wall_and_a_blot_hides_what_it_covers() -> None:
    planted = planted_generator(seed=90, features=("gate", "artifact"), n_noise=2)
    truth = planted.truth
    window = studied(planted, measure="area:planted=window", n_samples=40, n_ranked=40)
    assert set(window.ranking.units[:2]) == {*truth.units["window"], *truth.units["wall"]}
    assert window.effects.mean[:2] == pytest.approx([-window.base.mean()] * 2)
    walls = studied(planted, measure="area:planted=wall", direction="raise", n_ranked=60)
    assert set(walls.ranking.units[:2]) == {*truth.artifacts, *truth.units["window"]}


def test_what_ablation_says_is_what_was_planted_and_afterwards_all_is_as_it_was() -> None:
    planted = planted_generator(seed=91)
    context = context_of(planted)
    latents = planted.generator.sample(10, seed=4)
    before = context.probe.images(latents)
    result: Result = Ablation().run(context, AblationParams.parse(FEW | {"top": 2}))
    (units,) = [one.units for name, one in result.unit_sets.items() if name.startswith("rank")]
    assert set(units) == set(planted.truth.units["door"])
    assert "Of 18 units of early, each alone set to 0, 2 change" in result.findings[0]
    assert not torch.equal(context.probe.run(latents, Ablate("early")).images, before)
    assert torch.equal(context.probe.images(latents), before)
    assert torch.equal(planted.generator.forward(latents), before)


def test_a_swap_finds_the_units_that_bring_a_donors_door() -> None:
    planted = planted_generator(seed=93)
    door = planted.truth.units["door"]
    params = {
        "site": "early", "source": "area:planted.door<0.01", "donor": "area:planted.door>0.07",
        "pairs": 5, "held_out": 5, "objective": ("area:planted=door",), "n_units": 2,
        "strategy": ("joint", "rank"), "n_draws": 2,
    }  # fmt: skip
    found = experiment(context_of(planted), SwapParams.parse(params)).found
    assert [one.strategy for one in found] == ["joint", "rank"]
    for one in found:
        assert all(set(units) == set(door) for units in one.units.tolist())


def test_a_swapped_door_is_the_donors() -> None:
    planted = planted_generator(seed=95)
    truth, at = planted.truth, planted.segmenter.place_of("door")
    latents, donors = planted.generator.sample(40, seed=5), planted.generator.sample(40, seed=6)
    edit = Swap("early", donor=donors, units=truth.units["door"])
    images = context_of(planted).probe.run(latents, edit).images
    mixed = latents.z.clone()
    places = list(truth.latents["door"])
    mixed[:, places] = donors.z[:, places]
    assert (planted.segmenter(images).numpy()[:, :, ::2, ::2] == truth.drawn(mixed)).all()
    assert (truth.drawn(mixed) != truth.drawn(latents))[:, at].any()


@pytest.mark.parametrize("site", ["early", "late"])
def test_units_reports_the_dead_and_the_constant_ones(site: str) -> None:
    planted = planted_generator(seed=96)
    truth = planted.truths[site]
    behaviour = watch_units(context_of(planted), UnitsParams(site=Site(site), n_samples=300))
    assert tuple(np.flatnonzero(behaviour.values.is_dead)) == truth.dead
    assert set(np.flatnonzero(behaviour.values.is_constant)) == {*truth.dead, *truth.constant}


def test_sensitivity_finds_the_latents_that_take_a_classs_places() -> None:
    planted = planted_generator(seed=97, n_noise=2)
    truth = planted.truth
    params = {"measure": ("area:planted",), "n_samples": 8, "n_associated": 400, "n_shown": 2,
              "n_resamples": 200, "n_directions": 4, "method": "difference"}  # fmt: skip
    study = study_elements(context_of(planted), SensitivityParams.parse(params))
    links = study.links
    assert links is not None
    drawing = {latent for latents in truth.latents.values() for latent in latents}
    for column, name in enumerate(truth.classes):
        strongest = np.argsort(-links.values[:, column])[: len(truth.latents[name])]
        if name != "window":  # whose places also need a wall, or have none
            assert set(strongest) == set(truth.latents[name])
    assert set(np.flatnonzero(links.q.min(1) < 0.001)) <= drawing


def test_dissection_labels_at_both_sites_what_was_planted_and_no_place_explains_it() -> None:
    planted = planted_generator(seed=98)
    params = {"site": planted.sites, "segmenter": "planted", "n_samples": 200, "n_resamples": 50,
              "n_cards": 1, "n_shown": 1}  # fmt: skip
    study = study_sites(context_of(planted), DissectionParams.parse(params))
    for labelled, site in zip(study.sites, planted.sites, strict=True):
        truth, found = planted.truths[site], labelled.dissection
        labels = {
            unit: found.classes[found.best_class[unit]]
            for unit in np.flatnonzero(labelled.is_label)
        }
        assert labels == truth.labels
        assert not labelled.is_placed.any()


@pytest.mark.parametrize("name", ["window", "lamp"])
def test_insertion_says_where_a_class_can_go(name: str) -> None:
    planted = planted_generator(seed=99, n_noise=2)
    units = planted.truth.units[name]
    params = {"site": "early", "segmenter": "planted", "class_name": name, "level": "2.0",
              "units": ",".join(map(str, units)), "window": 1, "n_samples": 10, "n_ranked": 10,
              "n_draws": 2, "n_places": 1, "n_resamples": 200}  # fmt: skip
    study = study_insertion(context_of(planted), InsertionParams.parse(params))
    took = {one.there: one.took for one in study.context.by_class}
    over = ("blot", "door") if name == "lamp" else ("blot", "door", "lamp", "none of them")
    for there, share in took.items():
        if there != name:
            assert share == (there not in over)
    assert {"wall", "door", "none of them"} <= set(took)
