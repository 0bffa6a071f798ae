"""Searches for the units of a site that matter: sets of units that drive an objective.

A greedy search evaluates every unit that is left in each of its steps, a ranking every unit once;
two approximations go by gradients. With many samples a search is a joint one: it finds one set for
all. Sets are evaluated by the methods of `Probe.sweep`, so that a candidate costs a small part of a
forward, and a greedy search picks what a plain loop of forwards would: where candidates are closer
than rounding, plain forwards decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from ganprobe.attribution import INTEGRAL_STEPS, Attribution
from ganprobe.errors import ForwardError, NotReplayableError, ParameterError
from ganprobe.indices import check_count
from ganprobe.interventions import Intervention
from ganprobe.latents import Latents
from ganprobe.probe import Probe
from ganprobe.progress import Bar, Progress, silent
from ganprobe.sweeps import How, Method, Objective, UnitValues

__all__ = ["FoundUnits", "RandomUnits", "Recall", "random_units", "search_units"]

Strategy = Literal["greedy", "rank", "gradient", "integrated"]
"""``"greedy"`` and ``"rank"`` are exact; the others are approximations by gradients."""

_CLOSE = 1e-5
_MOST_CLOSE = 64

Found = TypeVar("Found")


@dataclass(frozen=True)
class Recall:
    """How much of what matters a gradient pre-screen kept, over the steps of a search.

    Args:
        n_kept: how many units it kept in each step.
        n_top: the share is of the true best `n_top` units of each step.
        share: the mean share of them that it kept, in [0, 1].
        n_best_kept: in how many of the `n_steps` steps it kept the very best.
    """

    n_kept: int
    n_top: int
    share: float
    n_best_kept: int
    n_steps: int

    def __str__(self) -> str:
        return (
            f"{self.n_kept} units kept in each step: {self.share:.0%} of the true top"
            f" {self.n_top}, and the best one in {self.n_best_kept} of {self.n_steps} steps"
        )


@dataclass(frozen=True, eq=False)
class FoundUnits:
    """A set of units that was searched for.

    Args:
        intervention: what is done to them, at its site.
        units: in the order in which they were picked.
        base: the objective of the unedited images, mean over the samples.
        values: the objective with the first 1, 2, ... of the units.
        strategy: ``"greedy"``, ``"rank"``, ``"greedy, gradient pre-screen of 50"``, or
            ``"gradient, an approximation"``.
        n_evaluated: how many sets of units were evaluated.
        how: by which method, why, and how it was checked.
        recall: of the pre-screen, where it was verified.
    """

    intervention: Intervention
    units: tuple[int, ...]
    base: float
    values: tuple[float, ...]
    strategy: str
    is_maximised: bool
    n_evaluated: int
    how: How
    recall: Recall | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, tensors that the intervention holds included."""
        return {
            "intervention": self.intervention.to_json(),
            "units": list(self.units),
            "base": self.base,
            "values": list(self.values),
            "strategy": self.strategy,
            "is_maximised": self.is_maximised,
            "n_evaluated": self.n_evaluated,
            "how": str(self.how),
            "recall": None if self.recall is None else asdict(self.recall),
        }

    def __repr__(self) -> str:
        goal = "maximise" if self.is_maximised else "minimise"
        site = self.intervention.site.whole
        reached = f"from {self.base:.4g} to {self.values[-1]:.4g}"
        return f"<FoundUnits: {len(self.units)} of {site} by {self.strategy} to {goal}, {reached}>"


@dataclass(frozen=True, eq=False)
class RandomUnits:
    """Random sets of units, nested: what a search has to beat.

    Args:
        draws: for each draw its units, in order.
        base: the objective of the unedited images, mean over the samples.
        values: (draws, units) float64, the objective with the first 1, 2, ... units of each draw.
        seed: of the draws.
    """

    intervention: Intervention
    draws: tuple[tuple[int, ...], ...]
    base: float
    values: Tensor
    seed: int
    how: How

    def __repr__(self) -> str:
        n_draws, n_units = self.values.shape
        return f"<RandomUnits: {n_draws} draws of {n_units} of {self.intervention.site.whole}>"


def search_units(
    probe: Probe,
    latents: Latents | Tensor,
    intervention: Intervention,
    objective: Objective,
    *,
    n_units: int = 20,
    strategy: Strategy = "greedy",
    maximise: bool = True,
    column: int = 0,
    preferred: Sequence[int] = (),
    screen: int | None = None,
    verify: bool = False,
    method: Method | Literal["auto"] = "auto",
    memory_limit: int | None = None,
    noise_seed: int = 0,
    progress: Progress = silent,
) -> FoundUnits:
    """The set of units at which an intervention drives an objective furthest.

    With several latents the objective is their mean: one set for all (and, swapping, a donor
    for each).

    Args:
        latents: (n, latent shape), all in one batch.
        intervention: what is done to units, as ``Swap("conv2", donor=donors)``; those that its
            site names are searched among, all if it names none.
        objective: a `Measure`, which sees images in [0, 1], or a function of images (n, channels,
            height, width) in the generator's range to (n,) or (n, k) numbers.
        n_units: how many are picked.
        strategy: ``"greedy"``: in each step all units that are left are tried beside those picked
            before, and the best is picked; ``"rank"``: each unit is tried alone, once. Two
            approximations try none, and rank by gradients, which the objective must have:
            ``"gradient"``: gradient times change; ``"integrated"``: with the gradient's mean over
            8 steps on the way to the edit of all units. Ties go to `preferred`, then to the
            lowest index.
        maximise: or else minimise.
        column: of an objective of several numbers.
        preferred: units in an order of their own: among equals the first of these is picked. Of
            two units that stand in for each other neither does anything alone; a greedy search
            that starts with one of them finds the other.
        screen: an approximation: try in each step of a greedy search only so many units, those
            with the largest sum of gradient times change. The objective must be differentiable.
        verify: also try those that the screen left out, and tell its `Recall`.
        method, memory_limit, noise_seed, progress: as for `Probe.sweep`.

    Raises:
        ParameterError: there are fewer units than are to be picked; a column or a screen that
            does not fit.
        NotReplayableError: the method that was asked for cannot be used.
        UnknownNameError, SiteError, ShapeError, ForwardError: as `Probe.run`.

    Source: gradient times change, summed with its sign, is the attribution of Molchanov et al. 2017
    (arXiv 1611.06440), equation 7; its mean along the way that of Sundararajan et al. 2017 (arXiv
    1703.01365), equation 1.

    Example:
        >>> import torch, ganprobe
        >>> module = torch.nn.Sequential(
        ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
        >>> probe = ganprobe.Probe(ganprobe.Generator.from_module(module, latent=8))
        >>> found = search_units(probe, torch.ones(1, 8), ganprobe.Ablate("0", to=2.0),
        ...     lambda images: images[:, 0, 1].sum(1), n_units=3)
        >>> sorted(found.units)
        [3, 4, 5]
    """
    pool = _ordered(_pool(probe, intervention, n_units), preferred)
    _check_screen(screen, strategy, n_units, verify=verify)
    n_sets = _n_sets(len(pool), n_units, strategy, None if verify else screen)
    values = probe.unit_values(
        latents,
        intervention,
        objective,
        column=column,
        n_expected=n_sets,
        method=method,
        memory_limit=memory_limit,
        noise_seed=noise_seed,
    )
    sign = 1.0 if maximise else -1.0
    with progress(n_sets, "candidates") as bar:
        search = _Search(values, pool, sign, bar)
        if strategy == "rank":
            return _whole(values, lambda: search.rank(n_units))
        if strategy in ("gradient", "integrated"):
            attribution = Attribution(probe, values)
            is_lone = strategy == "gradient"
            promise = attribution.promise() if is_lone else attribution.integral()
            return _whole(values, lambda: search.promised(n_units, promise, strategy))
        screened = None if screen is None else _Screen(Attribution(probe, values), screen)
        return _whole(values, lambda: search.greedy(n_units, screened, verify=verify))


def random_units(
    probe: Probe,
    latents: Latents | Tensor,
    intervention: Intervention,
    objective: Objective,
    *,
    n_units: int = 20,
    n_draws: int = 10,
    seed: int = 0,
    column: int = 0,
    method: Method | Literal["auto"] = "auto",
    memory_limit: int | None = None,
    noise_seed: int = 0,
    progress: Progress = silent,
) -> RandomUnits:
    """The objective for random sets of units, nested within each draw: a search's baseline.

    Draw `i` of a seed is the same whatever the number of draws is.

    Args:
        latents, intervention, objective, column, method, memory_limit, noise_seed, progress: as
            for `search_units`.
        n_units: how many units a draw ends with.
        n_draws: how many draws.
        seed: of the draws.

    Raises:
        ParameterError: there are fewer units than are to be drawn, or fewer than one draw.

    Example:
        >>> import torch, ganprobe
        >>> module = torch.nn.Sequential(
        ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
        >>> probe = ganprobe.Probe(ganprobe.Generator.from_module(module, latent=8))
        >>> random_units(probe, torch.ones(1, 8), ganprobe.Ablate("0"),
        ...     lambda images: images.flatten(1).sum(1), n_units=3, n_draws=4)
        <RandomUnits: 4 draws of 3 of 0>
    """
    pool = _pool(probe, intervention, n_units)
    check_count(n_draws, "the number of draws")
    check_count(seed, "a seed", least=0)
    draws = tuple(_draw(pool, n_units, seed, number) for number in range(n_draws))
    sets = [draw[: size + 1] for draw in draws for size in range(n_units)]
    values = probe.unit_values(
        latents,
        intervention,
        objective,
        column=column,
        n_expected=len(sets),
        method=method,
        memory_limit=memory_limit,
        noise_seed=noise_seed,
    )
    with progress(len(sets), "sets") as bar:
        base = float(values([()])[0])
        found = _whole(values, lambda: values(sets, bar)).tolist()
    curves = torch.tensor(found, dtype=torch.float64).view(n_draws, n_units)
    return RandomUnits(values.intervention, draws, base, curves, seed, values.how)


@dataclass
class _Search:
    """One search: its pool of units, the preferred first; and which way is up (1: maximise)."""

    values: UnitValues
    pool: tuple[int, ...]
    sign: float
    bar: Bar

    def rank(self, n_units: int) -> FoundUnits:
        alone = [(unit,) for unit in self.pool]
        return self._first(n_units, self.values(alone, self.bar), "rank")

    def promised(self, n_units: int, promise: Tensor, strategy: str) -> FoundUnits:
        """The units that promise (units,) most, which none of the objective's values told."""
        of_pool = promise.double().cpu()[list(self.pool)]
        steps = f" of {INTEGRAL_STEPS} steps" if strategy == "integrated" else ""
        return self._first(n_units, of_pool, f"{strategy}{steps}, an approximation")

    def _first(self, n_units: int, effects: Tensor, strategy: str) -> FoundUnits:
        """The units of the largest effects (pool,), and what they reach one after the other."""
        signed = (self.sign * effects).nan_to_num(
            nan=float("-inf"), posinf=float("inf"), neginf=float("-inf")
        )
        order = torch.sort(signed, descending=True, stable=True).indices[:n_units]
        units = tuple(self.pool[place] for place in order.tolist())
        base, *reached = self.values([units[:size] for size in range(n_units + 1)], self.bar)
        return self._found(units, float(base), tuple(map(float, reached)), strategy)

    def greedy(self, n_units: int, screen: _Screen | None, *, verify: bool) -> FoundUnits:
        base = float(self.values([()])[0])
        picked: tuple[int, ...] = ()
        reached: list[float] = []
        checks: list[tuple[int, int, bool]] = []
        while len(picked) < n_units:
            left = tuple(unit for unit in self.pool if unit not in picked)
            kept = left if screen is None else screen.kept(picked, left, self.sign)
            tried = left if verify else kept
            values = self.values([(*picked, unit) for unit in tried], self.bar)
            by_unit = dict(zip(tried, values.tolist(), strict=True))
            if screen is not None and verify:
                checks.append(_recalled(by_unit, kept, self.sign))
            unit, value = self._best({unit: by_unit[unit] for unit in kept}, picked)
            picked, reached = (*picked, unit), [*reached, value]
        strategy = "greedy" if screen is None else f"greedy, gradient pre-screen of {screen.n_kept}"
        recall = _recall(checks, screen.n_kept) if screen is not None and verify else None
        return self._found(picked, base, tuple(reached), strategy, recall)

    def _best(self, by_unit: dict[int, float], picked: tuple[int, ...]) -> tuple[int, float]:
        """The best unit, and its value; the first in the pool of those that are equal.

        What is closer than rounding is decided by plain forwards.
        """
        signed = {unit: _rankable(self.sign * value) for unit, value in by_unit.items()}
        top = max(signed.values())
        if top == float("-inf"):
            raise ForwardError("the objective is not a number for any of the units that are left")
        found = [value for value in signed.values() if abs(value) != float("inf")]
        scale = max(abs(top), max(found, default=0.0) - min(found, default=0.0))
        close = [unit for unit, value in signed.items() if value >= top - _CLOSE * scale]
        if len(close) > 1 and self.values.how.method != "single":
            close = sorted(close, key=lambda unit: -signed[unit])[:_MOST_CLOSE]
            plain = self.values.by_single_forwards([(*picked, unit) for unit in close])
            exact = map(_rankable, (self.sign * plain).tolist())
            signed = dict(zip(close, exact, strict=True))
        unit = max(sorted(close, key=self.pool.index), key=signed.__getitem__)
        return unit, self.sign * signed[unit]

    def _found(
        self,
        units: tuple[int, ...],
        base: float,
        reached: tuple[float, ...],
        strategy: str,
        recall: Recall | None = None,
    ) -> FoundUnits:
        values = self.values
        return FoundUnits(
            values.intervention,
            units,
            base,
            reached,
            strategy,
            self.sign > 0,
            values.n_evaluated,
            values.how,
            recall,
        )


class _Screen:
    """Which units the gradient says are worth trying."""

    def __init__(self, attribution: Attribution, n_kept: int) -> None:
        self._attribution, self.n_kept = attribution, n_kept

    def kept(self, picked: tuple[int, ...], left: Sequence[int], sign: float) -> tuple[int, ...]:
        """The units of `left` that promise most beside those picked, by index."""
        promise = sign * self._attribution.promise(picked)
        order = sorted(left, key=lambda unit: -float(promise[unit]))
        return tuple(sorted(order[: self.n_kept]))


def _rankable(value: float) -> float:
    """The value; what is not a number is worse than everything."""
    return float("-inf") if value != value else value


def _recalled(by_unit: dict[int, float], kept: Sequence[int], sign: float) -> tuple[int, int, bool]:
    """How many of the true top were kept, of how many, and whether the best was."""
    order = sorted(by_unit, key=lambda unit: (-sign * by_unit[unit], unit))
    top = order[: max(1, len(kept) // 2)]
    return len(set(top) & set(kept)), len(top), order[0] in kept


def _recall(checks: Sequence[tuple[int, int, bool]], n_kept: int) -> Recall:
    shares = [found / n_top for found, n_top, _ in checks]
    n_best = sum(has_best for _, _, has_best in checks)
    n_top = max(n_top for _, n_top, _ in checks)
    return Recall(n_kept, n_top, sum(shares) / len(shares), n_best, len(checks))


def _whole(values: UnitValues, search: Callable[[], Found]) -> Found:
    """What a search finds; from the beginning once more where a check on the way failed."""
    while True:
        try:
            return search()
        except NotReplayableError as error:
            if not values.demote(error):
                raise


def _pool(probe: Probe, intervention: Intervention, n_units: int) -> tuple[int, ...]:
    tensor = probe.layers().resolve_one(intervention.site)
    units = intervention.site.units
    pool = tuple(range(tensor.n_units)) if units is None else tuple(sorted(units))
    if check_count(n_units, "the number of units") > len(pool):
        raise ParameterError(
            f"there are {len(pool)} units to choose among at {tensor.site}, got n_units={n_units}"
        )
    return pool


def _ordered(pool: tuple[int, ...], preferred: Sequence[int]) -> tuple[int, ...]:
    """The pool with those of it that are preferred in front."""
    return tuple(dict.fromkeys([unit for unit in preferred if unit in pool] + list(pool)))


def _check_screen(screen: int | None, strategy: str, n_units: int, *, verify: bool) -> None:
    strategies = get_args(Strategy)
    if strategy not in strategies:
        there = ", ".join(strategies)
        raise ParameterError(f"there is no strategy {strategy!r}; there is: {there}")
    if screen is None:
        if verify:
            raise ParameterError("there is no screen to verify; give screen=..., as in screen=50")
        return
    if strategy != "greedy":
        raise ParameterError("a screen is for a greedy search; others try each unit once at most")
    check_count(screen, "a screen")


def _n_sets(n_pool: int, n_units: int, strategy: str, screen: int | None) -> int:
    """How many sets a search evaluates."""
    if strategy != "greedy":
        return (n_pool if strategy == "rank" else 0) + n_units + 1
    return sum(min(screen or n_pool, n_pool - n_picked) for n_picked in range(n_units))


def _draw(pool: Sequence[int], n_units: int, seed: int, number: int) -> tuple[int, ...]:
    """A random order of the pool, as far as it goes."""
    order = np.random.default_rng((seed, number)).permutation(len(pool))
    return tuple(pool[place] for place in order[:n_units])
