"""``ganprobe generators``."""

from __future__ import annotations

import click

from ganprobe.cli.console import print_json, print_table

__all__ = ["command"]


@click.command(name="generators", short_help="List the generators that can be loaded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List the generators that can be loaded, and the plugin that brings each.

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
