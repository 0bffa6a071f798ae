"""``ganprobe new-plugin``."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

import click

__all__ = ["command"]

_TRIED = {
    "analysis": "ganprobe run {name} digits",
    "generator": "ganprobe layers {name}",
    "measure": "ganprobe run traversal digits --measure {name}",
    "segmenter": "ganprobe run dissection digits --site conv3 --segmenter {name}",
}


@click.command(name="new-plugin", short_help="Begin a plugin of your own, with tests.")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["analysis", "generator", "measure", "segmenter"]),
    default="analysis",
    show_default=True,
    help="What it offers.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write, which is not there yet.  [default: ganprobe-NAME]",
)
def command(name: str, kind: str, output: Path | None) -> None:
    """Write a plugin that works as it is, for you to change: its module, its tests, pyproject.toml.

    It says what to type next: to install it, to run it and to test it. None of that needs a
    network.

    \b
    Examples:
      ganprobe new-plugin brightness
      ganprobe new-plugin edge-density --kind measure
      ganprobe new-plugin my-gan --kind generator --output out/my-gan
    """
    from ganprobe.plugins import installed_plugins
    from ganprobe.scaffold import KINDS, PluginNames, new_plugin

    names = PluginNames.of(name)
    chosen = next(one for one in KINDS if one == kind)
    names.refuse_taken(chosen, installed_plugins())
    written = new_plugin(names, chosen, output or Path(names.distribution))
    click.echo(f"{written.folder}: {written.n_lines} lines in {len(written.files)} files")
    for file in written.files:
        click.echo(f"  {file}")
    click.echo("\nNext:")
    for line in _next(kind, name, shlex.quote(str(written.folder))):
        click.echo(f"  {line}")


def _next(kind: str, name: str, folder: str) -> list[str]:
    """What to type, each command as it is found from here."""
    pytest = "pytest" if importlib.util.find_spec("pytest") else "pip install pytest && pytest"
    commands = [
        f"pip install --no-build-isolation -e {folder}",
        "ganprobe plugins",
        _TRIED[kind].format(name=name),
        f"{pytest} {folder}",
    ]
    return [" ".join(map(_found, line.split(" "))) for line in commands]


def _found(word: str) -> str:
    """A program by its name, where that is the one beside this Python; else with its folder."""
    if word not in ("pip", "ganprobe", "pytest"):
        return word
    beside = Path(sys.executable).parent
    found = shutil.which(word)
    is_ours = found is not None and Path(found).parent == beside
    return word if is_ours or not (beside / word).exists() else str(beside / word)
