"""Code that nobody named runs only where it is trusted, and nothing is imported before that."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ganprobe import Trust, UntrustedError, UsageError, load
from ganprobe.loading import LoadOptions, load_spec
from ganprobe.weight_files import sha256_of
from model_code import CODE, made, model_folder, write_code

TRAP = "raise SystemExit('this ran')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Modules that a test imported are gone afterwards."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("trap", "network")):
            del sys.modules[name]


def test_a_folder_with_code_is_refused_with_its_hash(folder: Path) -> None:
    model_folder(folder)
    (folder / "network.py").write_text(TRAP)
    with pytest.raises(UntrustedError) as caught:
        load(str(folder))
    told = str(caught.value)
    assert f"{folder / 'network.py'}" in told
    assert sha256_of(folder / "network.py") in told
    assert "--trust" in told


def test_a_trusted_folder_says_the_hash_before_its_code_runs(folder: Path) -> None:
    model_folder(folder)
    (folder / "network.py").write_text(TRAP)
    heard: list[str] = []
    options = LoadOptions(trust=Trust(True, heard.append))
    with pytest.raises(Exception, match="this ran"):
        load_spec(str(folder), options=options)
    assert len(heard) == 1
    assert sha256_of(folder / "network.py") in heard[0]


def test_what_was_trusted_is_part_of_the_source(folder: Path) -> None:
    network = model_folder(folder)
    generator = load(str(folder), trust=True)
    z = generator.sample(2)
    with torch.no_grad():
        assert torch.equal(generator.forward(z), network(z.z))
    (told,) = generator.source["trusted"]
    assert sha256_of(folder / "network.py") in told
    names = {Path(path).name for path in generator.source["files"]}
    assert names == {"ganprobe.toml", "network.py", "weights.safetensors"}


@pytest.mark.parametrize(
    "factory",
    [
        "network.py:Dcgan",
        "./network.py:Dcgan",
        "../model/network.py:Dcgan",
        "network:Dcgan",
        "inner.network:Dcgan",
        "inner:Dcgan",
    ],
)
def test_every_way_to_code_of_the_folder_needs_trust(
    folder: Path, factory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(folder, f'[generator]\nfactory = "{factory}"\n[latent]\nshape = [6, 1, 1]\n')
    write_code(folder / "inner")
    (folder / "inner" / "__init__.py").write_text(CODE)
    for current in (folder, folder.parent):
        monkeypatch.chdir(current)
        monkeypatch.syspath_prepend(str(current))  # as Python does with -m
        with pytest.raises(UntrustedError):
            load(str(folder))
    assert load(str(folder), trust=True).latent_space.shape == (6, 1, 1)


def test_code_of_the_current_folder_needs_trust(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description may not reach for what happens to lie where the user stands."""
    model_folder(folder, '[generator]\nfactory = "trap_beside:Dcgan"\n')
    (folder.parent / "trap_beside.py").write_text(TRAP)
    monkeypatch.chdir(folder.parent)
    for entry in ("", str(folder.parent), "."):
        with monkeypatch.context() as patched:
            patched.setattr(sys, "path", [entry, *sys.path])
            with pytest.raises(UntrustedError, match="trap_beside"):
                load(str(folder))


def test_a_module_that_shadows_an_installed_one_does_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class of the package is meant and made, whatever lies in the folder under its name."""
    toml = '[generator]\nfactory = "torch.nn:Linear"\n[arguments]\nin_features = 4\n'
    model_folder(folder, f"{toml}out_features = 16\n[images]\nrange = [-1, 1]\n")
    (folder / "torch.py").write_text(TRAP)
    monkeypatch.chdir(folder)
    generator = load(str(folder))
    assert isinstance(generator.module, torch.nn.Linear)
    assert "trusted" not in generator.source


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        ("os:system", 'command = "touch ran"'),
        ("torch:load", 'f = "weights.pt"'),
        ("builtins:exec", "source = \"open('ran', 'w')\""),
        ("subprocess:Popen", 'args = ["touch", "ran"]'),
        ("torch.nn:Module.load_state_dict", ""),
        ("torch.nn.utils.rnn:os.system", 'command = "touch ran"'),
    ],
)
def test_what_is_no_class_of_modules_is_not_called(
    folder: Path, factory: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(folder, f'[generator]\nfactory = "{factory}"\n[arguments]\n{arguments}\n')
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match=r"--trust|makes no module|no factory"):
        load(str(folder))
    assert not (folder / "ran").exists()


def test_a_program_is_not_run_as_a_module(folder: Path) -> None:
    model_folder(folder, '[generator]\nfactory = "pip.__main__:main"\n')
    with pytest.raises(UsageError, match="is a program, which a description cannot name"):
        load(str(folder), trust=True)


def test_a_namespace_in_the_folder_is_refused(folder: Path) -> None:
    model_folder(folder, '[generator]\nfactory = "spread.network:Dcgan"\n')
    write_code(folder / "spread")
    with pytest.raises(UsageError, match="parts of which may lie anywhere; name the file"):
        load(str(folder))


def test_what_the_user_names_runs_without_trust(folder: Path) -> None:
    """As with python file.py; the folder says only the arguments and the shapes."""
    model_folder(folder)
    mine = write_code(folder.parent, "mine.py")
    (folder / "network.py").write_text(TRAP)
    generator = load(str(folder), factory=f"{mine}:Dcgan")
    assert generator.source["factory"] == f"{mine}:Dcgan"
    assert generator.source["arguments"] == {"width": 4}
    assert sha256_of(mine) in " ".join(generator.notes)


def test_a_checkpoint_uses_the_description_beside_it_with_the_same_care(folder: Path) -> None:
    model_folder(folder)
    other = made(folder / "network.py", "Dcgan")
    save_file(other.state_dict(), folder / "other.safetensors")
    with pytest.raises(UntrustedError):
        load(f"{folder}/other.safetensors")
    generator = load(f"{folder}/other.safetensors", trust=True)
    assert generator.name == "other"
    assert str(folder / "ganprobe.toml") in generator.source["files"]


def test_a_whole_pickled_module_needs_trust_and_its_code(folder: Path) -> None:
    code = write_code(folder)
    sys.path.insert(0, str(folder))
    try:
        network = importlib.import_module("network")
        torch.save(network.Dcgan().eval(), folder / "whole.pt")
    finally:
        sys.path.remove(str(folder))
        del sys.modules["network"]
    with pytest.raises(UntrustedError, match=r"network\.Dcgan"):
        load(str(folder / "whole.pt"))
    generator = load(str(folder / "whole.pt"), trust=True, code=code.parent)
    assert type(generator.module).__name__ == "Dcgan"


def test_listing_runs_and_loads_nothing(folder: Path) -> None:
    """Reading what a folder describes imports no code, of the folder or of a package."""
    from ganprobe.loading import parse_spec, read_description

    model_folder(folder, '[generator]\nfactory = "trap_nowhere:Dcgan"\n')
    (folder / "network.py").write_text(TRAP)
    before = set(sys.modules)
    parse_spec(str(folder), [])
    read_description(folder)
    assert {
        name for name in set(sys.modules) - before if "trap" in name or "network" in name
    } == set()
