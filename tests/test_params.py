from __future__ import annotations

import json

import pytest

from ganprobe import Field, Indices, ParameterError, Params


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
