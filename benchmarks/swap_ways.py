"""The ways of `swap_search.py` to one greedy search, and what each must find.

By hand: a full forward for each candidate, full forwards of batches, or, as in the students'
experiment, the layers after the site alone; and `ganprobe.search_units`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

import ganprobe as gp
from ganprobe.progress import Progress, silent
from swap_networks import Subject

Method = Literal["auto", "additive", "replay", "batched", "single"]

NAIVE = "naive: a forward each"
BATCHED = "batched: full forwards"
FROM_THE_SITE = "the students': from the site on, one each"
METHODS: tuple[Method, ...] = ("auto", "replay", "additive")

Score = Callable[[list[int], list[int]], list[float]]


class Outcome(NamedTuple):
    """What a search found, and how.

    Args:
        picks: the units, in order.
        values: the objective after each pick.
        note: which method, and why.
    """

    picks: tuple[int, ...]
    values: tuple[float, ...]
    chunk: int | None = None
    note: str = ""
    plan: str = ""


@dataclass(frozen=True, eq=False)
class Search:
    """One search: swap units of `latents` with the donor's, toward or away from some images.

    Args:
        latents, donor: as many samples of each; one set of units is found for all pairs.
        target: for each pair the image that the distance is from.
        units: the candidates.
        maximise: away from the target, or else toward it.
    """

    subject: Subject
    latents: gp.Latents
    donor: gp.Latents
    target: Tensor
    units: range
    n_picks: int
    device: str
    maximise: bool = False

    @classmethod
    def of(cls, subject: Subject, n_picks: int, device: str) -> Search:
        """From sample 0 of seed 0 toward sample 0 of seed 5: no pick is near a tie (1e-5)."""
        latents, donor = (subject.generator.sample(1, seed=seed) for seed in (0, 5))
        return cls.toward_donor(subject, latents, donor, n_picks, device)

    @classmethod
    def toward_donor(
        cls, subject: Subject, latents: gp.Latents, donor: gp.Latents, n_picks: int, device: str
    ) -> Search:
        """Toward the donors' images."""
        z = donor.z.to(device)
        units = range(subject.n_searched or subject.maps(z).shape[1])
        return cls(subject, latents, donor, subject.images(z), units, n_picks, device)

    @property
    def n_candidates(self) -> int:
        """How many sets of units are tried, all picks together."""
        return self.n_candidates_of(self.n_picks)

    def n_candidates_of(self, n_picks: int) -> int:
        """How many sets of units are tried for so many picks."""
        return sum(len(self.units) - pick for pick in range(n_picks))

    @property
    def z(self) -> Tensor:
        """The sample's latents, where the generator is."""
        return self.latents.z.to(self.device)

    def distance(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) -> mean squared difference to the target (n,).

        Of several pairs, images come as one after the other, again and again.
        """
        n_pairs = len(self.target)
        if n_pairs == 1:
            return (images - self.target).square().mean(dim=(1, 2, 3))
        by_set: Tensor = images.unflatten(0, (-1, n_pairs))
        each = by_set - self.target
        return each.square().mean(dim=(2, 3, 4)).flatten()

    def greedy(self, score: Score) -> Outcome:
        """By hand: `score` takes the picks so far and the candidates, and gives their values."""
        picks, values = list[int](), list[float]()
        choose = max if self.maximise else min
        for _ in range(self.n_picks):
            left = [unit for unit in self.units if unit not in picks]
            scores = score(picks, left)
            best = choose(range(len(left)), key=scores.__getitem__)  # the first of equals
            picks.append(left[best])
            values.append(scores[best])
        return Outcome(tuple(picks), tuple(values))


def naive(search: Search) -> Outcome:
    """One forward hook, and a full forward of batch 1 for each candidate."""
    subject, z = search.subject, search.z
    donor, swapped = subject.maps(search.donor.z.to(search.device)), list[int]()

    def swap(layer: nn.Module, given: object, maps: Tensor) -> None:
        maps[:, swapped] = donor[:, swapped]

    def score(picks: list[int], left: list[int]) -> list[float]:
        scores: list[float] = []
        for unit in left:
            swapped[:] = [*picks, unit]
            scores.append(search.distance(subject.images(z)).item())
        return scores

    with hooked(subject, swap):
        return search.greedy(score)._replace(chunk=1)


def batched(search: Search, size: int) -> Outcome:
    """One forward hook, and a full forward for each batch of candidates."""
    subject, z = search.subject, search.z
    donor = subject.maps(search.donor.z.to(search.device))
    picked, units = list[int](), torch.empty(0)

    def swap(layer: nn.Module, given: object, maps: Tensor) -> None:
        maps[:, picked] = donor[:, picked]
        maps[torch.arange(len(maps), device=maps.device), units] = donor[0, units]

    def score(picks: list[int], left: list[int]) -> list[float]:
        nonlocal units
        picked[:], scores = picks, list[Tensor]()
        for units in torch.tensor(left, device=z.device).split(size):
            scores.append(search.distance(subject.images(repeated(z, len(units)))))
        values: list[float] = torch.cat(scores).tolist()
        return values

    with hooked(subject, swap):
        return search.greedy(score)._replace(chunk=size)


def repeated(sample: Tensor, n: int) -> Tensor:
    """A batch of one sample, n times over."""
    return sample.expand(n, *sample.shape[1:]).contiguous()


@contextmanager
def hooked(subject: Subject, hook: Callable[[nn.Module, object, Tensor], None]) -> Iterator[None]:
    """One hook at the subject's layer while the block lasts."""
    layer = subject.generator.module.get_submodule(subject.layer)
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def from_the_site(search: Search) -> Outcome:
    """The layers after the site, at batch 1, for each candidate of each pair.

    Feature maps of sample and donor are kept, the picks so far written into the former; a
    candidate is a copy of it with one more unit.
    """
    subject, z, donors = search.subject, search.z, search.donor.z.to(search.device)
    pairs = [
        (subject.maps(one), subject.maps(other), target)
        for one, other, target in zip(z.split(1), donors.split(1), search.target, strict=True)
    ]
    tail = subject.tail(z).whole

    def value(maps: Tensor, donor: Tensor, target: Tensor, unit: int) -> float:
        swapped = maps.clone()
        swapped[:, unit] = donor[:, unit]
        return (tail(swapped) - target).square().mean(dim=(1, 2, 3)).item()

    def score(picks: list[int], left: list[int]) -> list[float]:
        for maps, donor, _ in pairs:
            maps[:, picks[-1:]] = donor[:, picks[-1:]]
        return [sum(value(*pair, unit) for pair in pairs) / len(pairs) for unit in left]

    return search.greedy(score)._replace(chunk=1)


def with_ganprobe(
    search: Search, method: Method, limit: int | None = None, progress: Progress = silent
) -> Outcome:
    """`search_units`, with a new probe; `limit` is in bytes."""
    subject = search.subject
    found = gp.search_units(
        gp.Probe(subject.generator),
        search.latents,
        gp.Swap(subject.site, donor=search.donor),
        search.distance,
        n_units=search.n_picks,
        strategy="greedy",
        maximise=search.maximise,
        method=method,
        memory_limit=limit,
        progress=progress,
    )
    how, values = found.how, tuple(float(value) for value in found.values)
    note = f"{how.method}: {how.reason}"
    return Outcome(tuple(found.units), values, how.chunk, note, str(how.plan or ""))


def way_of(method: str) -> str:
    """The row of a method of ganprobe's."""
    return f"**ganprobe**, {method}"
