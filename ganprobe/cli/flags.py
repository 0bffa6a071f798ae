"""Flags: the ones that several commands share, and those that a `Params` class declares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import click

from ganprobe.indices import format_indices

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ganprobe.params import Params

__all__ = [
    "activations",
    "device",
    "flags_of",
    "force",
    "latents",
    "normalisation",
    "output_file",
    "output_folder",
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
    default="eval",
    show_default=True,
    help="Statistics of batch normalisation: those of training, each sample's own, the batch's.",
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
    required=True,
    help="The folder to write: result.json, result.h5, figures.",
)


def flags_of(params: type[Params]) -> list[click.Option]:
    """One click option for each parameter, with its range, default and help."""
    return [_flag(name, field) for name, field in params.model_fields.items()]


def values_of(params: type[Params], given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that were given on the command line, as strings; the rest keep defaults."""
    values = {name: given[name] for name in params.model_fields if given[name] not in (None, ())}
    for name, value in values.items():
        if choices := _choices(params.model_fields[name]):
            is_many = isinstance(value, tuple)
            read = [choices.get(one, one) for one in (value if is_many else (value,))]
            values[name] = tuple(read) if is_many else read[0]
    return values


def _choices(field: FieldInfo) -> dict[str, Any]:
    """The values of a `Literal`, alone, in a tuple or list, or beside None, as written."""
    for annotation in (field.annotation, *get_args(field.annotation)):
        if get_origin(annotation) is Literal:
            return {str(choice): choice for choice in get_args(annotation)}
    return {}


def _flag(name: str, field: FieldInfo) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        return click.Option(
            [f"{flag}/--no-{name.replace('_', '-')}"], default=None, help=_help(field)
        )
    from ganprobe.params import Indices

    choices = _choices(field)
    is_many = get_origin(field.annotation) in (tuple, list) and not _is_of(Indices, field)
    return click.Option(
        [flag],
        type=click.Choice(list(choices)) if choices else str,
        metavar=None if choices else _metavar(field),
        multiple=is_many,
        required=field.is_required(),
        help=_help(field),
    )


def _is_of(kind: Any, field: FieldInfo) -> bool:
    """Whether a field is of one of our parameter types, or may be None besides."""
    from pydantic import BeforeValidator

    (reader,) = (part for part in get_args(kind) if isinstance(part, BeforeValidator))
    return reader in field.metadata or kind in get_args(field.annotation)


def _metavar(field: FieldInfo) -> str:
    from ganprobe.params import Directions, Indices, Samples, Units

    forms = (
        (Indices, "3,7,10-20"),
        (Units, "3,7|@FILE"),
        (Samples, "SAMPLES"),
        (Directions, "@FILE[:NAME]"),
    )
    for kind, form in forms:
        if _is_of(kind, field):
            return form
    is_number = {int, float} & {field.annotation, *get_args(field.annotation)}
    return "NUMBER" if is_number else "NAME"


def _help(field: FieldInfo) -> str:
    notes = [_limit(bound) for bound in field.metadata if _limit(bound)]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if default not in (None, (), [], ""):
        notes.append(f"default: {_as_written(default, field)}")
    text = field.description or ""
    return f"{text}  [{'; '.join(notes)}]" if notes else text


def _as_written(default: object, field: FieldInfo) -> str:
    from ganprobe.params import Indices

    if not isinstance(default, tuple):
        return str(default)
    return format_indices(default) if _is_of(Indices, field) else ", ".join(map(str, default))


def _limit(bound: object) -> str:
    for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        value = getattr(bound, attribute, None)
        if value is not None:
            return f"{sign} {value}"
    return ""
