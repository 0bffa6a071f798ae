"""The command group: its commands by name, imported when asked for."""

from __future__ import annotations

import importlib

import click

from ganprobe import __version__
from ganprobe.errors import UnknownNameError

__all__ = ["ganprobe"]

_COMMANDS = ("generators", "layers", "record", "check", "merge", "stats", "run", "plugins")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in _COMMANDS:
            raise UnknownNameError("command", cmd_name, _COMMANDS, hint="see: ganprobe --help")
        command: click.Command = importlib.import_module(f"ganprobe.cli.{cmd_name}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="ganprobe %(version)s")
def ganprobe() -> None:
    """See what is inside an image generator.

    Record the feature maps of any pretrained PyTorch generator, and run analyses that tell what
    its latent dimensions and units do.

    \b
    Start here:
      ganprobe generators                      what can be loaded
      ganprobe layers digits                   where can be probed
      ganprobe run traversal digits --output out/traversal
                                               what each latent dimension does
      ganprobe record digits --site conv2 --samples 1000 --output digits.h5
                                               keep activations for later
      ganprobe check digits.h5                 is the file whole
    """
