"""Flags: the ones that several commands share, and those that a `Params` class declares."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ganprobe.cli.console import print_json

if TYPE_CHECKING:
    from ganprobe.params import Declared, Params

__all__ = [
    "activations",
    "default_folder",
    "device",
    "flags_of",
    "force",
    "latents",
    "normalisation",
    "output_file",
    "output_folder",
    "schema_of",
    "seed",
    "values_of",
]

F = TypeVar("F", bound=Callable[..., Any])

seed: Callable[[F], F] = click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    default=0,
    show_default=True,
    help="Sample i of a seed is always the same.",
)
device: Callable[[F], F] = click.option(
    "--device",
    metavar="NAME",
    help="Where to run: cpu, cuda, cuda:1; without it, where the generator is.",
)
normalisation: Callable[[F], F] = click.option(
    "--normalisation",
    type=click.Choice(["eval", "sample", "batch"]),
    help="Statistics of batch normalisation: those of training (eval), each sample's own, the"
    " batch's.  [default: as the generator says, else eval]",
)
activations: Callable[[F], F] = click.option(
    "--activations",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read activations from this file, made by `ganprobe record` with the same seed, instead"
    " of running the generator.",
)
latents: Callable[[F], F] = click.option(
    "--latents",
    metavar="SAMPLES",
    help="Look at these samples instead of those of the seed: 5, 0-9, 'digit=7 & digit.7>0.9', or"
    " a file that another analysis wrote, as @good.json or @groups.json:ones.",
)
force: Callable[[F], F] = click.option("--force", is_flag=True, help="Replace what is at --output.")
output_file: Callable[[F], F] = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The HDF5 file to write.",
)
output_folder: Callable[[F], F] = click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write: result.json, result.h5, figures.  [default: out/ANALYSIS-GENERATOR]",
)


def default_folder(analysis: str, generator: str) -> Path:
    """Where a result goes if nobody says: a folder for each analysis of each generator.

    Example:
        >>> default_folder("traversal", "models/my gan:make").as_posix()
        'out/traversal-models-my-gan-make'
    """
    return Path("out") / "-".join([analysis, *re.findall(r"[\w.]+", generator)])


def flags_of(params: type[Params]) -> list[click.Option]:
    """One click option for each parameter, with its range, choices, default and help.

    What is written is checked by `Params.parse`, not here: its messages are the same for values
    from a form, a file and Python.
    """
    from ganprobe.params import declared

    return [_flag(one) for one in declared(params).values()]


def schema_of(params: type[Params]) -> click.Option:
    """``--schema``: prints the parameters as JSON Schema, and runs nothing."""

    def show(context: click.Context, flag: click.Parameter, is_given: bool) -> None:
        if is_given:
            print_json(params.json_schema())
            context.exit()

    return click.Option(
        ["--schema"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Print the parameters as JSON Schema, for forms, and exit.",
    )


def values_of(params: type[Params], given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that were given on the command line, as strings; the rest keep defaults."""
    return {name: given[name] for name in params.model_fields if given[name] not in (None, ())}


class _Choice(click.Choice[str]):
    """Choices that ``--help`` and the shell's completion show, and that others check."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        return str(value)


def _flag(one: Declared) -> click.Option:
    names = [one.flag, one.name]
    if one.is_switch:
        names[0] = f"{one.flag}/--no-{one.flag.removeprefix('--')}"
        return click.Option(names, default=None, required=one.field.is_required(), help=_help(one))
    is_chosen = one.count != "fixed" and one.value.choices and not one.value.is_open
    return click.Option(
        names,
        type=_Choice(list(one.value.choices or ())) if is_chosen else str,
        metavar=None if is_chosen else one.metavar,
        multiple=one.count == "many",
        required=one.field.is_required(),
        help=_help(one),
    )


def _help(one: Declared) -> str:
    value = one.value
    notes = [value.limits.short(), "may be repeated" if one.count == "many" else ""]
    if default := one.written_default():
        notes.append(f"default: {default}")
    said = "; ".join(filter(None, notes))
    text = one.field.description or ""
    return f"{text}  [{said}]" if said else text
