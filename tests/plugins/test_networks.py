"""Somebody's network, described by a ``ganprobe.toml``, as a measure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import ganprobe as gp
import lenet
from archived_modules import traced
from ganprobe import Context, Measure, ParameterError, Probe, UntrustedError, UsageError
from ganprobe.catalogue import every_measure, find_measure, find_segmenter

CODE = """
import torch
from torch import nn


def make(n_in=3, n_out=2):
    layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_out)]
    return nn.Sequential(*layers)
"""
LENET = """
from torch import nn


def make():
    conv = [nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
    head = [nn.MaxPool2d(2), nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten()]
    last = [nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10), nn.LogSoftmax(-1)]
    names = "c1 relu1 s2 c3 relu3 s4 c5 relu5 flat f6 relu6 f7 logp".split()
    module = nn.Sequential()
    for name, layer in zip(names, [*conv, *head, *last], strict=True):
        module.add_module(name, layer)
    return module
"""


def described(folder: Path, section: str, code: str = CODE) -> Path:
    """A folder with a network of means of channels, weighted by 1, 2, 3 and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "judge.py").write_text(code)
    (folder / "ganprobe.toml").write_text(f"[measure]\n{section}")
    return folder


def weighted(folder: Path, section: str, *, n_in: int = 3, n_out: int = 2) -> Measure:
    """A measure of the network with weights 1, 2, 3, ... and a bias of 0."""
    weight = torch.arange(1.0, n_in * n_out + 1).view(n_out, n_in)
    described(folder, f'factory = "judge.py:make"\nweights = "judge.safetensors"\n{section}\n'
              f"arguments = {{n_in = {n_in}, n_out = {n_out}}}\n")  # fmt: skip
    save_file({"2.weight": weight, "2.bias": torch.zeros(n_out)}, folder / "judge.safetensors")
    return find_measure(f"network:{folder}", trust=True)


def test_its_outputs_are_named_and_are_what_the_network_gives(tmp_path: Path) -> None:
    measure = weighted(tmp_path / "net", 'columns = ["dark", "light"]')
    images = torch.rand(4, 3, 5, 6)
    weight = torch.arange(1.0, 7.0).view(2, 3)
    assert measure.name == f"network:{tmp_path / 'net'}"
    assert measure.columns == ("dark", "light")
    assert measure.fits((3, 5, 6))
    torch.testing.assert_close(measure(images), images.mean(dim=(2, 3)) @ weight.T)


@pytest.mark.parametrize(
    ("outputs", "becomes"),
    [
        ("values", lambda values: values),
        ("probabilities", lambda values: values),
        ("logits", lambda values: values.softmax(dim=1)),
        ("log-probabilities", torch.exp),
    ],
)
def test_what_its_outputs_are_tells_what_becomes_of_them(
    outputs: str, becomes: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    plain = weighted(tmp_path / "plain", "columns = 2")
    measure = weighted(tmp_path / "net", f'columns = 2\noutputs = "{outputs}"')
    images = torch.rand(4, 3, 5, 6)
    torch.testing.assert_close(measure(images), becomes(plain(images)))


def test_one_logit_becomes_a_probability_by_itself(tmp_path: Path) -> None:
    section = 'columns = ["real"]\noutputs = "logits"'
    measure = weighted(tmp_path / "net", section, n_out=1)
    images = torch.rand(4, 3, 5, 6)
    expected = (images.mean(dim=(2, 3)) @ torch.tensor([1.0, 2.0, 3.0])).sigmoid()
    torch.testing.assert_close(measure(images)[:, 0], expected)


def test_images_are_brought_to_its_range_and_statistics(tmp_path: Path) -> None:
    section = (
        "columns = 1\nimage_shape = [3, 5, 6]\nimage_range = [-1, 1]\nmean = [0.1, 0.2, 0.3]\n"
        "std = [0.5, 0.25, 2.0]"
    )
    measure = weighted(tmp_path / "net", section, n_out=1)
    images = torch.rand(4, 3, 5, 6)
    means = images.mean(dim=(2, 3)) * 2 - 1
    given = (means - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.25, 2.0])
    expected = given @ torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(measure(images)[:, 0], expected)


def test_grey_images_become_coloured_ones_and_the_other_way_round(tmp_path: Path) -> None:
    coloured = weighted(tmp_path / "coloured", "columns = 2\nimage_shape = [3, 4, 4]")
    grey = weighted(tmp_path / "grey", "columns = 2\nimage_shape = [1, 4, 4]", n_in=1)
    images = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(coloured(images), coloured(images.expand(-1, 3, -1, -1)))
    colour = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(grey(colour), grey(gp.luminance(colour)[:, None]))
    assert not grey.fits((4, 4, 4))


@pytest.mark.parametrize("resize", ["bilinear", "bicubic", "nearest", "area"])
def test_images_of_any_size_are_resized_to_its_own(resize: str, tmp_path: Path) -> None:
    code = "from torch import nn\n\ndef make():\n    return nn.Flatten()\n"
    section = (
        f'factory = "judge.py:make"\ncolumns = 16\nimage_shape = [1, 4, 4]\nresize = "{resize}"'
    )
    folder = described(tmp_path / "net", section, code)
    measure = find_measure(f"network:{folder}", trust=True)
    for side in (2, 4, 9):
        images = torch.rand(2, 1, side, side)
        values = measure(images)
        assert values.shape == (2, 16)
        assert 0.0 <= values.min() <= values.max() <= 1.0
        if side == 4:
            assert torch.equal(values, images.flatten(1))
    if resize == "bilinear":
        expected = functional.interpolate(images[..., :2, :2], (4, 4), mode="bilinear")
        assert torch.equal(measure(images[..., :2, :2]), expected.flatten(1))


def test_one_that_does_not_resize_takes_its_size_alone(tmp_path: Path) -> None:
    section = 'columns = 2\nimage_shape = [3, 4, 4]\nresize = "none"'
    measure = weighted(tmp_path / "net", section)
    assert measure.fits((3, 4, 4))
    assert measure.fits((1, 4, 4))
    assert not measure.fits((3, 8, 8))


def test_it_has_gradients_with_respect_to_images_and_none_of_its_own(tmp_path: Path) -> None:
    measure = weighted(tmp_path / "net", "columns = 2\nimage_shape = [3, 4, 4]")
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    measure.measure(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().sum()) > 0


def test_an_archive_can_be_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 3), nn.Softmax(dim=1)).eval()
    traced(network, tmp_path / "net.pt")
    (tmp_path / "ganprobe.toml").write_text(
        '[measure]\nweights = "net.pt"\ncolumns = ["a", "b", "c"]\n'
    )
    measure = find_measure(f"network:{tmp_path / 'ganprobe.toml'}")
    images = torch.rand(4, 6)
    torch.testing.assert_close(measure.measure(images), network(images))


def test_its_code_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    weighted(tmp_path / "net", "columns = 2")
    with pytest.raises(UntrustedError, match=r"judge\.py.*--trust"):
        find_measure(f"network:{tmp_path / 'net'}")


def test_the_source_tells_its_files_with_their_sha256(tmp_path: Path) -> None:
    measure = weighted(tmp_path / "net", "columns = 2")
    files = measure.source["files"]
    assert {Path(file).name for file in files} == {
        "ganprobe.toml",
        "judge.py",
        "judge.safetensors",
    }
    assert all(len(digest) == 64 for digest in files.values())
    json.dumps(measure.source)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('factory = "judge.py:make"', "columns = "),
        ("columns = 2", "names no network"),
        ('factory = "judge.py:make"\ncolumns = 2\nmean = [0.5]', "mean and std"),
        (
            'factory = "judge.py:make"\ncolumns = 2\nimage_range = [1, 0]',
            "the smaller number first",
        ),
        ('factory = "judge.py:make"\ncolums = 2', "nearest: columns"),
        ('factory = "judge.py:make"\ncolumns = true', "how many outputs there are, or their names"),
    ],
)
def test_what_a_description_lacks_is_said(section: str, said: str, tmp_path: Path) -> None:
    folder = described(tmp_path / "net", section)
    with pytest.raises(UsageError, match=said):
        find_measure(f"network:{folder}", trust=True)


def test_other_outputs_than_described_are_said(tmp_path: Path) -> None:
    folder = described(tmp_path / "net", 'factory = "judge.py:make"\ncolumns = 5')
    with pytest.raises(ParameterError, match=r"gave \(4, 2\) for 4 images.* 5 columns"):
        find_measure(f"network:{folder}", trust=True)(torch.rand(4, 3, 5, 6))


def test_without_a_folder_it_says_how_it_is_written() -> None:
    with pytest.raises(ParameterError, match="write network:FOLDER"):
        find_measure("network")
    with pytest.raises(UsageError, match=r"models/none has no ganprobe\.toml"):
        find_measure("network:models/none")
    assert "network" not in [measure.name for measure in every_measure()]


def test_it_is_a_condition_on_samples_and_a_class_of_images(tmp_path: Path) -> None:
    section = 'columns = ["dark", "light"]\nimage_shape = [1, 4, 4]'
    name = weighted(tmp_path / "net.v2", section, n_in=1).name
    context = Context(Probe(gp.load("digits")), 0, lambda one: find_measure(one, trust=True))
    measure, place = context.column(f"{name}=light")
    assert (measure.name, place) == (name, 1)
    latents = context.latents(f"{name}=light & {name}.light>0.05", 3)
    images = context.generator.to_unit_range(context.probe.images(latents))
    assert (measure(images)[:, 1] > 0.05).all()
    classes = find_segmenter(f"class:{name}", find_measure=context.find_measure)
    assert classes.classes == ("dark", "light")


@pytest.mark.skipif(not lenet.ARE_AT_HAND, reason="no copy of the published weights at hand")
def test_a_published_classifier_judges_digits_as_our_own_does(tmp_path: Path) -> None:
    weights = lenet.CLASSIFIER.with_suffix(".safetensors").resolve()
    section = (
        f'factory = "judge.py:make"\nweights = "{weights}"\ncolumns = 10\n'
        'image_shape = [1, 32, 32]\noutputs = "log-probabilities"\n'
    )
    folder = described(tmp_path / "lenet", section, LENET)
    judge, own = find_measure(f"network:{folder}", trust=True), find_measure("digit")
    digits = gp.load("digits")
    images = digits.to_unit_range(Probe(digits).images(digits.sample(200, seed=0)))
    found = judge(images)
    torch.testing.assert_close(found, lenet.LeNet()(images), rtol=0.0, atol=1e-6)
    agreement = float((found.argmax(dim=1) == own(images).argmax(dim=1)).float().mean())
    assert agreement > 0.9


def test_on_the_command_line_it_is_trusted_and_its_source_kept(
    tmp_path: Path, ganprobe_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = 'columns = ["dark", "light"]\nimage_shape = [1, 4, 4]'
    name = weighted(Path("net"), section, n_in=1).name
    asked = ("--measure", name, "--steps", "2", "--dims", "0", "--bases", "2")
    run = ("run", "traversal", "digits", *asked, "--output", "out")
    refused = ganprobe_command(*run)
    assert refused.status == 2
    assert "--trust" in refused.err
    done = ganprobe_command(*run, "--trust")
    assert done.status == 0, done.err
    assert "SHA-256" in done.err
    made = json.loads(Path("out/result.json").read_text())
    (source,) = made["provenance"]["parameters"]["measures"].values()
    assert str(Path("net") / "judge.safetensors") in source["files"]
