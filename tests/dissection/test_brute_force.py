"""A dissection is what brute force over every pixel says, in all domains and for all sizes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from dissecting import (
    Bands,
    counts_above,
    level_of,
    painter,
    quality_of,
    reader,
    samples_of,
    upsampled,
)
from ganprobe import IQR_SHARES, Dissection, DissectionSettings, Probe, dissect

SIZES = [
    ((4, 4), (16, 16)),
    ((8, 8), (24, 24)),
    ((5, 7), (13, 20)),
    ((16, 16), (8, 8)),
    ((9, 4), (7, 30)),
    ((8, 8), (8, 8)),
    ((1, 1), (6, 6)),
]
N = 8
EVERYWHERE = pytest.mark.parametrize(("grid", "size"), SIZES)


def dissected(probe: Probe, bands: Bands, **given: object) -> Dissection:
    settings = DissectionSettings(n_resamples=20, **given)  # type: ignore[arg-type]
    (found,) = dissect(probe, bands, "site", n_samples=N, read=reader(probe), settings=settings)
    return found


@EVERYWHERE
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_upsampled_thresholds_are_the_values_of_a_rank_of_all_pixels(
    grid: tuple[int, int], size: tuple[int, int], share: float
) -> None:
    probe, bands = painter(sum(grid), grid=grid, size=size), Bands()
    maps, masks = samples_of(probe, bands, "site", N)
    pixels = upsampled(maps, size)
    found = dissected(probe, bands, share=share)
    expected = [level_of(of_unit, share) for of_unit in pixels]
    np.testing.assert_allclose(found.threshold, expected, rtol=1e-12, atol=1e-14)
    active, both = counts_above(pixels, found.threshold + 1e-13, masks)
    np.testing.assert_array_equal(found.active, active)
    np.testing.assert_array_equal(found.intersection, both)
    assert found.threshold_method == "exact"
    assert found.passes == 1
    assert not found.threshold_error.any()


@EVERYWHERE
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_raw_thresholds_are_of_the_cells_and_counts_of_the_pixels(
    grid: tuple[int, int], size: tuple[int, int], share: float
) -> None:
    probe, bands = painter(7, grid=grid, size=size), Bands(overlap=True)
    maps, masks = samples_of(probe, bands, "site", N)
    found = dissected(probe, bands, domain="raw", share=share)
    expected = [level_of(of_unit, share) for of_unit in maps.double().numpy().swapaxes(0, 1)]
    np.testing.assert_array_equal(found.threshold, expected)
    np.testing.assert_array_equal(found.peak_level, expected)
    active, both = counts_above(upsampled(maps, size), found.threshold + 1e-13, masks)
    np.testing.assert_array_equal(found.active, active)
    np.testing.assert_array_equal(found.intersection, both)


@pytest.mark.parametrize(("grid", "size"), SIZES[:5])
def test_iqr_takes_the_level_of_the_grid_that_tells_most_of_each_class(
    grid: tuple[int, int], size: tuple[int, int]
) -> None:
    probe, bands = painter(3, n_units=3, grid=grid, size=size), Bands(2)
    maps, masks = samples_of(probe, bands, "site", N)
    pixels, cells = upsampled(maps, size), maps.double().numpy().swapaxes(0, 1)
    found = dissected(probe, bands, domain="iqr")
    n, area = pixels[0].size, masks.sum(dim=(0, 2, 3)).tolist()
    for unit in range(3):
        levels = [level_of(cells[unit], share) for share in IQR_SHARES]
        counted = [
            counts_above(pixels[unit][None], np.array([level + 1e-13]), masks) for level in levels
        ]
        for place in range(2):
            told = [quality_of(b[0, place], a[0], area[place], n) for a, b in counted]
            best = int(np.argmax(told))
            assert found.information_quality[unit, place] == pytest.approx(told[best], abs=1e-12)
            assert found.threshold[unit, place] == levels[best]
            assert found.active[unit, place] == counted[best][0][0]
            assert found.intersection[unit, place] == counted[best][1][0, place]
    assert found.coverage.shape == found.iou.shape == (3, 2)


def test_scores_follow_from_the_counts() -> None:
    probe, bands = painter(1), Bands(3)
    maps, masks = samples_of(probe, bands, "site", N)
    found = dissected(probe, bands, share=0.05)
    pixels = upsampled(maps, (16, 16))
    area = masks.sum(dim=(0, 2, 3)).numpy()
    np.testing.assert_array_equal(found.area, area)
    union = found.active[:, None] + area - found.intersection
    np.testing.assert_array_equal(found.iou, found.intersection / np.maximum(union, 1))
    np.testing.assert_array_equal(found.coverage, found.active / pixels[0].size)
    quality = partial(quality_of, n=pixels[0].size)
    expected = [
        [quality(found.intersection[u, c], found.active[u], area[c]) for c in range(3)]
        for u in range(5)
    ]
    np.testing.assert_allclose(found.information_quality, expected, atol=1e-12)
    np.testing.assert_array_equal(found.best_class, found.iou.argmax(axis=1))


@EVERYWHERE
def test_class_means_are_means_over_the_pixels_of_a_class(
    grid: tuple[int, int], size: tuple[int, int]
) -> None:
    probe, bands = painter(5, grid=grid, size=size), Bands(3, overlap=True)
    maps, masks = samples_of(probe, bands, "site", N)
    pixels, of_class = upsampled(maps, size), masks.flatten(2).transpose(0, 1).numpy()
    found = dissected(probe, bands)
    for place, chosen in enumerate(of_class):
        assert chosen.any()
        expected = [of_unit[chosen].mean() for of_unit in pixels]
        np.testing.assert_allclose(found.class_mean[:, place], expected, rtol=1e-4, atol=1e-6)


def test_top_samples_have_the_largest_maxima() -> None:
    probe, bands = painter(2), Bands()
    maps, _ = samples_of(probe, bands, "site", N)
    found = dissected(probe, bands, n_top=3)
    highest = maps.double().amax(dim=(2, 3)).numpy().T
    np.testing.assert_array_equal(found.top_samples, np.argsort(-highest, axis=1)[:, :3])
    np.testing.assert_array_equal(found.top_values, -np.sort(-highest, axis=1)[:, :3])
    many = dissected(probe, bands, n_top=30)
    assert many.top_samples.shape == (5, N)
    assert (np.sort(many.top_samples, axis=1) == np.arange(N)).all()


@pytest.mark.parametrize("seed", range(6))
def test_fresh_random_inputs_agree_with_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    grid = tuple(random.integers(1, 12, 2).tolist())
    size = tuple(random.integers(2, 33, 2).tolist())
    share = float(random.choice([0.005, 0.01, 0.05, 0.2, 0.5]))
    bands = Bands(int(random.integers(1, 12)), overlap=bool(random.integers(2)))
    probe = painter(seed, n_units=4, grid=grid, size=size)
    maps, masks = samples_of(probe, bands, "site", N)
    pixels = upsampled(maps, size)
    found = dissected(probe, bands, share=share)
    expected = [level_of(of_unit, share) for of_unit in pixels]
    np.testing.assert_allclose(found.threshold, expected, rtol=1e-12, atol=1e-14)
    active, both = counts_above(pixels, found.threshold + 1e-13, masks)
    np.testing.assert_array_equal(found.active, active)
    np.testing.assert_array_equal(found.intersection, both)


def test_the_realised_coverage_is_the_share_to_one_pixel() -> None:
    torch.manual_seed(0)
    probe, bands = painter(0, grid=(8, 8), size=(24, 24)), Bands()
    for share in (0.005, 0.0123, 0.1):
        found = dissected(probe, bands, share=share)
        ties_at_the_border = 16  # the corner of a map is the same value in 3 / 2 x 3 / 2 pixels
        apart = np.abs(found.coverage - share) * found.n_pixels
        assert (apart <= ties_at_the_border).all()
        assert (found.coverage <= share).all()
