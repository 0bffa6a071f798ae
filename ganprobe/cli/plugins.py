"""``ganprobe plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ganprobe.cli.console import print_json, print_table

if TYPE_CHECKING:
    from ganprobe.plugins import PluginRecord

__all__ = ["command"]


@click.command(name="plugins", short_help="List the plugins and what each offers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List the installed plugins: what each offers, and why one failed to load.

    GANPROBE_DISABLE_PLUGINS=name,name switches plugins off; "all" switches off every one.

    \b
    Examples:
      ganprobe plugins
      ganprobe plugins --json
      GANPROBE_DISABLE_PLUGINS=traversal ganprobe plugins
    """
    from ganprobe.plugins import plugins

    if as_json:
        print_json([_as_json(plugin) for plugin in plugins()])
        return
    rows = [
        (plugin.name, plugin.distribution, plugin.state, plugin.reason or _offers(plugin))
        for plugin in plugins()
    ]
    print_table(("plugin", "from", "state", "offers"), rows)


def _named(plugin: PluginRecord) -> dict[str, list[str]]:
    return {
        "generators": [loader.name for loader in plugin.generators],
        "analyses": [analysis.name for analysis in plugin.analyses],
        "measures": [measure.name for measure in plugin.measures],
        "segmenters": [segmenter.name for segmenter in plugin.segmenters],
    }


def _offers(plugin: PluginRecord) -> str:
    named = _named(plugin) | {"segmenters": [one.written for one in plugin.segmenters]}
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in named.items() if names)


def _as_json(plugin: PluginRecord) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "module": plugin.module,
        "distribution": plugin.distribution,
        "state": plugin.state,
        "reason": plugin.reason,
        **_named(plugin),
    }
