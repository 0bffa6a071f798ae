from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganprobe import Field, Indices, ParameterError, Params, Samples, Units, UnitSet
from ganprobe.sample_choices import SampleChoice


class Walk(Params):
    steps: int = Field(default=9, ge=2)
    dims: Indices | None = None


def test_strings_of_a_command_line_become_values() -> None:
    walk = Walk.parse({"steps": "5", "dims": "0,3-5"})
    assert (walk.steps, walk.dims) == (5, (0, 3, 4, 5))


def test_a_value_out_of_range_is_named_as_its_flag() -> None:
    with pytest.raises(ParameterError, match=r"--steps: .*greater than or equal to 2, got '1'"):
        Walk.parse({"steps": "1"})


def test_a_value_of_another_type_is_named_as_its_flag() -> None:
    with pytest.raises(ParameterError, match=r"--steps: .*integer.*got 'many'"):
        Walk.parse({"steps": "many"})


def test_indices_explain_themselves() -> None:
    with pytest.raises(ParameterError, match="--dims: 'x' is not a list of numbers"):
        Walk.parse({"dims": "x"})


def test_an_unknown_parameter_names_those_there_are() -> None:
    with pytest.raises(ParameterError, match="no parameter --step; there are: --steps, --dims"):
        Walk.parse({"step": "5"})


@pytest.mark.parametrize("dims", [(-1,), (3, 3), ()])
def test_indices_from_python_follow_the_same_rules(dims: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match="--dims: "):
        Walk.parse({"dims": dims})


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Walk().steps = 3


def test_json_holds_every_parameter_and_reads_back() -> None:
    walk = Walk.parse({"dims": "1,4-7"})
    plain = json.loads(json.dumps(walk.to_json()))
    assert plain == {"steps": 9, "dims": "1,4-7"}
    assert Walk.parse(plain) == walk


class Swap(Params):
    units: Units | None = None
    source: Samples = Field(default="5", validate_default=True)
    donors: tuple[Samples, ...] = ()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"units": "3,7-9"},
        {"units": 4, "source": 7},
        {"units": [3, 1], "source": range(3)},
        {"units": UnitSet((3, 1), "conv2", {"name": "tiny"}, {"effect": 0.5})},
        {"source": "digit=1 & digit.1>0.123456789"},
        {"source": SampleChoice.parse("digit=1")},
        {"source": "@my latents.json:latents.ones", "donors": ["0-3", "@C:/a.npy"]},
    ],
)
def test_units_and_samples_read_back_from_json(values: dict[str, Any]) -> None:
    swap = Swap.parse(values)
    plain = json.loads(json.dumps(swap.to_json(), allow_nan=False))
    assert Swap.parse(plain) == swap
    assert Swap.parse(plain).to_json() == swap.to_json()


def test_units_and_samples_from_python_are_as_those_of_a_command_line() -> None:
    assert Swap.parse({"units": (3, 1)}).units == Swap.parse({"units": "3,1"}).units
    assert Swap.parse({"source": [3, 1]}).source == Swap.parse({"source": "3,1"}).source
    assert Swap().source == SampleChoice(indices=(5,))


def test_units_in_a_file_keep_their_site_and_how_they_were_found(tmp_path: Path) -> None:
    kept = UnitSet((3, 1), "conv2", {"name": "tiny"}, {"effect": 0.5})
    kept.write(tmp_path / "a set.json")
    swap = Swap.parse({"units": f"@{tmp_path / 'a set.json'}"})
    assert swap.units == kept
    assert swap.to_json()["units"] == kept.to_json()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"units": ""}, "--units: '' is not a list of numbers and ranges such as 3,7,10-20$"),
        ({"units": "@nowhere.json"}, r"--units: cannot read the unit set nowhere\.json: No such"),
        ({"units": -1}, "--units: indices count from 0, got -1$"),
        ({"units": (3, 3)}, r"--units: 3 is named twice; name each once, got \(3, 3\)$"),
        ({"units": ["a"]}, r"--units: units are written 3,7,10-20 or @set\.json, got \['a'\]"),
        ({"units": True}, "--units: units are written 3,7,10-20 or .*, got True"),
        ({"units": 1.5}, "--units: units are written 3,7,10-20 or .*, got 1.5"),
        ({"units": {"units": [1]}}, "--units: it is JSON, but no unit set"),
        ({"source": "digit="}, "--source: 'digit=' is no condition on samples; .*realness>0$"),
        ({"source": None}, "--source: samples are written 5, 0-9, digit=1 or .*, got None"),
        ({"source": {"indices": [1]}}, "--source: samples are written 5, 0-9, digit=1 or "),
        ({"source": [2**80]}, "--source: '1208925819614629174706176' chooses no samples"),
        ({"donors": ["x y"]}, "--donors: 'x y' chooses no samples"),
    ],
)
def test_units_and_samples_explain_themselves(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Swap.parse(values)
