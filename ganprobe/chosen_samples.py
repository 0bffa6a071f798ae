"""Chosen samples: the latents that a sample choice stands for, with one generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.indices import check_count
from ganprobe.latent_files import read_labels, read_latents
from ganprobe.latents import Latents
from ganprobe.measures import Measure
from ganprobe.probe import Probe
from ganprobe.progress import Bar, Progress, silent
from ganprobe.sample_choices import Condition, SampleChoice

__all__ = ["MOST_TRIED", "choose_latents", "meets"]

MOST_TRIED = 50_000
"""Samples of a seed that are looked at for those that meet a condition."""

_BATCH = 64


def choose_latents(
    probe: Probe,
    choice: SampleChoice,
    n_samples: int | None,
    *,
    skip: int,
    seed: int,
    find_measure: Callable[[str], Measure],
    fewest: int | None = None,
    progress: Progress = silent,
) -> Latents:
    """The latents that a choice stands for, with the seed and the indices where they have any.

    Args:
        n_samples: how many; None: all that it names, or one where that is open.
        skip: how many of them are left out first.
        fewest: so many are enough where it stands for no more; None: all are needed.
        progress: shows how many are found where a condition has to be met.

    Raises:
        ParameterError: it names or finds fewer than that; and as `read_latents`.
        UnknownNameError: there is no such measure, or column of it.
    """
    check_count(skip, "the number of samples to skip", least=0)
    if n_samples is not None:
        check_count(n_samples, "the number of samples")
    enough = n_samples if fewest is None or n_samples is None else min(fewest, n_samples)
    space = probe.generator.latent_space
    if choice.conditions:
        wanted = 1 if n_samples is None else n_samples
        tests = _tests(choice, find_measure)
        with progress(skip + wanted, f"samples found of {choice}") as bar:
            found = list(islice(_samples_meeting(probe, tests, seed, bar), skip + wanted))
        _check_found(found, choice, skip + (wanted if enough is None else enough), seed)
        return probe.generator.samples(found[skip:], seed=seed)
    if choice.file is not None:
        z = read_latents(choice.file, choice.name, space.shape)
        is_conditional = probe.generator.classes is not None
        labels = read_labels(choice.file, choice.name) if is_conditional else None
        latents = Latents(z, labels=labels)
        return latents[_part(choice, len(latents), n_samples, skip, enough)]
    part = _part(choice, len(choice.indices), n_samples, skip, enough)
    return probe.generator.samples(choice.indices[part], seed=seed)


def meets(choice: SampleChoice, images: Tensor, find_measure: Callable[[str], Measure]) -> Tensor:
    """(n,) booleans: which images (n, channels, y, x), black 0 and white 1, meet all conditions.

    Raises:
        ParameterError: the choice is no conditions, but names samples.
        UnknownNameError: there is no such measure, or column of it.
    """
    if not choice.conditions:
        raise ParameterError(
            f"{str(choice)!r} names samples; say what images must show, as in digit=1"
        )
    return _all(_tests(choice, find_measure), images)


def _part(
    choice: SampleChoice, n_there: int, n_samples: int | None, skip: int, enough: int | None
) -> slice:
    """Which of the samples that a choice names are asked for."""
    wanted = max(n_there - skip, 1) if n_samples is None else n_samples
    if enough is not None:
        wanted = min(wanted, max(n_there - skip, enough))
    if skip + wanted > n_there:
        needed = f"{wanted} after the first {skip}" if skip else str(wanted)
        many = "" if n_there == 1 else "s"
        raise ParameterError(
            f"{str(choice)!r} stands for {n_there} sample{many}, and {needed} are needed; name"
            " more, or ask for fewer"
        )
    return slice(skip, skip + wanted)


def _tests(
    choice: SampleChoice, find_measure: Callable[[str], Measure]
) -> list[Callable[[Tensor], Tensor]]:
    return [_test(condition, find_measure(condition.measure)) for condition in choice.conditions]


def _all(tests: list[Callable[[Tensor], Tensor]], images: Tensor) -> Tensor:
    """(n,) which images pass all tests; each is only asked about those that passed before."""
    passing = torch.arange(len(images), device=images.device)
    for test in tests:
        if len(passing):
            passing = passing[test(images[passing])]
    meets = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    meets[passing] = True
    return meets


def _check_found(found: list[int], choice: SampleChoice, n_needed: int, seed: int) -> None:
    if len(found) < n_needed:
        raise ParameterError(
            f"{len(found)} of the first {MOST_TRIED:,} samples of seed {seed} meet"
            f" {str(choice)!r}, and {n_needed} are needed; ask for fewer, or for less of them"
        )


def _samples_meeting(
    probe: Probe, tests: list[Callable[[Tensor], Tensor]], seed: int, bar: Bar
) -> Iterator[int]:
    batches = probe.runs(MOST_TRIED, seed=seed, batch_size=_BATCH)
    for number, run in enumerate(batches):
        images = probe.generator.to_unit_range(run.images)
        found = torch.nonzero(_all(tests, images)).flatten()
        bar.advance(len(found))
        yield from (number * _BATCH + found).tolist()


def _test(condition: Condition, measure: Measure) -> Callable[[Tensor], Tensor]:
    """From images to which of them meet a condition."""
    column = measure.column(condition.column)
    if condition.sign == "=" and len(measure.columns) == 1:
        raise ParameterError(
            f"{str(condition)!r} holds for every sample: {measure.name!r} has one column; write"
            f" {measure.name}>0 or another limit"
        )
    if condition.sign == "=":
        return lambda images: _is_largest(measure(images), column)
    if condition.sign == ">":
        return lambda images: measure(images)[:, column] > condition.limit
    return lambda images: measure(images)[:, column] < condition.limit


def _is_largest(values: Tensor, column: int) -> Tensor:
    """In which rows of (n, columns) this one is the largest; in none with NaN."""
    return (values.argmax(1) == column) & ~values.isnan().any(1)
