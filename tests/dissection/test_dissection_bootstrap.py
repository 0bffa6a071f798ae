"""The bootstrap over groups of samples says how sure a label is."""

from __future__ import annotations

import numpy as np

from dissecting import Bands, painter, reader
from ganprobe import DissectionSettings, dissect
from ganprobe.dissection.bootstrap import sureness


def counts(shares: list[list[float]], seed: int, n: int = 400) -> tuple[np.ndarray, ...]:
    """Groups of 100 pixels, of which 20 are active, each class 50, overlapping by chance."""
    random = np.random.default_rng(seed)
    both = random.binomial(20, shares, (n, len(shares), len(shares[0])))
    active = np.full((n, len(shares)), 20)
    return both, active, np.full((n, len(shares[0])), 50)


def test_a_clear_label_is_stable_and_a_tie_is_not() -> None:
    both, active, area = counts([[0.9, 0.2], [0.5, 0.5]], seed=0)
    found = sureness(both, active, area, np.zeros(2, np.bool_), n_resamples=1000, seed=0)
    assert found.stability[0] == 1.0
    assert 0.4 < found.stability[1] < 1.0


def test_intervals_cover_the_true_overlap() -> None:
    covered = []
    for seed in range(200):
        both, active, area = counts([[0.9, 0.2]] * 4, seed=seed, n=100)
        found = sureness(both, active, area, np.zeros(4, np.bool_), n_resamples=400, seed=seed)
        covered += ((found.low <= 18 / 52) & (found.high >= 18 / 52)).tolist()
    assert 0.92 < np.mean(covered) < 0.975


def test_weighted_sums_are_those_of_groups_drawn_one_by_one() -> None:
    both, active, area = counts([[0.6, 0.5, 0.4]], seed=1, n=7)
    found = sureness(both, active, area, np.zeros(1, np.bool_), n_resamples=300, seed=3)
    drawn = np.random.default_rng(3).multinomial(7, [1 / 7] * 7, 300)
    iou = np.empty((300, 3))
    for row, times in enumerate(drawn):
        groups = np.repeat(np.arange(7), times)
        one, on, of = (kept[groups].sum(axis=0) for kept in (both, active, area))
        iou[row] = one[0] / (on[0] + of - one[0])
    label = (both.sum(0)[0] / (140 + 350 - both.sum(0)[0])).argmax()
    assert found.stability[0] == (iou.argmax(axis=1) == label).mean()
    np.testing.assert_allclose(found.low[0], np.quantile(iou[:, label], 0.025))
    np.testing.assert_allclose(found.high[0], np.quantile(iou[:, label], 0.975))


def test_more_samples_give_narrower_intervals_and_the_seed_repeats_them() -> None:
    probe = painter(0, n_units=6)

    def width(n: int, seed: int = 0, n_groups: int = 500) -> np.ndarray:
        settings = DissectionSettings(share=0.05, seed=seed, n_groups=n_groups)
        (found,) = dissect(
            probe, Bands(), "site", n_samples=n, read=reader(probe), settings=settings
        )
        assert (found.iou_low <= found.best_iou).all()
        assert (found.best_iou <= found.iou_high).all()
        return found.iou_high - found.iou_low

    np.testing.assert_array_equal(width(50), width(50))
    assert (width(50) != width(50, seed=1)).any()
    assert (width(800) < width(50)).all()
    grouped = width(800, n_groups=50) / width(800)
    assert (grouped > 0.6).all()
    assert (grouped < 1.6).all()
