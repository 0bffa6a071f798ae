"""What an insertion found, in sentences. Areas are in % of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ganprobe import ContextEffect, PairedEffects, control_band
from ganprobe_ablation.insertion.location import Location
from ganprobe_ablation.insertion.plan import InsertionPlan
from ganprobe_ablation.insertion.study import InsertionStudy
from ganprobe_ablation.sentences import SIGNIFICANT, band_words

_MOST_NAMED = 4


def made_insertion(plan: InsertionPlan) -> str:
    """Generator, segmenter, samples and seed, in a line."""
    params, generator = plan.params, plan.context.generator
    which = "" if params.samples is None else f" ({params.samples})"
    mode = "" if generator.normalisation == "eval" else f", normalisation {generator.normalisation}"
    return (
        f"{generator.name}{mode}, segmenter {params.segmenter}, seed {plan.context.seed},"
        f" n = {params.n_samples} samples{which}, levels from {params.n_ranked} others"
    )


def insertion_findings(study: InsertionStudy) -> list[str]:
    """The most important first."""
    sentences = [_where(study), _not_where(study), _average(study)]
    if study.location is not None:
        sentences.append(_at(study, study.location))
    if study.optimised is not None:
        sentences.append(_optimised(study))
    sentences.append(_levels(study))
    sentences.append(f"The map was evaluated {study.context.how} ({made_insertion(study.plan)}).")
    return [sentence for sentence in sentences if sentence]


def percent(share: float) -> str:
    """A share of the image, signed, as ``+0.412``."""
    return "0" if share == 0 else f"{100 * share:+.3g}"


def interval(mean: float, low: float, high: float) -> str:
    """``+0.41 [0.35, 0.47]``, in % of the image."""
    limits = "[no interval]" if np.isnan(low) else f"[{100 * low:.3g}, {100 * high:.3g}]"
    return f"{percent(mean)} {limits}"


def window_words(plan: InsertionPlan) -> str:
    """``3 x 3 cells``."""
    rows, columns = plan.places.window
    return f"{rows} x {columns} cell{'s' if rows * columns > 1 else ''}"


def units_words(plan: InsertionPlan) -> str:
    """``20 units of conv3 at their means over door``."""
    n = len(plan.units)
    if n == 1:
        return f"unit {plan.units[0]} of {plan.site} {plan.words.replace('their', 'its')}"
    return f"{n} units of {plan.site} {plan.words}"


def _where(study: InsertionStudy) -> str:
    plan, found = study.plan, study.context
    gaining = [one for one in found.by_class if one.q < SIGNIFICANT and one.mean > 0]
    gaining.sort(key=lambda one: -one.mean)
    beginning = (
        f"Where can a {plan.name} go? {_capital(units_words(plan))}, in a window of"
        f" {window_words(plan)} at {len(plan.places)} places of each sample"
    )
    if not gaining:
        return (
            f"{beginning}, enlarge {plan.name} nowhere with q < {SIGNIFICANT:g}: anywhere by"
            f" {interval(found.anywhere.mean, found.anywhere.low, found.anywhere.high)} % of the"
            f" image (p = {found.anywhere.p:.2g}, n = {found.n_samples} samples)."
        )
    shown = [_gain(one, is_first=not place) for place, one in enumerate(gaining[:_MOST_NAMED])]
    return f"{beginning}, enlarge {plan.name} most where there was {_listed(shown)}."


def _gain(one: ContextEffect, *, is_first: bool) -> str:
    took = "" if np.isnan(one.took) else f", appears at {one.took:.0%} of {one.n_absent} places"
    unit = " % of the image" if is_first else " %"
    mean = interval(one.mean, one.low, one.high)
    return f"{one.there} ({mean}{unit}{took}; q = {one.q:.2g}, n = {one.n_samples} samples)"


def _not_where(study: InsertionStudy) -> str:
    """Where it shrinks, and where nothing is sure, the most frequent first."""
    rest = [one for one in study.context.by_class if not (one.q < SIGNIFICANT and one.mean > 0)]
    shrinking = [one for one in rest if one.q < SIGNIFICANT]
    unsure = [one for one in rest if one.q >= SIGNIFICANT]
    told = []
    if shrinking:
        told.append(f"It shrinks, with q < {SIGNIFICANT:g}, where there was {_some(shrinking)}")
    if unsure:
        told.append(f"no change is certain (q >= {SIGNIFICANT:g}) where there was {_some(unsure)}")
    return f"{_capital('; '.join(told))}, in % of the image." if told else ""


def _some(effects: Sequence[ContextEffect]) -> str:
    told = [
        f"{one.there} {interval(one.mean, one.low, one.high)} (q = {one.q:.2g}, {_places(one)})"
        for one in effects[:_MOST_NAMED]
    ]
    more = len(effects) - len(told)
    return ", ".join(told) + (f" and {more} other{'s' if more > 1 else ''}" if more else "")


def _places(one: ContextEffect) -> str:
    plural = "s" if one.n_cells > 1 else ""
    return f"{one.n_cells:,} place{plural} of n = {one.n_samples}"


def _average(study: InsertionStudy) -> str:
    plan, found = study.plan, study.average
    low, high = (float(limit) for limit in control_band(study.random_effects))
    mean = float(found.effects.mean[0])
    where = "within" if low <= mean <= high else "outside"
    n_places = found.drawn.shape[1]
    at = f"{n_places} random place{'s' if n_places > 1 else ''}"
    return (
        f"Their average causal effect on {plan.name}, its share of the window with the units at"
        f" their levels less that with them at 0, is {_share(found.effects, 0)} at {at} of each"
        f" sample; {len(plan.units)} random units reach {study.random_effects.mean():.3g}"
        f" [{low:.3g}, {high:.3g}] ({band_words(len(study.random_effects))}): they lie {where} the"
        " band."
    )


def _share(effects: PairedEffects, place: int) -> str:
    """An effect without q, as it is one of few."""
    low, high = effects.low[place], effects.high[place]
    chance = f"p = {effects.p[place]:.2g}, n = {effects.n}"
    return f"{effects.mean[place]:.3g} [{low:.3g}, {high:.3g}] ({chance})"


def _at(study: InsertionStudy, location: Location) -> str:
    plan, found = study.plan, location.effects
    low, high = (float(limit[1]) for limit in control_band(location.random))
    whole, own = (
        interval(float(found.mean[row]), float(found.low[row]), float(found.high[row]))
        for row in (0, 1)
    )
    where = "within" if low <= found.mean[1] <= high else "outside"
    return (
        f"Inserted at {location.written}, they change {plan.name} by {own} % of the image there"
        f" (p = {found.p[1]:.2g}, n = {found.n}), where it covered"
        f" {100 * location.base[1].mean():.3g} % before, and by {whole} % in the whole image;"
        f" random units change it there by {percent(float(location.random[:, 1].mean()))}"
        f" [{100 * low:.3g}, {100 * high:.3g}] %: {where} the band"
        f" ({band_words(len(location.random))})."
    )


def _optimised(study: InsertionStudy) -> str:
    assert study.optimised is not None
    plan, found, units = study.plan, study.optimised, study.optimised_units
    n_same = len(set(units) & set(plan.units))
    tenth = max(1, len(found.effect) // 10)
    return (
        f"The {len(units)} units with the largest shares after {len(found.effect)} steps"
        f" ({found.how}) have an average causal effect of {_share(study.average.effects, 1)};"
        f" {n_same} of them are among those inserted. On the samples of the steps the effect of the"
        f" shares went from {found.effect[:tenth].mean():.3g} to {found.effect[-tenth:].mean():.3g}"
        f" (first and last {tenth} steps, penalty {found.penalty:g}, seed {found.seed})."
    )


def _levels(study: InsertionStudy) -> str:
    plan = study.plan
    levels = plan.levels[list(plan.units)]
    site = plan.params.site
    is_given = plan.params.units is not None or (site is not None and site.units is not None)
    how = "given" if is_given else "largest IoU"
    iou = ""
    if plan.iou is not None:
        own = plan.iou[list(plan.units)]
        iou = f", IoU {own.min():.3g} to {own.max():.3g}"
    return (
        f"The units of {plan.site} ({how}{iou}): {_numbers(plan.units)}; levels"
        f" {float(levels.min()):.3g} to {float(levels.max()):.3g}. {_capital(plan.name)} covers"
        f" {100 * study.context.base.mean():.3g} % of the unedited images."
    )


def _numbers(units: Sequence[int]) -> str:
    shown = ", ".join(map(str, units[:20]))
    return shown if len(units) <= 20 else f"{shown}, ... ({len(units)} in all)"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
