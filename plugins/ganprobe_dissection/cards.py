"""Cards: the units that are shown, and the images that drive each of them furthest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from ganprobe import Run
from ganprobe_dissection.labels import Labelled
from ganprobe_dissection.plan import Plan

Place = tuple[int, int]
"""A site's place among the sites, and a unit's among the site's units."""


@dataclass(frozen=True, eq=False)
class Card:
    """One unit with its top images, best first.

    Args:
        site: its place among the sites.
        unit: its place among the site's units.
        samples: the numbers of the top samples.
        images: (rank, channel, height, width) in [0, 1].
        maps: (rank, height, width) the unit's activation, brought to the images' size.
        level: above which it is active.
    """

    site: int
    unit: int
    samples: tuple[int, ...]
    images: NDArray[np.float32]
    maps: NDArray[np.float64]
    level: float


def choose_cards(plan: Plan, sites: Sequence[Labelled]) -> tuple[Card, ...]:
    """Cards of the best unit of each class over all sites, then of the second, and so on.

    Where no unit counts as drawing a class, those of the largest IoU are shown.
    """
    chosen = _chosen(sites)[: plan.params.n_cards]
    wanted = {place: _top_samples(plan, sites[place[0]], place[1]) for place in chosen}
    found = _fetch(plan, wanted)
    return tuple(
        Card(
            site,
            unit,
            wanted[site, unit],
            np.stack([found[site, unit, sample][0] for sample in wanted[site, unit]]),
            np.stack([found[site, unit, sample][1] for sample in wanted[site, unit]]),
            _level(sites[site], unit),
        )
        for site, unit in chosen
    )


def _chosen(sites: Sequence[Labelled]) -> list[Place]:
    by_class: dict[int, list[tuple[float, Place]]] = {}
    for number, site in enumerate(sites):
        are_shown = site.is_label if any(one.is_label.any() for one in sites) else _has_class(site)
        for unit in np.flatnonzero(are_shown).tolist():
            of_class = by_class.setdefault(int(site.dissection.best_class[unit]), [])
            of_class.append((float(site.dissection.best_iou[unit]), (number, unit)))
    ranked = [
        (turn, -iou, place)
        for of_class in by_class.values()
        for turn, (iou, place) in enumerate(sorted(of_class, key=lambda one: (-one[0], one[1])))
    ]
    return [place for _, _, place in sorted(ranked)]


def _has_class(site: Labelled) -> NDArray[np.bool_]:
    return np.asarray(site.dissection.best_class >= 0, np.bool_)


def _top_samples(plan: Plan, site: Labelled, unit: int) -> tuple[int, ...]:
    return tuple(site.dissection.top_samples[unit, : plan.params.n_shown].tolist())


def _level(site: Labelled, unit: int) -> float:
    threshold = site.dissection.threshold[unit]
    return float(threshold[site.dissection.best_class[unit]] if threshold.ndim else threshold)


def _fetch(
    plan: Plan, wanted: dict[Place, tuple[int, ...]]
) -> dict[tuple[int, int, int], tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """The image and map of each unit's samples, each sample read or generated once."""
    needed = sorted({sample for samples in wanted.values() for sample in samples})
    read = list(dict.fromkeys(plan.sites[site] for site, _ in wanted))
    found: dict[tuple[int, int, int], tuple[NDArray[np.float32], NDArray[np.float64]]] = {}
    if not needed:
        return found
    with plan.context.progress(len(needed), "top images") as bar:
        for run in plan.read_only(read, needed):
            images = plan.context.generator.to_unit_range(run.images).float().cpu().numpy()
            row_of = {sample: row for row, sample in enumerate(run.latents.indices or ())}
            for (site, unit), samples in wanted.items():
                for sample in set(samples) & row_of.keys():
                    row = row_of[sample]
                    found[site, unit, sample] = images[row], _map_of(plan, run, site, unit, row)
            bar.advance(len(images))
    return found


def _map_of(plan: Plan, run: Run, site: int, unit: int, row: int) -> NDArray[np.float64]:
    """(height, width) one unit's activation in one sample."""
    tensor = plan.tensors[site]
    maps = run[plan.sites[site]].movedim(tensor.unit_axis, 1)  # (n, units, y, x) or (n, units)
    small = maps[row, unit].reshape(1, 1, *(tensor.spatial_shape or (1, 1))).double()
    size = plan.context.probe.image_shape[-2:]
    large = functional.interpolate(small, size, mode="bilinear", align_corners=False)
    return np.asarray(large[0, 0].cpu().numpy(), np.float64)
