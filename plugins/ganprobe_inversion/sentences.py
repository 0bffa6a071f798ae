"""What the study says, in sentences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ganprobe import FileImage, mean_interval, share
from ganprobe_inversion.study import RECOVERED, Floats, Outcome, Study

WHOSE = {"real": "The given images", "own": "The generator's own images"}

_MOST_NAMED = 5
_CLEARLY = 0.1  # of brightness
_TRUE = 0.05  # of the distance of two random latents: the latent found is the true one


def made(study: Study) -> str:
    """How it was made: generator, pool, steps, seed."""
    context, params = study.plan.context, study.plan.params
    where = "" if study.plan.space.is_latent else f" in {params.space}"
    return (
        f"{context.generator.name}, normalisation {context.generator.normalisation};"
        f" pool of {params.n_pool:,}; {params.n_steps} steps{where}; seed {context.seed}"
    )


def findings(study: Study) -> list[str]:
    """All that was found, the most important first."""
    kinds = list(reversed(study.plan.targets.kinds()))
    told = [_reached(study, kind) for kind in kinds]
    told += _expressible(study)
    told += [_by_method(study, kind) for kind in kinds]
    told += _true_latents(study) + _outside(study) + _of_encoder(study)
    return told + _of_files(study.plan.targets.files) + _brightness(study)


def _reached(study: Study, kind: str) -> str:
    rows = study.plan.targets.rows(kind)
    errors, random = study.found.errors[rows], study.random_errors[rows]
    ratios = study.ratios(study.found)[rows]
    is_recovered = study.is_recovered(study.found)[rows]
    return (
        f"{WHOSE[kind]}: {share(is_recovered)} recovered{_missed(study, kind, ~is_recovered)}; mean"
        f" squared difference of images in [0, 1] {interval(errors)}, of the nearest of"
        f" {study.plan.params.n_pool:,} random samples {interval(random)}; as a share of that"
        f" {percent(np.median(ratios))} in the median and {percent(ratios.max())} at worst, at most"
        f" {percent(RECOVERED)} counts as recovered (n = {len(errors)}, seed"
        f" {study.plan.context.seed}, the best of all methods{_where(study)})."
    )


def _missed(study: Study, kind: str, is_missed: NDArray[np.bool_]) -> str:
    """Which of them were not recovered, where these are a few."""
    names = study.plan.targets.names[study.plan.targets.rows(kind)]
    missed = [name for name, one in zip(names, is_missed, strict=True) if one]
    if not 0 < len(missed) <= min(_MOST_NAMED, len(names) / 2):
        return ""
    return f", all but {', '.join(missed)}"


def interval(values: Floats) -> str:
    """The mean of squares with its 95 % interval, where there are enough for one."""
    mean, low, high = (float(limit[0]) for limit in mean_interval(values))
    return f"{mean:.2g}" if np.isnan(low) else f"{mean:.2g} [{max(low, 0.0):.2g}, {high:.2g}]"


def percent(ratio: float) -> str:
    """A ratio in percent, to two digits."""
    written = f"{100 * ratio:.2g}" if ratio < 0.995 else f"{100 * ratio:.0f}"
    return f"{written} %"


def _where(study: Study) -> str:
    return "" if study.plan.space.is_latent else f", at {study.plan.params.space}"


def _expressible(study: Study) -> list[str]:
    """Whether the given images are beyond the generator, or only beyond the search."""
    targets = study.plan.targets
    if set(targets.kinds()) != {"own", "real"}:
        return []
    own, real = targets.rows("own"), targets.rows("real")
    is_missed = ~study.is_recovered(study.found)[real]
    if not is_missed.any():
        return []
    rate = share(study.is_recovered(study.found)[own])
    if rate.value < 0.5:
        return [
            f"The search recovers {rate} of the generator's own images, so that it cannot tell"
            " whether the generator can make the given ones; give more --n-starts or --n-steps."
        ]
    left = study.found.errors[real][is_missed]
    return [
        f"This generator cannot reproduce {is_missed.sum()} of the {len(is_missed)} given images"
        f" from {_what(study)}, as far as a search can tell that recovers {rate} of its own: their"
        f" difference stays at {np.median(left):.2g} in the median and {left.min():.2g} at least,"
        f" where its own come to {np.median(study.found.errors[own]):.2g} in the median."
    ]


def _what(study: Study) -> str:
    plan = study.plan
    if not plan.space.is_latent:
        return f"activations at {plan.params.space} ({plan.space.n_numbers:,} numbers)"
    inside = " inside of the prior" if plan.params.stay_in_prior else ""
    return f"latents{inside} ({plan.space.n_numbers:,} numbers)"


def _by_method(study: Study, kind: str) -> str:
    rows = study.plan.targets.rows(kind)
    told = [_method(study, one, rows) for one in study.outcomes.values()]
    return f"{WHOSE[kind]}, mean squared difference: {'; '.join(told)}."


def _method(study: Study, one: Outcome, rows: slice) -> str:
    name = "nearest random" if one.method == "pool" else one.method
    recovered = study.is_recovered(one)[rows]
    n = "" if one.method == "pool" else f", {recovered.sum()} of {len(recovered)} recovered"
    return f"{name} {interval(one.errors[rows])}{n}"


def _true_latents(study: Study) -> list[str]:
    """How far what was found for own images is from the latents that they were made of."""
    distances = true_distances(study)
    if distances is None:
        return []
    apart = random_distance(study)
    recovered = study.is_recovered(study.found)[study.plan.targets.rows("own")]
    if not recovered.any():
        return []
    n_true = share((distances <= _TRUE * apart)[recovered])
    return [
        f"Of the own images that are recovered, {n_true} have the latents that they were made of,"
        f" to {percent(_TRUE)} of the distance of two random latents, which is {apart:.3g}; the"
        f" median distance is {np.median(distances[recovered]):.2g}."
    ]


def true_distances(study: Study) -> Floats | None:
    """(own images,) Euclidean, from the latents found to those that they were made of.

    None where points are no latents or there is no own image.
    """
    own = study.plan.targets.own
    if own is None or not study.plan.space.is_latent:
        return None
    found = study.found.points[: len(own)].double().cpu() - own.z.double().cpu()
    return np.asarray(found.flatten(1).norm(dim=1).numpy(), np.float64)


def random_distance(study: Study) -> float:
    """The root mean squared distance of two latents of the prior."""
    latents = study.plan.sample("extent", 1000).z.double().flatten(1)
    return float((2 * latents.var(0).sum()).sqrt())


def _outside(study: Study) -> list[str]:
    rows = study.plan.targets.rows("real")
    outside = study.plan.extent.is_outside(study.found.points)[rows]
    if not outside.any():
        return []
    return [
        f"What was found for {share(outside)} of the given images lies outside of the prior, where"
        " the generator was not trained."
    ]


def _of_encoder(study: Study) -> list[str]:
    encoder = study.encoder
    if encoder is None:
        return []
    unseen, seen = encoder.held_out[-1], encoder.training[-1]
    if unseen >= 1:
        return [f"The encoder has learnt nothing in {encoder.steps[-1]:,} steps: give it more."]
    return [
        f"The encoder, after {encoder.steps[-1]:,} steps, tells {percent(1 - unseen)} of the"
        f" variance of latents that it has not seen (loss {unseen:.2g}; training {seen:.2g})."
    ]


def _of_files(files: tuple[FileImage, ...]) -> list[str]:
    """What was done to the pictures."""
    done: list[tuple[Callable[[FileImage], bool], str]] = [
        (lambda file: file.is_resized, "were resized to the generator's {width} x {height} pixels"),
        (lambda file: file.is_transparent, "are transparent in places, which are taken as white"),
        (lambda file: file.is_colour and len(file.values) == 1, "are in colour, and taken as grey"),
    ]
    told = []
    for is_so, words in done:
        found = [file for file in files if is_so(file)]
        if found:
            names = ", ".join(file.path.name for file in found[:_MOST_NAMED])
            more = ", ..." if len(found) > _MOST_NAMED else ""
            height, width = found[0].values.shape[1:]
            what = words.format(height=height, width=width)
            told.append(f"{len(found)} of {len(files)} given images {what}: {names}{more}.")
    return told


def _brightness(study: Study) -> list[str]:
    """A hint where the given images look like negatives of what the generator makes."""
    targets = study.plan.targets
    if not targets.files:
        return []
    given = float(targets.images[targets.rows("real")].mean())
    usual = float(study.outcomes["pool"].images.mean())
    if abs(1 - given - usual) > abs(given - usual) - _CLEARLY:
        return []
    other = "without" if study.plan.params.invert_colours else "with"
    return [
        f"The given images have a mean brightness of {given:.2f}, the generator's {usual:.2f}: try"
        f" {other} --invert-colours."
    ]
