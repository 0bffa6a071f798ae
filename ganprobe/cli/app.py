"""The command group: its commands by name, imported when asked for."""

from __future__ import annotations

import importlib
import os

import click

from ganprobe import __version__
from ganprobe.cli.console import say
from ganprobe.errors import UnknownNameError

__all__ = ["ganprobe"]

_COMMANDS = (
    "generators",
    "layers",
    "samples",
    "record",
    "check",
    "merge",
    "stats",
    "run",
    "plugins",
    "new-plugin",
)

_VARIABLES = {"GANPROBE_DISABLE_PLUGINS", "GANPROBE_STRICT_PLUGINS"}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in _COMMANDS:
            raise UnknownNameError("command", cmd_name, _COMMANDS, hint="see: ganprobe --help")
        command: click.Command = importlib.import_module(_module_of(cmd_name)).command
        return command


def _module_of(command: str) -> str:
    return f"ganprobe.cli.{command.replace('-', '_')}"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="ganprobe %(version)s")
@click.pass_context
def ganprobe(ctx: click.Context) -> None:
    """See what is inside an image generator.

    Record the feature maps of any pretrained PyTorch generator, and run analyses that tell what
    its latent dimensions and units do.

    \b
    Start here:
      ganprobe generators                      what can be loaded
      ganprobe samples digits                  what it draws
      ganprobe layers digits                   where can be probed
      ganprobe run traversal digits --output out/traversal
                                               what each latent dimension does
      ganprobe record digits --site conv2 --samples 1000 --output digits.h5
                                               keep activations for later
      ganprobe check digits.h5                 is the file whole
      ganprobe new-plugin brightness           an analysis of your own
    """
    if _VARIABLES & os.environ.keys():
        _look_at_plugins(ctx.invoked_subcommand)


def _look_at_plugins(command: str | None) -> None:
    """What the environment says of plugins holds for every command, also for one without any."""
    from ganprobe.plugins import plugins, unknown_disabled

    for sentence in unknown_disabled():
        say(sentence)
    if command != "plugins":  # which lists them first
        plugins()
