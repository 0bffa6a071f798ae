"""The students' experiment: which of a site's units, swapped, move one digit away from itself.

A one takes the units of a three at the last site of 128 units of a described generator. Of these
20 are picked that move the image furthest from the one's, by mean squared difference, and 100 that
move it least, so that it stays a one; and, jointly for 20 pairs, 20 that bring the images nearest
to the donors'. The students ran the layers after the site for one candidate at a time, feature maps
of both kept; and they had never called ``.eval()``, so that batch normalisation went by the
statistics of a batch of one: ``sample`` here, which by hand is done just so, without the running
statistics that nobody asked for.

Where a search's time goes is counted in runs of their own. `pace` takes the moments at which a
search reports candidates done: what it spends on each, checks on the way included, and what is left
over, which is spent once (the probe, the trace, the trials, the checks before the first candidate).
`share_in_layers` takes the time of every call of a layer of the generator's that computes, also of
one whose replay computes it as a matrix product, over that of the whole search. What is answered
from memory, edits, sums of contributions, the contributions themselves (which take the place of the
linear layer after the site) and the objective are not in it; the plain forwards of checks are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn

import ganprobe as gp
from ganprobe.progress import Bar
from swap_figures import Clock, Way
from swap_networks import Subject, described_subject
from swap_ways import FROM_THE_SITE, NAIVE, Search, from_the_site, naive, with_ganprobe

GOAL = 8.0
NORMALISATIONS: tuple[Literal["eval", "sample"], ...] = ("eval", "sample")
_UNITS = 128
_N_PAIRS = 20
_LONG = 5000
_ANSWERS = "ganprobe.replay.answers"


@dataclass(frozen=True, eq=False)
class Experiment:
    """One search of theirs.

    Args:
        name: what is sought.
        by_hand: the same search for the ways by hand, in another normalisation that gives one
            sample the same, and perhaps for fewer picks.
        is_joint: for several pairs.
    """

    name: str
    search: Search
    by_hand: Search
    is_joint: bool

    @property
    def n_rounds(self) -> int:
        """How often it is timed at most: the longer it takes, the fewer times."""
        if self.is_joint:
            return 2
        return 3 if self.search.n_candidates > _LONG else 9

    @property
    def n_splits(self) -> int:
        """How often it is found out where its time goes."""
        return 1 if self.is_joint else 3

    @property
    def ways(self) -> dict[str, Way]:
        """The ways by hand, the students' own first; of a joint search that alone."""
        ways: dict[str, Way] = {FROM_THE_SITE: partial(from_the_site, self.by_hand)}
        if not self.is_joint:
            ways[NAIVE] = partial(naive, self.by_hand)
        return ways


class Split(NamedTuple):
    """Where the time of a search goes.

    Args:
        fixed: seconds spent once.
        each: seconds for each candidate.
        inside: the share of all that is spent in the generator's layers.
    """

    fixed: float
    each: float
    inside: float


def experiments(
    description: Path, device: str, *, jointly: bool, quick: bool
) -> Iterator[Experiment]:
    """Those of one pair or those of several, in both normalisations.

    Args:
        quick: with few picks, of few pairs.
    """
    stored = stored_latents(description)
    for normalisation in NORMALISATIONS:
        subject, by_hand = subjects(description, normalisation, device)
        if jointly:
            yield from _joint(subject, by_hand, stored, device, quick=quick)
        else:
            yield _alone(subject, by_hand, stored, 3 if quick else 20, device, maximise=True)
            yield _alone(subject, by_hand, stored, 5 if quick else 100, device, maximise=False)


def subjects(
    description: Path, normalisation: Literal["eval", "sample"], device: str
) -> tuple[Subject, Subject]:
    """The generator in a normalisation, and what by hand does the same to a batch of one."""
    ours = described_subject(description, _UNITS, normalisation, device)
    if normalisation == "eval":
        return ours, ours
    return ours, described_subject(description, _UNITS, "batch", device)


def stored_latents(description: Path) -> dict[str, Tensor]:
    """By digit those (n, size) that a description holds."""
    stored = json.loads(description.read_text())["stored_latents"]
    return {digit: torch.tensor(latents) for digit, latents in stored.items()}


def golden_picks(description: Path, search: Search) -> tuple[int, ...] | None:
    """The picks of the 20 that an oracle beside the description names, if there is one."""
    golden = description.with_name(f"{description.stem}_golden.json")
    if not golden.exists() or not search.maximise:
        return None
    modes = {"eval": "eval", "sample": "per_sample"}
    mode = modes[search.subject.generator.normalisation]
    picks: list[int] = json.loads(golden.read_text())[mode]["indices"]
    return tuple(picks[: search.n_picks])


def _alone(
    subject: Subject,
    by_hand: Subject,
    stored: dict[str, Tensor],
    n_picks: int,
    device: str,
    *,
    maximise: bool,
) -> Experiment:
    one, three = (gp.Latents(stored[digit][:1]) for digit in ("ones", "threes"))
    search = Search.toward_donor(subject, one, three, n_picks, device)
    target = subject.images(one.z.to(device))
    search = replace(search, target=target, maximise=maximise)
    goal = "furthest from itself" if maximise else "least"
    return Experiment(f"moved {goal}", search, replace(search, subject=by_hand), is_joint=False)


def _joint(
    subject: Subject, by_hand: Subject, stored: dict[str, Tensor], device: str, *, quick: bool
) -> Iterator[Experiment]:
    """Of stored latents the first with the last, which are of other digits; and of drawn ones."""
    n, n_picks, n_by_hand = (3, 2, 1) if quick else (_N_PAIRS, 20, 2)
    kept, generator = torch.cat(list(stored.values())), subject.generator
    sampled = (generator.sample(n, seed=seed) for seed in (0, 5))
    pairs = {"stored": (gp.Latents(kept[:n]), gp.Latents(kept[-n:])), "sampled": tuple(sampled)}
    for origin, (latents, donors) in pairs.items():
        search = Search.toward_donor(subject, latents, donors, n_picks, device)
        fewer = replace(search, subject=by_hand, n_picks=n_by_hand)
        yield Experiment(f"{n} {origin} pairs, toward the donors", search, fewer, is_joint=True)


def split(search: Search, now: Clock, n_times: int) -> Split:
    """Where the time of our search goes, medians of some runs."""
    paces = [pace(search, now) for _ in range(n_times)]
    shares = [share_in_layers(search, now) for _ in range(n_times)]
    return Split(median(fixed for fixed, _ in paces), median(each for _, each in paces),
                 median(shares))  # fmt: skip


def pace(search: Search, now: Clock) -> tuple[float, float]:
    """Seconds that a search spends once, and for each candidate."""
    watch, start = _Watch(now), now()
    with_ganprobe(search, "auto", progress=watch)
    (n_first, first), *later = watch.marks
    each = (later[-1][1] - first) / sum(n for n, _ in later)
    return first - start - n_first * each, each


class _Watch:
    """A progress bar that notes when how many candidates were done."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self.marks: list[tuple[int, float]] = []

    @contextmanager
    def __call__(self, total: int, what: str) -> Iterator[Bar]:
        yield self

    def advance(self, n: int = 1) -> None:
        self.marks.append((n, self._now()))


def share_in_layers(search: Search, now: Clock) -> float:
    """The share of a search's time in which layers of the generator compute."""
    start = now()
    with seconds_in_layers(search.subject.generator.module, now) as spent:
        with_ganprobe(search, "auto")
    return sum(spent) / (now() - start)


@contextmanager
def seconds_in_layers(module: nn.Module, now: Clock) -> Iterator[Sequence[float]]:
    """While this lasts, the seconds of each call of a layer without parts that computes.

    Calls are taken where all calls of modules come in, as a hook on a layer would change what a
    replay does with it.
    """
    plain: Any = nn.Module.__call__
    layers = {layer for layer in module.modules() if not any(layer.children())}
    spent: list[float] = []

    def call(layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if layer not in layers or _is_answered(layer):
            return plain(layer, *args, **kwargs)
        start = now()
        try:
            return plain(layer, *args, **kwargs)
        finally:
            spent.append(now() - start)

    with patch.object(nn.Module, "__call__", call):
        yield spent


def _is_answered(layer: nn.Module) -> bool:
    """Whether a replay answers the layer's calls from memory, in the place that it uses."""
    return type(vars(layer).get("_compiled_call_impl")).__module__ == _ANSWERS
