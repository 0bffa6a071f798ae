"""``ganprobe run``: one subcommand for each analysis that a plugin offers."""

from __future__ import annotations

import inspect
from contextlib import closing
from typing import Any

import click

from ganprobe.cli import flags
from ganprobe.cli.console import command_line, progress

__all__ = ["command"]


class _Analyses(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        from ganprobe.plugins import plugins

        return sorted(analysis.name for plugin in plugins() for analysis in plugin.analyses)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        from ganprobe.catalogue import find_analysis

        return _command(find_analysis(cmd_name))


@click.group(name="run", short_help="Run an analysis on a generator.", cls=_Analyses)
def command() -> None:
    """Run an analysis on a generator and write its result to a folder.

    The folder gets result.json (findings, tables, how it was made), result.h5 (arrays; xarray
    opens it) and figures/*.png.

    \b
    Examples:
      ganprobe run traversal digits --output out/traversal
      ganprobe run traversal --help
    """


def _command(analysis: type[Any]) -> click.Command:
    def run(generator: str, **given: Any) -> None:
        _run(analysis, generator, given)

    own = (flags.activations,) if analysis.uses_activations else ()
    for option in (
        flags.force,
        *own,
        flags.normalisation,
        flags.device,
        flags.seed,
        flags.output_folder,
    ):
        run = option(run)
    shared: list[click.Parameter] = list(reversed(getattr(run, "__click_params__", [])))
    return click.Command(
        analysis.name,
        callback=run,
        params=[click.Argument(["generator"]), *flags.flags_of(analysis.Params), *shared],
        help=_help(analysis),
        short_help=analysis.summary,
    )


def _help(analysis: type[Any]) -> str:
    examples = "\n".join(f"  {example}" for example in analysis.examples)
    text = inspect.cleandoc(analysis.__doc__ or analysis.summary).split("\n\nSource:")[0]
    return f"{text}\n\n\b\nExamples:\n{examples}" if examples else text


def _run(analysis: type[Any], generator: str, given: dict[str, Any]) -> None:
    params = analysis.Params.parse(flags.values_of(analysis.Params, given))

    from ganprobe.analysis import Context, run_analysis
    from ganprobe.catalogue import find_measure, load
    from ganprobe.probe import Probe
    from ganprobe.results import result_folder

    with result_folder(given["output"], overwrite=given["force"]) as folder:
        loaded = load(generator, normalisation=given["normalisation"])
        probe = Probe(loaded, device=given["device"])
        store = given.get("activations")
        context = Context(probe, given["seed"], find_measure, progress, store)
        with closing(context):
            result = run_analysis(analysis, context, params)
            parameters = params.to_json()
            if store is not None:
                parameters["activations"] = context.activations_json()
        provenance = probe.provenance(parameters, seed=context.seed, command=command_line())
        files = folder.save(result, analysis=analysis.name, provenance=provenance)
    for finding in result.findings:
        click.echo(finding)
    click.echo("\nLook at:")
    for file in sorted(files, key=lambda file: file.suffix != ".png"):
        click.echo(f"  {file}")
