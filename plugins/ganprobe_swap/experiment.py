"""The experiment: pairs are chosen, sets found, and tested where they were not found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import Context, ParameterError, Site, SiteTensor
from ganprobe_swap import SwapParams
from ganprobe_swap.objectives import Objective, read_objective
from ganprobe_swap.pairs import Pairs, Sides, choose_sides
from ganprobe_swap.searching import Found, RandomSets, draw_random, given, search
from ganprobe_swap.verdicts import Judge, Verdicts, choose_judge, judge_own_sets, judge_sets

_USUAL = ("greedy", "rank", "joint", "integrated")
_USUAL_UNITS = 20
_MOST_SIZES = 20


@dataclass(frozen=True, eq=False)
class Tested:
    """What became of sets on pairs that they were not found on, where any are held out.

    Args:
        pairs: where they were tested.
        found: what the sets were found by; None: random ones.
        verdicts: (set, pair).
    """

    pairs: Pairs
    found: Found | None
    verdicts: Verdicts


@dataclass(frozen=True, eq=False)
class Experiment:
    """All that was found.

    Args:
        site: without units.
        sides: the pairs asked for first, then those of each other kind.
        found: on the pairs asked for, by objective and strategy.
        found_elsewhere: one set for all pairs of each other kind, for the first objective.
        sizes: after how many units the judge was asked.
        curves: by the name of what was found, verdicts (size, pair) on the pairs searched on, each
            with its own set; ``"random"``: (draw * size, pair).
        tested: on pairs held out, or else on the very pairs, and on those of other kinds.
    """

    params: SwapParams
    tensor: SiteTensor
    site: Site
    sides: list[Sides]
    objectives: list[Objective]
    found: list[Found]
    found_elsewhere: list[Found]
    random: RandomSets
    judge: Judge | None
    sizes: NDArray[np.int64]
    curves: dict[str, Verdicts]
    tested: list[Tested]

    @property
    def pairs(self) -> Pairs:
        """Those searched on."""
        return self.sides[0].searched

    @property
    def n_among(self) -> int:
        """How many are searched and drawn among."""
        units = self.params.site.units if self.params.site else None
        return self.tensor.n_units if units is None else len(units)

    @property
    def chance(self) -> float:
        """How many units two random sets share on average."""
        return self.n_units**2 / self.n_among

    @property
    def n_units(self) -> int:
        """How many are swapped."""
        return int(self.random.units.shape[1])


def experiment(context: Context, params: SwapParams) -> Experiment:
    """Choose pairs, search, test.

    Raises:
        ParameterError: what was asked for does not fit together or the generator; says what.
    """
    _check_mode(context)
    site, tensor = _site(context, params)
    n_units = _n_units(params, tensor, site)
    objectives = [read_objective(context, written) for written in params.objective]
    judge = choose_judge(context, params)
    sides = choose_sides(context, params)
    pairs = sides[0].searched
    found = [
        _found(context, params, pairs, site, objective, strategy, n_units)
        for objective in objectives
        for strategy in _strategies(params, len(pairs))
    ]
    elsewhere = _elsewhere(context, sides[1:], site, found, n_units)
    random = draw_random(context, pairs, str(site), objectives, n_units, params.n_draws)
    sizes = np.unique(np.linspace(1, n_units, min(n_units, _MOST_SIZES)).round().astype(np.int64))
    curves, tested = dict[str, Verdicts](), list[Tested]()
    if judge is not None:
        curves = _curves(context, judge, pairs, str(site), found, random, sizes)
        tested = _tested(context, judge, sides, str(site), [*found, *elsewhere], random)
    return Experiment(
        params, tensor, site.whole, sides, objectives, found, elsewhere, random, judge, sizes,
        curves, tested,
    )  # fmt: skip


def _check_mode(context: Context) -> None:
    if context.generator.normalisation == "batch":
        raise ParameterError(
            f"generator {context.generator.name!r} is in normalisation 'batch', where samples of a"
            " batch change each other; take 'eval', or 'sample' for each sample's own statistics"
        )


def _site(context: Context, params: SwapParams) -> tuple[Site, SiteTensor]:
    """The site with the units that are searched among, and the tensor there."""
    if params.units is not None:
        params.units.at(str(params.site.whole) if params.site else "")
    written = str(params.site or (params.units.site if params.units is not None else ""))
    if not written:
        raise ParameterError(
            "where are units swapped? Give --site, as --site conv2 (list them: ganprobe layers"
            f" {context.generator.name})"
        )
    tensor = context.probe.layers().resolve_one(written)
    return Site.parse(written), tensor


def _n_units(params: SwapParams, tensor: SiteTensor, site: Site) -> int:
    among = tensor.n_units if site.units is None else len(site.units)
    if params.units is not None:
        beyond = [unit for unit in params.units.units if unit >= tensor.n_units]
        if beyond:
            raise ParameterError(
                f"no unit {beyond[0]} at {tensor.site}: it has {tensor.n_units}, numbered"
                f" 0-{tensor.n_units - 1}"
            )
        among = min(among, len(params.units.units))
    wanted = params.n_units or min(among, _USUAL_UNITS if params.units is None else among)
    if wanted > among:
        raise ParameterError(f"--n-units {wanted} of {among} units at {site}; ask for fewer")
    return wanted


def _strategies(params: SwapParams, n_pairs: int) -> list[str]:
    """What is to be found, once each; on one pair a joint search is the greedy one."""
    chosen: list[str] = list(params.strategy)
    if not chosen and params.units is None:
        chosen = [one for one in _USUAL if n_pairs > 1 or one != "joint"]
    strategies = [one for one in dict.fromkeys(chosen) if one != "random"]
    return [*(["given"] if params.units is not None else []), *strategies]


def _found(
    context: Context,
    params: SwapParams,
    pairs: Pairs,
    site: Site,
    objective: Objective,
    strategy: str,
    n_units: int,
) -> Found:
    if strategy == "given":
        assert params.units is not None
        units = params.units.units[:n_units]
        return given(context, pairs, str(site.whole), objective, units)
    return search(context, pairs, str(site), objective, strategy, n_units)


def _elsewhere(
    context: Context, sides: Sequence[Sides], site: Site, found: Sequence[Found], n_units: int
) -> list[Found]:
    """One set for all pairs of each other kind, by the first strategy that finds such."""
    for one in found:
        if one.is_one_for_all and one.strategy != "given":
            wanted = (str(site), one.objective, one.strategy, n_units)
            return [search(context, side.searched, *wanted) for side in sides]
    return []


def _curves(
    context: Context,
    judge: Judge,
    pairs: Pairs,
    site: str,
    found: Sequence[Found],
    random: RandomSets,
    sizes: NDArray[np.int64],
) -> dict[str, Verdicts]:
    """The verdicts after the first so many units, on the pairs that were searched on."""
    whole = str(Site.parse(site).whole)
    own = [one for one in found if not one.is_one_for_all]
    lone = [one for one in found if one.is_one_for_all]
    curves = dict[str, Verdicts]()
    if own:
        sets = [_prefixes([one.sets(len(pairs))[pair] for one in own], sizes)
                for pair in range(len(pairs))]  # fmt: skip
        verdicts = judge_own_sets(context, judge, pairs, whole, sets)
        curves |= _by_name([one.name for one in own], verdicts, len(sizes))
    sets_for_all = _prefixes([*(one.units[0] for one in lone), *random.units], sizes)
    verdicts = judge_sets(context, judge, pairs, whole, sets_for_all)
    curves |= _by_name([one.name for one in lone], verdicts, len(sizes))
    curves["random"] = verdicts.of_sets(slice(len(lone) * len(sizes), None))
    return curves


def _prefixes(
    orders: Sequence[NDArray[np.int64]], sizes: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    return [order[:size] for order in orders for size in sizes.tolist()]


def _by_name(names: Sequence[str], verdicts: Verdicts, n_sizes: int) -> dict[str, Verdicts]:
    return {
        name: verdicts.of_sets(slice(place * n_sizes, (place + 1) * n_sizes))
        for place, name in enumerate(names)
    }


def _tested(
    context: Context,
    judge: Judge,
    sides: Sequence[Sides],
    site: str,
    found: Sequence[Found],
    random: RandomSets,
) -> list[Tested]:
    """Every set, random ones too, on the pairs of every kind."""
    whole = str(Site.parse(site).whole)
    tested: list[Tested] = []
    sets = [units for one in found for units in one.units]
    for side in sides:
        verdicts = judge_sets(context, judge, side.tested, whole, [*sets, *random.units])
        start = 0
        for one in found:
            chosen = slice(start, start + len(one.units))
            tested.append(Tested(side.tested, one, verdicts.of_sets(chosen)))
            start = chosen.stop
        tested.append(Tested(side.tested, None, verdicts.of_sets(slice(start, None))))
    return tested
