from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import field_validator, model_validator

from ganprobe import Field, Indices, ParameterError, Params, PluginError, Samples, Units, UnitSet
from ganprobe.sample_choices import SampleChoice


class Walk(Params):
    steps: int = Field(default=9, ge=2)
    dims: Indices | None = None


def test_strings_of_a_command_line_become_values() -> None:
    walk = Walk.parse({"steps": "5", "dims": "0,3-5"})
    assert (walk.steps, walk.dims) == (5, (0, 3, 4, 5))


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
    assert Swap(units=UnitSet((3,))).units == UnitSet((3,))


def test_units_in_a_file_keep_their_site_and_how_they_were_found(tmp_path: Path) -> None:
    kept = UnitSet((3, 1), "conv2", {"name": "tiny"}, {"effect": 0.5})
    kept.write(tmp_path / "a set.json")
    swap = Swap.parse({"units": f"@{tmp_path / 'a set.json'}"})
    assert swap.units == kept
    assert swap.to_json()["units"] == kept.to_json()


class Kind(Enum):
    FIRST = 1
    SECOND = 2


class Form(Params):
    """One of each type that a stranger would use."""

    n_steps: int = Field(default=9, ge=2, le=100)
    share: float = Field(default=0.5, gt=0, le=1)
    is_fast: bool = True
    mode: Literal["z", "w"] = "z"
    order: Literal[1, 2] = 1
    kind: Kind = Kind.FIRST
    folder: Path = Path("out")
    window: tuple[int, int] = (3, 5)
    names: list[str] = Field(default_factory=list)
    scales: tuple[float, ...] = Field(default=(), max_length=3)
    since: date | None = None
    limit: int | Literal["auto"] = "auto"
    label: str = Field(default="a", min_length=1)


def test_a_form_gives_strings_lists_and_null_for_what_is_unset() -> None:
    given = {
        "n_steps": "20",
        "share": None,
        "is_fast": "false",
        "mode": "w",
        "order": "2",
        "kind": "2",
        "folder": "a b",
        "window": "1,2",
        "names": ["x", "y,z"],
        "scales": "0.5",
        "since": "2024-05-31",
        "limit": "7",
        "label": None,
    }
    assert Form.parse(given) == Form(
        n_steps=20,
        is_fast=False,
        mode="w",
        order=2,
        kind=Kind.SECOND,
        folder=Path("a b"),
        window=(1, 2),
        names=["x", "y,z"],
        scales=(0.5,),
        since=date(2024, 5, 31),
        limit=7,
    )


def test_null_is_a_value_where_it_may_be_one() -> None:
    class Other(Params):
        top: int | None = 5

    assert Other.parse({"top": None}).top is None
    assert Other.parse({}).top == 5


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"n_steps": "1"}, "--n-steps: expected a whole number from 2 to 100, got '1'"),
        ({"n_steps": "many"}, "--n-steps: expected a whole number from 2 to 100, got 'many'"),
        ({"n_steps": 2.5}, "--n-steps: expected a whole number from 2 to 100, got 2.5"),
        ({"n_steps": [3]}, "--n-steps: expected a whole number from 2 to 100, got [3]"),
        ({"share": 0}, "--share: expected a number above 0 and at most 1, got 0"),
        ({"share": "nan"}, "--share: expected a number above 0 and at most 1, got 'nan'"),
        ({"is_fast": "perhaps"}, "yes or no (--is-fast or --no-is-fast), got 'perhaps'"),
        ({"mode": "v"}, "--mode: expected z or w, got 'v'"),
        ({"order": "3"}, "--order: expected 1 or 2, got '3'"),
        ({"kind": "3"}, "--kind: expected 1 or 2, got '3'"),
        ({"folder": 5}, "--folder: expected a file or folder, got 5"),
        ({"window": "1"}, "--window: expected 2 values, written NUMBER,NUMBER, got '1'"),
        ({"window": "1,x"}, "--window: expected a whole number, got 'x'"),
        (
            {"window": [1, 2, 3]},
            "--window: expected 2 values, written NUMBER,NUMBER, got [1, 2, 3]",
        ),
        ({"names": [1]}, "--names: expected text, got 1"),
        ({"names": {"a": 1}}, "--names: expected one or more, each text, got {'a': 1}"),
        ({"scales": ["1", "x"]}, "--scales: expected a number, got 'x'"),
        (
            {"scales": ["1"] * 4},
            "--scales: expected at most 3, each a number, got ('1', '1', '1', ",
        ),
        ({"since": "May"}, "--since: expected a date, as 2024-05-31, got 'May'"),
        ({"limit": "none"}, "--limit: expected a whole number or auto, got 'none'"),
        ({"label": ""}, "--label: expected text that is not empty, got ''"),
        ({"modes": "z"}, "there is no parameter --modes; nearest: --mode; there are: --n-steps, "),
        ({"names": "x" * 200, "mode": "y" * 200}, "got 'yyyyyyyyyy"),
    ],
)
def test_what_does_not_fit_is_told_in_the_words_of_who_gave_it(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        Form.parse(values)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 260


class Checked(Params):
    steps: int = Field(description="Odd.")
    low: float = 0.0
    high: float = 1.0
    word: str = Field(default="a1", pattern=r"^\w\d$")
    third: int = Field(default=3, multiple_of=3)

    @field_validator("steps")
    @classmethod
    def _odd(cls, steps: int) -> int:
        if steps % 2 == 0:
            raise ValueError("give an odd number")
        return steps

    @field_validator("low")
    @classmethod
    def _table(cls, low: float) -> float:
        return {0.0: 0.0, 2.0: 2.0}[low]

    @model_validator(mode="after")
    def _ordered(self) -> Checked:
        if self.low >= self.high:
            raise ValueError("--low has to be below --high")
        return self


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 4}, "--steps: give an odd number, got 4"),
        ({"steps": 3, "low": 2.0}, "--low has to be below --high"),
        ({}, "--steps: it has to be given: a whole number"),
        ({"steps": None}, "--steps: it has to be given: a whole number"),
        ({"steps": 3, "word": "b"}, r"--word: expected text of the form ^\w\d$, got 'b'"),
        ({"steps": 3, "third": 4}, "--third: expected a whole number that is a multiple of 3, got"),
    ],
)
def test_the_checks_of_an_author_speak_for_themselves(
    values: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        Checked.parse(values)
    assert str(caught.value).startswith(sentence)


def test_a_check_that_breaks_is_its_authors_fault_and_not_the_users() -> None:
    with pytest.raises(PluginError, match=r"Checked raised KeyError: 1\.0 \(.*test_params\.py:\d+"):
        Checked.parse({"steps": 3, "low": 1.0})
