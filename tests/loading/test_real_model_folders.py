"""Published networks, each described by a ganprobe.toml, on their real weights where at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import described
from described import read_described, read_network
from ganprobe import Probe, UntrustedError, load, read_description
from ganprobe.weight_files import fit_weights, read_weights, sha256_of
from lenet import ARE_AT_HAND, CLASSIFIER, GENERATOR

pytestmark = pytest.mark.skipif(not ARE_AT_HAND, reason="the weights are not at hand")

FACTORY = "make.py:make"
MAKE = f'''
import importlib.util, json
from collections import OrderedDict
from pathlib import Path
from torch import nn

spec = importlib.util.spec_from_file_location("layers_described", {described.__file__!r})
described = importlib.util.module_from_spec(spec)
spec.loader.exec_module(described)


def make(layers: Path) -> nn.Module:
    """The layers that a JSON file lists, with random weights."""
    listed = json.loads(layers.read_text())["layers"]
    return nn.Sequential(OrderedDict((one["name"], described._layer(one)) for one in listed))
'''


def folder_of(tmp_path: Path, description: Path, toml: str) -> Path:
    (tmp_path / "make.py").write_text(MAKE)
    weights = description.with_suffix(".safetensors")
    text = toml.format(weights=json.dumps(str(weights)), layers=json.dumps(str(description)))
    (tmp_path / "ganprobe.toml").write_text(text)
    return tmp_path


GENERATOR_TOML = """
[generator]
name = "mnist_swap_gan"
factory = "make.py:make"
weights = {weights}
[arguments]
layers = {layers}
[latent]
size = 5
[images]
range = [-1, 1]
"""


def test_the_generator_of_digits_is_the_published_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GENERATOR, GENERATOR_TOML)
    with pytest.raises(UntrustedError):
        load(str(folder))
    generator, theirs = load(str(folder), trust=True), read_described(GENERATOR)
    assert generator.name == "mnist_swap_gan"
    assert generator.weights_sha256() == theirs.weights_sha256()
    z = theirs.sample(8, seed=3)
    assert torch.equal(generator.forward(z), theirs.forward(z))
    weights = GENERATOR.with_suffix(".safetensors")
    assert generator.source["files"][str(weights)] == sha256_of(weights)
    shapes = {layer.name for layer in Probe(generator).layers() if layer.name}
    assert shapes == {layer["name"] for layer in json.loads(GENERATOR.read_text())["layers"]}


def test_what_is_not_described_is_found_out(tmp_path: Path) -> None:
    """Five latents by the first layer, and images from -1 to 1 by the last."""
    toml = GENERATOR_TOML.partition("[latent]")[0]
    generator = load(str(folder_of(tmp_path, GENERATOR, toml)), trust=True)
    assert generator.latent_space.shape == (5,)
    assert generator.image_range == (-1.0, 1.0)
    assert sum("was found out" in note for note in generator.notes) == 2


def test_the_mode_of_its_authors_can_be_described(tmp_path: Path) -> None:
    toml = GENERATOR_TOML.replace("[arguments]", 'normalisation = "sample"\n[arguments]')
    folder = folder_of(tmp_path, GENERATOR, toml)
    sampled = load(str(folder), trust=True)
    assert sampled.normalisation == "sample"
    theirs = read_described(GENERATOR).with_normalisation("sample")
    z = theirs.sample(4)
    assert torch.equal(sampled.forward(z), theirs.forward(z))
    assert load(str(folder), trust=True, normalisation="eval").normalisation == "eval"


def test_the_weights_are_named_on_the_command_line_as_well(tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(MAKE)
    generator = load(
        f"{tmp_path}/make.py:make",
        weights=GENERATOR.with_suffix(".safetensors"),
        arguments={"layers": str(GENERATOR)},
    )
    assert generator.weights_sha256() == read_described(GENERATOR).weights_sha256()


def test_the_classifier_is_described_as_a_measure(tmp_path: Path) -> None:
    toml = """
[measure]
factory = "make.py:make"
weights = {weights}
columns = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
image_shape = [1, 32, 32]
outputs = "log-probabilities"
[measure.arguments]
layers = {layers}
"""
    folder = folder_of(tmp_path, CLASSIFIER, toml)
    section = read_description(folder).measure
    assert section is not None
    assert section.names == tuple("0123456789")
    assert section.weights == str(CLASSIFIER.with_suffix(".safetensors"))
    with pytest.raises(Exception, match="describes a measure and no generator"):
        load(str(folder))
    untrained = read_network(CLASSIFIER)
    for parameter in untrained.parameters():
        torch.nn.init.zeros_(parameter)
    fit_weights(untrained, read_weights(section.weights), name="lenet")
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(untrained(images), read_network(CLASSIFIER)(images))
