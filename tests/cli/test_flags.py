"""Flags made from a `Params` class: one declaration, no second."""

from __future__ import annotations

from typing import Literal

import click
import pytest
from click.testing import CliRunner

from ganprobe import Field, Indices, Params, Samples, Units, UnitSet
from ganprobe.cli.flags import flags_of, values_of
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


def parsed(*arguments: str) -> Everything:
    kept: list[Everything] = []

    @click.command(params=list(flags_of(Everything)))
    @click.pass_context
    def command(context: click.Context, /, **given: object) -> None:
        kept.append(Everything.parse(values_of(Everything, given)))

    outcome = CliRunner().invoke(command, arguments)
    assert outcome.exit_code == 0, outcome.output
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
        (("--spaces", "z", "--spaces", "v"), "'v' is not one of 'z', 'w'"),
        (("--orders", "3"), "'3' is not one of '1', '2'"),
        (("--way", "left"), "'left' is not one of 'up', 'down'"),
    ],
)
def test_a_choice_that_is_none_names_those_there_are(
    arguments: tuple[str, ...], message: str
) -> None:
    command = click.Command("everything", params=list(flags_of(Everything)))
    outcome = CliRunner().invoke(command, ["--units", "1", *arguments])
    assert outcome.exit_code == 2
    assert message in outcome.output


@pytest.mark.parametrize(
    "line",
    [
        "--units 3,7,10-20",
        "--dims 3,7,10-20",
        "--steps NUMBER",
        "--low NUMBER",
        "--mode [z|w]",
        "--names NAME",
        "--is-fast / --no-is-fast",
        "[>= 2; <= 99; default: 9]",
        "[required]",
        "[default: [0.5]]",
        "--kept 3,7|@FILE",
        "--best 3,7|@FILE [default: conv2#3-5]",
        "--source SAMPLES [default: 5]",
        "--donors SAMPLES",
        "--spaces [z|w] [default: z, w]",
        "--orders [1|2]",
        "--way [up|down]",
        "--rows 3,7,10-20 [default: 1-3]",
    ],
)
def test_help_shows_values_ranges_and_defaults(line: str) -> None:
    command = click.Command("everything", params=list(flags_of(Everything)))
    assert line in " ".join(command.get_help(click.Context(command)).split())
