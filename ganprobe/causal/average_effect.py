"""The average causal effect of units on a class, at places drawn at random or at all of them.

ACE(U, c) = E[s_c(units U at their levels in P)] - E[s_c(units U at zero in P)], where s_c is the
share of the place P that the class covers. Both terms are read in P itself, in the same image of
the same latents.

Costs two images and their segmentation for each set of units, place and sample, in one sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.causal.places import Places
from ganprobe.causal.portions import portions, within
from ganprobe.causal.readings import ClassAtPlaces
from ganprobe.causal.target import Levels, Target
from ganprobe.effects import PairedEffects, paired_effects
from ganprobe.errors import ParameterError
from ganprobe.indices import check_count
from ganprobe.interventions import Intervention
from ganprobe.latents import Latents
from ganprobe.probe import Probe
from ganprobe.progress import Progress, silent
from ganprobe.segmenters import Segmenter
from ganprobe.sites import Site

__all__ = ["CausalEffects", "average_causal_effect", "average_causal_effects"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CausalEffects:
    """The average causal effects of sets of units on a class.

    All values are shares of a place that the class covers, in [0, 1]; their differences are in
    [-1, 1].

    Args:
        site, sets: the units of each effect.
        levels: (units of the site,) float64 that units were set to.
        class_name: the class.
        places: the grid that places were drawn of.
        drawn: (n, places of each) int64, which places each sample had.
        base: (n,) with nothing edited, mean over the sample's places.
        inserted: (sets, n) with the units at their levels.
        ablated: (sets, n) with the units at zero.
        effects: of inserted - ablated, for each set; q over sets.
        insertions: of inserted - base, likewise.
        ablations: of ablated - base, likewise.
        seed: of places, intervals and p values.
        how: how the images were evaluated.
    """

    site: str
    sets: tuple[tuple[int, ...], ...]
    levels: Floats
    class_name: str
    places: Places
    drawn: NDArray[np.int64]
    base: Floats
    inserted: Floats
    ablated: Floats
    effects: PairedEffects
    insertions: PairedEffects
    ablations: PairedEffects
    seed: int
    how: str

    @property
    def n_samples(self) -> int:
        """How many samples."""
        return len(self.base)


def average_causal_effect(
    probe: Probe,
    latents: Latents,
    site: str | Site,
    units: Iterable[int] | None,
    levels: Levels,
    segmenter: Segmenter,
    class_name: str,
    *,
    n_places: int | Literal["all"] = 1,
    grid: int | tuple[int, int] | None = None,
    window: int | tuple[int, int] | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
    memory: int = 2**28,
    progress: Progress = silent,
) -> CausalEffects:
    """The average causal effect of one set of units: `average_causal_effects` of that set.

    Args:
        units: None: those that the site names, or all of it.
    """
    named = Site.parse(site).units if units is None else tuple(units)
    if named is None:
        named = tuple(range(probe.layers().resolve_one(site).n_units))
    whole, sets = Site.parse(site).whole, [named]
    return average_causal_effects(
        probe, latents, whole, sets, _of_site(levels, probe, whole, named), segmenter, class_name,
        n_places=n_places, grid=grid, window=window, seed=seed, n_resamples=n_resamples,
        memory=memory, progress=progress,
    )  # fmt: skip


def average_causal_effects(
    probe: Probe,
    latents: Latents,
    site: str | Site,
    sets: Iterable[Sequence[int]] | None,
    levels: Levels,
    segmenter: Segmenter,
    class_name: str,
    *,
    n_places: int | Literal["all"] = 1,
    grid: int | tuple[int, int] | None = None,
    window: int | tuple[int, int] | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
    memory: int = 2**28,
    progress: Progress = silent,
) -> CausalEffects:
    """The average causal effect of each of some sets of units on a class.

    Each sample has places of its own, the same for every set, drawn without replacement; a site
    without axes y and x has one, everywhere.

    Args:
        sets: of units; None: each unit of the site, or each that the site names, alone.
        levels: one number, or one for each unit of the site; as `insertion_levels` gives.
        n_places: drawn for each sample, or ``"all"``.
        grid: that places are drawn of, along y and x; None: the site's own cells, at most 16.
        window: cells of the site that are set at a place; None: 3/16 of each axis.
        seed: of places, intervals and p values.
        n_resamples: of intervals and p values.
        memory: bytes of measured values, and of images at once.
        progress: shows how far it is.

    Raises:
        UnknownNameError, SiteError, ParameterError: there is no such site, unit or class; or a
            level, grid, window or number of places does not fit.

    Source: Bau et al. 2019 (arXiv 1811.10597), section 3.2, equation 5.
    """
    listed = _listed(probe, site, sets)
    used = sorted({unit for one in listed for unit in one})
    target = Target.of(probe, Site.parse(site).whole, used, levels, segmenter, class_name)
    places = Places.over(target.tensor, probe.image_shape, grid=grid, window=window)
    drawn = draw_places(places, len(latents), n_places, seed)  # (n, places of each)
    n_variants = 1 + 2 * len(listed) * drawn.shape[1]
    bounds = portions(len(latents), n_variants * (len(places) + 1), memory)
    found: list[Floats] = []
    how = ""
    with progress(len(latents) * n_variants, f"effects on {class_name}") as bar:
        for chosen in bounds:
            part, own = latents[chosen], drawn[chosen]
            variants = _variants(target, listed, places, own)
            reading = ClassAtPlaces(segmenter, class_name, places)
            steps = within(bar, len(part) * n_variants)
            sweep = probe.sweep(part, variants, reading, memory_limit=memory, progress=steps)
            found.append(_at_own(sweep.values.cpu().double(), own, places).numpy())
            how = how or str(sweep.how).splitlines()[0]
    values = np.concatenate(found, axis=1)  # (1 + 2 sets, n)
    base, (inserted, ablated) = values[0], np.split(values[1:], 2)

    def effects(differences: Floats) -> PairedEffects:
        return paired_effects(differences, seed=seed, n_resamples=n_resamples)

    return CausalEffects(
        target.site, listed, target.levels.numpy(), class_name, places, drawn.numpy(), base,
        inserted, ablated, effects(inserted - ablated), effects(inserted - base),
        effects(ablated - base), seed, how,
    )  # fmt: skip


def draw_places(places: Places, n: int, n_places: int | Literal["all"], seed: int) -> Tensor:
    """(n, places of each) int64: places of each of n samples, each once.

    Raises:
        ParameterError: there are not so many.
    """
    if n_places == "all":
        return torch.arange(len(places)).expand(n, -1)
    if check_count(n_places, "the number of places") > len(places):
        raise ParameterError(
            f"there are {len(places)} places, a grid of {places.grid[0]} x {places.grid[1]}; got"
            f" n_places={n_places}"
        )
    draw = np.random.default_rng((seed, 2))
    rows = draw.random((n, len(places))).argsort(1)[:, :n_places]
    return torch.from_numpy(rows)


def _listed(
    probe: Probe, site: str | Site, sets: Iterable[Sequence[int]] | None
) -> tuple[tuple[int, ...], ...]:
    if sets is not None:
        listed = tuple(tuple(one) for one in sets)
        if not listed or not all(listed):
            raise ParameterError("sets of units hold a unit each, and there is one; got none")
        return listed
    units = Site.parse(site).units
    if units is None:
        units = tuple(range(probe.layers().resolve_one(site).n_units))
    return tuple((unit,) for unit in units)


def _of_site(levels: Levels, probe: Probe, site: Site, units: Sequence[int]) -> Levels:
    """Levels of some units as levels of all of their site."""
    given = torch.as_tensor(levels, dtype=torch.float64)
    n_units = probe.layers().resolve_one(site).n_units
    if not given.ndim or given.shape != (len(units),) or len(units) == n_units:
        return given
    whole = torch.zeros(n_units, dtype=torch.float64)
    whole[list(units)] = given.cpu()
    return whole


def _variants(
    target: Target, sets: Sequence[tuple[int, ...]], places: Places, drawn: Tensor
) -> list[list[Intervention]]:
    """Nothing; then for each set it inserted at its places one by one; then likewise ablated."""
    masks = places.masks() if places.is_spatial else None
    regions = [None if masks is None else masks[column] for column in drawn.T]
    inserted: list[Intervention] = [target.insertion(region) for region in regions]
    ablated: list[Intervention] = [target.ablation(region) for region in regions]
    edits = [
        edit.for_units(units) for kind in (inserted, ablated) for units in sets for edit in kind
    ]
    return [[], *([edit] for edit in edits)]


def _at_own(values: Tensor, drawn: Tensor, places: Places) -> Tensor:
    """(1 + 2 sets, n): the share of their own places that the class covers, mean over these.

    Args:
        values: (1 + 2 sets x places of each, n, 1 + places) shares of the image.
    """
    shares = (values[..., 1:] / places.shares()).unbind(1)  # for each sample (variants, places)
    n = drawn.shape[1]
    found = []
    for own, chosen in zip(shares, drawn, strict=True):
        base = own[0, chosen].mean()[None]
        edited = own[1:].unflatten(0, (-1, n))  # (2 sets, places of each, places)
        at = edited[:, torch.arange(n), chosen].mean(1)
        found.append(torch.cat([base, at]))
    return torch.stack(found, dim=1)
