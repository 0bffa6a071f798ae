"""The parameters as JSON Schema: what a form is made of, and what it gives fits."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ganprobe import Analysis, Directions, Field, ParameterType, Params
from ganprobe.cli.flags import flags_of, schema_of, values_of
from ganprobe.params import Declared, Value, declared
from ganprobe.plugins import plugins

ANALYSES: dict[str, type[Analysis[Any]]] = {
    analysis.name: analysis for plugin in plugins() for analysis in plugin.analyses
}


class Kind(Enum):
    """A kind."""

    FIRST = 1
    SECOND = 2


class Form(Params):
    n_steps: int = Field(default=9, ge=2, le=100, description="Steps.")
    share: float = Field(gt=0, lt=1)
    mode: Literal["z", "w"] = "z"
    kind: Kind | None = None
    kinds: tuple[Kind, ...] = (Kind.FIRST,)
    folder: Path = Path("out")
    window: tuple[int, int] = (3, 5)
    since: date = date(2024, 5, 31)
    endless: float = float("inf")
    names: list[str] = Field(default_factory=lambda: ["a"], max_length=3)


def test_a_form_is_told_types_ranges_choices_defaults_and_what_is_needed() -> None:
    schema = Form.json_schema()
    assert schema["required"] == ["share"]
    assert list(schema["properties"]) == list(Form.model_fields)
    assert schema["additionalProperties"] is False
    assert {name: _without(entry) for name, entry in schema["properties"].items()} == {
        "n_steps": {"type": "integer", "minimum": 2, "maximum": 100, "default": 9},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "mode": {"type": "string", "enum": ["z", "w"], "default": "z"},
        "kind": {"anyOf": [{"type": "integer", "enum": [1, 2]}, {"type": "null"}], "default": None},
        "kinds": {"type": "array", "items": {"type": "integer", "enum": [1, 2]}, "default": [1]},
        "folder": {"type": "string", "format": "path", "default": "out"},
        "window": {
            "type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "integer"}],
            "minItems": 2,
            "maxItems": 2,
            "default": [3, 5],
        },
        "since": {"type": "string", "format": "date", "default": "2024-05-31"},
        "endless": {"type": "number"},
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "default": ["a"]},
    }
    assert schema["properties"]["n_steps"]["description"] == "Steps."


def _without(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "description"}


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_parameter_of_an_analysis_is_in_its_schema(name: str) -> None:
    params = ANALYSES[name].Params
    schema = params.json_schema()
    Draft202012Validator.check_schema(schema)
    json.dumps(schema, allow_nan=False)
    assert list(schema["properties"]) == list(params.model_fields)
    for parameter, entry in schema["properties"].items():
        field = params.model_fields[parameter]
        assert entry["description"] == field.description
        assert (parameter in schema["required"]) == field.is_required()
        if not field.is_required():
            part = {key: value for key, value in entry.items() if key != "description"}
            Draft202012Validator(part).validate(entry["default"])
            default = field.get_default(call_default_factory=True)
            assert (entry["default"] is None) == (default is None)


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_the_command_line_prints_the_schema(name: str) -> None:
    params = ANALYSES[name].Params
    command = click.Command(name, params=[*flags_of(params), schema_of(params)])
    outcome = CliRunner().invoke(command, ["--schema"])
    assert outcome.exit_code == 0
    assert json.loads(outcome.output) == params.json_schema()


WRITTEN: Mapping[tuple[str, str], list[Any]] = {
    ("ablation", "to"): ["zero", "mean", "kernel", "0.5"],
    ("insertion", "level"): ["class-mean", "quantile", "2"],
    ("dissection", "insert_at"): ["auto", "0.5,0.25"],
    ("directions", "steps"): [3, 9, 99],
    ("arithmetic", "want"): ["digit=1", "digit=1 & digit-shape.bar>3"],
    ("arithmetic", "group"): [["a: 1", "b: 2,3"], ["digit=1"]],
}
"""Values of the parameters that their authors check themselves."""

EXAMPLES: Mapping[str, list[str]] = {
    "ganprobe-indices": ["3", "3,7,10-20"],
    "ganprobe-site": ["conv2", "conv?", "block.**:in", "b.attn:out[1]@2#3,7-9", ":in"],
    "ganprobe-units": ["3", "3,7,10-20"],
    "ganprobe-samples": ["5", "0-9", "digit=1", "digit.1>0.9 & digit-realness>0", "@a b.json:c"],
    "ganprobe-measure": ["digit", "area:scenes"],
    "ganprobe-measure-column": ["digit=1", "area:scenes=tree", "digit-realness"],
    "ganprobe-segmenter": ["scenes", "luminance:5"],
    "ganprobe-space": ["z", "w", "w_plus", "conv2"],
}
_TEXT = st.text(string.ascii_letters + string.digits + " ._-:,=é", min_size=1, max_size=8).map(
    lambda text: text.strip(" -") or "a"
)


def values_for(one: Declared, value: Value) -> st.SearchStrategy[Any]:
    if value.written is not None:
        return _written_values(value.written)
    if value.choices and not value.is_open:
        return st.sampled_from(list(value.choices.values()))
    if value.is_switch:
        return st.booleans()
    limits, kind = value.limits, value.words
    if kind == "a whole number":
        low, high = limits.ge, limits.le
        return st.integers(-1000 if low is None else int(low), 10**6 if high is None else int(high))
    if kind == "a number":
        low = limits.ge if limits.gt is None else limits.gt
        high = limits.le if limits.lt is None else limits.lt
        return st.floats(
            -1000.0 if low is None else low,
            1000.0 if high is None else high,
            exclude_min=limits.gt is not None,
            exclude_max=limits.lt is not None,
        )
    return _TEXT


def _written_values(written: ParameterType) -> st.SearchStrategy[Any]:
    one = st.sampled_from(EXAMPLES[written.format])
    return st.lists(one, min_size=1, max_size=3) if written.is_repeatable else one


def given_values(analysis: type[Analysis[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the parameters with valid values, as JSON and Python have them."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, one in declared(analysis.Params).items():
        if one.value.written is not None and one.value.written.format == "ganprobe-directions":
            continue  # they are read from a file
        strategy = values_for(one, one.value)
        if (analysis.name, name) in WRITTEN:
            strategy = st.sampled_from(WRITTEN[analysis.name, name])
        elif (one.count == "many" and one.value.written is None) or _is_tuple_of_ours(one):
            least, most = one.limits.min_length or 1, one.limits.max_length or 3
            strategy = st.lists(strategy, min_size=least, max_size=most)
        (required if one.field.is_required() else optional)[name] = strategy
    return st.fixed_dictionaries(required, optional=optional)


def _is_tuple_of_ours(one: Declared) -> bool:
    written = one.value.written
    return one.count == "many" and written is not None and not written.is_repeatable


def as_flags(params: type[Params], values: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        one = declared(params)[name]
        if one.is_switch:
            words.append(one.flag if value else f"--no-{one.flag.removeprefix('--')}")
            continue
        for part in value if isinstance(value, list) else [value]:
            words += [one.flag, str(part.value if isinstance(part, Enum) else part)]
    return words


def parsed(params: type[Params], words: list[str]) -> Params:
    kept: list[Params] = []

    @click.command(params=list(flags_of(params)))
    @click.pass_context
    def command(context: click.Context, /, **found: Any) -> None:
        kept.append(params.parse(values_of(params, found)))

    command.main(words, standalone_mode=False)
    return kept[0]


@pytest.mark.parametrize("name", sorted(ANALYSES))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values_are_the_same_by_flags_by_json_and_from_the_provenance(
    name: str, data: st.DataObject
) -> None:
    params = ANALYSES[name].Params
    values = data.draw(given_values(ANALYSES[name]))
    schema = Draft202012Validator(params.json_schema())
    schema.validate(json.loads(json.dumps(values)))
    read = params.parse(values)
    assert parsed(params, as_flags(params, values)) == read
    recorded = json.loads(json.dumps(read.to_json(), allow_nan=False))
    schema.validate(recorded)
    assert params.parse(recorded) == read
    assert params.parse(recorded).to_json() == recorded


def test_directions_fit_their_schema_as_they_are_written() -> None:
    class Along(Params):
        direction: Directions | None = None

    described = Along.json_schema()["properties"]["direction"]
    Draft202012Validator(described).validate("@pca.safetensors:pc0")
    assert described["anyOf"][0]["format"] == "ganprobe-directions"
