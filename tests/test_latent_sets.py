"""Latent sets: what is written is what a choice of samples reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ganprobe import Context, Generator, Latents, LatentSet, ParameterError, Probe, UnitSet


def context_of(generator: Generator) -> Context:
    def no_measure(name: str) -> object:
        raise AssertionError(name)

    return Context(Probe(generator), 0, no_measure)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_latents_are_chosen_from_the_file_to_the_last_bit(
    tiny: Generator, tmp_path: Path, suffix: str
) -> None:
    drawn = tiny.sample(7, seed=3)
    path = tmp_path / f"good{suffix}"
    LatentSet.of({"z": drawn}, generator={"name": "tiny"}, found={"judge": "me"}).write(path)
    assert torch.equal(context_of(tiny).latents(f"@{path}", 4).z, drawn.z[:4])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_group_is_chosen_by_its_name(tiny: Generator, tmp_path: Path, suffix: str) -> None:
    ones, sevens = tiny.sample(2, seed=1), tiny.sample(3, seed=2)
    path = tmp_path / f"groups{suffix}"
    LatentSet.of({"ones": ones, "crossed sevens": sevens}).write(path)
    context = context_of(tiny)
    assert torch.equal(context.latents(f"@{path}:crossed sevens").z, sevens.z[:])
    with pytest.raises(ParameterError, match=r"holds several things: .*ones"):
        context.latents(f"@{path}")
    with pytest.raises(ParameterError, match=r"no 'twos'; nearest.*ones"):
        context.latents(f"@{path}:twos")


def test_the_file_says_of_what_seed_and_how_it_was_found(tiny: Generator, tmp_path: Path) -> None:
    chosen = tiny.latent_space.sample([4, 1], seed=9)
    held = LatentSet.of({"z": chosen}, generator={"name": "tiny"}, found={"auc": float("nan")})
    held.write(tmp_path / "good.json")
    record = json.loads((tmp_path / "good.json").read_text())
    assert record["kind"] == "ganprobe latent set"
    assert (record["seed"], record["indices"]) == (9, {"z": [4, 1]})
    assert record["generator"] == {"name": "tiny"}
    assert record["found"] == {"auc": None}
    assert [file.name for file in tmp_path.iterdir()] == ["good.json"]


def test_latents_of_two_seeds_are_not_said_to_be_of_one(tiny: Generator) -> None:
    held = LatentSet.of({"a": tiny.sample(2, seed=0), "b": tiny.sample(2, seed=1)})
    assert (held.seed, held.indices) == (None, {})
    assert LatentSet.of({"z": Latents(torch.ones(2, 5))}).seed is None


def test_many_numbers_go_to_safetensors() -> None:
    assert LatentSet({"z": np.zeros((20, 1000), np.float32)}).suffix == ".json"
    assert LatentSet({"z": np.zeros((21, 1000), np.float32)}).suffix == ".safetensors"


def test_another_selection_is_named_as_what_it_is(tiny: Generator, tmp_path: Path) -> None:
    UnitSet((3,)).write(tmp_path / "set.json")
    with pytest.raises(ParameterError, match=r"set\.json is a unit set, but no latent set"):
        context_of(tiny).latents(f"@{tmp_path / 'set.json'}")
    LatentSet.of({"z": tiny.sample(1)}).write(tmp_path / "z.json")
    with pytest.raises(ParameterError, match=r"z\.json is a latent set, but no unit set"):
        UnitSet.read(tmp_path / "z.json")


def test_a_later_version_is_refused(tiny: Generator, tmp_path: Path) -> None:
    path = tmp_path / "z.json"
    LatentSet.of({"z": tiny.sample(1)}).write(path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ParameterError, match="a latent set of version 2"):
        context_of(tiny).latents(f"@{path}")


def test_what_cannot_be_a_latent_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="has one group of latents or more, got none"):
        LatentSet({})
    with pytest.raises(ParameterError, match="group 'z' of a latent set holds no latents, or NaN"):
        LatentSet({"z": np.array([[np.nan]], np.float32)})
    with pytest.raises(ParameterError, match=r"written to \.json or \.safetensors, got .*z\.npy"):
        LatentSet({"z": np.zeros((1, 2), np.float32)}).write(tmp_path / "z.npy")
