"""Ties, dead units, empty classes, and what a dissection refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dissecting import Bands, Painter, counts_above, painter, reader, samples_of, upsampled
from ganprobe import (
    Dissection,
    DissectionSettings,
    NotFiniteError,
    ParameterError,
    PluginError,
    Probe,
    Run,
    SiteError,
    UnknownNameError,
    dissect,
)
from subjects import probe_of


class Edited(Painter):
    """What stands at the site is a function of what would."""

    def __init__(self, site: nn.Module) -> None:
        super().__init__(4, (4, 4), (16, 16))
        self.site = site


class Constant(nn.Module):
    """Unit 1 is the same everywhere."""

    def forward(self, maps: Tensor) -> Tensor:
        chosen = torch.tensor([False, True, False, False])[:, None, None]
        return torch.where(chosen, torch.tensor(0.1), maps)


class Broken(nn.Module):
    """One value of one sample in 20 is not finite."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, maps: Tensor) -> Tensor:
        return torch.where(maps > torch.quantile(maps, 0.999), torch.tensor(self.value), maps)


def edited(module: nn.Module) -> Probe:
    torch.manual_seed(0)
    return probe_of(Edited(module), latent=6)


def dissected(probe: Probe, n: int = 40, site: str = "site", **given: object) -> Dissection:
    settings = DissectionSettings(n_resamples=30, **given)  # type: ignore[arg-type]
    (found,) = dissect(probe, Bands(), site, n_samples=n, read=reader(probe), settings=settings)
    return found


@pytest.mark.parametrize("memory", [2**30, 2**16, 0])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_zeros_of_a_relu_are_not_active_however_large_the_share(
    memory: int, share: float
) -> None:
    shifted = nn.Sequential(nn.Threshold(0.8, 0.8), nn.ReLU())  # most values are 0.8
    for module in (shifted, nn.Sequential(nn.Threshold(0.8, 0.0), nn.ReLU())):
        probe = edited(module)
        found = dissected(probe, share=share, memory=memory)
        maps, masks = samples_of(probe, Bands(), "site", 40)
        pixels = upsampled(maps, (16, 16))
        active, both = counts_above(pixels, found.threshold, masks)
        np.testing.assert_array_equal(found.active, active)
        np.testing.assert_array_equal(found.intersection, both)
        if found.threshold_method == "exact":
            assert (found.coverage <= share).all()
            for level, of_unit in zip(found.threshold, pixels, strict=True):
                assert (of_unit >= level).mean() >= share


def test_ties_at_the_largest_value_leave_nothing_active() -> None:
    probe = edited(nn.Hardtanh(-0.1, 0.1))
    found = dissected(probe, share=0.05)
    assert (found.threshold == torch.tensor(0.1).double().item()).all()
    assert not found.active.any()
    assert not found.iou.any()
    assert (found.best_class == -1).all()
    assert np.isnan(found.stability).all()


@pytest.mark.parametrize("domain", ["upsampled", "raw", "iqr"])
@pytest.mark.parametrize("memory", [2**30, 0])
def test_a_dead_unit_is_active_nowhere_and_has_no_label(domain: str, memory: int) -> None:
    found = dissected(edited(Constant()), domain=domain, memory=memory)
    np.testing.assert_array_equal(found.dead, [False, True, False, False])
    assert not found.iou[1].any() or domain == "iqr" or memory == 0
    assert found.best_class[1] == -1
    assert found.best_iou[1] == 0
    assert np.isnan(found.stability[1])
    assert np.isnan(found.iou_low[1])
    np.testing.assert_allclose(found.class_mean[1], 0.1, rtol=1e-5)
    assert (found.best_class[[0, 2, 3]] >= 0).all()
    assert all(1 not in found.labelled(name, 0.0) for name in found.classes)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("memory", [2**30, 0])
def test_activations_that_are_not_finite_are_refused(value: float, memory: int) -> None:
    with pytest.raises(NotFiniteError, match="activations at site are NaN or infinite"):
        dissected(edited(Broken(value)), memory=memory)


def test_a_class_that_is_nowhere_has_no_overlap_and_no_mean() -> None:
    class Absent(Bands):
        def segment(self, images: Tensor) -> Tensor:
            masks = super().segment(images)
            masks[:, 1] = False
            return masks

    probe = painter(0)
    (found,) = dissect(probe, Absent(), "site", n_samples=20, read=reader(probe))
    assert found.area[1] == 0
    assert not found.iou[:, 1].any()
    assert not found.information_quality[:, 1].any()
    assert np.isnan(found.class_mean[:, 1]).all()
    assert 1 not in found.best_class
    assert np.isfinite(found.class_mean[:, [0, 2]]).all()


def test_units_of_a_site_are_those_of_the_whole_site() -> None:
    probe = painter(3)
    whole, some = dissected(probe), dissected(probe, site="site#3,1")
    assert some.units == (3, 1)
    assert some.site == "site#1,3" or some.site == "site#3,1"
    np.testing.assert_array_equal(some.active, whole.active[[3, 1]])
    np.testing.assert_array_equal(some.intersection, whole.intersection[[3, 1]])
    np.testing.assert_array_equal(some.threshold, whole.threshold[[3, 1]])


def test_several_sites_and_patterns_are_read_together() -> None:
    probe, n_reads = painter(3), []

    def read(sites: object, n: int, *, images: bool = False) -> Iterator[Run]:
        n_reads.append(images)
        return reader(probe)(sites, n, images=images)

    found = dissect(probe, Bands(), ["site", "sha*"], n_samples=20, read=read)
    assert [one.site for one in found] == ["site", "shape"]
    assert n_reads == [True]
    np.testing.assert_array_equal(found[0].intersection, found[1].intersection)
    dissect(
        probe,
        Bands(),
        "site",
        n_samples=20,
        read=read,
        settings=DissectionSettings(memory=0),
    )
    assert n_reads == [True, False, True]


def test_units_without_a_map_are_constant_over_the_image() -> None:
    probe = painter(4)
    found = dissected(probe, site="first")
    maps, masks = samples_of(probe, Bands(), "first", 40)
    active, both = counts_above(upsampled(maps[..., None, None], (16, 16)), found.threshold, masks)
    np.testing.assert_array_equal(found.active, active)
    np.testing.assert_array_equal(found.intersection, both)
    assert len(found.units) == 80


class Tokens(nn.Module):
    """Eight tokens of six numbers, laid out as an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(6, 48), nn.Unflatten(1, (8, 6)))
        self.image = nn.Unflatten(1, (1, 8))

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.image(self.embed(z))
        return image


def test_a_site_without_maps_is_refused_with_the_way_out() -> None:
    probe = probe_of(Tokens(), latent=6)
    with pytest.raises(
        SiteError, match=r"embed has no maps of height and width.*`ganprobe layers`"
    ):
        dissected(probe, site="embed")
    with pytest.raises(UnknownNameError, match="no layer 'sit'"):
        dissected(painter(0), site="sit")
    with pytest.raises(SiteError, match="no site was given"):
        dissect(probe, Bands(), [], n_samples=4, read=reader(probe))


def test_a_segmenter_without_classes_is_refused() -> None:
    probe = painter(0)
    with pytest.raises(PluginError, match="'bands' has no classes"):
        dissect(probe, Bands(0), "site", n_samples=4, read=reader(probe))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"domain": "rwa"}, "domain is one of upsampled, raw, iqr, got 'rwa'"),
        ({"share": 0.0}, r"share of values above the threshold is in \(0, 0.5\], got 0"),
        ({"share": 0.6}, "got 0.6"),
        ({"n_top": -1}, "number of top samples"),
        ({"n_groups": 0}, "number of groups"),
        ({"n_resamples": 0}, "number of resamples"),
        ({"memory": -1}, "memory"),
    ],
)
def test_settings_outside_their_range_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        DissectionSettings(**given)  # type: ignore[arg-type]


def test_one_sample_is_enough() -> None:
    found = dissected(painter(0), n=1)
    assert found.n_samples == 1
    assert found.top_samples.tolist() == [[0]] * 5
    has_label = found.best_class >= 0
    assert (found.stability[has_label] == 1).all()
    np.testing.assert_array_equal(found.iou_low[has_label], found.best_iou[has_label])


def test_rankings_and_labels_follow_the_overlap() -> None:
    found = dissected(painter(6, n_units=12), share=0.1)
    for place, name in enumerate(found.classes):
        ranked = found.ranking(name)
        assert sorted(ranked) == list(range(12))
        assert (np.diff(found.iou[list(ranked), place]) <= 0).all()
        labelled = found.labelled(name, 0.0)
        assert set(labelled) == set(np.flatnonzero(found.best_class == place).tolist())
        assert list(labelled) == [unit for unit in ranked if unit in labelled]
        assert found.labelled(name, 1.0) == ()
    with pytest.raises(UnknownNameError, match=r"no class 'bnd 1'.* nearest: band 1"):
        found.ranking("bnd 1")


def test_units_of_equal_overlap_are_ranked_by_their_number() -> None:
    found = dissected(edited(nn.Hardtanh(-0.1, 0.1)), site="site#3,0,2", share=0.05)
    assert not found.iou.any()
    assert found.ranking("band 0") == (0, 2, 3)
