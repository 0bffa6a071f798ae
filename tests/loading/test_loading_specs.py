"""What a user writes for a generator is read for what it is, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganprobe import UnknownNameError, UsageError
from ganprobe.loading.specs import (
    CodeSpec,
    FileSpec,
    FolderSpec,
    HuggingFaceSpec,
    RegisteredSpec,
    Spec,
    TorchHubSpec,
    parse_factory,
    parse_spec,
)

NAMES = ["digits", "scenes"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a few files in it."""
    for name in (
        "net.py",
        "gan.safetensors",
        "odd:name.pt",
        "model/ganprobe.toml",
        "ours/hubconf.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("digits", RegisteredSpec("digits")),
        ("models.gan:make", CodeSpec("make", "models.gan")),
        ("models.gan:Gan.from_config", CodeSpec("Gan.from_config", "models.gan")),
        ("net.py:make", CodeSpec("make", file=Path("net.py"))),
        ("./net.py:Net.small", CodeSpec("Net.small", file=Path("net.py"))),
        ("gan.safetensors", FileSpec(Path("gan.safetensors"))),
        ("odd:name.pt", FileSpec(Path("odd:name.pt"))),
        ("model", FolderSpec(Path("model"))),
        ("model/ganprobe.toml", FolderSpec(Path("model/ganprobe.toml"))),
        ("some/vae", HuggingFaceSpec("some/vae")),
        ("some/vae@v1.0", HuggingFaceSpec("some/vae", revision="v1.0")),
        ("hf:some/vae", HuggingFaceSpec("some/vae")),
        ("hf:some/vae/vae/fp16@refs/pr/3", HuggingFaceSpec("some/vae", "vae/fp16", "refs/pr/3")),
        ("hf:model/vae", HuggingFaceSpec("model/vae")),
        ("hub:some/repo:net", TorchHubSpec("some/repo", "net")),
        ("hub:some/repo:v1/dev:net", TorchHubSpec("some/repo:v1/dev", "net")),
        ("hub:ours:net", TorchHubSpec("ours", "net", is_local=True)),
    ],
)
def test_each_form_is_read(text: str, meant: Spec) -> None:
    assert parse_spec(text, NAMES) == meant


def test_a_registered_name_comes_before_a_folder_of_that_name(folder: Path) -> None:
    (folder / "digits").mkdir()
    assert parse_spec("digits", NAMES) == RegisteredSpec("digits")
    assert parse_spec("./digits", NAMES) == FolderSpec(Path("digits"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("digts", "no generator 'digts'; nearest: digits (list them: ganprobe generators; or give"),
        ("models.gan", "(a factory in a module is written models.gan:NAME)"),
        ("", "no generator was named; write a registered name, package.module:factory"),
        ("net.py", "net.py holds code; say what in it makes the generator: net.py:NAME"),
        ("nett.py:make", "no file or folder nett.py:make; nearest in .: net.py"),
        ("gam.safetensors", "no file or folder gam.safetensors; nearest in .: gan.safetensors"),
        ("model/gan", "no file or folder model/gan; if you mean Hugging Face, write hf:model/gan"),
        ("./model:make", "./model is a folder; a factory is in a file of it: ./model/FILE.py:NAME"),
        ("gan.safetensors:make", "gan.safetensors is no file of Python code"),
        ("/nowhere/at/all/gan.pt", "no file or folder /nowhere/at/all/gan.pt"),
        ("C:\\models\\gan.pt", "no file or folder C:\\models\\gan.pt"),
        ("C:\\models\\net.py:make", "no file or folder C:\\models\\net.py:make"),
        ("a/b/c/d", "no file or folder a/b/c/d"),
        ("hf:a b/c", "a model of Hugging Face is written hf:owner/name[/subfolder][@revision]"),
        ("hf:a/b/../../c", "a model of Hugging Face is written"),
        ("hf:a/b@", "a model of Hugging Face is written"),
        ("hub:some/repo", "an entry of torch.hub is written hub:owner/repo:entry"),
        ("hub:model:net", "model has no hubconf.py, which names the entries of torch.hub"),
        ("hub:nowhere:net", "no file or folder nowhere"),
        ("hub:some/repo:a b:net", "'a b' is no name of a branch"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_spec(text, NAMES)
    assert told in str(caught.value)


def test_an_unknown_name_is_of_the_class_that_says_so() -> None:
    with pytest.raises(UnknownNameError):
        parse_spec("digts", NAMES)


def test_a_factory_is_looked_for_beside_its_description(folder: Path) -> None:
    (folder / "model" / "code.py").touch()
    found = parse_factory("code.py:make", folder / "model")
    assert found == CodeSpec("make", file=folder / "model" / "code.py")
    assert parse_factory("package.module:make", folder / "model").module == "package.module"
    with pytest.raises(
        UsageError, match=r"is written package\.module:name or path/to/file\.py:name"
    ):
        parse_factory("make")
