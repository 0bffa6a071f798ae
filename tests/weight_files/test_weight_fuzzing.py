"""Damaged files: each is read rightly or gets a sentence, and none executes anything."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from checkpoints import LANDED, WRITTEN, Hostile, Small, small_state
from ganprobe import Trust, UsageError, WeightsError, read_weights
from ganprobe.weight_files import is_nvidia, read_module

NESTED = {"g_ema": small_state(1), "step": 3, "names": ["a", b"b", 1.5, None, (True,)]}
HOSTILE = {"a": torch.ones(2), "b": [Hostile(), Hostile()]}


def _mapped(path: Path) -> None:
    torch.save({"large": torch.arange(200.0)}, path)


def _index(path: Path) -> None:
    save_file(small_state(), path.with_name("part.safetensors"))
    listed = dict.fromkeys(small_state(), "part.safetensors")
    path.write_text(json.dumps({"weight_map": listed}))


FILES: dict[str, Callable[[Path], object]] = {
    "safetensors": WRITTEN["safetensors"],
    "zip": lambda path: torch.save(NESTED, path),
    "legacy": lambda path: torch.save(NESTED, path, _use_new_zipfile_serialization=False),
    "module": lambda path: torch.save(Small(), path),
    "mapped": _mapped,
    "without sums": lambda path: _without_sums(path),
    "hostile zip": lambda path: torch.save(HOSTILE, path),
    "hostile legacy": lambda path: torch.save(HOSTILE, path, _use_new_zipfile_serialization=False),
    "hostile pickle": lambda path: path.write_bytes(pickle.dumps(HOSTILE)),
    "hostile text": lambda path: path.write_bytes(pickle.dumps([Hostile()], 0)),
    "scripted": WRITTEN["torchscript"],
    "index": _index,
}


def _without_sums(path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(NESTED, path)
    finally:
        torch.serialization.set_crc32_options(True)


def _damaged(whole: bytes, n: int, generator: np.random.Generator) -> Iterator[bytes]:
    """`n` truncations over all of a file, and three times as many flips of bits and bytes."""
    yield from (whole[:size] for size in range(0, len(whole), max(1, len(whole) // n)))
    for at in range(0, len(whole), max(1, len(whole) // n)):
        bit = bytes([whole[at] ^ (1 << int(generator.integers(8)))])
        byte = bytes([int(generator.integers(256))])
        yield whole[:at] + bit + whole[at + 1 :]
        yield whole[:at] + byte + whole[at + 1 :]
        yield whole[:at] + byte + whole[at + 1 + int(generator.integers(4)) :]


def _outcomes(name: str, folder: Path, n: int, seed: int) -> Counter[str]:
    path = folder / "model.bin"
    FILES[name](path)
    counted: Counter[str] = Counter()
    for damaged in _damaged(path.read_bytes(), n, np.random.default_rng(seed)):
        path.write_bytes(damaged)
        for read in (read_weights, lambda path: read_module(path, trust=Trust())):
            counted[_outcome(read, path)] += 1
        assert not LANDED.exists()
    return counted


def _outcome(read: Callable[[Path], object], path: Path) -> str:
    try:
        weights = read(path)
    except (WeightsError, UsageError) as error:  # usage: an index that names what is not there
        return type(error).__name__ if "\n" not in str(error) else "several lines"
    tensors = getattr(weights, "tensors", {})
    assert tensors
    assert all(isinstance(one, Tensor) and one.sum() is not None for one in tensors.values())
    return "read"


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused_and_executes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "mapped":
        monkeypatch.setattr("ganprobe.weight_files.pytorch_files._MAPPED_FROM", 1)
    outcomes = _outcomes(name, tmp_path, 40, seed=0)
    assert outcomes["WeightsError"] > 10
    assert not outcomes["several lines"]
    assert (outcomes["UntrustedError"] > 40) == name.startswith(("hostile", "module"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_damaged_anywhere_is_read_or_refused_and_executes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "mapped":
        monkeypatch.setattr("ganprobe.weight_files.pytorch_files._MAPPED_FROM", 1)
    assert _outcomes(name, tmp_path, 800, seed=1)["WeightsError"] > 100


def test_a_damaged_pickle_of_networks_is_told_or_not_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pkl"
    whole = pickle.dumps(HOSTILE)
    for damaged in _damaged(whole, 40, np.random.default_rng(2)):
        path.write_bytes(damaged)
        assert isinstance(is_nvidia(path), bool)
    assert not LANDED.exists()
    pickle.loads(whole)
    assert LANDED.exists()
