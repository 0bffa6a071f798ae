"""Dissection of planted generators: labels are those that were planted, and no others."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from ganprobe import Dissection, DissectionSettings, dissect
from ganprobe.testing import Planted, planted_generator

INTERPRETABLE = 0.04
SEEDS = (31, 32)


def dissections(
    planted: Planted, domain: Literal["upsampled", "raw", "iqr"] = "upsampled", n_samples: int = 250
) -> tuple[Dissection, ...]:
    context = planted.context(seed=planted.seed + 1000)
    return dissect(
        context.probe, planted.segmenter, planted.sites, n_samples=n_samples,
        read=context.activations, settings=DissectionSettings(domain=domain, n_resamples=200),
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_every_unit_that_draws_or_follows_is_labelled_so_at_both_sites_and_no_other(
    seed: int,
) -> None:
    planted = planted_generator(seed=seed)
    for found in dissections(planted):
        truth = planted.truths[found.site]
        for name in truth.classes:
            expected = {unit for unit, label in truth.labels.items() if label == name}
            assert set(found.labelled(name, INTERPRETABLE)) == expected
            assert set(found.ranking(name)[: len(expected)]) == expected
        assert found.stability[list(truth.labels)].min() > 0.8


def test_silent_units_are_dead_and_noise_is_of_no_class() -> None:
    planted = planted_generator(seed=34)
    for found in dissections(planted):
        truth = planted.truths[found.site]
        assert set(np.flatnonzero(found.dead)) == {*truth.dead, *truth.constant}
        assert (found.best_class[found.dead] == -1).all()
        assert found.best_iou[list(truth.noise)].max() < INTERPRETABLE / 2
        assert found.information_quality[list(truth.noise)].max() < 0.01


def test_areas_are_those_that_the_latents_tell() -> None:
    planted = planted_generator(seed=35)
    (found, _) = dissections(planted, n_samples=77)
    latents = planted.generator.sample(77, seed=1035)
    expected = planted.truth.areas(latents).sum(0) * 32 * 32
    assert found.area.tolist() == expected.tolist()
    assert found.n_pixels == 77 * 32 * 32


def test_the_share_of_pixels_asked_for_is_active_and_lies_within_what_a_unit_draws() -> None:
    planted = planted_generator(seed=36)
    for found in dissections(planted):
        truth = planted.truths[found.site]
        alive = found.coverage[~found.dead]
        assert alive.max() <= 0.005 + 1 / found.n_pixels
        assert alive.min() > 0.0049  # fewer where values at the threshold are equal
        for name in ("lamp", "wall"):
            at = truth.classes.index(name)
            inside = found.intersection[:, at] / found.active.clip(min=1)
            assert inside[list(truth.units[name])].min() > 0.6
            assert inside[list(truth.noise)].max() < 0.25


def test_a_raw_threshold_covers_fewer_pixels_and_labels_the_finer_site_alike() -> None:
    planted = planted_generator(seed=37)
    (early, late), (raw_early, raw_late) = dissections(planted), dissections(planted, "raw")
    for upsampled, raw in ((early, raw_early), (late, raw_late)):
        assert (raw.coverage[~raw.dead] < upsampled.coverage[~raw.dead]).all()
    labelled = list(planted.truths["late"].labels)
    assert (raw_late.best_class[labelled] == late.best_class[labelled]).all()


def test_by_information_it_is_what_a_unit_tells_that_sets_noise_apart() -> None:
    planted = planted_generator(seed=38)
    for found in dissections(planted, "iqr"):
        truth = planted.truths[found.site]
        told = found.information_quality
        for unit, name in truth.labels.items():
            assert found.classes[told[unit].argmax()] == name
        own = [told[unit].max() for unit in truth.labels]
        assert min(own) > 0.02 > 0.01 > told[list(truth.noise)].max()


@pytest.mark.slow
def test_labels_are_right_on_many_generators() -> None:
    for seed in range(40, 60):
        planted = planted_generator(seed=seed, n_noise=12)
        for found in dissections(planted, n_samples=400):
            truth = planted.truths[found.site]
            labels = {u: found.classes[c] for u, c in enumerate(found.best_class) if c >= 0}
            is_sure = found.best_iou > INTERPRETABLE
            assert {u: name for u, name in labels.items() if is_sure[u]} == truth.labels
