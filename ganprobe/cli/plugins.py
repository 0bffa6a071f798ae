"""``ganprobe plugins``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ganprobe.cli.console import print_json, print_table, width

if TYPE_CHECKING:
    from ganprobe.plugins import PluginRecord

__all__ = ["command"]

_SLOW = 1.0
"""Seconds that an import may take before it is told."""


@click.command(name="plugins", short_help="List the plugins and what each offers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List the installed plugins: what each offers, and why one failed to load, which comes first.

    A plugin that fails harms nothing else, and the exit status is 0. GANPROBE_STRICT_PLUGINS=1
    lets every command fail of it, with exit status 1. GANPROBE_DISABLE_PLUGINS=name,name switches
    plugins off; "all" switches off every one.

    \b
    Examples:
      ganprobe plugins
      ganprobe plugins --json
      GANPROBE_DISABLE_PLUGINS=traversal ganprobe plugins
    """
    from ganprobe.plugins import installed_plugins, refuse_failed_plugins

    records = installed_plugins()
    if as_json:
        print_json([_as_json(record) for record in records])
    else:
        _print_failed([record for record in records if record.state == "failed"])
        rows = [
            (record.name, record.distribution, record.state, _offers(record))
            for record in records
            if record.state != "failed"
        ]
        print_table(("plugin", "from", "state", "offers"), rows)
        for record in records:
            for remark in _remarks(record):
                _print_paragraph(f"{record.name}: {remark}", indent="")
    refuse_failed_plugins(records)


def _print_failed(failed: Sequence[PluginRecord]) -> None:
    for record in failed:
        click.echo(f"{record.name} failed, from {record.distribution}:")
        _print_paragraph(record.reason, indent="  ")
    if failed:
        names = ",".join(record.name for record in failed)
        _print_paragraph(
            "All else works. Mend what failed, uninstall what brings it, or switch it off:"
            f" GANPROBE_DISABLE_PLUGINS={names}",
            indent="",
        )
        click.echo()


def _print_paragraph(text: str, *, indent: str) -> None:
    lines = textwrap.wrap(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=indent or "  ",
        break_long_words=False,  # a path that is broken cannot be clicked
        break_on_hyphens=False,
    )
    click.echo("\n".join(lines))


def _remarks(record: PluginRecord) -> Iterator[str]:
    for deprecation in record.deprecations:
        yield f"deprecated: {deprecation}"
    yield from record.notes
    if record.seconds > _SLOW:
        yield (
            f"importing it took {record.seconds:.1f} s, which every command waits for; import what"
            " is slow, as torch, in the functions that need it"
        )


def _named(record: PluginRecord) -> dict[str, list[str]]:
    return {
        "generators": [loader.name for loader in record.generators],
        "analyses": [analysis.name for analysis in record.analyses],
        "measures": [measure.name for measure in record.measures],
        "segmenters": [segmenter.name for segmenter in record.segmenters],
    }


def _offers(record: PluginRecord) -> str:
    if record.state == "disabled":
        return record.reason
    named = _named(record) | {"segmenters": [one.written for one in record.segmenters]}
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in named.items() if names)


def _as_json(record: PluginRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "module": record.module,
        "distribution": record.distribution,
        "state": record.state,
        "reason": record.reason,
        **_named(record),
        "needs": record.needs,
        "seconds": round(record.seconds, 3),
        "deprecations": [
            {"message": one.message, "where": one.where} for one in record.deprecations
        ],
        "notes": list(record.notes),
    }
