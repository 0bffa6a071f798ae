"""Flags that say what a generator is and how it is loaded, shared by all commands that take one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ganprobe.cli import flags
from ganprobe.cli.console import say
from ganprobe.errors import ParameterError

if TYPE_CHECKING:
    from ganprobe.generators import Generator
    from ganprobe.weight_files import Trust

__all__ = [
    "LOADER_FLAGS",
    "GeneratorCommand",
    "load_from_flags",
    "loader_flags",
    "trust_from_flags",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Shape(click.ParamType[tuple[int, ...]]):
    name = "4x8x8"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", str(value)):
            self.fail(f"a shape is written 512 or 4x8x8, got {value!r}", param, ctx)
        return tuple(map(int, str(value).split("x")))


class _Range(click.ParamType[tuple[float, float]]):
    name = "LOW,HIGH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            low, high = map(float, str(value).split(","))
        except ValueError:
            low, high = 1.0, 0.0
        if not low < high:
            self.fail(f"a range is written -1,1, black before white, got {value!r}", param, ctx)
        return low, high


class _Axis(click.ParamType[tuple[str, int]]):
    name = "SITE=AXIS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        site, _, axis = str(value).rpartition("=")
        if not site or not re.fullmatch(r"-?\d+", axis):
            self.fail(f"a unit axis is written 'blocks.*=-1', got {value!r}", param, ctx)
        return site, int(axis)


_FLAGS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--weights",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Of GENERATOR: the checkpoint to load into what its factory makes.",
    ),
    click.option(
        "--weights-key",
        metavar="NAME",
        help="The entry of the checkpoint that is meant, as g_ema, where it holds several.",
    ),
    click.option(
        "--set",
        "arguments",
        metavar="NAME=VALUE",
        multiple=True,
        help="An argument of the factory, as width=64; may be repeated.",
    ),
    click.option(
        "--factory",
        metavar="MODULE:NAME",
        help="The class or function that makes the module, in a module or file.py, where GENERATOR"
        " names none.",
    ),
    click.option(
        "--part",
        metavar="NAME",
        help="The part of what the factory makes that is the generator, as models.g_ema.",
    ),
    click.option("--forward", metavar="METHOD", help="The method that makes images, as decode."),
    click.option(
        "--latent",
        type=_Shape(),
        metavar="512|4x8x8",
        help="The latents' size or shape, where it cannot be found out.",
    ),
    click.option(
        "--image-range",
        type=_Range(),
        metavar="LOW,HIGH",
        help="The values of black and white, as -1,1; without it, by measuring.",
    ),
    click.option(
        "--image-shape",
        type=_Shape(),
        metavar="1x28x28",
        help="Channels, height and width, where images come flat.",
    ),
    click.option(
        "--class",
        "chosen_class",
        metavar="NUMBER|NAME|all",
        help="The class to generate; all: in turn.",
    ),
    click.option(
        "--truncation",
        type=click.FloatRange(min=0, min_open=True),
        metavar="NUMBER",
        help="Keep latents, or w, closer to their mean: less variety, fewer bad images.",
    ),
    click.option(
        "--unit-axis",
        "unit_axes",
        type=_Axis(),
        multiple=True,
        help="Which axis units are on where the guess is wrong, as 'blocks.*=-1'.",
    ),
    click.option(
        "--code",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="The code that a pickle needs: a clone of its authors' repository.",
    ),
    click.option(
        "--trust",
        is_flag=True,
        help="Let code run that comes with GENERATOR; its SHA-256 is printed first.",
    ),
    flags.normalisation,
)

LOADER_FLAGS = frozenset(
    {
        *("weights", "weights_key", "arguments", "factory", "part", "forward", "latent"),
        *("image_range", "image_shape", "chosen_class", "truncation", "unit_axes", "code"),
        *("trust", "normalisation"),
    }
)
"""The names under which a command is given them."""


class GeneratorCommand(click.Command):
    """A command whose help lists the flags of loading a generator apart from its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write its own options, then those that say what GENERATOR is."""
        own: list[tuple[str, str]] = []
        loading: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                (loading if parameter.name in LOADER_FLAGS else own).append(record)
        for title, records in (("Options", own), ("What GENERATOR is", loading)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def loader_flags(command: F) -> F:
    """Give a command the flags with which a generator is loaded."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def load_from_flags(generator: str, given: Mapping[str, Any]) -> Generator:
    """Load GENERATOR as the flags say; what was found out, and what is trusted, goes to stderr."""
    from ganprobe.catalogue import load

    loaded = load(
        generator,
        weights=given["weights"],
        weights_key=given["weights_key"],
        arguments=_arguments(given["arguments"]),
        factory=given["factory"],
        part=given["part"],
        method=given["forward"],
        latent=given["latent"],
        image_range=given["image_range"],
        image_shape=_image_shape(given["image_shape"]),
        unit_axes=dict(given["unit_axes"]) or None,
        chosen_class=given["chosen_class"],
        truncation=given["truncation"],
        normalisation=given["normalisation"],
        code=given["code"],
        trust=trust_from_flags(given),
    )
    for note in loaded.notes:
        say(note)
    return loaded


def trust_from_flags(given: Mapping[str, Any]) -> Trust:
    """Whether code may run that nobody named; what does goes to stderr."""
    from ganprobe.weight_files import Trust

    return Trust(given["trust"], say)


def _arguments(written: tuple[str, ...]) -> dict[str, object]:
    from ganprobe.loading import read_argument

    read = [read_argument(one) for one in written]
    names = [name for name, _ in read]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ParameterError(f"--set gives {twice[0]!r} twice; leave one out")
    return dict(read)


def _image_shape(given: tuple[int, ...] | None) -> Any:
    if given is not None and len(given) != 3:
        raise ParameterError(
            "--image-shape is channels, height and width, as 1x28x28, got"
            f" {'x'.join(map(str, given))}"
        )
    return given
