"""Levels of insertion against their formulas, from upsampled maps in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganprobe import ParameterError, Probe, UnknownNameError, insertion_levels
from planted_doors import Bands, Masonry, doors, two_halves, upsampled
from subjects import probe_of


def test_a_class_mean_is_the_mean_of_the_upsampled_map_over_the_class() -> None:
    probe, bands = two_halves(), Bands()
    latents = probe.generator.sample(70, seed=3)
    run = probe.run(latents, record=["front"])
    maps = upsampled(run["front"], 8, 10)
    images = probe.generator.to_unit_range(run.images)
    for place, name in enumerate(bands.classes):
        mask = bands(images)[:, place, None].double()  # (n, 1, y, x)
        expected = (maps * mask).sum((0, 2, 3)) / mask.sum()
        found = insertion_levels(probe, "front", latents, segmenter=bands, class_name=name)
        assert found.dtype == torch.float64
        assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_site_without_space_has_its_units_weighted_by_the_classs_area() -> None:
    probe, bands = probe_of(_flat()), Bands()
    latents = probe.generator.sample(9, seed=0)
    run = probe.run(latents, record=["0"])
    area = bands(probe.generator.to_unit_range(run.images))[:, 2].double().mean((1, 2))
    expected = (run["0"].double() * area[:, None]).sum(0) / area.sum()
    found = insertion_levels(probe, "0", latents, segmenter=bands, class_name="bright")
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.parametrize("quantile", [0.5, 0.995])
def test_a_quantile_is_that_of_all_values_over_space_and_samples(quantile: float) -> None:
    probe = two_halves()
    latents = probe.generator.sample(70, seed=1)
    values = probe.run(latents, record=["front"])["front"].movedim(1, 0).flatten(1).numpy()
    found = insertion_levels(probe, "front", latents, kind="quantile", quantile=quantile)
    assert found.tolist() == pytest.approx(np.quantile(values, quantile, axis=1).tolist())


def test_levels_that_there_are_not_are_refused() -> None:
    probe = doors()
    latents = probe.generator.sample(3)
    masonry = Masonry()
    with pytest.raises(ParameterError, match="'door' covers no pixel of 3 samples"):
        insertion_levels(probe, "maps", latents, segmenter=masonry, class_name="door")
    with pytest.raises(UnknownNameError, match="dore"):
        insertion_levels(probe, "maps", latents, segmenter=masonry, class_name="dore")
    with pytest.raises(ParameterError, match="give both, or kind='quantile'"):
        insertion_levels(probe, "maps", latents)
    with pytest.raises(ParameterError, match="between 0 and 1, got 1"):
        insertion_levels(probe, "maps", latents, kind="quantile", quantile=1.0)


def _flat() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 12), torch.nn.Unflatten(1, (3, 2, 2)))


def test_the_probe_is_left_as_it_was() -> None:
    probe: Probe = two_halves()
    latents = probe.generator.sample(4)
    before = probe.images(latents)
    insertion_levels(probe, "front", latents, kind="quantile")
    assert torch.equal(probe.images(latents), before)
