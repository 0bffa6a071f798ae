"""NVIDIA's pickles, by stand-ins of their code."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from checkpoints import WRITTEN, Hostile
from ganprobe import Trust, UnknownNameError, UntrustedError, UsageError, WeightsError, read_weights
from ganprobe.weight_files import is_nvidia, read_nvidia
from nvidia_stand_in import SOURCE, pickled_networks, write_clone

TRUSTED = Trust(is_given=True)
Z = torch.linspace(-1.0, 1.0, 6).reshape(2, 3)


@pytest.fixture(autouse=True)
def modules_as_they_were() -> Iterator[None]:
    """What a test imports out of a clone is forgotten after it."""
    before, path = dict(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - set(before):
        if name.split(".")[0] in ("dnnlib", "torch_utils") or "stand_in_" in name:
            del sys.modules[name]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return write_clone(tmp_path / "clone")


@pytest.fixture
def path(tmp_path: Path, clone: Path) -> Path:
    path = tmp_path / "network.pkl"
    path.write_bytes(pickled_networks(clone))
    for name in [name for name in sys.modules if name.startswith(("dnnlib", "torch_utils"))]:
        del sys.modules[name]
    return path


def by_hand(module: nn.Module, z: Tensor, *, factor: float = 1.0) -> Tensor:
    """What the stand-in's generator computes, by its weights alone."""
    state = module.state_dict()
    w = z @ state["mapping.fc.weight"].T + state["mapping.fc.bias"]
    flat = w @ state["synthesis.weight"].T + state["synthesis.bias"]
    images: Tensor = flat.tanh().reshape(-1, 1, 2, 2) * 2.0 * factor
    return images


def test_the_average_generator_comes_out_in_eval_mode_without_gradients(
    path: Path, clone: Path
) -> None:
    module = read_nvidia(path, code=clone, trust=TRUSTED)
    assert not any(layer.training for layer in module.modules())
    assert not any(one.requires_grad for one in module.parameters())
    assert {one.device.type for one in module.parameters()} == {"cpu"}
    assert list(dict(module.named_children())) == ["mapping", "synthesis"]
    assert torch.allclose(module(Z, None), by_hand(module, Z))


def test_a_network_is_chosen_by_its_key(path: Path, clone: Path) -> None:
    chosen = {key: read_nvidia(path, code=clone, trust=TRUSTED, key=key) for key in ("G", "G_ema")}
    weights = [module.state_dict()["synthesis.weight"] for module in chosen.values()]
    assert not torch.equal(*weights)
    with pytest.raises(UnknownNameError, match=r"no network 'Gema' in .*; nearest: G_ema, G$"):
        read_nvidia(path, code=clone, trust=TRUSTED, key="Gema")


def test_reading_one_needs_trust_and_runs_nothing_without(path: Path, clone: Path) -> None:
    with pytest.raises(UntrustedError, match=r"imports torch_utils\.persistence\.\w+ from"):
        read_nvidia(path, code=clone, trust=Trust())
    assert "torch_utils" not in sys.modules
    heard: list[str] = []
    read_nvidia(path, code=clone, trust=Trust(is_given=True, say=heard.append))
    assert len(heard) == 1
    assert str(path) in heard[0]
    assert str(clone) in heard[0]


def test_without_the_code_it_says_what_to_clone(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs NVIDIA's code: clone .*NVlabs/stylegan3.* --code"):
        read_nvidia(path, code=None, trust=TRUSTED)
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match=r"other has no torch_utils/persistence\.py, so it is no"):
        read_nvidia(path, code=tmp_path / "other", trust=TRUSTED)


def test_a_forward_may_import_from_the_clone_afterwards(path: Path, clone: Path) -> None:
    module = read_nvidia(path, code=clone, trust=TRUSTED)
    assert str(clone) not in sys.path
    sys.modules.pop("torch_utils.late")  # as if it had not been found early
    assert torch.allclose(module(Z, None), by_hand(module, Z))


def test_networks_of_two_clones_each_go_by_their_own_code(tmp_path: Path) -> None:
    modules = []
    for factor in (1.0, 3.0):
        clone = write_clone(tmp_path / f"clone{factor}", factor=factor)
        path = tmp_path / f"{factor}.pkl"
        path.write_bytes(
            pickled_networks(clone, source=SOURCE.replace("from torch_utils import misc", EARLY))
        )
        modules.append(read_nvidia(path, code=clone, trust=TRUSTED))
    for module, factor in zip(modules, (1.0, 3.0), strict=True):
        assert torch.allclose(module(Z, None), by_hand(module, Z, factor=factor))


EARLY = """
from torch_utils import late

class misc:
    @staticmethod
    def scaled(values, gain):
        return values * gain * late.factor()
"""


def test_what_the_program_had_under_those_names_is_put_back(
    path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ModuleType("dnnlib")
    monkeypatch.setitem(sys.modules, "dnnlib", own)
    module = read_nvidia(path, code=clone, trust=TRUSTED)
    assert sys.modules["dnnlib"] is own
    assert torch.allclose(module(Z, None), by_hand(module, Z))


def test_a_failed_load_leaves_nothing_of_the_clone(tmp_path: Path, clone: Path) -> None:
    path = tmp_path / "newer.pkl"
    path.write_bytes(pickled_networks(clone, version=7))
    for name in [name for name in sys.modules if name.startswith(("dnnlib", "torch_utils"))]:
        del sys.modules[name]
    before = set(sys.modules)
    with pytest.raises(WeightsError, match=r"newer\.pkl cannot be read: AssertionError"):
        read_nvidia(path, code=clone, trust=TRUSTED)
    assert set(sys.modules) == before


def test_a_module_that_its_source_needs_and_is_not_there_gets_a_sentence(
    tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "needy.pkl"
    monkeypatch.setitem(sys.modules, "pkg_resources", None)
    path.write_bytes(pickled_networks(clone, source=f"import pkg_resources\n{SOURCE}"))
    with pytest.raises(WeightsError, match=r"pkg_resources.*; install setuptools<81, later ones"):
        read_nvidia(path, code=clone, trust=TRUSTED)
    path.write_bytes(pickled_networks(clone, source=f"import not_installed_at_all\n{SOURCE}"))
    with pytest.raises(WeightsError, match="code that cannot be imported: No module named 'not"):
        read_nvidia(path, code=clone, trust=TRUSTED)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (
            "dnnlib.tflib.network",
            r"StyleGAN2 for TensorFlow; .*legacy\.py --source old",
        ),
        ("tfutil", "Progressive GAN for TensorFlow"),
    ],
)
def test_networks_of_tensorflow_get_a_sentence(module: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    network = f"c{module}\nNetwork\n)\x81}}X\x07\x00\x00\x00versionK\x04sb"
    path.write_bytes(b"\x80\x02" + (network * 3).encode("latin-1") + b"\x87.")
    assert is_nvidia(path)
    for trust in (Trust(), TRUSTED):
        with pytest.raises(WeightsError, match=told):
            read_nvidia(path, code=None, trust=trust)


def test_it_is_told_from_other_files(path: Path, tmp_path: Path, clone: Path) -> None:
    assert is_nvidia(path)
    with pytest.raises(WeightsError, match=r"a network as NVIDIA pickles them, .* --code"):
        read_weights(path, trust=TRUSTED)
    WRITTEN["pytorch"](tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a\.pt is no pickle of NVIDIA's, but of kind pytorch"):
        read_nvidia(tmp_path / "a.pt", code=clone, trust=TRUSTED)
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"G_ema": Hostile()}))
    assert not is_nvidia(tmp_path / "b.pkl")
    with pytest.raises(WeightsError, match="is a pickle, and none of NVIDIA's: it names"):
        read_nvidia(tmp_path / "b.pkl", code=clone, trust=TRUSTED)
