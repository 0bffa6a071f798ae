"""What the study found, in sentences."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ganprobe import LatentSpace, control_band, mean_interval
from ganprobe_sensitivity.moves import Moves
from ganprobe_sensitivity.plan import Floats, Plan
from ganprobe_sensitivity.study import SIGNIFICANT, Study, band

_FEW_DRAWS = 39  # with fewer the band is the least and the largest draw
_WORTH_WORDS = 0.2  # correlations that are told of in words
_TOLD_ELEMENTS = 4
_MOST_LETTERS = 28  # of the words beside a bar


def made(study: Study) -> str:
    """Generator, samples and seed, in a line."""
    plan, params = study.plan, study.plan.params
    generator = plan.context.generator
    mode = "" if generator.normalisation == "eval" else f", normalisation {generator.normalisation}"
    chosen = "" if plan.context.chosen is None else f" ({plan.context.chosen})"
    n = len(plan.base)
    told = f"{generator.name}{mode}, seed {plan.context.seed}, n = {_samples(n)}{chosen} moved"
    if study.associated is not None:
        told += f", {params.n_associated} correlated"
    return told


def step_words(study: Study) -> str:
    """What a change is for."""
    if not study.is_by_steps:
        return "derivative, for one s.d."
    step = study.plan.params.step
    return "for one s.d." if step == 1 else f"for one s.d. (steps of {step:g})"


def number(value: float, *, signed: bool = True) -> str:
    """``+.62``."""
    told = f"{value:+.2f}" if signed else f"{value:.2f}"
    return told.replace("0.", ".", 1).replace("-", "−")


def column_words(plan: Plan) -> list[str]:
    """A short name for each column: its own, with the measure's where that tells too little."""
    own = [column.measure.columns[column.place] for column in plan.columns]
    times = Counter(own)
    words = []
    for column, name in zip(plan.columns, own, strict=True):
        is_plain = times[name] == 1 and not name.isdigit()
        single = len(column.measure.columns) == 1
        words.append(column.measure.name if single else name if is_plain else column.name)
    return [word.replace("=", " ") for word in words]


def best_places(study: Study, place: int, *, least: float = _WORTH_WORDS) -> list[int]:
    """Columns that an element has to do with, most first.

    Args:
        least: of a correlation; the effects of moves are small, and all told.
    """
    if study.links is None:
        return []
    least = 0.0 if study.links.is_moved else least
    value, q = study.links.values[place], study.links.q[place]
    chosen = [c for c in range(len(value)) if q[c] < SIGNIFICANT and abs(value[c]) >= least]
    return sorted(chosen, key=lambda c: -abs(value[c]))


def best_words(study: Study, place: int) -> str:
    """``thickness +.62, ink +.55``, or what else can be said of an element in few letters."""
    if study.links is None:
        return ""
    names, value = column_words(study.plan), study.links.values[place]
    told = [f"{names[c]} {number(float(value[c]))}" for c in best_places(study, place)[:2]]
    if len(told) == 2 and sum(map(len, told)) > _MOST_LETTERS:
        told = told[:1]
    return ", ".join(told)


def findings(study: Study) -> list[str]:
    """The most important first."""
    sentences = [_strongest(study), _standing_out(study)]
    sentences += _goes_with(study)
    sentences += _alike(study)
    sentences += _methods(study)
    return sentences + _outside(study) + _too_few(study)


def _strongest(study: Study) -> str:
    plan, place = study.plan, study.order[0]
    mean, low, high = study.sizes(study.main)
    drawn = 100 * study.main.random.by_sample.mean(1)
    below, above = band(study.main)
    n_draws = len(plan.random)
    if study.is_by_steps:
        how = f"root mean square over pixels, steps of {plan.params.step:g} toward the middle"
    else:
        how = "root mean square over pixels, the derivative"
    if not mean.max():
        return (
            f"No element of {plan.space.name} changes the image of"
            f" {plan.context.generator.name!r} at all ({how}; {_n_and_seed(study)})."
        )
    return (
        f"{plan.names[place]} changes the image of {plan.context.generator.name!r} most:"
        f" {_told(mean[place], low[place], high[place], '%')} of black to white for one standard"
        f" deviation ({how}; {_n_and_seed(study)}); a random direction of the same length changes"
        f" it by {drawn.mean():.3g} % [{below:.3g}, {above:.3g}] ({band_words(n_draws)})."
    )


def band_words(n_draws: int) -> str:
    """What the band of random directions is."""
    if n_draws < _FEW_DRAWS:
        return f"least to largest of {n_draws} directions"
    return f"95 % of {n_draws} directions"


def _standing_out(study: Study) -> str:
    above, names = study.is_above, study.plan.names
    mean, _, _ = study.sizes(study.main)
    which = [place for place in study.order if above[place]]
    few = ", ".join(f"{names[place]} ({mean[place]:.3g} %)" for place in study.order[:8])
    more = ", ..." if len(names) > 8 else ""
    if not which and 2.0 ** (1 - len(study.plan.base)) >= SIGNIFICANT:
        return f"Strongest first: {few}{more}; {_samples(len(study.plan.base))} tell no more."
    if not which:
        return (
            f"No element stands out from random directions (above their band, and q <"
            f" {SIGNIFICANT:g} over {_elements(len(names))}): as far as size goes, the elements are"
            f" directions like any other. Strongest first: {few}{more}."
        )
    _, high = band(study.main)
    verb = "changes" if len(which) == 1 else "change"
    return (
        f"{len(which)} of {_elements(len(names))} {verb} the image more than random directions of"
        f" the same length do (above {high:.3g} %, q < {SIGNIFICANT:g} over"
        f" {_elements(len(names))}). Strongest first: {few}{more}."
    )


def _goes_with(study: Study) -> list[str]:
    if study.associated is None:
        return ["No measure takes these images, so that nothing is said of what elements go with."]
    found, names = study.associated.found, study.plan.names
    is_found = found.pearson.q < SIGNIFICANT
    is_dependent = (study.associated.information.q < SIGNIFICANT) & ~is_found
    n, n_columns = study.plan.params.n_associated, len(study.plan.columns)
    over = f"q < {SIGNIFICANT:g} over {_elements(len(names))} and {n_columns} columns"
    if not (is_found | is_dependent).any():
        return [f"No element goes with any measure ({over}; n = {n} fresh samples)."]
    links = study.links
    assert links is not None  # as there are associations
    strength = np.abs(np.where(links.q < SIGNIFICANT, links.values, 0)).max(1)
    strongest = np.argsort(-strength, kind="stable")[:_TOLD_ELEMENTS]
    told = [one for one in (_of_element(study, int(place)) for place in strongest) if one]
    if not study.plan.space.is_latent:
        told.append(
            f"Elements of {study.plan.space.name} vary together over samples: what one is"
            " correlated with need not be what it does, which only a move tells: moving one by a"
            f" deviation changes a column in {int((links.q < SIGNIFICANT).sum())} of"
            f" {links.q.size} pairs (q < {SIGNIFICANT:g}; {_n_and_seed(study)})."
        )
    n_with = int(is_found.any(1).sum())
    summary = (
        f"{n_with} of {_elements(len(names))} are correlated with at least one column, in"
        f" {int(is_found.sum())} of {is_found.size} pairs ({over}; n = {n} fresh samples)"
    )
    if is_dependent.any():
        summary += f"; {int(is_dependent.sum())} more depend without being correlated, most of all"
        summary += f" {_dependent(study, is_dependent)}"
    return [*told, f"{summary}. {_beside_random(study)}"]


def _dependent(study: Study, is_dependent: NDArray[np.bool_]) -> str:
    """The pair that depends most without being correlated."""
    assert study.associated is not None  # or nothing is told
    found = study.associated.information
    value = np.where(is_dependent, found.value, -np.inf)
    place, column = np.unravel_index(int(np.argmax(value)), value.shape)
    told = _told(found.value[place, column], found.low[place, column], found.high[place, column])
    name = column_words(study.plan)[column]
    return f"{study.plan.names[place]} and {name} (mutual information {told} nats)"


def _of_element(study: Study, place: int) -> str:
    assert study.associated is not None  # or nothing is told
    found, names = study.associated.found.pearson, column_words(study.plan)
    chosen = best_places(study, place)[:3]
    if not chosen:
        return ""
    told = [
        f"{names[c]} r = {number(float(found.value[place, c]))}"
        f" [{number(float(found.low[place, c]))}, {number(float(found.high[place, c]))}]"
        f" ({_q(found.q[place, c])}{_caused(study, place, c)})"
        for c in chosen
    ]
    return f"{study.plan.names[place]} goes with: {'; '.join(told)}."


def _q(q: float) -> str:
    return "q < 0.0001" if q < 1e-4 else f"q = {q:.2g}"


def _caused(study: Study, place: int, column: int) -> str:
    """What moving the element does to the column."""
    if study.caused is None or study.caused.by_sample.shape[2] < 4:
        return ""
    caused = study.caused
    mean, low, high = (caused.told(name)[place, column] for name in ("mean", "low", "high"))
    told = f"; moved by one deviation {mean:+.3g} [{low:.3g}, {high:.3g}]"
    return f"{told}, {_q(caused.q[place, column])}"


def _beside_random(study: Study) -> str:
    assert study.associated is not None  # or nothing is told
    own = np.abs(study.associated.found.pearson.value)
    drawn = random_reach(study)
    n_beyond = int((np.nan_to_num(own) > drawn).sum())
    share = n_beyond / own.size
    return (
        f"Random directions are correlated, too: {share:.0%} of the pairs lie beyond 95 % of the"
        " random directions' |r| with the same column, where 5 % would if elements were directions"
        " like any other."
    )


def random_reach(study: Study) -> Floats:
    """(column,) |r| that 95 % of random directions stay below."""
    assert study.associated is not None  # or nobody asks
    drawn = np.abs(study.associated.random)
    reach: Floats = control_band(drawn, coverage=0.9)[1]
    return reach


def _alike(study: Study) -> list[str]:
    acts = alike(study).elements
    k = len(study.plan.axes)
    if k < 2:
        return []
    others = ~np.eye(k, dtype=bool)
    drawn = alike(study).random.absolute
    apart = ~np.eye(len(drawn), dtype=bool)
    first, second = np.unravel_index(np.argmax(np.where(others, acts.absolute, -1)), (k, k))
    names = study.plan.names
    told = _told(*_interval(study, acts.independent))
    return [
        f"Effects of two elements have a mean |cosine| of {acts.absolute[others].mean():.2f}"
        f" (random directions {drawn[apart].mean():.2f}); most alike are {names[first]} and"
        f" {names[second]}, {acts.absolute[first, second]:.2f} (with its sign"
        f" {number(acts.cosines[first, second])}). The {k} elements count as"
        f" {told} of independent effects (participation ratio at one sample, mean over"
        f" {_samples(len(acts.independent))})."
    ]


def alike(study: Study) -> Moves:
    """The moves whose cosines are told: derivatives where there are."""
    return study.slopes or study.main


def _interval(study: Study, values: Floats) -> tuple[float, float, float]:
    params = study.plan.params
    mean, low, high = mean_interval(
        values, seed=study.plan.context.seed, n_resamples=params.n_resamples,
        confidence=params.confidence,
    )  # fmt: skip
    return float(mean[0]), float(low[0]), float(high[0])


def _methods(study: Study) -> list[str]:
    if study.refusal:
        return [f"All is by finite differences: {study.refusal}."]
    if study.disagreement is None:
        return []
    return [
        f"Derivatives in forward mode and central differences at a small step differ by"
        f" {study.disagreement:.2g} of their length."
    ]


def _outside(study: Study) -> list[str]:
    """A caution where steps leave the prior."""
    plan, step = study.plan, study.plan.params.step
    if not study.is_by_steps:
        return []
    space: LatentSpace = plan.context.generator.latent_space
    usual = space.usual_range[1] / space.deviation if plan.space.is_latent else 3.0
    starts = plan.standing[:, list(plan.axes)].abs()
    share = float((((starts - step).abs() > usual * (1 + 1e-6)) & (starts < usual)).double().mean())
    if not share:
        return []
    return [
        f"{share:.0%} of the steps end more than {usual:.3g} deviations from the middle, outside"
        f" of the prior's usual range: what is found there may be no image; take a smaller --step"
        f" than {step:g}."
    ]


def _too_few(study: Study) -> list[str]:
    """A caution where so few samples were moved that nothing could be found."""
    n = len(study.plan.base)
    tested = {f"{len(study.plan.axes)} elements": study.main.effects.q}
    if study.caused is not None:
        tested["moves on measures"] = study.caused.q
    least = 2.0 ** (1 - n)  # p, by flipping signs
    without = [
        what
        for what, q in tested.items()
        if least * q.size >= SIGNIFICANT and not (q < SIGNIFICANT).any()
    ]
    if not without:
        return []
    return [
        f"With {_samples(n)} p cannot fall below {least:.2g}, so that no one of the"
        f" {' and of the '.join(without)} could be told from chance; raise --n-samples."
    ]


def _told(mean: float, low: float, high: float, unit: str = "") -> str:
    space = " " if unit else ""
    limits = "" if np.isnan(low) else f" [{low:.3g}, {high:.3g}]"
    return f"{mean:.3g}{space}{unit}{limits}"


def _n_and_seed(study: Study) -> str:
    return f"n = {_samples(len(study.plan.base))}, seed {study.plan.context.seed}"


def _samples(n: int) -> str:
    return f"{n} sample{'s' if n != 1 else ''}"


def _elements(n: int) -> str:
    return f"{n} element{'s' if n != 1 else ''}"
