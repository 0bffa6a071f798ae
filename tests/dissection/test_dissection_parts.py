"""The same whole numbers come out whatever the batches, the memory, and what was merged."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from dissecting import Bands, level_of, painter, reader, samples_of, upsampled
from ganprobe import (
    Dissection,
    DissectionCounts,
    DissectionLevels,
    DissectionSettings,
    ParameterError,
    Probe,
    Run,
    ShapeError,
    dissect,
)

WHOLE = ("active", "intersection", "area", "top_samples", "dead", "best_class")
EXACT = ("threshold", "threshold_error", "top_values", "peak_level", "stability", "iou_low")
GRID, SIZE, N = (6, 6), (20, 20), 70
DOMAINS = pytest.mark.parametrize("domain", ["upsampled", "raw", "iqr"])


def dissected(
    probe: Probe, n: int = N, *, batch_size: int = 64, overlap: bool = False, **given: object
) -> Dissection:
    settings = DissectionSettings(n_resamples=50, n_groups=30, **given)  # type: ignore[arg-type]
    read = reader(probe, batch_size=batch_size)
    (found,) = dissect(
        probe, Bands(overlap=overlap), "site", n_samples=n, read=read, settings=settings
    )
    return found


def assert_equal(one: Dissection, other: Dissection) -> None:
    for name in WHOLE + EXACT:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.class_mean, other.class_mean, rtol=1e-5, atol=1e-7)


@DOMAINS
def test_the_batch_size_changes_no_whole_number(domain: str) -> None:
    probe = painter(0, grid=GRID, size=SIZE).generator
    whole = dissected(Probe(probe, dtype=torch.float64), domain=domain, batch_size=N)
    for batch_size in (1, 7, 64):
        again = dissected(Probe(probe, dtype=torch.float64), domain=domain, batch_size=batch_size)
        for name in WHOLE:
            np.testing.assert_array_equal(getattr(whole, name), getattr(again, name))


@DOMAINS
@pytest.mark.parametrize("share", [0.005, 0.2])
def test_two_passes_in_little_memory_count_what_one_pass_counts(domain: str, share: float) -> None:
    probe = painter(1, grid=GRID, size=SIZE)
    once = dissected(probe, domain=domain, share=share)
    assert once.passes == 1
    values_of_masks_and_maps = 4 * 5 * N * 37 + N * 400
    twice = dissected(probe, domain=domain, share=share, memory=values_of_masks_and_maps - 1)
    assert twice.passes == 2
    if twice.threshold_method == "exact":
        assert_equal(once, twice)
    elif domain != "iqr":  # where a level a bit off may leave another the best
        assert (np.abs(once.threshold - twice.threshold) <= twice.threshold_error).all()


def test_exact_thresholds_beyond_the_activations_need_only_the_values_above_them() -> None:
    probe = painter(1, n_units=2, grid=(16, 16), size=(16, 16))
    once = dissected(probe, 600, share=0.005)
    twice = dissected(probe, 600, share=0.005, memory=4 * 2 * 600 * 257)
    assert (once.passes, twice.passes, twice.threshold_method) == (1, 2, "exact")
    assert_equal(once, twice)


def parts_of(
    maps: Tensor, masks: Tensor, cuts: list[int], settings: DissectionSettings
) -> Dissection:
    """Of samples cut apart, thresholds and counts merged."""
    n, n_units = maps.shape[:2]
    classes = [f"band {place}" for place in range(masks.shape[1])]
    pieces = [range(a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    levels = [DissectionLevels(n_units, GRID, SIZE, n_samples=n, settings=settings) for _ in pieces]
    for level, piece in zip(levels, pieces, strict=True):
        level.add(maps[piece.start : piece.stop])
    for level in levels[1:]:
        levels[0].merge(level)
    found = levels[0].result()
    sizes = {"grid": GRID, "image_size": SIZE}
    counts = [
        DissectionCounts(found, n_units, classes, **sizes, n_samples=n, settings=settings)
        for _ in pieces
    ]
    for count, piece in zip(counts, pieces, strict=True):
        rows = slice(piece.start, piece.stop)
        count.add(maps[rows], masks[rows], piece)
    for count in counts[1:]:
        counts[0].merge(count)
    return counts[0].result("site")


@DOMAINS
@pytest.mark.parametrize("memory", [2**30, 0])
def test_merged_parts_give_what_one_pass_gives(domain: str, memory: int) -> None:
    probe = painter(2, grid=GRID, size=SIZE)
    maps, masks = samples_of(probe, Bands(3, overlap=True), "site", N)
    settings = DissectionSettings(
        domain=domain,  # type: ignore[arg-type]
        memory=memory,
        share=0.01,
        n_resamples=50,
        n_groups=30,
    )
    whole = parts_of(maps, masks, [], settings)
    assert whole.threshold_method == ("exact" if memory else "sketch")
    for cuts in ([1], [13, 40], list(range(5, 70, 5))):
        assert_equal(whole, parts_of(maps, masks, cuts, settings))
    if memory:
        assert_equal(whole, dissected(probe, domain=domain, share=0.01, overlap=True))


def test_parts_of_other_dissections_are_refused() -> None:
    settings = DissectionSettings()
    levels = DissectionLevels(3, GRID, SIZE, n_samples=4, settings=settings)
    other = DissectionLevels(3, GRID, (21, 20), n_samples=4, settings=settings)
    with pytest.raises(ParameterError, match="levels of one dissection can be merged"):
        levels.merge(other)
    levels.add(torch.rand(3, 3, *GRID))
    with pytest.raises(ParameterError, match=r"3 of 4 samples were added"):
        levels.result()
    with pytest.raises(ShapeError, match=r"activations are \(n, 3, 6, 6\), got \(1, 2, 6, 6\)"):
        levels.add(torch.rand(1, 2, *GRID))
    levels.add(torch.rand(1, 3, *GRID))
    counts, of_others = (
        DissectionCounts(
            levels.result(),
            3,
            [name],
            grid=GRID,
            image_size=SIZE,
            n_samples=4,
            settings=settings,
        )
        for name in ("tree", "sky")
    )
    with pytest.raises(ParameterError, match="counts of one dissection can be merged"):
        counts.merge(of_others)
    with pytest.raises(ParameterError, match="0 of 4 samples were counted"):
        counts.result("site")
    masks = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    with pytest.raises(ParameterError, match="ascending numbers from 0 to 3, got \\[4\\]"):
        counts.add(torch.rand(1, 3, *GRID), masks, [4])
    with pytest.raises(ShapeError, match="masks are bool"):
        counts.add(torch.rand(1, 3, *GRID), masks[..., :3], [0])


@DOMAINS
@pytest.mark.parametrize("seed", range(3))
def test_sketched_thresholds_are_within_their_stated_error(domain: str, seed: int) -> None:
    probe = painter(seed, grid=GRID, size=SIZE)
    exact = dissected(probe, domain="raw" if domain == "iqr" else domain, share=0.01)
    found = dissected(probe, domain=domain, share=0.01, memory=0)
    assert found.threshold_method == "sketch"
    assert found.passes == 2
    assert (found.threshold_error > 0).all()
    assert (found.threshold_error <= np.abs(found.threshold) / 200).all()
    if domain != "iqr":
        assert (np.abs(found.threshold - exact.threshold) <= found.threshold_error).all()
        np.testing.assert_allclose(found.coverage.mean(), exact.coverage.mean(), rtol=0.2)
    maps, masks = samples_of(probe, Bands(), "site", N)
    pixels = upsampled(maps, SIZE)
    levels = found.threshold if domain == "iqr" else found.threshold[:, None].repeat(3, axis=1)
    active = found.active if domain == "iqr" else found.active[:, None].repeat(3, axis=1)
    of_class = masks.flatten(2).transpose(0, 1).numpy()
    for unit, of_unit in enumerate(pixels):
        for place, chosen in enumerate(of_class):
            on = of_unit > levels[unit, place]
            assert active[unit, place] == on.sum()
            assert found.intersection[unit, place] == (on & chosen).sum()


def test_levels_of_many_samples_are_those_of_all_values_put_together() -> None:
    random = torch.Generator().manual_seed(0)
    maps = (
        torch.randn(400, 3, *GRID, generator=random).relu()
        * torch.tensor([1, 1e3, 1e-3])[:, None, None]
    )
    settings = DissectionSettings(share=0.02)
    levels = DissectionLevels(3, GRID, SIZE, n_samples=400, settings=settings)
    for batch in maps.split(37):
        levels.add(batch)
    expected = [level_of(of_unit, 0.02) for of_unit in upsampled(maps, SIZE)]
    np.testing.assert_allclose(levels.result().threshold[0], expected, rtol=1e-12)


def growing(n: int, domain: str) -> int:
    """The most bytes that are held while n samples are dissected in 3 MiB."""
    settings = DissectionSettings(memory=3 * 2**20, domain=domain, n_resamples=10)  # type: ignore[arg-type]
    probe = painter(0, n_units=8, grid=(8, 8), size=(16, 16))

    def read(sites: object, n_samples: int, *, images: bool = False) -> Iterator[Run]:
        yield from reader(probe)(["site"], n_samples, images=images)

    tracemalloc.start()
    try:
        dissect(probe, Bands(), "site", n_samples=n, read=read, settings=settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("domain", ["upsampled", pytest.param("raw", marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_samples(domain: str) -> None:
    growing(64, domain)
    few, many = growing(1200, domain), growing(4800, domain)
    assert many < 1.25 * few
    assert many < 20 * 2**20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@DOMAINS
@pytest.mark.parametrize("memory", [2**30, 0])
def test_a_device_finds_what_the_host_finds(domain: str, memory: int) -> None:
    probe = painter(1, grid=GRID, size=SIZE)
    here = dissected(probe, domain=domain, memory=memory, share=0.02)
    there = dissected(
        Probe(probe.generator, device="cuda"), domain=domain, memory=memory, share=0.02
    )
    np.testing.assert_allclose(here.peak_level, there.peak_level, rtol=1e-2)
    np.testing.assert_array_equal(here.top_samples[:, 0], there.top_samples[:, 0])
    np.testing.assert_allclose(here.class_mean, there.class_mean, rtol=1e-2, atol=1e-3)
    if domain != "iqr":
        np.testing.assert_allclose(here.iou, there.iou, atol=1e-2)
