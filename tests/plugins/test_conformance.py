"""Every plugin of our own passes the tests that `ganprobe.testing` has for those of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from ganprobe import Measure, Segmenter, find_measure, find_segmenter
from ganprobe.catalogue import find_analysis, find_generator
from ganprobe.plugins import plugins
from ganprobe.testing import AnalysisTests, GeneratorTests, MeasureTests, SegmenterTests

Given = Mapping[str, object]

NETWORK = "lraspp_mobilenet_v3_large"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red above black, 6 x 4 pixels."""
    path = tmp_path_factory.mktemp("painted") / "mask.png"
    painted = np.zeros((6, 4, 3), np.uint8)
    painted[:3, :, 0] = 255
    imageio.imwrite(path, painted)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the means of channels, with random weights, and what describes it."""
    path = tmp_path_factory.mktemp("network")
    (path / "judge.py").write_text(
        "from torch import nn\n\n\ndef make():\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))\n"
    )
    (path / "ganprobe.toml").write_text(
        '[measure]\nfactory = "judge.py:make"\nweights = "judge.safetensors"\n'
        'columns = ["warm", "cold"]\n'
    )
    weight = torch.tensor([[1.0, 0.5, -1.0], [-1.0, 0.2, 1.0]])
    save_file({"2.weight": weight, "2.bias": torch.zeros(2)}, path / "judge.safetensors")
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones of a small network."""
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = models.get_model(NETWORK, weights=None, weights_backbone=None)
    torch.save(module.state_dict(), path)
    return path


@pytest.mark.slow
class TestAblation(AnalysisTests):
    analysis = find_analysis("ablation")
    tolerance = 1e-4  # sweeps choose by time what goes together
    params: ClassVar[Given] = {
        "site": "conv1", "measure": "appearance=brightness", "n_samples": 6, "n_ranked": 5,
        "top": 2, "n_draws": 2, "n_resamples": 39, "n_shown": 1,
    }  # fmt: skip


@pytest.mark.slow
class TestInsertion(AnalysisTests):
    analysis = find_analysis("insertion")
    tolerance = 1e-4  # sweeps choose by time what goes together
    params: ClassVar[Given] = {
        "site": "conv1", "segmenter": "luminance:3", "class_name": "bright", "n_units": 2,
        "grid": 2, "n_samples": 4, "n_ranked": 6, "n_draws": 2, "n_resamples": 39, "n_shown": 1,
    }  # fmt: skip


class TestArithmetic(AnalysisTests):
    analysis = find_analysis("arithmetic")
    params: ClassVar[Given] = {
        "group": ("a: 0-5", "b: 6-11", "c: 12-17"), "formula": "a - b + c", "n_exemplars": 2,
        "n_draws": 4, "n_shown": 1,
    }  # fmt: skip


@pytest.mark.slow
class TestDirections(AnalysisTests):
    analysis = find_analysis("directions")
    params: ClassVar[Given] = {
        "method": ("pca",), "space": "conv1", "n_samples": 40, "n_components": 2, "n_bases": 3,
        "n_random": 2, "n_resamples": 39, "n_figures": 1, "n_shown": 1, "steps": 3,
    }  # fmt: skip


class TestDissection(AnalysisTests):
    analysis = find_analysis("dissection")
    excused: ClassVar[Mapping[str, str]] = {
        "test_its_batch_size_changes_nothing_but_rounding": "what place alone explains is found by"
        " comparing the samples of a batch with each other"
    }
    params: ClassVar[Given] = {
        "site": ("conv1",), "segmenter": "luminance:3", "n_samples": 20, "n_top": 3, "n_cards": 2,
        "n_shown": 1, "n_resamples": 20, "batch_size": 8,
    }  # fmt: skip


class TestInversion(AnalysisTests):
    analysis = find_analysis("inversion")
    params: ClassVar[Given] = {
        "n_own": 2, "method": ("pool+gradient",), "n_pool": 20, "n_starts": 2, "n_steps": 5,
        "n_shown": 1,
    }  # fmt: skip


class TestMaps(AnalysisTests):
    analysis = find_analysis("maps")
    params: ClassVar[Given] = {"site": "conv1", "source": "0-8", "n_samples": 2}


class TestQuality(AnalysisTests):
    analysis = find_analysis("quality")
    params: ClassVar[Given] = {
        "judge": ("appearance.brightness",), "n_samples": 60, "n_fresh": 20, "n_kept": 4,
        "model": ("logistic",), "n_shown": 1,
    }  # fmt: skip


@pytest.mark.slow
class TestSensitivity(AnalysisTests):
    analysis = find_analysis("sensitivity")
    params: ClassVar[Given] = {
        "dims": "0-2", "n_samples": 3, "n_directions": 3, "n_associated": 50, "n_shown": 3,
        "n_resamples": 39, "measure": ("appearance",),
    }  # fmt: skip


@pytest.mark.slow
class TestSwap(AnalysisTests):
    analysis = find_analysis("swap")
    tolerance = 1e-4  # sweeps choose by time what goes together
    params: ClassVar[Given] = {
        "site": "conv1", "source": "0-2", "donor": "3-5", "pairs": 2, "held_out": 1, "n_units": 2,
        "strategy": ("rank",), "n_draws": 2, "n_shown": 1,
    }  # fmt: skip


class TestTraversal(AnalysisTests):
    analysis = find_analysis("traversal")
    params: ClassVar[Given] = {
        "dims": "0-2", "bases": 3, "steps": 3, "rows": 2, "figures": 1,
        "measure": ("appearance",),
    }  # fmt: skip


class TestUnits(AnalysisTests):
    analysis = find_analysis("units")
    params: ClassVar[Given] = {"site": "conv1", "n_samples": 20, "n_shown": 1, "top": 3}
    fewest: ClassVar[Given] = {"n_samples": 1, "top": 1}


class TestVeto(AnalysisTests):
    analysis = find_analysis("veto")
    params: ClassVar[Given] = {
        "site": "conv1", "n_units": 2, "n_samples": 4, "n_controls": 2, "n_resamples": 39,
        "n_shown": 1,
    }  # fmt: skip


class TestDigits(GeneratorTests):
    loader = find_generator("digits")


class TestScenes(GeneratorTests):
    loader = find_generator("scenes")


class TestAppearance(MeasureTests):
    measure = find_measure("appearance")


class TestDigit(MeasureTests):
    measure = find_measure("digit")


class TestDigitRealness(MeasureTests):
    measure = find_measure("digit-realness")


class TestDigitShape(MeasureTests):
    measure = find_measure("digit-shape")


class TestNetwork(MeasureTests):
    image_shapes = ((3, 5, 6),)
    path: ClassVar[Path]

    @pytest.fixture(autouse=True)
    def _with_a_folder(self, folder: Path) -> None:
        type(self).path = folder

    def make_measure(self) -> Measure:
        return find_measure(f"network:{self.path}", trust=True)


class TestSceneRealness(MeasureTests):
    measure = find_measure("scene-realness")


class TestClass(SegmenterTests):
    segmenter = find_segmenter("class:appearance")


class TestColours(SegmenterTests):
    segmenter = find_segmenter("colours")


class TestComponents(SegmenterTests):
    segmenter = find_segmenter("components")


class TestEdges(SegmenterTests):
    segmenter = find_segmenter("edges")


class TestLuminance(SegmenterTests):
    segmenter = find_segmenter("luminance:3")


class TestPainted(SegmenterTests):
    image_shapes = ((3, 6, 4), (1, 12, 8))

    @pytest.fixture(autouse=True)
    def _with_a_picture(self, picture: Path) -> None:
        type(self).path = picture

    path: ClassVar[Path]

    def make_segmenter(self) -> Segmenter:
        return find_segmenter(f"painted:{self.path}")


class TestPosition(SegmenterTests):
    segmenter = find_segmenter("position:2x3")


class TestScenesSegmenter(SegmenterTests):
    segmenter = find_segmenter("scenes")


@pytest.mark.slow
class TestTorchvision(SegmenterTests):
    image_shapes = ((3, 24, 32),)
    path: ClassVar[Path]

    @pytest.fixture(autouse=True)
    def _with_weights(self, weights: Path) -> None:
        type(self).path = weights

    def make_segmenter(self) -> Segmenter:
        return find_segmenter(f"torchvision:{NETWORK}@{self.path}")


def test_nothing_that_our_plugins_offer_is_left_out() -> None:
    tested: set[tuple[str, str]] = set()
    for one in globals().values():
        if not (isinstance(one, type) and one.__name__.startswith("Test")):
            continue
        own_name = one.__name__.removeprefix("Test").lower()
        if issubclass(one, AnalysisTests):
            tested.add(("analysis", one.analysis.name))
        elif issubclass(one, GeneratorTests) and one.loader is not None:
            tested.add(("generator", one.loader.name))
        elif issubclass(one, MeasureTests):
            tested.add(("measure", one.measure.name if one.measure else own_name))
        elif issubclass(one, SegmenterTests):
            name = one.segmenter.name if one.segmenter else own_name
            tested.add(("segmenter", name.partition(":")[0]))
    ours = [plugin for plugin in plugins() if plugin.module.startswith("ganprobe_")]
    offered = {
        *(("analysis", one.name) for plugin in ours for one in plugin.analyses),
        *(("generator", one.name) for plugin in ours for one in plugin.generators),
        *(("measure", one.name) for plugin in ours for one in plugin.measures),
        *(("segmenter", one.name) for plugin in ours for one in plugin.segmenters),
    }
    assert offered == tested
