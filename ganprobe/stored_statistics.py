"""Statistics of the units in an activation store, and a result that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.progress import Bar, Progress, silent
from ganprobe.results import Array, Figure, Result, Table
from ganprobe.sites import Site
from ganprobe.statistics import Batches, StatisticsSettings, UnitSummary, summarize, summarize_twice
from ganprobe.store import ActivationStore

__all__ = ["store_statistics", "store_statistics_result"]

_BATCH_SIZE = 64


def store_statistics(
    store: ActivationStore,
    sites: Sequence[str | Site] | None = None,
    settings: StatisticsSettings | None = None,
    *,
    exact: bool = False,
    progress: Progress = silent,
) -> dict[Site, UnitSummary]:
    """What each unit does over all samples of a store, by site; each site is read once.

    Args:
        sites: those that are read; None: all that the file holds.
        settings: what is wanted; the unit axis is that of the store.
        exact: read again where the values do not fit the memory for exact quantiles.

    Raises:
        UnknownNameError: a site is not in the file.
        StoreError: the file is damaged, or holds no sample.
    """
    wanted = store.sites if sites is None else [Site.parse(site) for site in sites]
    found = {}
    with progress(len(wanted) * store.n_samples, "samples read") as bar:
        for site in wanted:
            reads = _reads(store, site, bar)
            own = replace(settings or StatisticsSettings(), unit_axis=_unit_axis(store, site))
            found[site] = summarize_twice(reads, own) if exact else summarize(reads(), own)
    return found


def store_statistics_result(
    store: ActivationStore, summaries: Mapping[Site, UnitSummary]
) -> Result:
    """The statistics as tables, arrays and a figure for each site, with what stands out."""
    from ganprobe.statistics.figures import draw_units

    arrays: dict[str, Array] = {}
    coordinates: dict[str, Sequence[int]] = {}
    tables, figures = {}, {}
    seed = store.provenance["seed"]
    for site, summary in summaries.items():
        name = _file_name(site)
        units = unit_numbers(site, summary)
        coordinates[f"unit_{name}"] = units
        arrays |= _arrays(name, summary)
        rows = tuple((unit, *row[1:]) for unit, row in zip(units, summary.rows(), strict=True))
        tables[name] = Table(
            summary.columns, rows, f"Each unit of {site}, n = {summary.n_samples}."
        )
        drawing = draw_units(summary, site=str(site), seed=seed)
        figures[name] = Figure(drawing, f"The units of {site}: n = {summary.n_samples}.")
    findings = [finding(site, summary) for site, summary in summaries.items()]
    return Result(findings, arrays, coordinates, tables, figures)


def unit_numbers(site: Site, summary: UnitSummary) -> list[int]:
    """The number of each unit in its layer."""
    return list(range(summary.n_units) if site.units is None else site.units)


def finding(site: Site, summary: UnitSummary) -> str:
    """One sentence on the units of a site."""
    n = summary.n_units
    units = unit_numbers(site, summary)
    dead = [units[unit] for unit in np.flatnonzero(summary.is_dead)]
    constant = int(summary.is_constant.sum())
    strongest = units[int(np.nanargmax(summary.std))] if summary.n_values.any() else units[0]
    told = f"{len(dead)} of {n} units are never active" + (f" ({_some(dead)})" if dead else "")
    return (
        f"{site}: {told}, {constant} are constant; unit {strongest} varies most (standard deviation"
        f" {np.nanmax(summary.std):.3g}); n = {summary.n_samples} samples."
    )


def _some(units: Sequence[int]) -> str:
    listed = ", ".join(map(str, units[:8]))
    return f"{listed}, ..." if len(units) > 8 else listed


def _reads(store: ActivationStore, site: Site, bar: Bar) -> Callable[[], Batches]:
    is_first = True
    indices = np.array(store.indices[: store.n_samples], np.int64)

    def read() -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        nonlocal is_first
        counts, is_first = is_first, False
        start = 0
        for run in store.batches([site], batch_size=_BATCH_SIZE, images=False):
            values = run[site]
            end = start + len(values)
            by_unit = values.unsqueeze(1) if values.ndim == 1 else values
            yield _floating(by_unit), indices[start:end]
            start = end
            if counts:
                bar.advance(len(values))

    return read


def _floating(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.to(torch.float64)


def _unit_axis(store: ActivationStore, site: Site) -> int:
    dimensions = store.dimensions(site)
    return dimensions.index("unit") if "unit" in dimensions else 1


def _arrays(name: str, summary: UnitSummary) -> dict[str, Array]:
    unit = f"unit_{name}"
    plain = {
        "mean": (summary.mean, "mean over samples and positions"),
        "std": (summary.std, "standard deviation over samples and positions"),
        "minimum": (summary.minimum, "smallest value"),
        "maximum": (summary.maximum, "largest value"),
        "share_active": (summary.share_active, "share of values above the threshold"),
        "share_saturated": (summary.share_saturated, "share of values at an end"),
    }
    arrays = {
        f"{what}_{name}": Array(values, (unit,), description=told)
        for what, (values, told) in plain.items()
    }
    arrays[f"top_samples_{name}"] = Array(
        summary.top_samples, (unit, f"rank_{name}"), description="samples with the highest scores"
    )
    if summary.covariance is not None:
        arrays[f"covariance_{name}"] = Array(
            summary.covariance, (unit, f"other_{name}"), description="between units"
        )
    return arrays


def _file_name(site: Site) -> str:
    """The site as a name of files and dimensions."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in str(site))
