"""Files that hold a network rather than weights of one: archives, and pickles with their code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ganprobe import Probe, UntrustedError, UsageError, WeightsError, load
from model_code import CODE, made, write_code
from nvidia_stand_in import pickled_networks, write_clone


def network(n_in: int = 6) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.ConvTranspose2d(n_in, 4, 4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.Tanh()
    ).eval()


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    path = tmp_path / "traced.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that TorchScript will go
        torch.jit.trace(network(), torch.zeros(2, 6, 1, 1)).save(str(path))
    return path


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "exported.pt2"
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(network(), (torch.zeros(2, 6, 1, 1),), dynamic_shapes=shapes)
    torch.export.save(program, str(path))
    return path


@pytest.mark.parametrize("kind", ["traced", "exported"])
def test_an_archive_is_the_network_that_it_was_made_of(
    kind: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(kind)
    generator = load(str(path))
    assert (generator.name, generator.latent_space.shape) == (kind, (6, 1, 1))
    z = generator.sample(3)
    with torch.no_grad():
        assert torch.equal(generator.forward(z), network()(z.z))
    assert [layer.name for layer in Probe(generator).layers() if layer.name] == ["0", "1", "2", "3"]
    assert list(generator.source["files"]) == [str(path)]


def test_an_exported_archive_says_the_shape_of_its_latents(exported: Path) -> None:
    assert any("is what the archive says: 6x1x1" in note for note in load(str(exported)).notes)


def test_an_archive_in_a_folder_is_described(traced: Path) -> None:
    toml = '[generator]\nname = "mine"\nweights = "traced.pt"\n[images]\nrange = [-2, 2]\n'
    (traced.parent / "ganprobe.toml").write_text(toml)
    for spec in (traced, traced.parent):
        generator = load(str(spec))
        assert (generator.name, generator.image_range) == ("mine", (-2.0, 2.0))


@pytest.mark.parametrize(
    "given", [{"arguments": {"a": 1}}, {"factory": "torch.nn:Linear"}, {"weights_key": "g"}]
)
def test_an_archive_takes_no_factory(traced: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="an archive, takes no --"):
        load(str(traced), **given)


def test_weights_alone_ask_for_the_code(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "w.safetensors")
    torch.save(network().state_dict(), tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        with pytest.raises(UsageError, match=r"holds weights alone; name the code .* --factory"):
            load(str(tmp_path / name))
        with pytest.raises(UsageError, match="holds weights itself, and --weights gives others"):
            load(str(tmp_path / name), weights=tmp_path / "other.pt")


def test_weights_that_do_not_fit_name_the_first(tmp_path: Path) -> None:
    code = write_code(tmp_path)
    torch.save({"g_ema": made(code, "Dcgan").state_dict()}, tmp_path / "w.pt")
    generator = load(str(tmp_path / "w.pt"), factory=f"{code}:Dcgan")
    assert generator.source["weights"]["entry"] == "g_ema"
    with pytest.raises(WeightsError, match=r"'body\.0\.weight' wants \(6, 9, 4, 4\)"):
        load(str(tmp_path / "w.pt"), factory=f"{code}:Dcgan", arguments={"width": 9})


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"version https://git-lfs"])
def test_a_file_that_is_none_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.pt"):
        load(str(tmp_path / "w.pt"))


@pytest.fixture
def modules_as_they_were() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("dnnlib", "torch_utils") or "stand_in_" in name:
            del sys.modules[name]


@pytest.mark.usefixtures("modules_as_they_were")
def test_a_pickle_with_its_code_needs_trust_and_a_clone(tmp_path: Path) -> None:
    clone = write_clone(tmp_path / "clone")
    (tmp_path / "net.pkl").write_bytes(pickled_networks(clone))
    toml = '[latent]\nsize = 3\n[images]\nrange = [-2, 2]\n[call]\narguments = ["$z", false]\n'
    (tmp_path / "ganprobe.toml").write_text(f'[generator]\ncode = "clone"\n{toml}')
    with pytest.raises(UntrustedError):
        load(str(tmp_path / "net.pkl"))
    generator = load(str(tmp_path / "net.pkl"), trust=True)
    assert generator.forward(generator.sample(2)).shape == (2, 1, 2, 2)
    assert generator.source["code"] == str(clone)
    (tmp_path / "ganprobe.toml").write_text(toml)
    given = load(str(tmp_path / "net.pkl"), trust=True, code=clone, weights_key="G")
    assert given.weights_sha256() != generator.weights_sha256()


def test_a_file_of_code_is_not_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CODE)
    with pytest.raises(UsageError, match=r"net\.py:NAME"):
        load(str(tmp_path / "net.py"))
