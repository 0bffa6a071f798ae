"""Torchvision's segmentation networks, with random weights from files, step by step by hand."""

from __future__ import annotations

import functools
import os
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from ganprobe import (
    AreaMeasure,
    ParameterError,
    PluginError,
    Segmenter,
    UnknownNameError,
    find_segmenter,
)
from ganprobe_segmenters import networks

SMALL = "lraspp_mobilenet_v3_large"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def colour_images(n_images: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(n_images, 3, 5, 6, generator=generator)
    return functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@functools.cache
def network(model: str = SMALL, n_classes: int = 21, **how: Any) -> nn.Module:
    """A network whose random weights see several classes in the images of this module."""
    images = colour_images(4, 100, 120)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        module: nn.Module = models.get_model(
            model, weights=None, weights_backbone=None, num_classes=n_classes, **how
        )
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.momentum = None  # the statistics are those of one batch
        module.train()(images)
        logits = module.eval()(images)["out"]
        last = [own for name, own in module.named_parameters()
                if name.startswith("classifier.") and name.endswith("bias")][-1]  # fmt: skip
        last.sub_(logits.mean((0, 2, 3)))
    return module


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(network().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def small(weights: Path) -> Segmenter:
    return find_segmenter(f"torchvision:{SMALL}@{weights}")


def labels_by_hand(module: nn.Module, images: Tensor) -> np.ndarray[Any, Any]:
    """One image at a time: resized to 520 on the short side, normalised, seen, brought back."""
    height, width = images.shape[2:]
    scale = 520 / min(height, width)
    size = (int(520 * height / min(height, width)), int(520 * width / min(height, width)))
    found = []
    for image in images:
        larger = functional.interpolate(
            image[None], size, mode="bilinear", align_corners=False, antialias=scale < 1
        )
        normal = (larger - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
        with torch.no_grad():
            seen = module(normal)["out"][0].argmax(0).numpy()
        rows = [int((y + 0.5) * size[0] / height) for y in range(height)]
        columns = [int((x + 0.5) * size[1] / width) for x in range(width)]
        found.append(seen[np.ix_(rows, columns)])
    return np.stack(found)


def test_masks_are_those_of_the_network_by_hand(small: Segmenter) -> None:
    images = colour_images(1, 24, 30)
    masks = small(images)
    expected = labels_by_hand(network(), images)
    assert (masks.sum(1) == 1).all()
    assert len(np.unique(expected)) > 4
    assert (masks.int().argmax(1).numpy() == expected).mean() > 0.995  # ties of rounding apart


def test_an_image_is_seen_alike_alone_and_in_a_batch_of_any_size(
    small: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = colour_images(2, 16, 16)
    together = small(images)
    monkeypatch.setattr(networks, "_AT_ONCE", 1)
    parts = small(images)
    assert (together == parts).float().mean() > 0.999
    assert (together[0] != together[1]).any()
    assert small(images[:0]).shape == (0, 21, 16, 16)


def test_a_grey_image_is_seen_in_three_equal_channels(small: Segmenter) -> None:
    grey = colour_images(1, 13, 17)[:, :1]
    assert torch.equal(small(grey), small(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ParameterError, match="takes images of 1 or 3 channels, got 2"):
        small(torch.zeros(1, 2, 8, 8))


def test_the_classes_are_those_of_pascal_voc(small: Segmenter, weights: Path) -> None:
    assert small.name == f"torchvision:{SMALL}@{weights}"
    assert len(small.classes) == 21
    assert small.classes[:2] == ("__background__", "aeroplane")
    assert small.place_of("cat") == 8
    colours = dict(zip(small.classes, small.class_colours or (), strict=True))
    assert colours["__background__"] == "#000000"
    assert colours["aeroplane"] == "#800000"
    assert colours["cat"] == "#400000"
    assert colours["person"] == "#c08080"
    assert colours["tvmonitor"] == "#004080"
    assert AreaMeasure(small)(colour_images(1, 8, 8)).sum().item() == pytest.approx(1.0)


def test_weights_are_read_as_they_are_saved_in_every_way(small: Segmenter, tmp_path: Path) -> None:
    images = colour_images(1, 12, 12)
    state = network().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"model": state, "epoch": 3}, tmp_path / "b.pth")
    torch.save({name: value.half() for name, value in state.items()}, tmp_path / "c.pt")
    expected = small(images)
    assert len(torch.unique(expected.int().argmax(1))) > 2
    for file, share in (("a.safetensors", 1.0), ("b.pth", 1.0), ("c.pt", 0.7)):
        masks = find_segmenter(f"torchvision:{SMALL}@{tmp_path / file}")(images)
        assert (masks == expected).all(1).float().mean() >= share


def test_weights_of_another_number_of_classes_are_numbered(tmp_path: Path) -> None:
    torch.save(network(n_classes=3).state_dict(), tmp_path / "three.pth")
    segmenter = find_segmenter(f"torchvision:{SMALL}@{tmp_path / 'three.pth'}")
    assert segmenter.classes == ("class 0", "class 1", "class 2")
    assert segmenter(colour_images(1, 8, 9)).shape == (1, 3, 8, 9)


def test_looking_it_up_draws_no_random_numbers_and_reads_a_file_once(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_segmenter(f"torchvision:{SMALL}@{weights}")
    monkeypatch.setattr(networks, "_read", lambda *given: pytest.fail("read again"))
    before = torch.random.get_rng_state()
    find_segmenter(f"torchvision:{SMALL}@{weights}")
    networks._empty(SMALL, 21)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_file_under_the_same_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for n_classes, time in ((3, 1), (5, 2)):
        torch.save(network(n_classes=n_classes).state_dict(), path)
        os.utime(path, (time, time))
        assert len(find_segmenter(f"torchvision:{SMALL}@{path}").classes) == n_classes


class Trap:
    """What runs when a careless unpickler reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


def test_files_that_are_no_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = network().state_dict()
    torch.save({"weights": Trap()}, "trap.pth")
    Path("text.pth").write_text("no weights")
    Path("text.safetensors").write_text("no weights")
    torch.save([1, 2], "list.pth")
    torch.save({"model": {"a": 3}}, "numbers.pth")
    torch.save({"fc.weight": torch.zeros(3)}, "other.pth")
    torch.save(dict(list(state.items())[1:]), "less.pth")
    torch.save(state | {"more": torch.zeros(1)}, "more.pth")
    for file, told in {
        "none.pth": f"cannot read the weights none.pth of {SMALL}: No such file or directory",
        "trap.pth": "it is no file of tensors alone, as torch.save",
        "text.pth": "cannot read the weights text.pth of .* no file of tensors",
        "text.safetensors": "cannot read the weights text.safetensors",
        "list.pth": "the weights list.pth .* hold a list of something other than tensors by name",
        "numbers.pth": "hold a dict of something other than tensors",
        "other.pth": "are of another network: .* of another shape, first 'backbone",
        "less.pth": "are of another network: 1 of .* first 'backbone.0.0.weight'",
        "more.pth": "are of another network: 1 of .* first 'more'",
    }.items():
        with pytest.raises(ParameterError, match=told):
            find_segmenter(f"torchvision:{SMALL}@{file}")
    assert not Path("trapped").exists()


def test_a_network_or_file_that_is_not_named_is_told() -> None:
    told = "no network 'fcn_resnet5' in torchvision; nearest: fcn_resnet50.*there are: deeplabv3_"
    with pytest.raises(UnknownNameError, match=told):
        find_segmenter("torchvision:fcn_resnet5")
    with pytest.raises(
        ParameterError, match=f"names no file behind its @; write torchvision:{SMALL}@"
    ):
        find_segmenter(f"torchvision:{SMALL}@")
    with pytest.raises(ParameterError, match=r"write torchvision:MODEL\[@FILE\]"):
        find_segmenter("torchvision")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (urllib.error.URLError(OSError("Network is unreachable")), "Network is unreachable"),
        (urllib.error.HTTPError("u", 404, "Not Found", {}, None), "Not Found"),  # type: ignore[arg-type]
        (RuntimeError('invalid hash value (expected "d2", got "a1")'), "invalid hash value"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_a_failed_download_is_one_sentence_with_the_way_out(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **how: Any) -> None:
        assert how["weights_only"]
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    told = (
        f"^cannot download the weights of {SMALL} from https://download.pytorch.org/.*: {reason}.*;"
        f" fetch them elsewhere and write torchvision:{SMALL}@FILE$"
    )
    with pytest.raises(PluginError, match=told):
        find_segmenter(f"torchvision:{SMALL}")


def test_downloaded_weights_are_used(small: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def give(url: str, **how: Any) -> dict[str, Tensor]:
        asked.append(url)
        return dict(network().state_dict())

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", give)
    segmenter = find_segmenter(f"torchvision:{SMALL}")
    networks._loaded.cache_clear()
    images = colour_images(1, 10, 10)
    assert segmenter.name == f"torchvision:{SMALL}"
    assert torch.equal(segmenter(images), small(images))
    assert asked == [models.get_model_weights(SMALL).DEFAULT.url]


@pytest.mark.slow
@pytest.mark.parametrize("model", models.list_models(module=models.segmentation))
def test_every_network_of_torchvision_is_filled_with_or_without_its_auxiliary_classifier(
    model: str, tmp_path: Path
) -> None:
    module = network(model, **({} if model == SMALL else {"aux_loss": True}))
    torch.save(module.state_dict(), tmp_path / "all.pth")
    images = colour_images(1, 9, 12)
    masks = find_segmenter(f"torchvision:{model}@{tmp_path / 'all.pth'}")(images)
    expected = labels_by_hand(module, images)
    assert (masks.int().argmax(1).numpy() == expected).mean() > 0.98
