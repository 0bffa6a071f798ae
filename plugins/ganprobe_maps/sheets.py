"""Sheets: what each figure shows, as plain values; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe_maps.activations import SiteMaps
from ganprobe_maps.colours import Colours, Kind, colours_of, is_relative, relative
from ganprobe_maps.legends import below_maps, has_marks, note_of, title_of

UNITS_PER_SHEET = 256


@dataclass(frozen=True, eq=False)
class Sheet:
    """One figure.

    Args:
        name: of its file.
        title: what it shows.
        note: how it is read.
        units: their numbers, in the order in which they are drawn.
        maps: (unit, y, x) as they are coloured: relative where each unit has its own scale.
        below: what is written under each map beside its number.
        marked: the units that get a frame.
        images: what is drawn beside the maps: (label, (channel, y, x) in [0, 1]).
        colours: of the maps.
        has_space: they are maps, not single values.
    """

    name: str
    title: str
    note: str
    units: tuple[int, ...]
    maps: NDArray[np.floating]
    below: tuple[str, ...]
    marked: frozenset[int]
    images: tuple[tuple[str, NDArray[np.float32]], ...]
    colours: Colours
    has_space: bool


def plan_sheets(maps: SiteMaps, generator: str) -> Iterator[Sheet]:
    """For every sample the sheets of source, donor and difference, page by page."""
    kinds: tuple[Kind, ...] = ("source", "donor", "difference")
    for sample in range(len(maps.source.labels)):
        order = ordered_units(maps, sample)
        pages = [
            order[start : start + UNITS_PER_SHEET]
            for start in range(0, len(order), UNITS_PER_SHEET)
        ]
        for kind in kinds if maps.donor is not None else kinds[:1]:
            for number, units in enumerate(pages):
                page = (number + 1, len(pages))
                yield _sheet(maps, generator, kind=kind, sample=sample, units=units, page=page)


def ordered_units(maps: SiteMaps, sample: int) -> tuple[int, ...]:
    """The units that are drawn, as --order says; ties and what is no number by unit number."""
    if maps.params.order == "index":
        return maps.shown
    statistics = maps.statistics
    by_unit = statistics.source["mean"] if maps.params.order == "mean" else statistics.squared
    assert by_unit is not None
    keys = np.nan_to_num(by_unit[sample, list(maps.shown)], nan=-np.inf)
    return tuple(maps.shown[position] for position in np.argsort(-keys, kind="stable"))


def _sheet(
    maps: SiteMaps,
    generator: str,
    *,
    kind: Kind,
    sample: int,
    units: tuple[int, ...],
    page: tuple[int, int],
) -> Sheet:
    values = _values(maps, kind)[sample, list(units)]
    colours = colours_of(maps, kind, sample)
    return Sheet(
        name=_name(maps, kind, sample, page),
        title=title_of(maps, generator, kind, sample, page),
        note=note_of(maps, kind, colours),
        units=units,
        maps=relative(values) if is_relative(maps, kind) else values,
        below=below_maps(maps, kind, sample, units),
        marked=frozenset(maps.marked if has_marks(maps) else ()),
        images=_images(maps, kind, sample),
        colours=colours,
        has_space=maps.has_space,
    )


def _values(maps: SiteMaps, kind: Kind) -> NDArray[np.floating]:
    if kind == "source":
        return maps.source.values
    assert maps.donor is not None
    assert maps.difference is not None
    return maps.donor.values if kind == "donor" else maps.difference


def _name(maps: SiteMaps, kind: Kind, sample: int, page: tuple[int, int]) -> str:
    label = maps.source.labels[sample].replace(" ", "-")
    prefix = f"{label}-" if len(maps.source.labels) > 1 else ""
    return f"{prefix}{kind}" + (f"-{page[0]}" if page[1] > 1 else "")


def _images(maps: SiteMaps, kind: Kind, sample: int) -> tuple[tuple[str, NDArray[np.float32]], ...]:
    source = (maps.source.labels[sample], maps.source.images[sample])
    if maps.donor is None or kind == "source":
        return (source,)
    donor = (maps.donor.labels[sample], maps.donor.images[sample])
    return (donor,) if kind == "donor" else (source, donor)
