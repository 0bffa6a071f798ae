"""What directions were found and what they do, in sentences."""

from __future__ import annotations

import numpy as np

from ganprobe import share
from ganprobe_directions.effects import Effects
from ganprobe_directions.families import Family, Floats
from ganprobe_directions.plan import Plan
from ganprobe_directions.strips import attributes_of
from ganprobe_directions.study import Study

_MOST_TOLD = 3  # directions, and columns of each
_FEW_DRAWS = 39  # with fewer, the control is the largest draw


def made(plan: Plan) -> str:
    """Generator, samples and seed, in a line."""
    generator, params = plan.context.generator, plan.params
    mode = "" if generator.normalisation == "eval" else f", normalisation {generator.normalisation}"
    where = "" if params.found_on is None else f" ({params.found_on})"
    return (
        f"{generator.name}{mode}, seed {plan.context.seed}, found in n = {len(plan.found_in)}"
        f" samples{where}, measured on {len(plan.bases)}"
    )


def findings(study: Study) -> list[str]:
    """The most important first."""
    told = []
    for family, effects in zip(study.families, study.effects, strict=True):
        told += [*family.sentences, *_effects(study, family, effects)]
    return [*told, *_missing(study), _how(study)]


def _effects(study: Study, family: Family, effects: Effects) -> list[str]:
    params = study.plan.params
    order = np.argsort(-effects.image.mean(1), kind="stable")
    images = ", ".join(
        f"{family.set.names[place]} {100 * effects.image[place].mean():.3g}"
        for place in order[:_MOST_TOLD]
    )
    random = effects.control_image[order[:_MOST_TOLD]]
    at = params.effect_at
    told = [
        f"From -{at:g} to +{at:g} deviations, the image changes by {images} % of black to white"
        f" (RMS, n = {len(study.plan.bases)} samples); along random directions of the same length"
        f" by {100 * random.min():.3g} to {100 * random.max():.3g} % ({params.n_random} draws)."
    ]
    told += [*_strongest(study, family, effects), *_classes(study, family, effects)]
    beyond = float(effects.outside.mean())
    if beyond >= 0.005:
        told.append(
            f"{100 * beyond:.0f} % of the points at ±{at:g} deviations lie outside the usual range"
            f" of {family.space.name}."
        )
    return told


def _strongest(study: Study, family: Family, effects: Effects) -> list[str]:
    """What the directions that do most to measures do; of boundaries, what each does."""
    if effects.found is None:
        return []
    is_found = effects.is_found
    scaled = in_deviations(study, effects)
    n_found = int(is_found.any(1).sum())
    if not n_found:
        return [
            f"No direction of {family.title} changes a measure with q < 0.05 and more than random"
            " directions do."
        ]
    strength = np.where(is_found, np.abs(scaled), 0.0).max(1)
    order = np.argsort(-strength, kind="stable")
    shown = range(len(family)) if family.boundaries else sorted(order[:_MOST_TOLD].tolist())
    told = [_of_direction(study, family, effects, scaled, place) for place in shown]
    return [
        f"{n_found} of {len(family)} directions change a measure more than random ones and with"
        f" q < 0.05 (over {is_found.size} effects).",
        *(one for one in told if one),
    ]


def _classes(study: Study, family: Family, effects: Effects) -> list[str]:
    """How often samples stay what they are, for measures of classes."""
    told = []
    at = study.plan.params.effect_at
    for name, same in effects.same_class.items():
        order = np.argsort(same.mean(1), kind="stable")
        shown = range(len(family)) if family.boundaries else order[:_MOST_TOLD].tolist()
        listed = ", ".join(f"{family.set.names[place]} {share(same[place])}" for place in shown)
        random = effects.control_class[name].mean()
        which = "largest" if name.startswith("area:") else "most probable"
        told.append(
            f"The {which} class of {name} is the same at -{at:g} and +{at:g} deviations for"
            f" these shares of samples: {listed}; along random directions {random:.2f} on average."
        )
    return told


def _of_direction(
    study: Study, family: Family, effects: Effects, scaled: Floats, place: int
) -> str:
    """What a direction of an attribute does to that, then the largest effects that were found."""
    assert effects.found is not None
    own, is_found = _own_column(study, family, effects, place), effects.is_found[place]
    order = np.argsort(-np.abs(scaled[place]), kind="stable").tolist()
    chosen = own + [column for column in order if is_found[column] and column not in own]
    parts = []
    for column in chosen[:_MOST_TOLD]:
        index = place * len(effects.columns) + column
        label = study.plan.columns.labels[effects.columns[column]]
        no_more = "" if is_found[column] else ", no more than random directions do"
        parts.append(
            f"{label} by {scaled[place, column]:+.2f} deviations,"
            f" {effects.found.describe(index)}{no_more}"
        )
    more = f"; {len(chosen) - _MOST_TOLD} more" if len(chosen) > _MOST_TOLD else ""
    return f"{family.set.names[place]} changes {'; '.join(parts)}{more}." if parts else ""


def _own_column(study: Study, family: Family, effects: Effects, place: int) -> list[int]:
    """The column of the attribute that a direction is of."""
    labels = [study.plan.columns.labels[column] for column in effects.columns]
    own = attributes_of(family)[place : place + 1]
    return [labels.index(one.label) for one in own if one.label in labels]


def in_deviations(study: Study, effects: Effects) -> Floats:
    """(direction, column) mean effects in standard deviations of the column over samples."""
    assert effects.found is not None
    deviations = study.scale.deviations[list(effects.columns)]
    return np.asarray(effects.table(effects.found.mean) / deviations)


def _missing(study: Study) -> list[str]:
    labels, there = study.plan.columns.labels, study.effects[0].columns
    absent = [label for place, label in enumerate(labels) if place not in there]
    told = []
    if absent:
        told.append(f"Left out, as they do not vary or mostly have no value: {', '.join(absent)}.")
    most = max(one.n_left_out for one in study.effects)
    if most:
        told.append(f"Up to {most} samples without a value in one of the measures were left out.")
    return told


def _how(study: Study) -> str:
    params = study.plan.params
    band = "the largest" if params.n_random < _FEW_DRAWS else "the 95 % limit"
    return (
        f"Effects are means of paired changes over n = {len(study.plan.bases)} samples, in standard"
        f" deviations of each measure over {study.scale.n} samples; the control is {band} of"
        f" {params.n_random} random directions of the same length ({made(study.plan)})."
    )
