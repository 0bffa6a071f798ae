"""The commands around activation stores: record, check, merge, stats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ganprobe import ActivationStore, LatentSet, Probe, UnitSet, load

Command = Callable[..., Any]
RECORD = ("record", "digits", "--site", "conv2")


@pytest.fixture
def digits_file(ganprobe_command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "digits.h5"
    assert ganprobe_command(*RECORD, "--samples", 70, "--output", path).status == 0
    return path


def damage(path: Path) -> None:
    """Flip a byte in the middle, where the activations are."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("command", [("check",), ("merge",), ("stats",)], ids=" ".join)
def test_their_help_teaches_by_example(ganprobe_command: Command, command: tuple[str]) -> None:
    finished = ganprobe_command(*command, "--help")
    assert finished.status == 0
    assert " ".join(("  ganprobe", *command)) in finished.out


def test_check_says_that_a_file_is_whole(ganprobe_command: Command, digits_file: Path) -> None:
    finished = ganprobe_command("check", digits_file)
    assert finished.status == 0
    assert finished.out.strip() == f"{digits_file}: all 70 samples at conv2 are whole"
    told = json.loads(ganprobe_command("check", digits_file, "--json").out)
    assert told == {"n_samples": 70, "n_planned": 70, "sites": "conv2", "damage": []}


def test_check_names_what_is_damaged(ganprobe_command: Command, digits_file: Path) -> None:
    damage(digits_file)
    finished = ganprobe_command("check", digits_file)
    assert finished.status == 1
    assert finished.out.splitlines()[0] == "damaged: conv2, rows 32 to 47"
    assert "1 blocks are damaged; record it again, or go on from the first of them" in finished.out
    (found,) = json.loads(ganprobe_command("check", digits_file, "--json").out)["damage"]
    assert found == {"dataset": "conv2", "first": 32, "last": 47}


def test_resume_records_again_what_is_damaged(ganprobe_command: Command, digits_file: Path) -> None:
    whole = digits_file.read_bytes()
    damage(digits_file)
    finished = ganprobe_command(*RECORD, "--samples", 70, "--output", digits_file, "--resume")
    assert finished.status == 0
    with ActivationStore(digits_file) as store:
        recorded = store.activations("conv2")
        assert not store.check()
    digits_file.write_bytes(whole)
    with ActivationStore(digits_file) as store:
        assert torch.equal(recorded, store.activations("conv2"))


def test_no_file_and_no_store_are_one_sentence(ganprobe_command: Command, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    for command in ("check", "stats"):
        for name, reason in (("none.h5", "there is no file"), ("text.h5", "is not an HDF5 file")):
            finished = ganprobe_command(command, tmp_path / name)
            assert finished.status == 1
            assert reason in finished.err
            assert len(finished.err.strip().splitlines()) == 1


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_shards_are_joined_and_merged(
    ganprobe_command: Command, tmp_path: Path, compression: str
) -> None:
    options = (*RECORD, "--samples", 100, "--batch-size", 24, "--compression", compression)
    for shard in ("2/2", "1/2"):
        done = ganprobe_command(*options, "--shard", shard, "--output", tmp_path / "a.h5")
        assert done.status == 0
    assert "joining 2 shards" in done.out
    merged = ganprobe_command("merge", tmp_path / "a.h5", "--output", tmp_path / "b.h5")
    assert (merged.status, "merged" in merged.out) == (0, True)
    assert ganprobe_command(*options, "--output", tmp_path / "c.h5").status == 0
    stores = [ActivationStore(tmp_path / f"{name}.h5") for name in "abc"]
    joined, one, single = (store.activations("conv2") for store in stores)
    assert torch.equal(joined, single)
    assert torch.equal(one, single)
    assert stores[1].latents().indices == tuple(range(100))
    assert stores[1].identity == stores[2].identity
    for store in stores:
        store.close()


def test_a_share_that_cannot_be_is_refused(ganprobe_command: Command, tmp_path: Path) -> None:
    for share in ("0/2", "3/2", "2", "a/b"):
        finished = ganprobe_command(
            *RECORD, "--samples", 4, "--shard", share, "--output", tmp_path / "a.h5"
        )
        assert (finished.status, "a share is written 1/8 to 8/8" in finished.err) == (2, True)
    finished = ganprobe_command(
        *RECORD, "--samples", 4, "--shard", "1/2", "--output", tmp_path / "a.h5"
    )
    assert (finished.status, "is empty; take fewer shares" in finished.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_torchrun_divides_a_recording(tmp_path: Path) -> None:
    options = ["--site", "conv2", "--samples", "200", "--batch-size", "24", "--output"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
    launch += ["ganprobe", "record", "digits", *options, str(tmp_path / "a.h5")]
    done = subprocess.run(
        launch, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    single = [sys.executable, "-m", "ganprobe", "record", "digits", *options]
    single.append(str(tmp_path / "b.h5"))
    subprocess.run(single, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with ActivationStore(tmp_path / "a.h5") as several, ActivationStore(tmp_path / "b.h5") as one:
        assert len(several.files) == 3
        assert torch.equal(several.activations("conv2"), one.activations("conv2"))
        assert several.identity == one.identity


def test_stats_tell_what_units_do(ganprobe_command: Command, digits_file: Path) -> None:
    finished = ganprobe_command("stats", digits_file)
    assert finished.status == 0
    with ActivationStore(digits_file) as store:
        values = store.activations("conv2").double().transpose(0, 1).flatten(1)
    told = json.loads(ganprobe_command("stats", digits_file, "--json").out)["conv2"]
    assert told["n_samples"] == 70
    assert torch.allclose(torch.tensor(told["mean"]).double(), values.mean(1), rtol=1e-6)
    assert torch.equal(torch.tensor(told["maximum"]).double(), values.amax(1))
    strongest = int(values.std(1).argmax())
    assert f"unit {strongest} varies most" in finished.out
    assert "... and 112 that vary less" in finished.out


def test_stats_write_a_result(ganprobe_command: Command, digits_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = ("stats", digits_file, "--covariance", "samples", "--exact", "--output", folder)
    finished = ganprobe_command(*command)
    assert finished.status == 0
    assert str(folder / "figures" / "conv2.png") in finished.out
    record = json.loads((folder / "result.json").read_text())
    assert len(record["tables"]["conv2"]["rows"]) == 128
    assert record["arrays"]["covariance_conv2"]["shape"] == [128, 128]
    assert record["provenance"]["generator"]["name"] == "digits"
    again = ganprobe_command(*command)
    assert (again.status, "give --force" in again.err) == (2, True)


def test_a_set_that_was_found_is_recorded_alone(
    ganprobe_command: Callable[..., Any], tmp_path: Path
) -> None:
    UnitSet((7, 3, 20), "conv2").write(tmp_path / "set.json")
    out = tmp_path / "few.h5"
    finished = ganprobe_command(
        "record", "digits", "--site", "conv2", "--units", f"@{tmp_path / 'set.json'}",
        "--samples", 4, "--output", out,
    )  # fmt: skip
    assert finished.status == 0, finished.err
    with ActivationStore(out) as store:
        assert store.activations("conv2#7,3,20").shape == (4, 3, 7, 7)
    for site, match in (("conv3", "are of conv2, not of conv3"), ("conv2#1", "names units, and")):
        refused = ganprobe_command(
            "record", "digits", "--site", site, "--units", f"@{tmp_path / 'set.json'}",
            "--samples", 4, "--output", tmp_path / "other.h5",
        )  # fmt: skip
        assert refused.status == 2
        assert match in refused.err


def test_chosen_latents_are_recorded_in_place_of_the_seeds(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    digits = load("digits")
    mine = digits.sample(9, seed=5)
    LatentSet.of({"z": mine}).write(tmp_path / "mine.json")
    path = tmp_path / "mine.h5"
    given = ("--latents", f"@{tmp_path / 'mine.json'}", "--samples", 6, "--output", path)
    finished = ganprobe_command(*RECORD, *given)
    assert finished.status == 0, finished.err
    assert f"recorded 6 samples of digits (@{tmp_path / 'mine.json'})" in finished.out
    with ActivationStore(path) as store:
        assert torch.equal(store.latents().z, mine.z[:6])
        recorded = store.activations("conv2")
    assert torch.equal(recorded, Probe(digits).run(mine[:6], record="conv2")["conv2"])


def test_too_few_chosen_latents_are_one_sentence(ganprobe_command: Command, tmp_path: Path) -> None:
    given = ("--latents", "4,7", "--samples", 6, "--output", tmp_path / "few.h5")
    finished = ganprobe_command(*RECORD, *given)
    assert finished.status == 2
    assert finished.err.strip() == (
        "ganprobe: '4,7' stands for 2 samples, and 6 are needed; name more, or ask for fewer"
    )
    assert list(tmp_path.iterdir()) == []
