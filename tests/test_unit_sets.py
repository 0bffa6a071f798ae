"""Unit sets: what is written reads back, and what is no unit set is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganprobe import ParameterError, UnitSet

WHOLE: dict[str, Any] = {"kind": "ganprobe unit set", "version": 1, "units": [3, 1]}


def written(folder: Path, content: bytes | str | dict[str, Any]) -> Path:
    path = folder / "a set.json"
    text = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@given(st.lists(st.integers(0, 500), min_size=1, unique=True), st.sampled_from(["", "conv2"]))
def test_what_json_holds_reads_back_in_the_same_order(units: list[int], site: str) -> None:
    units_set = UnitSet(tuple(units), site, {"name": "digits"}, {"seed": 3})
    assert UnitSet.from_json(json.loads(json.dumps(units_set.to_json()))) == units_set
    assert UnitSet.parse(units_set.numbers).units == tuple(units)


def test_a_file_reads_back_also_with_spaces_in_its_name(tmp_path: Path) -> None:
    best_first = UnitSet((7, 3, 4, 5), "block.conv2", {"name": "digits"}, {"effect": 0.5})
    path = tmp_path / "the best: 4.json"
    best_first.write(path)
    assert UnitSet.parse(f" @{path} ") == best_first
    assert UnitSet.read(path).at("") == "block.conv2#7,3-5"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_numbers_of_numpy_and_torch_become_plain_and_nan_becomes_none(tmp_path: Path) -> None:
    found = {
        "effect": np.float32(0.5),
        "all": np.array([1.0, np.nan]),
        "steps": (1, torch.tensor([2])),
        "worst": float("-inf"),
    }
    units: Any = (np.int64(3), 1)
    unit_set = UnitSet(units, found=found)
    assert unit_set.found == {"effect": 0.5, "all": [1.0, None], "steps": [1, [2]], "worst": None}
    assert [type(unit) for unit in unit_set.units] == [int, int]
    unit_set.write(tmp_path / "set.json")
    assert "NaN" not in (tmp_path / "set.json").read_text()
    assert UnitSet.read(tmp_path / "set.json") == unit_set


def test_what_json_cannot_hold_is_refused_when_the_set_is_made() -> None:
    with pytest.raises(ParameterError, match=r"was found with <object .*; give numbers, text"):
        UnitSet((1,), found={"by": object()})
    with pytest.raises(ParameterError, match="was found with"):
        UnitSet((1,), generator={"names": [{"a": {1, 2}}]})


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ((), "no index was given; name at least one"),
        ((3, -1), "indices count from 0, got -1"),
        ((4, 3, 4), "4 is named twice"),
        (("a",), r"units are whole numbers, as in \(3, 7\), got \('a',\)"),
        ("34", "units are whole numbers, .*got '34'"),
        ((1.0,), r"units are whole numbers, .*got \(1\.0,\)"),
        ((True,), r"units are whole numbers, .*got \(True,\)"),
        (5, "units are whole numbers, .*got 5"),
        (None, "units are whole numbers, .*got None"),
    ],
)
def test_units_are_distinct_whole_numbers(units: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        UnitSet(units)


def test_units_are_kept_as_a_tuple_whatever_they_were_given_as() -> None:
    units: Any = [2, 1]
    assert UnitSet(units).units == (2, 1)
    assert hash(UnitSet(units, found={"a": 1})) == hash(UnitSet((2, 1), found={"a": 1}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON, so that it is no unit set"),
        ('{"units": [1', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b'{"site": "\xe9"}', "is not JSON"),
        (json.dumps(WHOLE | {"found": {"effect": float("nan")}}), "is not JSON"),
        (json.dumps(WHOLE | {"units": [float("inf")]}), "is not JSON"),
        ("[3, 7]", "is JSON, but no unit set; such files are written by"),
        ('"@set.json"', "is JSON, but no unit set"),
        ("null", "is JSON, but no unit set"),
        (WHOLE | {"kind": ["ganprobe unit set"]}, "is JSON, but no unit set"),
        ({"units": [3]}, "is JSON, but no unit set"),
        (WHOLE | {"version": 2}, "is a unit set of version 2, and this is ganprobe for version 1"),
        (WHOLE | {"units": "3,7"}, "is a damaged unit set: it needs units"),
        (WHOLE | {"units": [True]}, "is a damaged unit set"),
        (WHOLE | {"units": [1.0]}, "is a damaged unit set"),
        (WHOLE | {"site": 5}, "is a damaged unit set"),
        (WHOLE | {"found": [1]}, "is a damaged unit set"),
        (WHOLE | {"generator": None}, "is a damaged unit set"),
        (WHOLE | {"units": []}, r"a set\.json: no index was given"),
        (WHOLE | {"units": [-1]}, r"a set\.json: indices count from 0, got -1"),
        (WHOLE | {"units": [1, 1]}, r"a set\.json: 1 is named twice"),
    ],
)
def test_a_file_that_is_no_unit_set_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes | str | dict[str, Any], message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ParameterError, match=message) as refused:
        UnitSet.parse(f"@{path}")
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"cannot read the unit set nowhere\.json: No such"):
        UnitSet.parse("@nowhere.json")
    with pytest.raises(ParameterError, match=r"cannot read the unit set .*: Is a directory"):
        UnitSet.parse(f"@{tmp_path}")
    with pytest.raises(ParameterError, match=r"'@' names no file of units; write @set\.json"):
        UnitSet.parse("@")


@pytest.mark.parametrize("text", ["", " ", "-1", "3,", "conv2#3", "1_0", "3;4"])
def test_text_that_is_no_list_of_units_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterError, match="is not a list of numbers and ranges such as 3,7"):
        UnitSet.parse(text)


@pytest.mark.parametrize("name", ["", "no/such/set.json", "a" * 250])
def test_a_place_that_cannot_be_written_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ParameterError, match="cannot write "):
        UnitSet((1,)).write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_writing_that_fails_keeps_the_set_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.json"
    UnitSet((1,)).write(path)
    whole_write = Path.write_bytes

    def fill_the_disk(self: Path, content: bytes) -> int:
        whole_write(self, content[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(ParameterError, match=r"cannot write .*: No space left on device"):
        UnitSet((2,)).write(path)
    assert UnitSet.read(path).units == (1,)
    assert [file.name for file in tmp_path.iterdir()] == ["set.json"]


def test_the_site_of_a_set_is_kept_given_or_asked_for() -> None:
    of_conv2 = UnitSet((3, 7), "conv2")
    assert of_conv2.at("") == of_conv2.at("conv2") == str(of_conv2) == "conv2#3,7"
    assert UnitSet((3, 7)).at("conv3") == "conv3#3,7"
    assert str(UnitSet((3, 7))) == "3,7"
    with pytest.raises(ParameterError, match="units 3,7 are of conv2, not of conv3; leave out"):
        of_conv2.at("conv3")
    with pytest.raises(ParameterError, match=r"of which site are the units 3,7\? Give --site"):
        UnitSet((3, 7)).at("")
