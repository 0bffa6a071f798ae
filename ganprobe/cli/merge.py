"""``ganprobe merge``."""

from __future__ import annotations

from pathlib import Path

import click

from ganprobe.cli import flags
from ganprobe.cli.console import progress

__all__ = ["command"]


@click.command(name="merge", short_help="Make one file of the shards of a recording.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@flags.output_file
@flags.force
def command(files: tuple[Path, ...], output: Path, force: bool) -> None:
    """Write the shards of a recording into one file: the one a single process would have made.

    FILES are all the shards, or the one file that joins them. The shards stay.

    \b
    Examples:
      ganprobe merge digits.h5 --output whole.h5
      ganprobe merge digits.shard-*-of-8.h5 --output whole.h5
    """
    from ganprobe.store import merge_stores

    written = merge_stores(files, output, overwrite=force, progress=progress)
    click.echo(f"merged {len(files)} files: {written} ({written.stat().st_size / 1e6:,.1f} MB)")
