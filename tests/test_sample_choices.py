"""Sample choices: every way of writing them reads, and writes itself back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganprobe import ParameterError
from ganprobe.sample_choices import Condition, SampleChoice


@pytest.mark.parametrize(
    ("text", "indices"),
    [("5", (5,)), (" 0-2, 7 ", (0, 1, 2, 7)), ("9,3", (9, 3)), ("999999999", (999_999_999,))],
)
def test_numbers_keep_their_order(text: str, indices: tuple[int, ...]) -> None:
    choice = SampleChoice.parse(text)
    assert (choice.indices, choice.n_samples) == (indices, len(indices))
    assert SampleChoice.parse(str(choice)) == choice


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("digit=1", Condition("digit", "=", "1")),
        (" digit = 1 ", Condition("digit", "=", "1")),
        ("parts=left eye", Condition("parts", "=", "left eye")),
        ("parts=90%", Condition("parts", "=", "90%")),
        ("digit.1>0.9", Condition("digit", ">", "1", 0.9)),
        ("digit.1 < -1e-3", Condition("digit", "<", "1", -0.001)),
        ("digit-realness>0", Condition("digit-realness", ">", None, 0.0)),
        ("digit-realness", Condition("digit-realness", ">", None, 0.0)),
        (" crossed ", Condition("crossed", ">", None, 0.0)),
        ("parts.left eye>1", Condition("parts", ">", "left eye", 1.0)),
        ("parts.0.5>1", Condition("parts", ">", "0.5", 1.0)),
        ("area:scenes=sky", Condition("area:scenes", "=", "sky")),
        ("area:scenes.oak tree>0.1", Condition("area:scenes", ">", "oak tree", 0.1)),
        ("area:scenes.0.5<0.1", Condition("area:scenes", "<", "0.5", 0.1)),
        ("area:scenes.door", Condition("area:scenes", ">", "door", 0.0)),
        ("area:luminance:3 = dark", Condition("area:luminance:3", "=", "dark")),
        ("area:edges:12.5=flat", Condition("area:edges:12.5", "=", "flat")),
        ("area:edges:12.5.flat<0.9", Condition("area:edges:12.5", "<", "flat", 0.9)),
        ("network:models/lenet.v2=3", Condition("network:models/lenet.v2", "=", "3")),
        ("network:models/lenet.3>0.9", Condition("network:models/lenet", ">", "3", 0.9)),
        ("network:../models/judge>0.9", Condition("network:../models/judge", ">", None, 0.9)),
        ("network:../models/judge", Condition("network:../models/judge", ">", None, 0.0)),
        ("area:painted:my mask.png.red>0", Condition("area:painted:my mask.png", ">", "red", 0.0)),
    ],
)
def test_a_condition_reads_and_writes_itself_back(text: str, condition: Condition) -> None:
    choice = SampleChoice.parse(text)
    assert choice.conditions == (condition,)
    assert choice.n_samples is None
    assert SampleChoice.parse(str(choice)) == choice


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([">", "<"]))
def test_a_limit_is_written_with_every_digit_that_it_has(limit: float, sign: Any) -> None:
    condition = Condition("digit", sign, "1", limit)
    assert Condition.parse(str(condition)) == condition


def test_a_measure_alone_stands_among_other_conditions() -> None:
    choice = SampleChoice.parse("digit=7 & crossed")
    assert choice.conditions == (Condition("digit", "=", "7"), Condition("crossed", ">", None))


def test_conditions_are_joined_by_and() -> None:
    choice = SampleChoice.parse("digit=1 & digit.1>0.9&digit-realness>0")
    assert str(choice) == "digit=1 & digit.1>0.9 & digit-realness>0"
    assert SampleChoice.parse(str(choice)) == choice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digit=", "'digit=' is no condition on samples; write digit=1, digit.1>0.9 or"),
        ("=1", "'=1' is no condition on samples"),
        ("digit.1>", "is no condition on samples"),
        ("digit==1", "is no condition on samples"),
        ("digit.1>=0.5", "is no condition on samples"),
        ("digit.1=1", "is no condition on samples"),
        ("0<digit<1", "is no condition on samples"),
        ("two words>1", "is no condition on samples"),
        ("area:>1", "'area:>1' is no condition on samples"),
        ("area=sky=1", "is no condition on samples"),
        ("area:scenes.sky>much", "'much' in 'area:scenes.sky>much' is no number to compare with"),
        ("digit.1>abc", "'abc' in 'digit.1>abc' is no number to compare with; write one"),
        ("digit.1>nan", "'nan' in 'digit.1>nan' is no number to compare with"),
        ("digit.1<1e400", "'1e400' in 'digit.1<1e400' is no number to compare with"),
        ("digit=1 &", "'digit=1 &' has an & without a condition beside it; write digit=1 & "),
        ("digit=1 && digit.1>0", "has an & without a condition beside it"),
        ("5 digits", "'5 digits' chooses no samples .*a measure's finding as in digit=1"),
        ("", "'' chooses no samples .*write 5, 0-9"),
        ("7-3", "'7-3' chooses no samples .*write 3-7"),
        ("2,2", "'2,2' chooses no samples .*2 is named twice"),
        ("0-9999999", "chooses no samples .*more than 1,000,000"),
        ("100%", "'100%' chooses no samples"),
        ("@", "'@' names no file of latents; write 5, 0-9"),
    ],
)
def test_text_that_chooses_nothing_is_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        SampleChoice.parse(text)


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("@mine.json", "mine.json", ""),
        ("@mine.json:", "mine.json", ""),
        ("@mine.json:ones", "mine.json", "ones"),
        ("@my latents.json:latents.the ones", "my latents.json", "latents.the ones"),
        ("@out:3/a.npy", "out:3/a.npy", ""),
        ("@C:/a.safetensors:z", "C:/a.safetensors", "z"),
        ("@a.json:b:c.npy", "a.json", "b:c.npy"),
        ("@A.JSON:ones", "A.JSON", "ones"),
        ("@a.json.npy", "a.json.npy", ""),
        ("@a:b.txt", "a:b.txt", ""),
    ],
)
def test_a_file_ends_at_its_ending_and_the_name_follows(text: str, file: str, name: str) -> None:
    choice = SampleChoice.parse(text)
    assert (choice.file, choice.name) == (Path(file), name)
    assert SampleChoice.parse(str(choice)) == choice


def test_a_choice_that_is_read_already_is_returned_as_it_is() -> None:
    choice = SampleChoice.parse("digit=1")
    assert SampleChoice.parse(choice) is choice


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": "ones"},
        {"indices": (1,), "file": Path("a.json")},
        {"indices": (1,), "conditions": (Condition("digit", "=", "1"),)},
    ],
)
def test_samples_are_chosen_in_exactly_one_way(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"samples are chosen in one way, got SampleChoice"):
        SampleChoice(**given)


def test_indices_from_python_follow_the_same_rules() -> None:
    with pytest.raises(ParameterError, match="indices count from 0, got -1"):
        SampleChoice(indices=(-1,))
    with pytest.raises(ParameterError, match="1 is named twice"):
        SampleChoice(indices=(1, 1))
