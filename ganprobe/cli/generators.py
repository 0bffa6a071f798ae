"""``ganprobe generators``."""

from __future__ import annotations

import click

from ganprobe.cli.console import print_json, print_table

__all__ = ["command"]


@click.command(name="generators", short_help="List the generators that can be loaded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List the generators that have a name, and the plugin that brings each.

    Nothing is loaded or fetched for that. A generator of your own needs no name; wherever a
    command takes GENERATOR, any of these will do:

    \b
      my_models.gan:Generator, my_gan.py:make    code, with --weights FILE and --set NAME=VALUE
      gan.safetensors, gan.pt                    weights, with --factory MODULE:NAME
      path/to/folder                             a model folder with a ganprobe.toml
      traced.pt, exported.pt2, stylegan2.pkl     archives; NVIDIA's pickles with --code and --trust
      hf:owner/name, hub:owner/repo:entry        Hugging Face; torch.hub with --trust

    \b
    Examples:
      ganprobe generators
      ganprobe generators --json
    """
    from ganprobe.plugins import plugins

    rows = [
        (loader.name, plugin.name, loader.summary)
        for plugin in plugins()
        for loader in plugin.generators
    ]
    if as_json:
        print_json([dict(zip(("name", "plugin", "summary"), row, strict=True)) for row in rows])
    else:
        print_table(("generator", "plugin", "what it is"), rows)
        click.echo("\nYours needs no name: ganprobe generators --help says what else can be given.")
