"""Direction sets: length 1, read back as written, and what is none is said in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ganprobe import Directions as DirectionsType
from ganprobe import DirectionSet, LatentSet, ParameterError, Params, UnitSet, UnknownNameError


def some(k: int = 3, *shape: int) -> DirectionSet:
    rng = np.random.default_rng(k)
    return DirectionSet(
        rng.normal(size=(k, *(shape or (5,)))),
        tuple(f"pc{i}" for i in range(k)),
        "conv2",
        rng.uniform(1, 2, k),
        rng.normal(size=k),
        {"name": "digits"},
        {"method": "pca", "n": 100},
    )


def test_directions_have_length_one_over_all_their_numbers() -> None:
    lengths = np.linalg.norm(some(4, 3, 2, 2).vectors.reshape(4, -1), axis=1)
    assert np.allclose(lengths, 1, rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", [(5,), (100, 1, 1)])
def test_a_set_reads_back_to_the_last_bit(tmp_path: Path, shape: tuple[int, ...]) -> None:
    written = some(3, *shape)
    written.write(tmp_path / "a set.safetensors")
    read = DirectionSet.parse(f"@{tmp_path / 'a set.safetensors'}")
    for name in ("vectors", "deviations", "means"):
        assert np.array_equal(getattr(read, name), getattr(written, name))
    assert (read.names, read.space) == (written.names, "conv2")
    assert (read.generator, read.found) == (written.generator, written.found)
    assert [file.name for file in tmp_path.iterdir()] == ["a set.safetensors"]


def test_some_directions_of_a_file_are_taken_by_name(tmp_path: Path) -> None:
    written = some()
    written.write(tmp_path / "pca.safetensors")
    two = DirectionSet.parse(f"@{tmp_path / 'pca.safetensors'}:pc2, pc0")
    assert two.names == ("pc2", "pc0")
    assert np.allclose(two.vectors, written.vectors[[2, 0]], rtol=0, atol=1e-15)
    assert np.array_equal(two.deviations, written.deviations[[2, 0]])
    with pytest.raises(UnknownNameError, match="no direction 'pc9' in the direction set; nearest"):
        DirectionSet.parse(f"@{tmp_path / 'pca.safetensors'}:pc9")


def test_a_parameter_takes_a_file_and_records_which_directions_it_held(tmp_path: Path) -> None:
    class Walk(Params):
        direction: DirectionsType | None = None

    some().write(tmp_path / "pca.safetensors")
    file = f"@{tmp_path / 'pca.safetensors'}:pc1"
    recorded = Walk.parse({"direction": file}).to_json()["direction"]
    found = {"method": "pca", "n": 100}
    assert recorded == {"names": ["pc1"], "space": "conv2", "found": found, "file": file}
    with pytest.raises(ParameterError, match="--direction: directions are written @FILE"):
        Walk.parse({"direction": "pc1"})


@pytest.mark.parametrize(
    ("vectors", "names", "how", "message"),
    [
        (np.ones(3), ("a",), {}, r"directions are \(k, \*shape\) .*, got the shape \(3,\)"),
        (np.zeros((1, 3)), ("a",), {}, "none of them all 0"),
        (np.full((1, 3), np.inf), ("a",), {}, "finite numbers"),
        (np.empty((0, 3)), (), {}, r"got the shape \(0, 3\)"),
        (np.ones((2, 3)), ("a",), {}, "2 directions have 2 names, each once"),
        (np.ones((2, 3)), ("a", "a"), {}, "2 directions have 2 names, each once"),
        (np.ones((1, 3)), ("a:b",), {}, "'a:b' cannot name a direction"),
        (np.ones((1, 3)), (" a",), {}, "' a' cannot name a direction"),
        (np.ones((1, 3)), ("a",), {"means": [1, 2]}, "the means of 1 directions are 1 finite"),
    ],
)
def test_what_is_no_direction_set_is_refused(
    vectors: Any, names: tuple[str, ...], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        DirectionSet(vectors, names, **how)


def test_other_files_are_said_to_be_what_they_are(tmp_path: Path) -> None:
    LatentSet({"z": np.zeros((1, 2), np.float32)}).write(tmp_path / "z.safetensors")
    with pytest.raises(ParameterError, match="is a latent set, but no direction set"):
        DirectionSet.read(tmp_path / "z.safetensors")
    save_file({"w": np.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ParameterError, match="is JSON, but no direction set"):
        DirectionSet.read(tmp_path / "weights.safetensors")
    (tmp_path / "no.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(ParameterError, match="is damaged, or no safetensors file"):
        DirectionSet.read(tmp_path / "no.safetensors")
    with pytest.raises(ParameterError, match=r"cannot read the directions in .*nowhere"):
        DirectionSet.read(tmp_path / "nowhere.safetensors")
    UnitSet((1,)).write(tmp_path / "set.json")
    with pytest.raises(ParameterError, match="directions are written @FILE"):
        DirectionSet.parse(f"@{tmp_path / 'set.json'}")
