"""The overlap with masks of other samples against every pair compared by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

import ganprobe.dissection.elsewhere
from ganprobe import Context, Dissection, DissectionSettings, Overlap, dissect, overlap_elsewhere
from ganprobe.testing import Planted, planted_generator

N_SAMPLES, BATCH_SIZE = 23, 11


@pytest.fixture(scope="module")
def planted() -> Planted:
    return planted_generator(seed=2, n_noise=3)


@pytest.fixture(scope="module")
def context(planted: Planted) -> Context:
    return planted.context(seed=5)


def dissected(planted: Planted, context: Context, domain: str = "upsampled") -> Dissection:
    settings = DissectionSettings(domain=domain, share=0.02, n_resamples=10)  # type: ignore[arg-type]
    (found,) = dissect(
        context.probe, planted.segmenter, ["early"], n_samples=N_SAMPLES,
        read=context.activations, settings=settings,
    )  # fmt: skip
    return found


def overlap(planted: Planted, context: Context, dissection: Dissection, n: int) -> Overlap:
    def read(sites, n_samples, *, images):  # type: ignore[no-untyped-def]
        return context.activations(sites, n_samples, images=images, batch_size=BATCH_SIZE)

    (found,) = overlap_elsewhere(
        context.probe, planted.segmenter, [dissection], n_samples=n, read=read
    )
    return found


@pytest.mark.parametrize("domain", ["upsampled", "raw", "iqr"])
def test_it_is_that_of_all_other_pairs_of_a_batch(
    planted: Planted, context: Context, domain: str
) -> None:
    dissection = dissected(planted, context, domain)
    n_units, n_classes = dissection.iou.shape
    level = torch.from_numpy(dissection.threshold.reshape(n_units, -1))
    both, either = torch.zeros(2, n_units, n_classes, dtype=torch.float64)
    for run in context.activations("early", 22, images=True, batch_size=BATCH_SIZE):
        masks = planted.segmenter(context.generator.to_unit_range(run.images))
        large = functional.interpolate(run["early"].double(), (32, 32), mode="bilinear")
        active = large[:, :, None] > level[:, :, None, None]  # (n, units, 1 or classes, y, x)
        active[:, dissection.dead] = False
        for one in range(BATCH_SIZE):
            for other in set(range(BATCH_SIZE)) - {one}:
                both += (active[one] & masks[other]).sum((2, 3)) / (BATCH_SIZE - 1)
                either += (active[one] | masks[other]).sum((2, 3)) / (BATCH_SIZE - 1)
    found = overlap(planted, context, dissection, 22)
    # A pixel that is equal to the threshold may be above it in another order of sums.
    assert found.both == pytest.approx(both.numpy(), abs=0.5)
    assert found.either == pytest.approx(either.numpy(), abs=2.5)
    assert found.iou == pytest.approx((both / either).numpy(), rel=0.01, abs=1e-3)
    assert found.iou.max() > 0.02
    assert found.n_samples == 22


def test_a_sample_that_is_alone_in_its_batch_is_compared_with_none(
    planted: Planted, context: Context
) -> None:
    dissection = dissected(planted, context)
    assert overlap(planted, context, dissection, 23).n_samples == 22
    alone = overlap(planted, context, dissection, 1)
    assert alone.n_samples == 0
    assert np.isnan(alone.iou).all()
    with_last, without = (overlap(planted, context, dissection, n) for n in (23, 22))
    assert np.array_equal(with_last.both, without.both)


def test_chunks_and_thresholds_by_class_change_nothing(
    planted: Planted, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    dissection = dissected(planted, context)
    found = overlap(planted, context, dissection, 22)
    n_classes = len(dissection.classes)
    by_class = np.repeat(dissection.threshold[:, None], n_classes, 1)
    monkeypatch.setattr(ganprobe.dissection.elsewhere, "_PIXELS", 1)
    again = overlap(planted, context, replace(dissection, threshold=by_class), 22)
    assert np.array_equal(again.both, found.both)
    assert np.array_equal(again.either, found.either)


def test_dead_units_are_nowhere_active(planted: Planted, context: Context) -> None:
    dissection = dissected(planted, context)
    found = overlap(planted, context, dissection, 22)
    assert dissection.dead.sum() == 2
    assert (found.both[dissection.dead] == 0).all()
    assert (found.both[~dissection.dead].sum(1) > 0).all()
