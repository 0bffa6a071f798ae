"""Legends: the words on a sheet: its title, how it is read, what is under each map."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

import numpy as np

from ganprobe_maps.activations import SiteMaps
from ganprobe_maps.colours import CLIPPED, Colours, Kind, is_relative


def title_of(maps: SiteMaps, generator: str, kind: Kind, sample: int, page: tuple[int, int]) -> str:
    """What a sheet shows: site, generator, sample, how many units."""
    ours = maps.source.labels[sample]
    theirs = ours if maps.donor is None else maps.donor.labels[sample]
    what = {"source": ours, "donor": theirs, "difference": f"{theirs} less {ours}"}[kind]
    role = " (donor)" if kind == "donor" else " (source)" if kind == "source" and maps.donor else ""
    paged = f", page {page[0]} of {page[1]}" if page[1] > 1 else ""
    total = maps.tensor.n_units
    counted = f"{total:,}" if len(maps.shown) == total else f"{len(maps.shown):,} of {total:,}"
    counted += " unit" if total == 1 else " units"
    return f"{maps.tensor.site} of {generator!r}, {what}{role}: {counted}{paged}"


def note_of(maps: SiteMaps, kind: Kind, colours: Colours) -> str:
    """How the sheet is read, in sentences."""
    said = []
    if maps.has_space:
        second = "share of the layer's squared difference" if colours.is_signed else "mean"
        said.append(f"Under each map: its unit and its {second}.")
    said.append(_note_on_scale(maps, kind))
    if colours.is_clipped:
        said.append(
            f"Beyond its arrows: the outermost {100 * CLIPPED:g} % of the values at an end."
        )
    if maps.params.order != "index":
        what = "difference" if maps.params.order == "difference" else "mean of the source"
        said.append(f"Sorted: the largest {what} first.")
    if has_marks(maps):
        how = "Framed" if maps.has_space else "Orange"
        said.append(f"{how}: the {len(maps.marked)} units of --units.")
    return " ".join(said)


def _note_on_scale(maps: SiteMaps, kind: Kind) -> str:
    if is_relative(maps, kind):
        return "Each map has its own scale, from its smallest to its largest value."
    if kind == "difference":
        return f"One scale for all units; {'red' if maps.has_space else 'up'}: the donor is higher."
    return f"One scale for all units{', source and donor' if maps.donor else ''}."


def has_marks(maps: SiteMaps) -> bool:
    """Whether some units that are drawn are marked, and others are not."""
    marked = set(maps.marked)
    return bool(marked) and not marked.issuperset(maps.shown)


def below_maps(maps: SiteMaps, kind: Kind, sample: int, units: Sequence[int]) -> tuple[str, ...]:
    """A share of the difference, or a mean, with as many decimals for all."""
    statistics = maps.statistics
    if kind == "difference":
        assert statistics.shares is not None
        return tuple(map(_percent, statistics.shares[sample, list(units)]))
    held = statistics.donor if kind == "donor" else statistics.source
    least, most, means = (held[name][sample] for name in ("minimum", "maximum", "mean"))
    shown = np.abs(means[list(maps.shown)])
    form = _form(float(shown[np.isfinite(shown)].max(initial=0)))
    return tuple(
        ("zero" if most[unit] == 0 else "const.")
        if least[unit] == most[unit]
        else _number(form, means[unit])
        for unit in units
    )


def _number(form: str, value: float) -> str:
    """With a true minus, and none before what is rounded to zero."""
    text = form.format(value)
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _form(largest: float) -> str:
    """How numbers up to this one are written: two digits of it, three from 1 on."""
    if not largest > 0:
        return "{:.2f}"
    decimals = 1 - floor(log10(largest)) + (largest >= 1)
    return "{:.1e}" if decimals > 4 or largest >= 1e5 else f"{{:.{max(0, decimals)}f}}"


def _percent(share: float) -> str:
    if not np.isfinite(share):
        return ""
    return f"{100 * share:.{2 if share < 0.1 else 1}f} %"
