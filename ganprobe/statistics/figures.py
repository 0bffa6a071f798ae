"""A page of figures for the units of one site."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import HashableList
from numpy.typing import NDArray

from ganprobe.statistics.summary import UnitSummary

__all__ = ["draw_units"]

_WIDE, _NARROW, _LINE, _ACCENT = "#c6dbef", "#6baed6", "#08306b", "#d1495b"
_N_NAMED = 3
_N_PAIRS = 5
_LEAST_RANGE = 0.2  # of the colours of a correlation
_FAR_OUT = 100  # standard deviations


def draw_units(summary: UnitSummary, *, site: str, seed: int | None = None) -> Figure:
    """One page: where the values of each unit lie, how active units are, how they go together.

    Units are sorted by their mean. The correlation is drawn where the covariance was asked for,
    in the same order.

    Args:
        summary: what is drawn; bands need quantiles, at least 0.05, 0.5 and 0.95 for all of them.
        site: for the title.
        seed: of the samples, for the title.
    """
    correlation = summary.correlation
    height = 6.6 if correlation is None else 11.6
    figure = Figure(figsize=(11, height), layout="constrained")
    rows: list[HashableList[str]] = [["band", "band"], ["active", "spread"]]
    if correlation is not None:
        rows.append(["correlation", "pairs"])
    axes = figure.subplot_mosaic(rows, height_ratios=[3.0, 2.4, 4.2][: len(rows)])
    order = np.argsort(summary.mean, kind="stable")  # NaN are last
    _draw_band(axes["band"], summary, order)
    _draw_active(axes["active"], summary)
    _draw_spread(axes["spread"], summary)
    if correlation is not None:
        _draw_correlation(axes["correlation"], summary, correlation[np.ix_(order, order)])
        _draw_pairs(axes["pairs"], correlation)
    figure.suptitle(_title(summary, site, seed), x=0.01, ha="left", fontsize=12)
    return figure


def _title(summary: UnitSummary, site: str, seed: int | None) -> str:
    parts = [f"{site}: {_plural(summary.n_units, 'unit')}", _plural(summary.n_samples, "sample")]
    if seed is not None:
        parts.append(f"seed {seed}")
    quantiles = summary.quantiles
    if quantiles is not None and quantiles.method == "sketch":
        parts.append("quantiles within 0.4 %")
    n_not_finite = int(summary.n_not_finite.sum())
    if n_not_finite:
        parts.append(f"{_plural(n_not_finite, 'value')} not finite, left out")
    return ", ".join(parts)


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _draw_band(axes: Axes, summary: UnitSummary, order: NDArray[Any]) -> None:
    rank = np.arange(summary.n_units)
    edges = np.arange(summary.n_units + 1) - 0.5
    low, high = summary.minimum[order], summary.maximum[order]
    _fill(axes, edges, low, high, _WIDE, "minimum to maximum")
    inner, median = _quantile(summary, 0.05, 0.95), _quantile(summary, 0.5)
    if inner is not None:
        _fill(axes, edges, inner[order, 0], inner[order, 1], _NARROW, "5 % to 95 % of the values")
    if median is not None:
        axes.stairs(median[order, 0], edges, baseline=None, color=_LINE, lw=1.4, label="median")
    axes.plot(rank, summary.mean[order], ".", color="black", ms=3, label="mean")
    dead = np.flatnonzero(summary.is_dead[order])
    if len(dead):
        base = np.full(len(dead), 0.02)
        axes.plot(
            dead, base, "^", color=_ACCENT, ms=5, clip_on=False,
            transform=axes.get_xaxis_transform(), label=f"never active ({len(dead)})",
        )  # fmt: skip
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("units, sorted by their mean")
    axes.set_ylabel("activation")
    _use_symmetric_log(axes, summary)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    _tidy(axes)


def _fill(
    axes: Axes, edges: NDArray[Any], low: NDArray[Any], high: NDArray[Any], colour: str, label: str
) -> None:
    axes.stairs(high, edges, baseline=low, fill=True, color=colour, lw=0, label=label)


def _quantile(summary: UnitSummary, *levels: float) -> NDArray[np.float64] | None:
    """(n_units, n_levels); None where one was not asked for."""
    held = summary.quantiles
    if held is None or not set(levels) <= set(held.levels):
        return None
    return held.values[:, [held.levels.index(level) for level in levels]]


def _draw_active(axes: Axes, summary: UnitSummary) -> None:
    share = 100 * summary.share_active[summary.n_values > 0]
    axes.hist(share, bins=list(np.linspace(0, 100, 26)), color=_NARROW, edgecolor="white", lw=0.5)
    axes.set_xlim(0, 100)
    axes.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes.set_xlabel(f"share of a unit's values above {summary.settings.threshold:g}")
    axes.set_ylabel("units")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    n_dead, n_constant = int(summary.is_dead.sum()), int(summary.is_constant.sum())
    axes.set_title(f"How active: {n_dead} dead, {n_constant} constant", loc="left", fontsize=10)
    _tidy(axes)


def _draw_spread(axes: Axes, summary: UnitSummary) -> None:
    axes.plot(summary.mean, summary.std, ".", color=_LINE, ms=5, alpha=0.6)
    for unit in _highest(summary.std):
        axes.annotate(
            str(unit), (summary.mean[unit], summary.std[unit]), xytext=(4, 2),
            textcoords="offset points", fontsize=7, color="0.3",
        )  # fmt: skip
    axes.set_xlabel("mean of a unit")
    axes.set_ylabel("standard deviation")
    axes.set_ylim(bottom=0)
    axes.set_title("How variable: the most variable by number", loc="left", fontsize=10)
    _tidy(axes)


def _highest(values: NDArray[np.float64]) -> NDArray[Any]:
    """The few units with the largest values."""
    known = np.flatnonzero(np.isfinite(values) & (values > 0))
    return known[np.argsort(-values[known], kind="stable")[:_N_NAMED]]


def _draw_correlation(axes: Axes, summary: UnitSummary, correlation: NDArray[np.float64]) -> None:
    axes.set_facecolor("0.85")  # units without variance
    apart = np.abs(correlation[~np.eye(len(correlation), dtype=np.bool_)])
    most = float(np.nanmax(apart, initial=_LEAST_RANGE))
    drawn = axes.imshow(correlation, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axes.figure.colorbar(drawn, ax=axes, shrink=0.85, pad=0.02).ax.tick_params(labelsize=8)
    what = "positions" if summary.settings.covariance_of == "positions" else "sample means"
    axes.set_title(
        f"Correlation over {summary.n_covariance:,} {what} (diagonal: 1)", loc="left", fontsize=10
    )
    axes.set_xlabel("units, sorted by their mean (grey: constant)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


def _draw_pairs(axes: Axes, correlation: NDArray[np.float64]) -> None:
    one, other = np.triu_indices(len(correlation), 1)
    value = correlation[one, other]
    is_known = np.isfinite(value)
    one, other, value = one[is_known], other[is_known], value[is_known]
    axes.hist(value, bins=list(np.linspace(-1, 1, 41)), color=_NARROW, edgecolor="white", lw=0.5)
    axes.set_xlim(-1, 1)
    if len(value):
        axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("correlation of two units")
    axes.set_ylabel("pairs of units")
    axes.set_title(f"{len(value):,} pairs; the strongest between units", loc="left", fontsize=10)
    strongest = np.argsort(-np.abs(value), kind="stable")[:_N_PAIRS]
    listed = "\n".join(f"{one[at]} and {other[at]}: {value[at]:+.2f}" for at in strongest)
    axes.text(0.98, 0.97, listed, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    _tidy(axes)


def _use_symmetric_log(axes: Axes, summary: UnitSummary) -> None:
    """Where single values are so far out that the rest could not be seen."""
    ends = np.abs([summary.minimum, summary.maximum])
    typical = np.nanmedian(summary.std) if np.isfinite(summary.std).any() else 0.0
    if typical > 0 and np.nanmax(ends) > _FAR_OUT * typical:
        linear = 10.0 ** np.ceil(np.log10(typical))
        axes.set_yscale("symlog", linthresh=float(linear))
        axes.set_ylabel(f"activation (logarithmic beyond ±{linear:g})")


def _tidy(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
