"""Reading weights: what is taken, what is refused, and that nothing is executed."""

from __future__ import annotations

import argparse
import json
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from checkpoints import LANDED, WRITTEN, Hostile, Small, small_state
from ganprobe import Trust, UnknownNameError, UntrustedError, WeightsError, read_weights
from ganprobe.weight_files import read_module, sha256_of
from ganprobe.weight_files.pytorch_files import _MAPPED_FROM

TRUSTED = Trust(is_given=True)


def same(given: object, wanted: dict[str, Tensor]) -> bool:
    assert isinstance(given, dict)
    return list(given) == list(wanted) and all(
        torch.equal(given[one], wanted[one]) for one in given
    )


@pytest.mark.parametrize("kind", ["safetensors", "pytorch", "pytorch-legacy"])
def test_what_was_saved_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    WRITTEN[kind](path)
    weights = read_weights(path)
    assert {name: one.tolist() for name, one in weights.tensors.items()} == {
        name: one.tolist() for name, one in small_state().items()
    }
    assert weights.format == kind.split("-")[0]
    assert (weights.path, weights.sha256, weights.key) == (path, sha256_of(path), "")
    assert weights.files == {str(path): sha256_of(path)}
    assert (weights.found, weights.trusted) == ((), "")


def test_a_large_file_is_mapped_and_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _MAPPED_FROM > 1 << 20
    monkeypatch.setattr("ganprobe.weight_files.pytorch_files._MAPPED_FROM", 1)
    path = tmp_path / "model.pt"
    torch.save(small_state(), path)
    assert same(read_weights(path).tensors, small_state())


def test_other_dtypes_views_and_subclasses_are_read(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    saved = {
        "half": base.half(),
        "brain": base.bfloat16(),
        "turned": base.t(),
        "part": base[1:, 2],
        "parameter": torch.nn.Parameter(base.clone()),
        "flags": base > 3,
        "none": base[:0],
        "complex": base.to(torch.complex64),
    }
    torch.save(saved, tmp_path / "model.pt")
    read = read_weights(tmp_path / "model.pt").tensors
    assert same(read, {name: one.detach() for name, one in saved.items()})
    assert not any(one.requires_grad for one in read.values())


def test_a_checkpoint_gives_the_average_of_its_generator_and_names_the_rest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint.pt"
    saved = {
        "d_ema": small_state(4),
        "d": small_state(1),
        "g": small_state(2),
        "g_ema": small_state(3),
        "g_optim": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]},
        "latent_avg": torch.ones(3),
        "args": argparse.Namespace(size=64),
        "step": 1000,
    }
    torch.save(saved, path)
    weights = read_weights(path)
    assert weights.key == "g_ema"
    assert same(weights.tensors, small_state(3))
    assert weights.found == ("g", "", "d_ema", "d")
    assert weights.trusted == ""
    assert weights.where == f"{path} (entry 'g_ema')"
    assert not weights.is_chosen


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        (["params", "params_ema"], "params_ema"),
        (["netD", "netG"], "netG"),
        (["discriminator", "generator", "generator_ema"], "generator_ema"),
        (["state_dict", "ema"], "ema"),
        (["model_ema", "model"], "model_ema"),
        (["optimizer", "state_dict"], "state_dict"),
        (["G", "D", "G_ema"], "G_ema"),
        (["encoder", "decoder"], "decoder"),
        (["D", "G", "Gs"], "G"),
        (["augment_pipe", "weights"], "weights"),
        (["loss_fn", "schema"], "schema"),
    ],
)
def test_customary_keys_are_known(keys: list[str], taken: str, tmp_path: Path) -> None:
    torch.save({key: small_state(n) for n, key in enumerate(keys)}, tmp_path / "a.pt")
    weights = read_weights(tmp_path / "a.pt")
    assert weights.key == taken
    assert same(weights.tensors, small_state(keys.index(taken)))


def test_an_entry_is_chosen_by_its_dotted_key_or_by_what_names_begin_with(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    nested = {"netG": {"params": small_state(1), "params_ema": small_state(2)}}
    torch.save({**nested, "state_dict": small_state(3, prefix="model.gen.")}, path)
    assert same(read_weights(path, key="netG.params").tensors, small_state(1))
    assert same(read_weights(path, key="model.gen").tensors, small_state(3))
    assert read_weights(path, key="netG.params").is_chosen
    with pytest.raises(UnknownNameError, match=r"no entry 'netG\.ema' in .*; nearest: netG\.param"):
        read_weights(path, key="netG.ema")


def test_a_file_that_would_execute_code_is_refused_and_executes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    readers: list[Callable[[Path], object]] = [
        read_weights,
        lambda path: read_module(path, trust=Trust()),
    ]
    writers: dict[str, Callable[[Path], object]] = {
        "zip.pt": lambda path: torch.save({"a": torch.ones(1), "b": Hostile()}, path),
        "old.pt": lambda path: torch.save(
            {"b": Hostile()}, path, _use_new_zipfile_serialization=False
        ),
        "bare.pkl": lambda path: path.write_bytes(pickle.dumps(Hostile())),
        "four.pt": lambda path: torch.save({"b": Hostile()}, path, pickle_protocol=4),
        "script.safetensors": lambda path: torch.save(Hostile(), path),
    }
    for name, write in writers.items():
        path = tmp_path / name
        write(path)
        for read in readers:
            with pytest.raises(UntrustedError, match=r"it imports \S+.*SHA-256 is [0-9a-f]{64}"):
                read(path)
        assert not LANDED.exists()
    read_weights(tmp_path / "zip.pt", trust=TRUSTED)
    assert LANDED.exists()  # so that the test can fail


def test_trust_is_asked_only_where_it_is_needed(tmp_path: Path) -> None:
    heard: list[str] = []
    trust = Trust(is_given=True, say=heard.append)
    torch.save(small_state(), tmp_path / "plain.pt")
    assert read_weights(tmp_path / "plain.pt", trust=trust).trusted == ""
    assert heard == []
    torch.save(Small(), tmp_path / "whole.pt")
    weights = read_weights(tmp_path / "whole.pt", trust=trust)
    assert weights.trusted == (
        "imports checkpoints.Small and torch.nn.modules.linear.Linear, which no tensors or plain"
        " values need"
    )
    assert len(heard) == 1
    assert weights.sha256 in heard[0]


def test_a_whole_module_is_read_for_its_tensors_or_returned(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.manual_seed(5)
    module = Small().eval()
    torch.save({"netD": Small(), "netG": module}, path)
    weights = read_weights(path, trust=TRUSTED)
    assert weights.key == "netG"
    assert same(weights.tensors, dict(module.state_dict()))
    z = torch.ones(2, 3)
    assert torch.equal(read_module(path, trust=TRUSTED)(z), module(z))
    assert isinstance(read_module(path, trust=TRUSTED, key="netD"), Small)
    with pytest.raises(UnknownNameError, match=r"no module 'netE' in .*; nearest: netG, netD"):
        read_module(path, trust=TRUSTED, key="netE")


def test_code_that_is_not_installed_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = ModuleType("theirs")
    theirs.Net = type("Net", (Small,), {"__module__": "theirs"})  # type: ignore[attr-defined]
    path = tmp_path / "theirs.pt"
    with monkeypatch.context() as while_saved:
        while_saved.setitem(sys.modules, "theirs", theirs)
        torch.save(theirs.Net(), path)
    with pytest.raises(UntrustedError, match=r"imports theirs\.Net"):
        read_weights(path)
    with pytest.raises(WeightsError, match=r"needs code .* No module named 'theirs'; install"):
        read_weights(path, trust=TRUSTED)


def test_a_trusted_file_whose_code_raises_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pkl"
    path.write_bytes(b"\x80\x02cbuiltins\nint\nX\x03\x00\x00\x00abc\x85R.")
    with pytest.raises(WeightsError, match=r"cannot be read: ValueError: invalid literal for int"):
        read_weights(path, trust=TRUSTED)


def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="holds no tensors by name, but a dict of epoch, lr; "):
        read_weights(tmp_path / "a.pt")
    torch.save([torch.ones(1)], tmp_path / "b.pt")
    with pytest.raises(WeightsError, match="holds no tensors by name, but a list; give a state"):
        read_weights(tmp_path / "b.pt")
    save_file({}, tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match="holds no tensors by name, but an empty dict"):
        read_weights(tmp_path / "c.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "d.pt")
    path = tmp_path / "e.pkl"
    path.write_bytes(pickle.dumps({"a": torch.ones(1)}))
    with pytest.raises(WeightsError, match=r"e\.pkl holds no module, but a dict of a; say which"):
        read_module(path, trust=TRUSTED)


def test_arrays_of_numpy_count_as_tensors(tmp_path: Path) -> None:
    path = tmp_path / "arrays.pkl"
    path.write_bytes(
        pickle.dumps({"w": np.arange(6.0).reshape(2, 3)[:, ::-1], "names": np.array("a")})
    )
    weights = read_weights(path, trust=TRUSTED)
    assert same(weights.tensors, {"w": torch.tensor([[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]).double()})


def test_a_network_is_not_taken_for_weights_of_one(tmp_path: Path) -> None:
    for kind, told in {
        "torchscript": "a TorchScript archive",
        "export": "a torch.export archive",
    }.items():
        WRITTEN[kind](tmp_path / kind)
        with pytest.raises(WeightsError, match=f"is {told}, a network by itself; give it as the"):
            read_weights(tmp_path / kind)
    save_file(small_state(), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="holds tensors only; say which factory"):
        read_module(tmp_path / "a.safetensors", trust=Trust())


def test_weights_in_several_files_are_read_by_their_index(tmp_path: Path) -> None:
    state = small_state()
    names = sorted(state)
    shards = {"model-1.safetensors": names[:4], "model-2.safetensors": names[4:]}
    for shard, held in shards.items():
        save_file({name: state[name] for name in held}, tmp_path / shard)
    index = tmp_path / "model.safetensors.index.json"
    listed = {name: shard for shard, held in shards.items() for name in held}
    index.write_text(json.dumps({"weight_map": listed}))
    weights = read_weights(index)
    assert same({name: weights.tensors[name] for name in state}, state)
    assert (weights.sha256, weights.format) == (sha256_of(index), "safetensors")
    assert set(weights.files) == {str(index), *(str(tmp_path / shard) for shard in shards)}

    index.write_text(json.dumps({"weight_map": {**listed, "more": "model-2.safetensors"}}))
    with pytest.raises(WeightsError, match=r"1 of 10 tensors .* \(first: 'more' should be in "):
        read_weights(index)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lists 2 files .* 1 are not .*first: model-2\.safet"):
        read_weights(index)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "self.index.json", "inner/a.bin"])
def test_an_index_reads_only_files_of_weights_beside_it(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    save_file(small_state(), tmp_path / "elsewhere.safetensors")
    save_file(small_state(), folder / "inner" / "a.bin")
    index = folder / "self.index.json"
    index.write_text(json.dumps({"weight_map": {"first.weight": name}}))
    with pytest.raises(WeightsError, match=re.escape(f"lists {name!r}, which is no file of weig")):
        read_weights(index)


def test_shards_of_torch_save_are_read_alike(tmp_path: Path) -> None:
    torch.save(OrderedDict(small_state()), tmp_path / "a.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(small_state(), "a.bin")}))
    assert same(read_weights(index).tensors, small_state())


def test_truncated_safetensors_say_how_much_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(small_state(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(WeightsError, match=f"truncated: {len(whole) - 40:,} bytes of {len(whole)}"):
        read_weights(path)
    path.write_bytes(whole[:100])
    with pytest.raises(WeightsError, match="truncated: 100 bytes, where its header alone takes"):
        read_weights(path)


def test_a_flipped_byte_in_a_torch_archive_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(small_state(), path)
    whole = bytearray(path.read_bytes())
    at = whole.index(small_state()["first.weight"].numpy().tobytes())
    whole[at + 5] ^= 1
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match=r"is damaged: Bad CRC-32 for file 'a/data/0'; download"):
        read_weights(path)


def test_options_that_the_user_allowed_stay_allowed(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "args": argparse.Namespace(n=1)}, tmp_path / "a.pt")
    read_weights(tmp_path / "a.pt")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([argparse.Namespace]):
        read_weights(tmp_path / "a.pt")
        assert argparse.Namespace in torch.serialization.get_safe_globals()


def test_a_checkpoint_that_holds_itself_is_read(tmp_path: Path) -> None:
    held: dict[str, object] = {"a": torch.ones(1)}
    held["inner"] = held
    torch.save(held, tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").key == ""
