"""Entries of torch.hub: code, which runs only where it is trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ganprobe import FactoryError, UnknownNameError, UntrustedError, UsageError, WeightsError, load
from ganprobe.weight_files import sha256_of
from model_code import write_code

HUBCONF = '''
dependencies = ["torch"]

from networks_of_hub import Dcgan as _Dcgan


def dcgan(pretrained=False, nz=6):
    """A generator."""
    return _Dcgan(nz)


def far():
    return __import__("torch").hub.load_state_dict_from_url("https://nowhere.invalid/weights.pth")
'''


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    write_code(folder, "networks_of_hub.py")
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of torch's, and no network."""

    def refuse(*arguments: object, **keywords: object) -> Any:
        raise OSError("no network in tests")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


def test_an_entry_of_a_folder_is_loaded_once_trusted(repository: Path) -> None:
    with pytest.raises(UntrustedError) as caught:
        load(f"hub:{repository}:dcgan")
    digest = sha256_of(repository / "hubconf.py")
    assert digest in str(caught.value)
    assert "networks_of_hub" not in sys.modules
    generator = load(f"hub:{repository}:dcgan", trust=True, arguments={"nz": 3})
    assert (generator.name, generator.latent_space.shape) == ("dcgan", (3, 1, 1))
    assert digest in generator.source["trusted"][0]


def test_an_entry_in_torchs_cache_is_loaded_without_a_network(repository: Path, hub: Path) -> None:
    repository.rename(hub / "some_repo_v1")
    with pytest.raises(UntrustedError, match=r"hub:some/repo:v1 would be fetched and its hubconf"):
        load("hub:some/repo:v1:dcgan")
    generator = load("hub:some/repo:v1:dcgan", trust=True)
    assert generator.latent_space.shape == (6, 1, 1)
    assert generator.source["spec"] == "hub:some/repo:v1:dcgan"


def test_what_cannot_be_fetched_is_a_sentence(hub: Path) -> None:
    for spec in ("hub:some/other:net", "hub:some/other:main:net"):
        with pytest.raises(WeightsError, match=r"cannot be fetched: .*; without a network, clone"):
            load(spec, trust=True)


def test_an_entry_that_wants_to_fetch_says_so(repository: Path, hub: Path) -> None:
    with pytest.raises(FactoryError, match=r"raised OSError: no network in tests .*hubconf.py:\d+"):
        load(f"hub:{repository}:far", trust=True)


def test_a_wrong_entry_names_the_nearest(repository: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'dgcan' in .*hubconf.py; nearest: dcgan"):
        load(f"hub:{repository}:dgcan", trust=True)
    with pytest.raises(UnknownNameError, match=r"no argument 'nzz' in .* nearest: nz"):
        load(f"hub:{repository}:dcgan", trust=True, arguments={"nzz": 3})


def test_a_package_that_is_missing_is_named(repository: Path) -> None:
    (repository / "hubconf.py").write_text(HUBCONF.replace('"torch"', '"torch", "no_such_package"'))
    with pytest.raises(UsageError, match="needs no_such_package, which is not installed"):
        load(f"hub:{repository}:dcgan", trust=True)
