"""``ganprobe record``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganprobe.cli import flags
from ganprobe.cli.console import command_line, progress
from ganprobe.cli.loading import (
    GeneratorCommand,
    load_from_flags,
    loader_flags,
    trust_from_flags,
)
from ganprobe.errors import ParameterError
from ganprobe.sample_choices import SampleChoice
from ganprobe.unit_sets import UnitSet

if TYPE_CHECKING:
    from ganprobe.latents import Latents
    from ganprobe.probe import Probe

__all__ = ["command"]


class _ShareType(click.ParamType[tuple[int, int]]):
    name = "2/8"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)/(\d+)", str(value))
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"a share is written 1/8 to 8/8, got {value!r}", param, ctx)
        return int(match[1]), int(match[2])


@click.command(
    name="record", short_help="Record activations into an HDF5 file.", cls=GeneratorCommand
)
@click.argument("generator")
@click.option(
    "--site",
    "sites",
    multiple=True,
    required=True,
    help="What to record, as `ganprobe layers` names it, or a pattern; once for each site.",
)
@click.option(
    "--units",
    metavar="3,7|@FILE",
    help="Record these units alone: 3,7,10-20, or a set that an analysis wrote, as @set.json.",
)
@click.option(
    "--samples",
    type=click.IntRange(max=10**12),
    metavar="NUMBER",
    required=True,
    help="How many samples, counted from 0.",
)
@flags.latents
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
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    help="Store activations in this type; without it, in each site's own.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "zstd", "lz4"]),
    default="none",
    show_default=True,
    help="Smaller files, more slowly; h5py and xarray then need `import hdf5plugin`.",
)
@click.option(
    "--shard",
    type=_ShareType(),
    help="Record the second of eight shares (2/8) into a file beside --output. Whoever completes"
    " the last share joins them. Under torchrun each process takes its own.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with --output if it is there, at the very same values."
)
@loader_flags
@flags.device
@flags.force
def command(
    generator: str,
    sites: tuple[str, ...],
    units: str | None,
    samples: int,
    latents: str | None,
    seed: int,
    output: Path,
    images: bool,
    batch_size: int,
    dtype: str | None,
    compression: Any,
    shard: tuple[int, int] | None,
    resume: bool,
    device: str | None,
    force: bool,
    **given: Any,
) -> None:
    """Record activations of GENERATOR at one or more sites into an HDF5 file.

    Samples stream to the disk, so that any number fits in memory. What is written stays, also
    when the process is killed: the same command with --resume goes on. xarray opens the file:
    xarray.open_dataset("digits.h5", engine="h5netcdf", group="sites/conv2").

    \b
    Examples:
      ganprobe record digits --site conv2 --samples 1000 --output digits.h5
      ganprobe record digits --site conv2 --site conv3 --samples 50000 --seed 7 \\
          --images --output digits.h5
      ganprobe record digits --site 'conv2#0-19' --samples 100 --output few.h5 --force
      ganprobe record digits --site conv2 --units @set.json --samples 100 --output set.h5
      ganprobe record digits --site conv2 --latents digit=7 --samples 100 --output sevens.h5
      ganprobe record digits --site 'conv?' --samples 1000 --output blocks.h5
      ganprobe record digits --site conv2 --samples 50000 --dtype float16 --output half.h5
      ganprobe record digits --site conv2 --samples 50000 --shard 1/2 --output digits.h5
      torchrun --nproc-per-node 2 -m ganprobe record digits --site conv2 --samples 50000 \\
          --output digits.h5
    """
    from ganprobe.probe import Probe
    from ganprobe.store import ActivationStore

    if units is not None:
        sites = tuple(_with_units(site, UnitSet.parse(units)) for site in sites)
    shard = shard or _share_of_torchrun()
    loaded = load_from_flags(generator, given)
    probe = Probe(loaded, device=device or _device_of_torchrun())
    was_complete = resume and _is_complete(output, shard)
    written = probe.record(
        samples if latents is None else _chosen(probe, latents, samples, seed, given),
        sites,
        output,
        seed=seed,
        batch_size=batch_size,
        images=images,
        dtype=dtype,
        compression=compression,
        share=shard,
        resume=resume,
        overwrite=force,
        progress=progress,
        command=command_line(),
    )
    with ActivationStore(written) as store:
        size = sum(file.stat().st_size for file in store.files) / 1e6
        n_samples, parts = store.n_samples, len(store.files) - 1
    joined = f", joining {parts} shards" if parts else ""
    done = "already recorded:" if was_complete else "recorded"
    of_what = f"seed {seed}" if latents is None else latents
    click.echo(
        f"{done} {n_samples:,} samples of {generator} ({of_what}) at {', '.join(sites)}:"
        f" {written} ({size:,.1f} MB{joined})"
    )


def _chosen(
    probe: Probe, latents: str, n_samples: int, seed: int, given: dict[str, Any]
) -> Latents:
    """The first samples of a choice."""
    from ganprobe.catalogue import FoundMeasures
    from ganprobe.chosen_samples import choose_latents

    choice = SampleChoice.parse(latents)
    return choose_latents(
        probe,
        choice,
        n_samples,
        skip=0,
        seed=seed,
        find_measure=FoundMeasures(trust_from_flags(given)),
        progress=progress,
    )


def _is_complete(output: Path, shard: tuple[int, int] | None) -> bool:
    """Whether what is asked for is all there before anything is recorded."""
    from ganprobe.errors import StoreError
    from ganprobe.store import ActivationStore, Share, shard_path

    path = output if shard is None else shard_path(output, Share(*shard))
    try:
        with ActivationStore(path) as store:
            return store.is_complete
    except StoreError:
        return False


def _share_of_torchrun() -> tuple[int, int] | None:
    """The share of this process, where torchrun started several."""
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    is_launched = "TORCHELASTIC_RUN_ID" in os.environ and n_processes > 1
    return (int(os.environ["RANK"]) + 1, n_processes) if is_launched else None


def _device_of_torchrun() -> str | None:
    """The GPU of this process, where torchrun started several and there are GPUs."""
    import torch

    if _share_of_torchrun() is None or not torch.cuda.is_available():
        return None
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"


def _with_units(site: str, units: UnitSet) -> str:
    if "#" in site:
        raise ParameterError(f"--site {site} names units, and so does --units; leave one out")
    return units.at(site)
