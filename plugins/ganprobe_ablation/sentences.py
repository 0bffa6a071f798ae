"""What an ablation found, in sentences."""

from __future__ import annotations

import numpy as np

from ganprobe import UnitSet, control_band
from ganprobe_ablation.on_top import OnTop
from ganprobe_ablation.study import Curve, Study

SIGNIFICANT = 0.05
FEW_DRAWS = 39  # with fewer the band is the least and the largest draw


def made(study: Study) -> str:
    """Generator, samples and seed, in a line."""
    plan, params = study.plan, study.plan.params
    generator = plan.context.generator
    which = "" if params.samples is None else f" ({params.samples})"
    mode = "" if generator.normalisation == "eval" else f", normalisation {generator.normalisation}"
    return (
        f"{generator.name}{mode}, seed {plan.context.seed}, n = {params.n_samples} samples{which},"
        f" ranked on {params.n_ranked} others"
    )


def findings(study: Study) -> list[str]:
    """The most important first."""
    sentences = [_single_units(study), _first_of_the_ranking(study)]
    sentences += [_together(study, curve) for curve in study.curves]
    if study.on_top is not None:
        sentences += _on_top(study, study.on_top)
    sentences.append(f"Effects were evaluated {study.how} ({made(study)}).")
    return sentences + _of_other_weights(study)


def _single_units(study: Study) -> str:
    plan, effects = study.plan, study.effects
    is_found = effects.q < SIGNIFICANT
    n_lower = int((is_found & (effects.mean < 0)).sum())
    n_raise = int((is_found & (effects.mean > 0)).sum())
    return (
        f"Of {len(effects)} units of {plan.target.site}, each alone {plan.target.words},"
        f" {n_lower + n_raise} change {plan.name} with q < {SIGNIFICANT:g}: {n_lower} lower it,"
        f" {n_raise} raise it; it is {study.base.mean():.3g} on average with nothing ablated"
        f" (n = {effects.n} samples, seed {plan.context.seed}, {effects.n_resamples} resamples)."
    )


def _first_of_the_ranking(study: Study) -> str:
    plan, params, unit = study.plan, study.plan.params, study.ranking.units[0]
    if params.order == "given":
        return (
            f"Unit {unit}, the first of the order given, changes {plan.name} by"
            f" {study.effects.describe(0)}; {_all_units(study)}."
        )
    if params.order == "likeness":
        how = f"whose map looks most like the image (mean |r| = {study.ranking.by[0]:.2f}"
    else:
        how = f"ranked first to {params.direction} it ({study.ranking.by[0]:.3g}"
    return (
        f"Unit {unit}, {how} on {params.n_ranked} other samples), changes {plan.name} by"
        f" {study.effects.describe(0)}; {_all_units(study)}."
    )


def _all_units(study: Study) -> str:
    low, high = np.quantile(study.effects.mean, [0.025, 0.975])
    which = "those tried" if study.plan.params.units is not None else "all units"
    return f"95 % of {which} lie between {low:.3g} and {high:.3g}"


def _together(study: Study, curve: Curve) -> str:
    low, high = curve.effects.low[-1], curve.effects.high[-1]
    below, above = (float(limit[-1]) for limit in control_band(study.random_effects))
    mean, drawn = float(curve.effects.mean[-1]), float(study.random_effects[:, -1].mean())
    chosen, random, they = _chosen(curve)
    where = "within" if below <= mean <= above else "outside"
    return (
        f"{chosen} {study.plan.name} by {mean:.3g} [{low:.3g}, {high:.3g}]; {random} it by"
        f" {drawn:.3g} [{below:.3g}, {above:.3g}] ({band_words(len(study.random_effects))}):"
        f" {they} {where} the band{_left_at(study, curve)}.{_left(study, curve)}"
    )


def _left(study: Study, curve: Curve) -> str:
    """How much of an area is left."""
    if not study.is_area:
        return ""
    found, drawn = study.left(curve), study.random_effects[:, -1].mean()
    least, most = max(0.0, found.low[-1]), found.high[-1]
    return (
        f" That leaves {found.mean[-1]:.0%} [{least:.0%}, {most:.0%}] of the area"
        f" ({1 + drawn / study.base.mean():.0%} with random units)."
    )


def _chosen(curve: Curve) -> tuple[str, str, str]:
    """The units of a strategy with their verb, random ones with theirs, the first with another."""
    size, is_greedy = len(curve.units), curve.strategy == "greedy"
    if size == 1:
        which = "unit chosen greedily" if is_greedy else "first unit of the ranking"
        return f"The {which} changes", "a random unit changes", "the chosen one lies"
    which = f"{size} units chosen greedily" if is_greedy else f"first {size} of the ranking"
    return f"The {which} together change", f"{size} random units change", "the chosen ones lie"


def band_words(n_draws: int) -> str:
    """What the band of random sets is."""
    if n_draws < FEW_DRAWS:
        return f"least to largest of {n_draws} sets"
    return f"95 % of {n_draws} sets"


def _left_at(study: Study, curve: Curve) -> str:
    """From which size on a curve lies outside the band, if it does in the end."""
    below, above = control_band(study.random_effects)
    is_within = (curve.effects.mean >= below) & (curve.effects.mean <= above)
    if is_within[-1]:
        return ""
    first = int(np.flatnonzero(is_within)[-1]) + 2 if is_within.any() else 1
    return f", from {first} unit{'s' if first > 1 else ''} on"


def _on_top(study: Study, on_top: OnTop) -> list[str]:
    mean, low, high = on_top.mean, on_top.low, on_top.high
    told = [f"{mean[row]:.3g} [{low[row]:.3g}, {high[row]:.3g}]" for row in range(len(mean))]
    params, n_both = study.plan.params, len(set(on_top.ablated) & set(on_top.swapped))
    both = f", {n_both} of them in both sets and so swapped" if n_both else ""
    return [
        f"{study.plan.name} is {told[0]} with nothing done, {told[1]} with"
        f" {len(on_top.ablated)} units ablated, {told[2]} with {len(on_top.swapped)} units swapped"
        f" with those of {params.donor}, and {told[3]} with these swapped on top of the ablation"
        f"{both} (mean and 95 % interval, n = {params.n_samples}).",
        f"Swapping on top changes the ablated samples by {on_top.effects.describe(3)}; ablating"
        f" beneath changes the swapped ones by {on_top.effects.describe(4)}; both together differ"
        f" from the sum of each alone by {on_top.effects.describe(5)}.",
    ]


def _of_other_weights(study: Study) -> list[str]:
    """A caution where a saved set of units was found on another generator."""
    generator, given = study.plan.context.generator, study.plan.params.units
    known = {} if given is None else UnitSet.to_json(given)["generator"]
    if not known or known.get("weights_sha256") == generator.weights_sha256():
        return []
    return [
        f"The units {study.plan.params.units} were found on other weights, of"
        f" {known.get('name', 'another generator')!r}: their numbers need not mean the same here."
    ]
