"""Groups: named exemplars, and which of them each draw takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from ganprobe import Context, Generator, Latents, ParameterError, SampleChoice

_NAMED = re.compile(r"\s*(?!area:)(?P<name>[\w.-]+)\s*:(?P<choice>.*)", re.DOTALL)
_FIRST_RANDOM = 1_000_000  # samples of the seed from here on: none that conditions were met by


@dataclass(frozen=True, eq=False)
class Group:
    """Exemplars under a name.

    Args:
        name: as a formula has it.
        choice: who they are, as it was written; "" for random ones.
        latents: all that were found.
        draws: (draw, exemplar) which of them each draw takes.
        is_disjoint: no exemplar is in two draws.
    """

    name: str
    choice: str
    latents: Latents
    draws: NDArray[np.int64]
    is_disjoint: bool

    def of_draws(self, first: int, end: int) -> Latents:
        """The exemplars of some draws, (draw * exemplar, \\*shape), those of a draw in a row."""
        places = self.draws[first:end].ravel()
        return self.latents.take(places.tolist())


def read_groups(given: Sequence[str]) -> list[tuple[str, SampleChoice]]:
    """Names and choices, as they are written: ``ones: digit=1``.

    Raises:
        ParameterError: a name stands twice, or a choice cannot be read.
    """
    read = []
    for place, text in enumerate(given):
        match = _NAMED.fullmatch(text)
        own = match["name"] if match else ascii_uppercase[place % len(ascii_uppercase)]
        read.append((own, SampleChoice.parse(match["choice"] if match else text)))
    names = [name for name, _ in read]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"two groups are called {name!r}; give each a name of its own")
    return read


def find_group(
    context: Context, name: str, choice: SampleChoice, *, n_exemplars: int, n_draws: int
) -> Group:
    """Find as many exemplars as all draws need, or as there are.

    Raises:
        ParameterError: there are fewer than one draw needs; and as `Context.latents`.
        UnknownNameError: there is no such measure, or column of it.
    """
    n_needed = n_exemplars * n_draws
    latents = context.latents(choice, n_needed, fewest=n_exemplars)
    draws, is_disjoint = _draws(len(latents), n_exemplars, n_draws, context.seed)
    return Group(name, str(choice), latents, draws, is_disjoint)


def random_group(
    generator: Generator, name: str, place: int, *, n_exemplars: int, n_draws: int, seed: int
) -> Group:
    """As many samples of the prior as all draws need, which are in no other group.

    Args:
        place: of the group among all.
    """
    n = n_exemplars * n_draws
    latents = generator.sample(n, seed=seed, start=_FIRST_RANDOM + place * n)
    draws = np.arange(n).reshape(n_draws, n_exemplars)
    return Group(f"random for {name}", "", latents, draws, True)


def _draws(
    n_there: int, n_exemplars: int, n_draws: int, seed: int
) -> tuple[NDArray[np.int64], bool]:
    """Disjoint draws where there are enough exemplars; else each draw for itself."""
    random = np.random.default_rng((seed, n_there))
    if n_there >= n_exemplars * n_draws:
        return np.arange(n_exemplars * n_draws).reshape(n_draws, n_exemplars), True
    rows = [random.permutation(n_there)[:n_exemplars] for _ in range(n_draws)]
    return np.stack(rows).astype(np.int64), False
