"""``ganprobe run``: one subcommand for each analysis that a plugin offers."""

from __future__ import annotations

import inspect
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click

from ganprobe.cli import flags
from ganprobe.cli.console import command_line, progress, say
from ganprobe.cli.loading import (
    GeneratorCommand,
    load_from_flags,
    loader_flags,
    trust_from_flags,
)

__all__ = ["command"]


class _Analyses(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        from ganprobe.plugins import plugins

        return sorted(analysis.name for plugin in plugins() for analysis in plugin.analyses)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        from ganprobe.catalogue import find_analysis

        return _command(find_analysis(cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the analyses without making the flags of each, which takes longer."""
        from ganprobe.plugins import plugins

        offered = [analysis for plugin in plugins() for analysis in plugin.analyses]
        with formatter.section("Commands"):
            formatter.write_dl(sorted((one.name, one.summary) for one in offered))


@click.group(name="run", short_help="Run an analysis on a generator.", cls=_Analyses)
def command() -> None:
    """Run an analysis on a generator and write its result to a folder.

    Without --output that is out/ANALYSIS-GENERATOR. The folder gets result.json (findings,
    tables, how it was made), result.h5 (arrays; xarray opens it), figures/*.png, and what was
    found for other commands to take: units/*.json, latents/*.json, directions/*.safetensors.

    \b
    Examples:
      ganprobe run traversal digits
      ganprobe run traversal digits --output out/traversal
      ganprobe run traversal --help
    """


def _command(analysis: type[Any]) -> click.Command:
    def run(generator: str, **given: Any) -> None:
        _run(analysis, generator, given)

    own = [flags.activations] if analysis.uses_activations else []
    own += [flags.latents] if analysis.uses_latents else []
    for option in (
        flags.force,
        *own,
        loader_flags,
        flags.device,
        flags.seed,
        flags.output_folder,
    ):
        run = option(run)
    shared: list[click.Parameter] = list(reversed(getattr(run, "__click_params__", [])))
    return GeneratorCommand(
        analysis.name,
        callback=run,
        params=[
            click.Argument(["generator"]),
            *flags.flags_of(analysis.Params),
            *shared,
            flags.schema_of(analysis.Params),
        ],
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
    from ganprobe.catalogue import (
        FoundMeasures,
        every_segmenter,
        find_segmenter,
        working_measures,
    )
    from ganprobe.probe import Probe
    from ganprobe.result_files import result_folder
    from ganprobe.sample_choices import SampleChoice

    written = given.get("latents")
    chosen = None if written is None else SampleChoice.parse(written)

    output = given["output"] or flags.default_folder(analysis.name, generator)
    with result_folder(output, overwrite=given["force"]) as folder:
        loaded = load_from_flags(generator, given)
        probe = Probe(loaded, device=given["device"])
        store = given.get("activations")
        measures = FoundMeasures(trust_from_flags(given))
        context = Context(
            probe,
            given["seed"],
            measures,
            progress=progress,
            activations_file=store,
            list_measures=lambda: working_measures(probe.image_shape, say),
            chosen=chosen,
            find_segmenter=partial(find_segmenter, find_measure=measures),
            list_segmenters=every_segmenter,
        )
        with closing(context):
            result = run_analysis(analysis, context, params)
            parameters = params.to_json()
            if store is not None:
                parameters["activations"] = context.activations_json()
            if chosen is not None:
                parameters["latents"] = str(chosen)
            if sources := measures.to_json():
                parameters["measures"] = sources
        provenance = probe.provenance(parameters, seed=context.seed, command=command_line())
        files = folder.save(result, analysis=analysis.name, provenance=provenance)
    for finding in result.findings:
        click.echo(finding)
    click.echo("\nLook at:")
    for name in dict.fromkeys(_spoken(file) for file in sorted(files, key=_place)):
        click.echo(f"  {name}")


def _place(file: Path) -> int:
    """Figures first, then what moves, then the rest."""
    folders = ("figures", "animations")
    return folders.index(file.parent.name) if file.parent.name in folders else len(folders)


def _spoken(file: Path) -> Path:
    """The file, or the folder of the frames that it is one of."""
    return file.parent if file.parent.parent.name == "animations" else file
