"""What a file is, told by its content."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from checkpoints import WRITTEN, WRONG, Hostile, small_state
from ganprobe import UsageError, WeightsError, file_kind, read_weights
from ganprobe.weight_files.pickle_names import code_named, is_legacy_pytorch, names_in_pickle


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_file_is_known_by_its_content_whatever_it_is_called(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.dat"
    WRITTEN[kind](path)
    assert file_kind(path) == kind.split(" ")[0]


@pytest.mark.parametrize("what", WRONG)
def test_a_file_of_another_kind_gets_a_sentence(what: str, tmp_path: Path) -> None:
    name, write, told = WRONG[what]
    path = tmp_path / name
    write(path)
    for reading in (file_kind, read_weights):
        with pytest.raises(WeightsError) as raised:
            reading(path)
        assert str(raised.value).startswith(str(path))
        assert told in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_missing_file_names_the_nearest_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    with pytest.raises(UsageError, match=r"there is no file .*weight\.pt; nearest.* weights\.pt"):
        file_kind(tmp_path / "weight.pt")
    with pytest.raises(UsageError, match=r"there is no file .*weight\.pt$"):
        file_kind(tmp_path / "nowhere" / "weight.pt")


def test_a_folder_names_the_weights_in_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UsageError, match=r"is a folder; .*; in it: model\.safetensors$"):
        file_kind(tmp_path)


def test_torch_archives_without_check_sums_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(small_state(), path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert file_kind(path) == "pytorch"
    assert torch.equal(read_weights(path).tensors["last.bias"], small_state()["last.bias"])


@pytest.mark.parametrize("protocol", range(6))
def test_the_names_in_a_pickle_are_found_in_every_protocol(protocol: int) -> None:
    held = [Hostile(), {"again": (Hostile, print)}, Hostile(), torch.ones(2)]
    named = list(names_in_pickle(io.BytesIO(pickle.dumps(held, protocol))))
    assert named[0] in ("pathlib.Path.write_text", "__builtin__.getattr", "builtins.getattr")
    assert {"checkpoints.Hostile", "torch._utils._rebuild_tensor_v2"} <= set(named)
    assert any(name.endswith("builtin__.print") or name == "builtins.print" for name in named)


def test_only_code_beside_tensors_and_plain_values_is_named() -> None:
    plain = pickle.dumps([{1.5: "a", "b": {2}}, 1 + 2j, b"bytes", torch.Size([1])], 2)
    assert code_named(io.BytesIO(plain)) == []
    assert code_named(io.BytesIO(pickle.dumps([print, len, print, max, min]))) == [
        "builtins.print",
        "builtins.len",
        "builtins.max",
    ]
    assert code_named(io.BytesIO(pickle.dumps([print, len])[:-4])) == ["builtins.print"]


@pytest.mark.parametrize("claim", [b"\x8d" + b"\xff" * 7 + b"\x3f", b"\x8b\xff\xff\xff\x7f"])
def test_lengths_that_a_damaged_pickle_claims_are_not_believed(claim: bytes) -> None:
    damaged = io.BytesIO(b"\x80\x04" + claim + b"short")
    assert code_named(damaged) == []
    assert not is_legacy_pytorch(io.BytesIO(b"\x80\x04" + claim))


def test_an_unreadable_file_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    torch.save(small_state(), path)

    def refuse(*_: object, **__: object) -> Callable[..., object]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=r"cannot read .*model\.pt: Permission denied"):
        file_kind(path)
