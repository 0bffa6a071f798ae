"""``ganprobe record``."""

from __future__ import annotations

from pathlib import Path

import click

from ganprobe.cli import flags
from ganprobe.cli.console import command_line, progress

__all__ = ["command"]


@click.command(name="record", short_help="Record activations into an HDF5 file.")
@click.argument("generator")
@click.option(
    "--site",
    "sites",
    multiple=True,
    required=True,
    help="What to record, as `ganprobe layers` names it, or a pattern; once for each site.",
)
@click.option(
    "--samples",
    type=click.IntRange(max=10**12),
    metavar="NUMBER",
    required=True,
    help="How many samples, counted from 0.",
)
@flags.seed
@flags.output_file
@click.option("--images", is_flag=True, help="Also keep the images.")
@click.option(
    "--batch-size",
    type=click.IntRange(max=10**6),
    metavar="NUMBER",
    default=64,
    show_default=True,
    help="Samples in one forward.",
)
@flags.device
@flags.force
def command(
    generator: str,
    sites: tuple[str, ...],
    samples: int,
    seed: int,
    output: Path,
    images: bool,
    batch_size: int,
    device: str | None,
    force: bool,
) -> None:
    """Record activations of GENERATOR at one or more sites into an HDF5 file.

    Samples stream to the disk, so that any number fits in memory. xarray opens the file:
    xarray.open_dataset("digits.h5", engine="h5netcdf", group="sites/conv2").

    \b
    Examples:
      ganprobe record digits --site conv2 --samples 1000 --output digits.h5
      ganprobe record digits --site conv2 --site conv3 --samples 50000 --seed 7 \\
          --images --output digits.h5
      ganprobe record digits --site 'conv2#0-19' --samples 100 --output few.h5 --force
      ganprobe record digits --site 'conv?' --samples 1000 --output blocks.h5
    """
    from ganprobe.catalogue import load
    from ganprobe.probe import Probe

    probe = Probe(load(generator), device=device)
    written = probe.record(
        samples,
        sites,
        output,
        seed=seed,
        batch_size=batch_size,
        images=images,
        overwrite=force,
        progress=progress,
        command=command_line(),
    )
    size = written.stat().st_size / 1e6
    click.echo(
        f"recorded {samples:,} samples of {generator} (seed {seed}) at {', '.join(sites)}:"
        f" {written} ({size:,.1f} MB)"
    )
