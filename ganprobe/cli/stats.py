"""``ganprobe stats``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganprobe.cli import flags
from ganprobe.cli.console import command_line, print_json, print_table, progress

if TYPE_CHECKING:
    from ganprobe.provenance import Provenance
    from ganprobe.sites import Site
    from ganprobe.statistics import UnitSummary

__all__ = ["command"]

_MOST_ROWS = 16
_COLUMNS = ("unit", "mean", "std", "min", "5 %", "median", "95 %", "max", "active", "top sample")


@click.command(name="stats", short_help="Tell what each unit in a file of activations does.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--site", "sites", multiple=True, help="Only this site; once for each.")
@click.option(
    "--covariance",
    type=click.Choice(["positions", "samples"]),
    help="Also between units, over all positions or over each sample's mean.",
)
@click.option(
    "--top",
    type=click.IntRange(0, 10_000),
    default=9,
    show_default=True,
    help="Samples with the highest values that are kept for each unit.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Exact quantiles whatever the size, reading twice; else within 0.4 % beyond 256 MiB.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Also write a result to this folder: tables, arrays, a figure for each site.",
)
@flags.force
def command(
    file: Path,
    sites: tuple[str, ...],
    covariance: Any,
    top: int,
    exact: bool,
    as_json: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Tell what each unit in FILE, an activation store, does over all its samples.

    Mean, deviation, extremes, quantiles, how often it is active, which units are dead or
    saturated, and the samples that drive each of them furthest.

    \b
    Examples:
      ganprobe stats digits.h5
      ganprobe stats digits.h5 --site conv2 --covariance samples --output out/units
      ganprobe stats digits.h5 --json
    """
    from contextlib import nullcontext

    from ganprobe.provenance import Provenance
    from ganprobe.result_files import result_folder
    from ganprobe.statistics import StatisticsSettings
    from ganprobe.store import ActivationStore
    from ganprobe.stored_statistics import store_statistics, store_statistics_result

    settings = StatisticsSettings(k=top, covariance_of=covariance)
    folder = nullcontext(None) if output is None else result_folder(output, overwrite=force)
    with ActivationStore(file) as store, folder as claimed:
        found = store_statistics(store, sites or None, settings, exact=exact, progress=progress)
        result = store_statistics_result(store, found)
        files: list[Path] = []
        if claimed is not None:
            made = {**store.provenance, "command": command_line()}
            made["parameters"] = {"file": str(file), "top": top, "covariance": covariance}
            provenance: Provenance = Provenance(**made)
            files = claimed.save(result, analysis="stats", provenance=provenance)
    if as_json:
        print_json({str(site): summary.to_json() for site, summary in found.items()})
        return
    _print(found, result.findings)
    if files:
        click.echo("\nLook at:")
    for written in sorted(files, key=lambda path: path.suffix != ".png"):
        click.echo(f"  {written}")


def _print(found: Mapping[Site, UnitSummary], findings: Any) -> None:
    import numpy as np

    from ganprobe.stored_statistics import unit_numbers

    for (site, summary), finding in zip(found.items(), findings, strict=True):
        click.echo(finding)
        units = unit_numbers(site, summary)
        order = np.argsort(-np.nan_to_num(summary.std), kind="stable").tolist()
        rows = [_row(units[unit], unit, summary) for unit in order[:_MOST_ROWS]]
        columns = (
            "unit",
            "mean",
            "std",
            "min",
            "5 %",
            "median",
            "95 %",
            "max",
            "active",
            "top sample",
        )
        print_table(columns, rows, numbers=columns)
        if summary.n_units > _MOST_ROWS:
            click.echo(
                f"... and {summary.n_units - _MOST_ROWS} that vary less (--json or --output: all)"
            )
        click.echo("")


def _row(number: int, unit: int, summary: UnitSummary) -> list[str]:
    assert summary.quantiles is not None
    _, low, median, high, _ = summary.quantiles.values[unit]
    values = (summary.mean[unit], summary.std[unit], summary.minimum[unit], low, median, high)
    told = [f"{value:.3g}" for value in (*values, summary.maximum[unit])]
    top = str(summary.maximum_sample[unit])
    return [str(number), *told, f"{100 * summary.share_active[unit]:.0f} %", top]
