"""``ganprobe check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganprobe.cli.console import print_json, progress

if TYPE_CHECKING:
    from ganprobe.store.checking import Damage

__all__ = ["command"]

_MOST_LISTED = 20


@click.command(name="check", short_help="Check that a file of activations is whole.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(file: Path, as_json: bool) -> None:
    """Compare everything in FILE, an activation store, with its checksums.

    Exit status 0: all its samples are there and are what was written. 1: some are not, or are
    still missing; it says which.

    \b
    Examples:
      ganprobe check digits.h5
      ganprobe check digits.h5 --json
    """
    from ganprobe.store import ActivationStore

    with ActivationStore(file) as store:
        damage = store.check(progress)
        n, n_planned = store.n_samples, store.n_planned
        sites = ", ".join(map(str, store.sites))
    if as_json:
        rows = [
            {"dataset": found.dataset, "first": found.rows.start, "last": found.rows.stop - 1}
            for found in damage
        ]
        print_json({"n_samples": n, "n_planned": n_planned, "sites": sites, "damage": rows})
    else:
        for found in damage[:_MOST_LISTED]:
            first, last = found.rows.start, found.rows.stop - 1
            if found.is_lost:
                click.echo(f"damaged: {found.dataset}, rows {first} to {last}")
            else:
                click.echo(f"not for other programs: {found.dataset}: {found.reason}")
        if len(damage) > _MOST_LISTED:
            click.echo(f"... and {len(damage) - _MOST_LISTED} more")
        click.echo(_outcome(str(file), n, n_planned, sites, damage))
    if damage or n < n_planned:
        raise SystemExit(1)


def _outcome(file: str, n: int, n_planned: int, sites: str, damage: Sequence[Damage]) -> str:
    if n_lost := sum(found.is_lost for found in damage):
        return (
            f"{file}: {n_lost} blocks are damaged; record it again, or go on from the first of"
            " them with --resume"
        )
    if damage:
        return f"{file}: all {n:,} samples are whole, but other programs cannot read them all"
    if n < n_planned:
        return f"{file}: {n:,} of {n_planned:,} samples are there, all whole; go on with --resume"
    return f"{file}: all {n:,} samples at {sites} are whole"
