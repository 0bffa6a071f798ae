"""Flags made from a `Params` class: one declaration, no second."""

from __future__ import annotations

import json
from typing import Literal, cast

import click
import pytest
from click.testing import CliRunner

from ganprobe import Field, Indices, ParameterError, Params, Samples, Sites, Units, UnitSet
from ganprobe.catalogue import find_analysis
from ganprobe.cli.flags import flags_of, schema_of, values_of
from ganprobe.cli.run import command as run_command
from ganprobe.plugins import RESERVED_FLAGS
from ganprobe.sample_choices import SampleChoice


class Everything(Params):
    units: Indices = Field(description="Units.")
    dims: Indices | None = None
    steps: int = Field(default=9, ge=2, le=99, description="Steps.")
    low: float | None = None
    mode: Literal["z", "w"] = "z"
    order: Literal[1, 2] = 1
    scales: list[float] = Field(default_factory=lambda: [0.5])
    names: tuple[str, ...] = ()
    is_fast: bool = True
    kept: Units | None = None
    best: Units = Field(default=UnitSet((3, 4, 5), "conv2"))
    source: Samples = Field(default="5", validate_default=True)
    donors: tuple[Samples, ...] = ()
    spaces: tuple[Literal["z", "w"], ...] = ("z", "w")
    orders: list[Literal[1, 2]] = Field(default_factory=list)
    way: Literal["up", "down"] | None = None
    rows: Indices = (1, 2, 3)
    size: tuple[int, int] = (3, 5)
    sites: Sites = Field(default=("conv?", "b"), validate_default=True)


def parsed(*arguments: str) -> Everything:
    kept: list[Everything] = []

    @click.command(params=list(flags_of(Everything)))
    @click.pass_context
    def command(context: click.Context, /, **given: object) -> None:
        kept.append(Everything.parse(values_of(Everything, given)))

    command.main(arguments, standalone_mode=False)
    return kept[0]


def test_defaults_are_those_of_the_class() -> None:
    assert parsed("--units", "3") == Everything(units=(3,))


def test_every_kind_of_parameter_has_its_flag() -> None:
    given = parsed(
        *("--units", "1,3-5", "--dims", "7", "--steps", "4", "--low", "-2.5"),
        *("--mode", "w", "--order", "2", "--names", "a", "--names", "b", "--no-is-fast"),
    )
    assert given == Everything(
        units=(1, 3, 4, 5),
        dims=(7,),
        steps=4,
        low=-2.5,
        mode="w",
        order=2,
        names=("a", "b"),
        is_fast=False,
    )


def test_units_and_samples_have_their_flags() -> None:
    given = parsed(
        *("--units", "1", "--kept", "3,1", "--source", "digit=1 & digit.1>0.9"),
        *("--donors", "0-2", "--donors", "@a b.json:ones"),
    )
    assert given.kept == UnitSet((3, 1))
    assert given.best.at("") == "conv2#3-5"
    assert given.source == SampleChoice.parse("digit=1 & digit.1>0.9")
    assert list(map(str, given.donors)) == ["0-2", "@a b.json:ones"]


def test_choices_may_be_several_or_none_and_keep_their_type() -> None:
    given = parsed("--units", "1", "--spaces", "w", "--orders", "2", "--orders", "1", "--way", "up")
    assert (given.spaces, given.orders, given.way) == (("w",), [2, 1], "up")
    unchanged = parsed("--units", "1")
    assert (unchanged.spaces, unchanged.orders, unchanged.way) == (("z", "w"), [], None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--spaces", "z", "--spaces", "v"), "--spaces: expected z or w, got 'v'"),
        (("--orders", "3"), "--orders: expected 1 or 2, got '3'"),
        (("--way", "dwn"), "--way: expected up or down, got 'dwn'; nearest: down"),
        (("--steps", "1"), "--steps: expected a whole number from 2 to 99, got '1'"),
        (("--size", "3"), "--size: expected 2 values, written NUMBER,NUMBER, got '3'"),
    ],
)
def test_what_does_not_fit_is_told_as_it_is_for_forms(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        parsed("--units", "1", *arguments)
    assert str(caught.value) == message


class Odd(Params):
    nX: int = 1  # noqa: N815
    class_: str = "a"
    is_sure: bool | None = None
    kind: Literal["a", "b"] | int = "a"


def test_a_name_of_any_spelling_has_its_flag() -> None:
    command = click.Command("odd", params=list(flags_of(Odd)))
    with command.make_context("odd", ["--nX", "2", "--class", "b", "--no-is-sure"]) as context:
        given = Odd.parse(values_of(Odd, context.params))
    assert given == Odd(nX=2, class_="b", is_sure=False)


def test_a_choice_that_may_be_something_else_takes_both() -> None:
    for written, meant in (("b", "b"), ("7", 7)):
        command = click.Command("odd", params=list(flags_of(Odd)))
        with command.make_context("odd", ["--kind", written]) as context:
            assert Odd.parse(values_of(Odd, context.params)).kind == meant


def test_the_schema_is_printed_without_what_a_run_needs() -> None:
    command = click.Command("everything", params=[*flags_of(Everything), schema_of(Everything)])
    outcome = CliRunner().invoke(command, ["--schema"])
    assert outcome.exit_code == 0
    assert json.loads(outcome.output) == Everything.json_schema()


@pytest.mark.parametrize(
    "line",
    [
        "--units 3,7,10-20",
        "--dims 3,7,10-20",
        "--steps NUMBER",
        "--low NUMBER",
        "--mode [z|w]",
        "--names TEXT [may be repeated]",
        "--is-fast / --no-is-fast [default: --is-fast]",
        "[2 to 99; default: 9]",
        "[required]",
        "--scales NUMBER [may be repeated; default: 0.5]",
        "--kept 3,7|@FILE",
        "--best 3,7|@FILE [default: conv2#3-5]",
        "--source SAMPLES [default: 5]",
        "--donors SAMPLES [may be repeated]",
        "--spaces [z|w] [may be repeated; default: z, w]",
        "--orders [1|2]",
        "--way [up|down]",
        "--rows 3,7,10-20 [default: 1-3]",
        "--size NUMBER,NUMBER [default: 3,5]",
        "--sites SITE [may be repeated; default: conv?, b]",
    ],
)
def test_help_shows_values_ranges_and_defaults(line: str) -> None:
    command = click.Command("everything", params=list(flags_of(Everything)))
    assert line in " ".join(command.get_help(click.Context(command)).split())


def test_no_analysis_can_take_the_name_of_a_flag_that_all_have() -> None:
    group = cast("click.Group", run_command)
    context = click.Context(group)
    for name in ("traversal", "units"):  # one with --latents, one with --activations
        command = group.get_command(context, name)
        assert command is not None
        own = find_analysis(name).Params.model_fields
        shared = [one for one in command.params if one.name not in own]
        assert len(shared) > 10
        for one in shared:
            flags = [flag.strip("-").replace("-", "_") for flag in one.opts]
            assert {str(one.name), *flags} <= RESERVED_FLAGS, one.opts
