"""What a dissection found, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ganprobe_dissection.labels import Labelled
from ganprobe_dissection.study import Study

STABLE = 0.95
"""A label that stays in fewer resamples is called unsure."""

_MOST_NAMED = 12


def made(study: Study) -> str:
    """Generator, samples, seed, segmenter and threshold, in a line."""
    plan, generator = study.plan, study.plan.context.generator
    mode = "" if generator.normalisation == "eval" else f", normalisation {generator.normalisation}"
    how = {
        "upsampled": f"top {percent(plan.settings.share)} of upsampled pixels",
        "raw": f"top {percent(plan.settings.share)} of raw values",
        "iqr": "thresholds of most information",
    }
    return (
        f"{generator.name}{mode}, seed {plan.context.seed}, n = {plan.params.n_samples:,} samples,"
        f" segmenter {plan.segmenter.name}, {how[plan.settings.domain]}"
    )


def findings(study: Study) -> list[str]:
    """The most important first."""
    sentences = [_of_site(study, site) for site in study.sites]
    sentences += _best_detectors(study)
    sentences += _place_alone(study)
    sentences += _unsure(study)
    sentences += [_threshold(study, site) for site in study.sites]
    sentences += _out_of_reach(study)
    return sentences


def percent(share: float) -> str:
    """``0.5 %`` of 0.005, three digits."""
    return f"{100 * share:.3g} %"


def interval(site: Labelled, unit: int) -> str:
    """``0.31 [0.30, 0.33]``: the IoU of a unit's best class."""
    found = site.dissection
    low, high = found.iou_low[unit], found.iou_high[unit]
    return f"{found.best_iou[unit]:.3f} [{low:.3f}, {high:.3f}]"


def _of_site(study: Study, site: Labelled) -> str:
    found, params = site.dissection, study.plan.params
    n_labelled = int(site.is_label.sum())
    also = f" and information quality from {params.needed_information:g} on"
    limit = f"IoU above {params.least_iou:g}{also if params.needed_information else ''}"
    counts = site.counts()
    order = [int(place) for place in np.argsort(-counts, kind="stable") if counts[place]]
    named = [f"{study.classes[place]} {counts[place]}" for place in order]
    listed = f": {_some(named)}" if named else ""
    n_dead = int(found.dead.sum())
    dead = f"; {n_dead} {'is' if n_dead == 1 else 'are'} dead" if n_dead else ""
    units = np.asarray(found.units)[found.dead].tolist()
    dead += f" ({_some([str(unit) for unit in units])})" if n_dead else ""
    return (
        f"{found.site}: {n_labelled} of {site.n_units} units draw one of {len(study.classes)}"
        f" classes with {limit}{listed}{dead} ({made(study)})."
    )


def _best_detectors(study: Study) -> list[str]:
    told = []
    for place, name in enumerate(study.classes):
        best = [(site, site.places(place)[0]) for site in study.sites if site.places(place)]
        if best:
            site, unit = max(best, key=lambda one: float(one[0].dissection.best_iou[one[1]]))
            told.append((float(site.dissection.best_iou[unit]), _detector(name, site, unit)))
    told.sort(key=lambda one: -one[0])
    if not told:
        return [_none_reaches(study)]
    n_resamples = study.plan.params.n_resamples
    return [
        f"Best unit of each class, with the 95 % interval of its IoU and how often the label stays"
        f" in {n_resamples:,} resamples: {'; '.join(one for _, one in told)}."
    ]


def _detector(name: str, site: Labelled, unit: int) -> str:
    found = site.dissection
    return (
        f"{name}, unit {found.units[unit]} of {found.site}, {interval(site, unit)},"
        f" {percent(found.stability[unit])}"
    )


def _none_reaches(study: Study) -> str:
    site = max(study.sites, key=lambda one: float(one.dissection.best_iou.max(initial=0)))
    found = site.dissection
    unit = int(found.best_iou.argmax())
    if found.best_class[unit] < 0:
        return "No unit meets any class anywhere."
    return (
        f"No unit counts as drawing a class; the nearest is unit {found.units[unit]} of"
        f" {found.site} with {study.classes[found.best_class[unit]]}, IoU {interval(site, unit)}."
    )


def _place_alone(study: Study) -> list[str]:
    n_labelled = sum(int(site.is_label.sum()) for site in study.sites)
    if not n_labelled:
        return []
    n_samples = study.sites[0].elsewhere.n_samples
    if not study.sites[0].has_chance:
        return ["Whether place alone explains the labels takes two samples in a batch to tell."]
    placed = [
        f"unit {site.dissection.units[unit]} of {site.dissection.site}"
        f" ({study.classes[site.dissection.best_class[unit]]})"
        for site in study.sites
        for unit in np.flatnonzero(site.is_placed)
    ]
    chance = np.concatenate([site.chance[site.is_label] for site in study.sites])
    own = np.concatenate([site.dissection.best_iou[site.is_label] for site in study.sites])
    as_well = "none does as well there"
    if placed:
        verb = "does" if len(placed) == 1 else "do"
        as_well = f"{len(placed)} {verb} as well there, so that the label tells a place rather"
        as_well += f" than a class: {_some(placed)}"
    return [
        f"With the masks of other samples the {n_labelled} labelled units reach a median IoU of"
        f" {np.median(chance):.3f} instead of {np.median(own):.3f}: so much their place alone"
        f" explains (n = {n_samples} samples, all pairs within a batch); {as_well}."
    ]


def _unsure(study: Study) -> list[str]:
    unsure = [
        f"unit {site.dissection.units[unit]} of {site.dissection.site}"
        f" ({study.classes[site.dissection.best_class[unit]]},"
        f" {percent(site.dissection.stability[unit])})"
        for site in study.sites
        for unit in np.flatnonzero(site.is_label & (site.dissection.stability < STABLE))
    ]
    if not unsure:
        return []
    verb = "label stays" if len(unsure) == 1 else "labels stay"
    return [
        f"{len(unsure)} {verb} in less than {percent(STABLE)} of the resamples, and should not be"
        f" leaned on: {_some(unsure)}."
    ]


def _threshold(study: Study, site: Labelled) -> str:
    found, settings = site.dissection, study.plan.settings
    coverage = found.coverage[~found.dead]
    if not coverage.size:
        return f"{found.site}: all units are dead, so that there are no thresholds."
    exact = "exact" if found.threshold_method == "exact" else "of a sketch"
    error = float(np.max(found.threshold_error, initial=0.0))
    off = f", off by at most {error:.2g}" if error else ""
    spread = f"({_realised(coverage.min())} to {_realised(coverage.max())})"
    if settings.domain == "iqr":
        return (
            f"{found.site}: thresholds, of each unit and class, are those of the largest"
            f" information quality; median coverage {_realised(float(np.median(coverage)))} of"
            f" pixels {spread}; values {exact}{off}."
        )
    asked = f"asked for {percent(settings.share)}, realised {_realised(coverage.mean())} {spread}"
    of = "raw values, counted in upsampled pixels" if settings.domain == "raw" else "pixels"
    few = ""
    if settings.domain == "upsampled" and coverage.min() < 0.9 * settings.share:
        n_few = int((coverage < 0.9 * settings.share).sum())
        few = f"; {n_few} of {len(coverage)} exceed their threshold more rarely, as many values"
        few += " are equal to it"
    return f"{found.site}: thresholds ({exact}{off}) {asked} of {of} on average{few}."


def _realised(share: float) -> str:
    """With one more digit than a rounded share has: ``0.500 %``."""
    return f"{100 * share:#.3g} %"


def _out_of_reach(study: Study) -> list[str]:
    """Classes that no unit can be labelled with, as they are absent or too large."""
    found = study.sites[0].dissection
    share = found.area / found.n_pixels
    ceiling = np.max([site.ceiling() for site in study.sites], axis=0)
    absent = [study.classes[place] for place in np.flatnonzero(found.area == 0)]
    lost = np.flatnonzero((found.area > 0) & (ceiling <= study.plan.params.least_iou))
    told = []
    if absent:
        verb = "has" if len(absent) == 1 else "have"
        told.append(f"{_some(absent)} {verb} no pixel in any of the samples.")
    if len(lost):
        named = [
            f"{study.classes[place]} ({percent(share[place])} of pixels, IoU at most"
            f" {ceiling[place]:.3g})"
            for place in lost
        ]
        told.append(f"No unit can be labelled {_some(named, ' or ')}: {_why_lost(study)}.")
    return told


def _why_lost(study: Study) -> str:
    why = "no IoU is above the ratio of the smaller to the larger area"
    if study.plan.settings.domain == "iqr":
        return f"{why}, and thresholds of most information keep the active areas far from its size"
    return f"{why}; give another --share, or --domain iqr"


def _some(named: Sequence[str], last: str = ", ") -> str:
    if len(named) > _MOST_NAMED:
        return f"{', '.join(named[:_MOST_NAMED])}, and {len(named) - _MOST_NAMED} more"
    if last != ", " and len(named) > 1:
        return f"{', '.join(named[:-1])}{last}{named[-1]}"
    return ", ".join(named)
