"""``ganprobe layers``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ganprobe.cli.about import conditions, times
from ganprobe.cli.console import print_json, print_table
from ganprobe.cli.loading import GeneratorCommand, load_from_flags, loader_flags

if TYPE_CHECKING:
    from ganprobe.layers import Layer
    from ganprobe.probe import Probe
    from ganprobe.sites import SiteTensor

__all__ = ["command"]


@click.command(
    name="layers", short_help="List where a generator can be probed.", cls=GeneratorCommand
)
@click.argument("generator")
@click.argument("sites", nargs=-1, metavar="[SITE]...")
@click.option("--inputs", is_flag=True, help="Also list what each layer is given.")
@click.option(
    "--replay", is_flag=True, help="Also print what a sweep from SITE computes again, and why."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@loader_flags
def command(
    generator: str,
    sites: tuple[str, ...],
    inputs: bool,
    replay: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """List the sites of GENERATOR: where its activations can be recorded and edited.

    One dry run of two samples finds them. Write a site as it stands in the first column, with
    units where you mean only some: conv2#3,7,10-20. Its input is conv2:in. With SITE, only those
    are listed; it may be a pattern, in which * stands for part of a name and ** for any names.

    A sweep over many edits at SITE computes again only what such an edit reaches; all else
    answers from memory. With --replay, what that is.

    \b
    Examples:
      ganprobe layers digits
      ganprobe layers digits 'conv?' 'conv3.*'
      ganprobe layers digits --inputs
      ganprobe layers digits conv2 --replay
      ganprobe layers digits --json
      ganprobe layers my_models.gan:Generator --weights gan.safetensors --set width=64
      ganprobe layers path/to/model-folder
    """
    from ganprobe.probe import Probe

    if replay and (as_json or not sites):
        raise click.UsageError("--replay goes with a SITE and without --json")
    probe = Probe(load_from_flags(generator, given))
    layers = _listed(probe, sites, inputs=inputs)
    if as_json:
        print_json([_as_json(layer) for layer in layers])
        return
    for line in conditions(probe):
        click.echo(line)
    click.echo()
    columns = ("site", "type", "units", "map", "dtype", "calls", "parameters", "note")
    rows = (row for layer in layers for row in _rows(layer))
    print_table(columns, rows, numbers=("units", "calls", "parameters"))
    if replay:
        click.echo(f"\n{probe.replay_plan(sites)}")


def _listed(probe: Probe, sites: Sequence[str], *, inputs: bool) -> list[Layer]:
    """The layers with those of their tensors that are wanted."""
    table = probe.layers()
    wanted = {tensor.site for site in sites for tensor in table.resolve(site)}
    listed = []
    for layer in table:
        at_ports = [t for t in layer.tensors if inputs or t.site.port == "out"]
        chosen = [t for t in layer.tensors if t.site in wanted] if sites else at_ports
        if chosen or not sites:
            listed.append(replace(layer, tensors=tuple(chosen)))
    return listed


def _rows(layer: Layer) -> Iterator[tuple[str, ...]]:
    for tensor in layer.tensors:
        yield (
            str(tensor.site),
            layer.kind,
            str(tensor.n_units),
            times(tensor.spatial_shape),
            tensor.dtype,
            str(layer.calls),
            f"{layer.n_parameters:,}",
            _note(layer, tensor),
        )


def _note(layer: Layer, tensor: SiteTensor) -> str:
    notes = [f"also {alias}" for alias in layer.aliases]
    if not tensor.is_batched:
        notes.append("no batch axis")
    if tensor.is_overwritten:
        notes.append("overwritten in place later")
    return "; ".join(notes)


def _as_json(layer: Layer) -> dict[str, Any]:
    tensors = [
        {
            "site": str(tensor.site),
            "shape": list(tensor.shape),
            "units": tensor.n_units,
            "unit_axis": tensor.unit_axis,
            "dtype": tensor.dtype,
            "is_batched": tensor.is_batched,
            "is_overwritten": tensor.is_overwritten,
        }
        for tensor in layer.tensors
    ]
    return {
        "layer": layer.name,
        "type": layer.kind,
        "calls": layer.calls,
        "parameters": layer.n_parameters,
        "aliases": list(layer.aliases),
        "sites": tensors,
    }
