"""Flags made from a `Params` class: one declaration, no second."""

from __future__ import annotations

from typing import Literal

import click
import pytest
from click.testing import CliRunner

from ganprobe import Field, Indices, Params
from ganprobe.cli.flags import flags_of, values_of


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
    ],
)
def test_help_shows_values_ranges_and_defaults(line: str) -> None:
    command = click.Command("everything", params=list(flags_of(Everything)))
    assert line in " ".join(command.get_help(click.Context(command)).split())
