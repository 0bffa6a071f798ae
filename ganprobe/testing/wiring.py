"""Wiring: which unit of each of the two sites of a planted generator does what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ganprobe.testing.layout import CELLS, Bools, Feature, Thing

__all__ = ["EARLY", "LATE", "Role", "Wiring", "make_wiring"]

EARLY = "early"
"""The first site: (n, units, 8, 8)."""
LATE = "late"
"""The second site: (n, units, 16, 16)."""

Job = Literal["draws", "follows", "dead", "constant", "noise"]


@dataclass(frozen=True)
class Role:
    """What one unit does.

    Args:
        job: what it does.
        thing: the name of what it draws or follows; "" for none.
        part: of the thing: ``"whole"``, ``"upper"``, ``"lower"``, ``"left"``, ``"right"``.
        number: apart from others that are the same.
    """

    job: Job
    thing: str = ""
    part: str = "whole"
    number: int = 0


@dataclass(frozen=True, eq=False)
class Wiring:
    """Who does what, as tables of booleans; units and latents are in an order of no meaning.

    Args:
        things: that are drawn, in the order of painting.
        early, late: the role of each unit.
        place_latents: for each thing the latent of each of its places.
        noise_latents: those that noise units mix.
    """

    things: tuple[Thing, ...]
    early: tuple[Role, ...]
    late: tuple[Role, ...]
    place_latents: tuple[tuple[int, ...], ...]
    noise_latents: tuple[int, ...]

    @property
    def n_latents(self) -> int:
        """How many numbers a latent has."""
        return sum(map(len, self.place_latents)) + len(self.noise_latents)

    @cached_property
    def fires(self) -> Bools:
        """(early units, latents, 8, 8) where a unit fires if the place of a latent is taken."""
        table = np.zeros((len(self.early), self.n_latents, CELLS, CELLS), dtype=bool)
        for thing, latents in zip(self.things, self.place_latents, strict=True):
            for unit, role in enumerate(self.early):
                if role.thing == thing.name:
                    table[unit, list(latents)] = _part(thing, role)
        return table

    @cached_property
    def feeds(self) -> Bools:
        """(late units, early units, 2, 2) which quarters of its cell an early unit sets off."""
        table = np.zeros((len(self.late), len(self.early), 2, 2), dtype=bool)
        for unit, late in enumerate(self.late):
            for source, early in enumerate(self.early):
                table[unit, source] = _fed(late, early)
        return table

    @cached_property
    def draws(self) -> Bools:
        """(classes, late units) which class each late unit draws."""
        table = [
            [role.job == "draws" and role.thing == thing.name for role in self.late]
            for thing in self.things
        ]
        return np.array(table, dtype=bool)


def make_wiring(
    things: tuple[Thing, ...],
    features: Sequence[Feature],
    *,
    n_noise: int,
    n_noise_latents: int,
    rng: np.random.Generator,
) -> Wiring:
    """The wiring of these things, units and latents shuffled by `rng`."""
    sizes = [*(len(thing.corners) for thing in things), n_noise_latents if n_noise else 0]
    latents = rng.permutation(sum(sizes)).tolist()
    ends = np.cumsum(sizes).tolist()
    split = [tuple(latents[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    early = list(_roles(things, features, ("upper", "lower"), n_noise))
    late = list(_roles(things, features, ("left", "right"), n_noise))
    return Wiring(things, _shuffled(early, rng), _shuffled(late, rng), tuple(split[:-1]), split[-1])


def _roles(
    things: Sequence[Thing], features: Sequence[Feature], halves: tuple[str, str], n_noise: int
) -> Iterator[Role]:
    for thing in things:
        parts = {"parts": halves, "pair": ("whole", "whole")}.get(thing.feature, ("whole",))
        for number, part in enumerate(parts):
            yield Role("draws", thing.name, part, number)
    if "follower" in features:
        yield Role("follows", "door")
    if "silent" in features:
        yield Role("dead")
        yield Role("constant")
    for number in range(n_noise):
        yield Role("noise", number=number)


def _shuffled(roles: Sequence[Role], rng: np.random.Generator) -> tuple[Role, ...]:
    return tuple(roles[place] for place in rng.permutation(len(roles)))


def _part(thing: Thing, role: Role) -> Bools:
    """(places, 8, 8) the cells of a thing's places in which a unit of the early site fires."""
    cells = thing.cells()
    if role.part == "whole":
        return cells
    rows = cells.cumsum(axis=1)  # 1 in the upper row of each place, 2 in the lower one
    wanted = 1 if role.part == "upper" else 2
    half: Bools = cells & (rows == wanted)
    return half


def _fed(late: Role, early: Role) -> Bools:
    """(2, 2) the quarters of a cell in which a late unit fires where an early one does."""
    quarters = np.zeros((2, 2), dtype=bool)
    is_half = late.part in ("left", "right")
    if is_half and (late.job, late.thing) == (early.job, early.thing):
        quarters[:, 0 if late.part == "left" else 1] = True
    elif not is_half and late == early:
        quarters[:] = True
    return quarters
