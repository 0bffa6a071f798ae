"""Dissection against planted units and masks of other samples, from a store and live."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import matplotlib.image
import numpy as np
import pytest
import torch
import xarray
from torch import Tensor, nn
from torch.nn import functional

from ganprobe import (
    Context,
    Dissection,
    DissectionSettings,
    Generator,
    Overlap,
    ParameterError,
    PluginError,
    Probe,
    Result,
    Segmenter,
    SiteError,
    StoreError,
    UnitSet,
    UnknownNameError,
)
from ganprobe.testing import Planted, planted_generator
from ganprobe_dissection import DissectionParams
from ganprobe_dissection.card_figure import shaded
from ganprobe_dissection.cards import choose_cards
from ganprobe_dissection.labels import Labelled, file_names, label_units
from ganprobe_dissection.palette import class_colours, ink_on
from ganprobe_dissection.report import make_result
from ganprobe_dissection.study import Study, study_sites

Command = Callable[..., Any]

FEW: dict[str, Any] = {"n_samples": 96, "n_resamples": 100, "n_shown": 3, "n_cards": 4}


class Bands(Segmenter):
    """Two classes that share no pixel, of images of any shape."""

    name, summary = "bands", "dark and bright pixels"
    classes: tuple[str, ...] = ("dark", "very bright/white")

    def segment(self, images: Tensor) -> Tensor:
        grey = images.mean(1)
        return torch.stack([grey < 0.5, grey > 0.5], 1)


class ForOthers(Bands):
    name, image_shape = "others", (3, 7, 7)


class WithArgument(Bands):
    name, argument = "labels", "MEASURE"


SEGMENTERS: dict[str, Segmenter] = {
    segmenter.name: segmenter for segmenter in (Bands(), ForOthers(), WithArgument())
}


def find_segmenter(name: str) -> Segmenter:
    if name not in SEGMENTERS:
        raise UnknownNameError("segmenter", name, SEGMENTERS)
    return SEGMENTERS[name]


def context_of(
    generator: Generator | Probe, seed: int = 0, *, store: Path | None = None
) -> Context:
    return Context(
        generator if isinstance(generator, Probe) else Probe(generator),
        seed,
        lambda name: pytest.fail(name),
        activations_file=store,
        find_segmenter=find_segmenter,
        list_segmenters=lambda: list(SEGMENTERS.values()),
    )


def studied(context: Context, **params: Any) -> Study:
    return study_sites(context, DissectionParams.parse(FEW | {"segmenter": "bands"} | params))


@pytest.fixture(scope="module")
def planted() -> Planted:
    return planted_generator(seed=1)


@pytest.fixture(scope="module")
def planted_study(planted: Planted) -> Study:
    asked = {"site": planted.sites, "segmenter": "planted"}
    return studied(planted.context(), **asked)


@pytest.fixture(scope="module")
def planted_result(planted_study: Study) -> Result:
    return make_result(planted_study)


def test_exactly_the_units_that_go_with_a_class_are_labelled_with_it(
    planted: Planted, planted_study: Study
) -> None:
    for name, site in zip(planted.sites, planted_study.sites, strict=True):
        truth, found = planted.truths[name], site.dissection
        labelled = {
            found.units[place]: found.classes[found.best_class[place]]
            for place in np.flatnonzero(site.is_label)
        }
        assert labelled == dict(truth.labels)
        dead = {found.units[place] for place in np.flatnonzero(found.dead)}
        assert dead == {*truth.dead, *truth.constant}


def test_a_set_of_units_is_written_for_each_class_best_first(
    planted: Planted, planted_study: Study, planted_result: Result
) -> None:
    for name, site in zip(planted.sites, planted_study.sites, strict=True):
        for class_name, drawn in planted.truths[name].units.items():
            units = planted_result.unit_sets[f"{name}-{class_name}"]
            assert units.site == name
            assert set(drawn) <= set(units.units)
            assert units.found["iou"] == sorted(units.found["iou"], reverse=True)
            assert units.found["class"] == class_name
            assert units.found["segmenter"] == "planted"
            ranking = site.dissection.ranking(class_name)
            assert units.units == tuple(one for one in ranking if one in units.units)


def test_findings_name_counts_best_units_coverage_and_dead_ones(
    planted: Planted, planted_result: Result
) -> None:
    told = planted_result.findings
    dead = planted.truth.dead + planted.truth.constant
    assert told[0].startswith(
        "early: 8 of 18 units draw one of 5 classes with IoU above 0.04: door 3, lamp 2,"
    )
    assert f"; 2 are dead ({min(dead)}, {max(dead)}) (planted, seed 0, n = 96 samples" in told[0]
    assert "Best unit of each class, with the 95 % interval of its IoU" in told[2]
    assert "lamp, unit" in told[2]
    assert any("asked for 0.5 %, realised 0.49" in one for one in told)


def test_place_is_judged_on_the_first_samples_of_batches_of_several(planted: Planted) -> None:
    params: dict[str, Any] = {"site": ("early",), "segmenter": "planted"}
    for n_samples, batch_size, compared in ((300, 100, 256), (23, 9, 23), (10, 1, 0)):
        more = {"n_samples": n_samples, "batch_size": batch_size}
        (site,) = studied(planted.context(), **params, **more).sites
        assert site.elsewhere.n_samples == compared


class Placed(nn.Module):
    """Latents (n, 4) to images (n, 1, 16, 16) with a bright spot at a place of its own.

    The same is always bright at the top left. Unit 0 of `maps` is active at the spot, unit 1 at
    the top left, where the latent has it, unit 2 is always the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        maps = torch.zeros(len(z), 3, 16, 16)
        for row, place in enumerate((z.sum(1) * 1000).long().tolist()):
            y, x = 4 + place % 11, 4 + place // 11 % 11
            maps[row, 0, y : y + 2, x : x + 2] = 2 + z[row, 0].sigmoid()
            maps[row, 1, :2, :2] = 2 + z[row, 1].sigmoid()
        return cast(Tensor, self.maps(maps))[:, :2].sum(1, keepdim=True).clamp(0, 1)


def placed() -> Generator:
    return Generator.from_module(Placed().eval(), latent=4, image_range=(0, 1), name="placed")


def test_a_unit_that_only_knows_the_place_is_told_from_one_that_knows_the_sample() -> None:
    study = studied(context_of(placed()), site=("maps",), share=0.01)
    (site,) = study.sites
    assert site.is_label.tolist() == [True, True, False]
    assert site.dissection.best_class.tolist() == [1, 1, -1]
    assert site.is_placed.tolist() == [False, True, False]
    assert site.chance[0] < 0.1 < 0.2 < site.dissection.iou_low[0]
    assert np.isnan(site.chance[2])
    (told,) = (one for one in make_result(study).findings if "masks of other samples" in one)
    assert "1 does as well there, so that the label tells a place rather than a class" in told
    assert "unit 1 of maps (very bright/white)" in told


def test_all_labels_need_the_information_that_was_asked_for(planted: Planted) -> None:
    params = {"site": ("early",), "segmenter": "planted"}
    study = studied(planted.context(), **params, least_information=0.15)
    (site,) = study.sites
    quality = site.of_best(site.dissection.information_quality)
    assert site.is_label.any()
    assert (quality[site.is_label] >= 0.15).all()
    assert ((quality < 0.15) & (site.dissection.best_iou > 0.04)).any()
    assert "and information quality from 0.15 on" in make_result(study).findings[0]


@pytest.mark.parametrize("domain", ["upsampled", "raw", "iqr"])
def test_every_domain_gives_arrays_whose_dimensions_are_named(
    planted: Planted, domain: str
) -> None:
    params = {"site": ("early", "late#3-9"), "segmenter": "planted", "domain": domain}
    result = make_result(studied(planted.context(), **params))
    arrays = result.arrays
    of_level = ("unit_early", "class") if domain == "iqr" else ("unit_early",)
    assert arrays["threshold_early"].dims == of_level
    assert arrays["coverage_early"].dims == of_level
    assert arrays["iou_late_3-9"].dims == ("unit_late_3-9", "class")
    assert arrays["top_samples_early"].dims == ("unit_early", "rank_early")
    assert list(result.coordinates["unit_late_3-9"]) == list(range(3, 10))
    assert result.sizes()["class"] == 5
    assert {row[0] for row in result.tables["units"].rows} == {"early", "late#3-9"}
    assert len(result.tables["units"].rows) == 18 + 7
    assert len(result.tables["classes"].rows) == 2 * 5
    words = {"upsampled": "asked for", "raw": "raw values", "iqr": "largest information quality"}
    assert any(words[domain] in one for one in result.findings)


def test_cards_hold_the_best_unit_of_each_class_before_any_second(planted_study: Study) -> None:
    plan = replace(planted_study.plan, params=DissectionParams.parse(
        FEW | {"site": ("early",), "n_cards": 7, "n_shown": 2}
    ))  # fmt: skip
    cards = choose_cards(plan, planted_study.sites)
    found = [planted_study.sites[card.site].dissection for card in cards]
    classes = [one.best_class[card.unit] for one, card in zip(found, cards, strict=True)]
    iou = [one.best_iou[card.unit] for one, card in zip(found, cards, strict=True)]
    assert set(classes[:5]) == set(range(5))
    assert iou[:5] == sorted(iou[:5], reverse=True)
    assert iou[5:] == sorted(iou[5:], reverse=True)
    for place, largest in zip(classes[:5], iou[:5], strict=True):
        best = [
            site.dissection.best_iou[site.dissection.best_class == place].max()
            for site in planted_study.sites
        ]
        assert largest == max(best)


def test_a_card_shows_the_very_samples_that_drive_its_unit_furthest(planted_study: Study) -> None:
    plan = planted_study.plan
    probe, generator = plan.context.probe, plan.context.generator
    for card in planted_study.cards:
        found = planted_study.sites[card.site].dissection
        assert card.samples == tuple(found.top_samples[card.unit, :3])
        latents = generator.latent_space.sample(card.samples, seed=0)
        run = probe.run(latents, record=[found.site])
        values = run[found.site][:, card.unit]
        assert values.amax((1, 2)).tolist() == found.top_values[card.unit, :3].tolist()
        images = generator.to_unit_range(run.images)
        assert torch.equal(torch.from_numpy(card.images), images)
        large = functional.interpolate(values[:, None].double(), (32, 32), mode="bilinear")[:, 0]
        assert np.array_equal(card.maps, large.numpy())
        assert card.level == found.threshold[card.unit]


def recorded(path: Path, *, images: bool = True) -> tuple[Probe, Path]:
    probe = Probe(planted_generator(seed=1).generator)
    probe.record(96, ["early", "late"], path, images=images)
    return probe, path


def test_a_store_gives_the_same_to_the_last_bit_and_the_generator_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Planted, planted_result: Result
) -> None:
    probe, path = recorded(tmp_path / "store.h5")

    def refuses(latents: Tensor) -> Tensor:
        raise AssertionError("the generator runs")

    monkeypatch.setattr(probe.generator.module, "forward", refuses)
    with pytest.raises(AssertionError, match="the generator runs"):
        probe.generator.module(torch.zeros(1, 4))
    context = replace(planted.context(), probe=probe, activations_file=path)
    study = studied(context, site=planted.sites, segmenter="planted")
    context.close()
    result = make_result(study)
    assert result.arrays.keys() == planted_result.arrays.keys()
    for name, array in planted_result.arrays.items():
        assert np.array_equal(result.arrays[name].values, array.values, equal_nan=True), name
    assert result.findings == planted_result.findings
    assert result.unit_sets == planted_result.unit_sets
    assert result.figures.keys() == planted_result.figures.keys()
    live = studied(planted.context(), site=planted.sites, segmenter="planted")
    for one, other in zip(study.cards, live.cards, strict=True):
        assert one.samples == other.samples
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.maps, other.maps)


def test_a_store_without_images_names_the_command_that_records_them(
    tmp_path: Path, planted: Planted
) -> None:
    probe, path = recorded(tmp_path / "bare.h5", images=False)
    context = replace(planted.context(), probe=probe, activations_file=path)
    told = r"holds no images.*ganprobe record planted --site 'early' --samples 96.*--images"
    with pytest.raises(StoreError, match=told):
        studied(context, site=("early",), segmenter="planted")
    context.close()


def test_a_generator_of_latents_with_space_and_of_any_format_is_dissected() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.ConvTranspose2d(6, 5, 4, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 3, (4, 6), 2, 1),
        nn.Sigmoid(),
    ).eval()
    generator = Generator.from_module(
        module, latent=(6, 1, 1), image_range=(0, 1), name="convolutions"
    )
    params = {"site": ("1", "2"), "n_samples": 13, "batch_size": 5, "share": 0.2}
    result = make_result(studied(context_of(generator), **params))
    assert list(result.figures) == ["classes", "cards", "iou", "place"]
    assert result.arrays["iou_2"].values.shape == (5, 2)


def test_one_sample_is_enough_for_all_but_the_comparison_with_others() -> None:
    result = make_result(studied(context_of(placed()), site=("maps",), n_samples=1, share=0.1))
    assert list(result.figures) == ["classes", "cards", "iou"]
    assert np.isnan(result.arrays["iou_elsewhere_maps"].values).all()
    assert "takes two samples in a batch to tell" in " ".join(result.findings)


def test_where_nothing_is_met_the_result_says_so_and_still_has_its_figures() -> None:
    class Dark(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            return cast(Tensor, self.maps(0.5 + 0 * z[:, :, None, None].expand(-1, -1, 8, 8)))

    generator = Generator.from_module(Dark().eval(), latent=1, image_range=(0, 1), name="dark")
    result = make_result(studied(context_of(generator), site=("maps",)))
    assert "0 of 1 units draw one of 2 classes" in result.findings[0]
    assert "No unit meets any class anywhere." in result.findings
    assert "dark, very bright/white have no pixel in any of the samples." in result.findings
    assert list(result.figures) == ["classes", "iou", "place"]
    assert not result.unit_sets


def test_a_class_too_large_for_the_share_is_named_with_the_largest_iou_that_is_possible() -> None:
    study = studied(context_of(placed()), site=("maps",), share=0.005)
    found = study.sites[0].dissection
    dark = found.area[0] / found.n_pixels
    ceiling = study.sites[0].ceiling()
    assert ceiling[0] == pytest.approx(found.coverage.max() / dark)
    assert (found.iou.max(0) <= ceiling).all()
    (told,) = (one for one in make_result(study).findings if "can be labelled" in one)
    assert told.startswith("No unit can be labelled dark (96.9 % of pixels, IoU at most 0.00")
    assert told.endswith("give another --share, or --domain iqr.")


def made_up(iou: list[list[int]], **more: Any) -> Labelled:
    """A site of made-up counts: classes of 100 pixels, units of 100 active ones."""
    both, n = np.array(iou, np.int64), len(iou)
    nothing = np.zeros(n)
    given: dict[str, Any] = {
        "site": "conv", "units": tuple(range(n)), "classes": ("a", "b"),
        "settings": DissectionSettings(), "n_samples": 10, "image_size": (10, 10),
        "threshold": nothing, "threshold_error": nothing, "threshold_method": "exact",
        "active": np.full(n, 100), "intersection": both, "area": np.array([100, 100]),
        "dead": np.zeros(n, bool), "top_samples": np.zeros((n, 1), np.int64),
        "top_values": nothing[:, None], "class_mean": np.zeros((n, 2)), "peak_level": nothing,
        "stability": nothing, "iou_low": nothing, "iou_high": nothing,
    }  # fmt: skip
    overlap = Overlap(np.zeros((n, 2)), np.ones((n, 2)), 10)
    params = DissectionParams.parse({"site": ("conv",)})
    return label_units("conv", Dissection(**(given | more)), overlap, params)


def test_the_limit_itself_does_not_count_and_ties_go_to_the_lowest_number() -> None:
    # 8 of 200 - 8 pixels are an IoU of 0.0417, 7 of 193 one of 0.0363.
    site = made_up([[8, 0], [7, 0], [0, 50], [50, 0], [0, 50], [0, 0]])
    assert site.is_label.tolist() == [True, False, True, True, True, False]
    assert site.places(0) == [3, 0]
    assert site.places(1) == [2, 4]
    assert site.counts().tolist() == [2, 2]


def test_a_dead_unit_has_no_label_whatever_it_covers() -> None:
    site = made_up([[50, 0], [50, 0]], dead=np.array([True, False]))
    assert site.is_label.tolist() == [False, True]
    assert np.isnan(site.chance[0])


def test_unsure_labels_are_named() -> None:
    study = studied(context_of(placed()), site=("maps",), share=0.01)
    (site,) = study.sites
    unsure = replace(site.dissection, stability=np.array([0.8, 1.0, np.nan]))
    sites = (replace(site, dissection=unsure),)
    told = make_result(replace(study, sites=sites)).findings
    assert any(
        one.startswith("1 label stays in less than 95 % of the resamples")
        and "unit 0 of maps (very bright/white, 80 %)" in one
        for one in told
    )


def test_names_of_files_can_be_written_and_are_all_different() -> None:
    names = file_names(["conv2:in", "conv2#in", "block.0", "a/b", "conv2:in"])
    assert list(names.values()) == ["conv2_in", "conv2_in-2", "block.0", "a_b"]
    result = make_result(studied(context_of(placed()), site=("maps",), share=0.01))
    assert list(result.unit_sets) == ["maps-very_bright_white"]


def test_colours_are_the_segmenters_or_can_be_told_apart() -> None:
    class Many(Bands):
        classes = tuple(f"class {number}" for number in range(40))

    class Coloured(Bands):
        class_colours = ("white", "#00ffff")

    assert class_colours(Coloured()) == ("#ffffff", "#00ffff")
    assert len(set(class_colours(Bands()))) == 2
    assert len(set(class_colours(Many()))) == 40
    assert (ink_on("#ffffff"), ink_on("#5a2d0c")) == ("black", "white")


def test_shading_keeps_the_active_area_and_darkens_the_rest() -> None:
    image = np.array([[[0.2, 1.0]], [[0.4, 1.0]], [[0.6, 1.0]]], np.float32)  # (3, 1, 2)
    drawn = shaded(image, np.array([[True, False]]))
    assert drawn[0, 0] == pytest.approx([0.2, 0.4, 0.6])
    assert (drawn[0, 1] < 0.6).all()
    grey = shaded(image[:1], np.array([[True, True]]))
    assert grey.shape == (1, 2, 3)
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize(
    ("params", "error", "reason"),
    [
        (
            {"segmenter": None},
            ParameterError,
            "which classes.*those that fit: bands, labels\\[:MEASURE",
        ),
        ({"segmenter": "band"}, UnknownNameError, "no segmenter 'band'; nearest: bands"),
        ({"segmenter": "others"}, PluginError, r"'others' takes images \(3, 7, 7\), but"),
        ({"site": ("nothing",)}, UnknownNameError, "no layer 'nothing'"),
        ({"site": ()}, ParameterError, "--site"),
        ({"site": ("maps#7",)}, ParameterError, "no unit 7 at maps"),
        ({"share": 0}, ParameterError, "--share"),
        ({"share": 0.6}, ParameterError, "--share"),
        ({"memory": 1}, ParameterError, "--memory"),
        ({"domain": "other"}, ParameterError, "--domain"),
    ],
)
def test_what_does_not_fit_is_refused(
    params: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        studied(context_of(placed()), **({"site": ("maps",)} | params))


def test_a_site_without_maps_is_refused() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.tokens = nn.Linear(4, 16), nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            return cast(Tensor, self.tokens(self.layer(z)[:, None])).reshape(-1, 1, 4, 4)

    context = context_of(Generator.from_module(Flat().eval(), latent=4, name="flat"))
    with pytest.raises(SiteError, match=r"tokens has no maps \(y, x\).*\(1,\) values"):
        studied(context, site=("layer", "tokens"))


def test_a_unit_that_is_one_number_is_active_in_whole_images() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            return cast(Tensor, self.layer(z))[:, :1, None, None].expand(-1, 1, 4, 4)

    context = context_of(Generator.from_module(Flat().eval(), latent=2, name="flat"))
    study = studied(context, site=("layer",), share=0.25)
    (site,) = study.sites
    assert site.is_label[0]
    assert site.dissection.active[0] == 96 // 4 * 16
    assert (study.cards[0].maps[0] == study.cards[0].maps[0, 0, 0]).all()
    assert "cards" in make_result(study).figures


def test_a_site_that_is_named_twice_is_dissected_once(planted: Planted) -> None:
    params = {"segmenter": "planted", "n_samples": 8}
    study = studied(planted.context(), site=("late", "early", "late@0"), **params)
    assert [site.dissection.site for site in study.sites] == ["late", "early"]


def test_no_hook_stays_on_the_module() -> None:
    generator = placed()
    studied(context_of(generator), site=("maps",))
    layers = list(generator.module.modules())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_command_line_writes_what_xarray_and_other_commands_read(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    store, folder = tmp_path / "digits.h5", tmp_path / "out"
    kept = ganprobe_command(
        "record", "digits", "--site", "conv2", "--site", "conv3", "--samples", 64, "--images",
        "--output", store,
    )  # fmt: skip
    assert kept.status == 0, kept.err
    asked = ["run", "dissection", "digits", "--site", "conv3", "--segmenter", "luminance",
             "--share", 0.05, "--n-samples", 64, "--n-resamples", 50, "--n-cards", 2]  # fmt: skip
    done = ganprobe_command(*asked, "--activations", store, "--output", folder)
    assert done.status == 0, done.err
    assert "realised 5.0" in done.out
    pictures = {f"figures/{name}.png" for name in ("classes", "cards", "iou", "place")}
    assert {"result.json", "result.h5"} | pictures <= files_of(folder)
    for name in pictures:
        image = matplotlib.image.imread(folder / name)
        assert image.std() > 0.02, name
    with xarray.open_dataset(folder / "result.h5", engine="h5netcdf") as opened:
        assert opened["iou_conv3"].dims == ("unit_conv3", "class")
        best = opened["iou_conv3"].max("class")
        is_best = opened["best_class_conv3"] >= 0
        assert np.array_equal(best.where(is_best, 0), opened["best_iou_conv3"])
        n_classes = len(opened["class"])
    record = json.loads((folder / "result.json").read_text())
    assert len(record["tables"]["classes"]["rows"]) == n_classes
    assert record["provenance"]["parameters"]["activations"]["file"] == str(store)
    sets = sorted((folder / "units").glob("conv3-*.json"))
    assert sets
    assert UnitSet.read(sets[0]).site == "conv3"


def test_the_command_line_ends_with_a_sentence_where_something_is_missing(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    asked = ["run", "dissection", "digits", "--output", tmp_path / "out"]
    assert ganprobe_command(*asked).status == 2
    unnamed = ganprobe_command(*asked, "--site", "conv3")
    assert unnamed.status == 2
    assert "which classes? Give --segmenter a name" in unnamed.err
    assert "luminance" in unnamed.err
    assert "scenes" not in unnamed.err
    wrong = ganprobe_command(*asked, "--site", "conv3", "--segmenter", "scenes")
    assert wrong.status == 1
    assert "segmenter 'scenes' takes images (3, 64, 64)" in wrong.err
    assert not (tmp_path / "out").exists()


def test_the_command_line_tells_what_can_be_asked(ganprobe_command: Command) -> None:
    told = " ".join(ganprobe_command("run", "dissection", "--help").out.split())
    for flag in DissectionParams.model_fields:
        assert f"--{flag.replace('_', '-')}" in told
    assert "ganprobe run dissection scenes --site conv2 --site conv3 --segmenter scenes" in told
    assert "--activations" in told
