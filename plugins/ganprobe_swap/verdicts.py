"""Verdicts: what a judge says that images show, before and after swaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, Measure, ParameterError, Share, Swap, mean_interval, share
from ganprobe_swap import SwapParams
from ganprobe_swap.pairs import Pairs, counted

Classes = NDArray[np.int64]
Units = NDArray[np.int64]


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval.

    Args:
        n: how many pairs.
        n_sets: how many sets of units were tried on each.
    """

    value: float
    low: float
    high: float
    n: int
    n_sets: int = 1

    def __str__(self) -> str:
        each = f" x {self.n_sets} sets" if self.n_sets > 1 else ""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] (n = {counted(self.n)}{each})"


@dataclass(frozen=True, eq=False)
class Judge:
    """A measure whose largest column says what an image shows."""

    measure: Measure

    def says(self, context: Context, images: Tensor) -> Classes:
        """(n,) the column for each image, as the generator gives them."""
        values = self.measure(context.generator.to_unit_range(images))
        return np.asarray(values.argmax(1).cpu().numpy(), np.int64)

    def word(self, column: int) -> str:
        return self.measure.columns[column]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What a judge says of pairs with sets of units swapped.

    Args:
        source, donor: (pair,) of the unedited images.
        called: (set, pair) of the edited ones.
    """

    source: Classes
    donor: Classes
    called: Classes

    def rate(self, wanted: str) -> Rate:
        """How often an edited image is called what its donor is, or its source.

        Over several sets, pairs are resampled for the interval, with all that was tried on them.
        """
        hits = self.called == (self.donor if wanted == "donor" else self.source)  # (set, pair)
        if len(hits) == 1:
            return _rate_of(share(hits[0]))
        return _rate_of_sets(hits)

    def of_sets(self, chosen: slice) -> Verdicts:
        """Those of some of the sets."""
        return Verdicts(self.source, self.donor, self.called[chosen])


def choose_judge(context: Context, params: SwapParams) -> Judge | None:
    """The judge that was asked for, or that the choice of samples names; None: there is none.

    Raises:
        ParameterError: it has one column only.
    """
    named = [condition.measure for choice in (params.donor, params.source)
             for condition in choice.conditions if condition.sign == "="]  # fmt: skip
    name = params.judge or (named[0] if named else None)
    if name is None:
        return None
    measure = context.measure(name)
    if len(measure.columns) < 2:
        raise ParameterError(
            f"measure {name!r} has one column, so that it cannot tell what an image shows; give a"
            " --judge with several, as digit"
        )
    return Judge(measure)


def judge_sets(
    context: Context, judge: Judge, pairs: Pairs, site: str, sets: Sequence[Units]
) -> Verdicts:
    """What the judge says of each pair with each set of units swapped."""
    probe = context.probe
    source, donor = (judge.says(context, probe.images(z)) for z in (pairs.sources, pairs.donors))
    swaps = [Swap(site, donor=pairs.donors, units=[int(unit) for unit in one]) for one in sets]
    values = probe.sweep(pairs.sources, swaps, judge.measure, progress=context.progress).values
    called = np.asarray(values.argmax(2).cpu().numpy(), np.int64)  # (set, pair)
    return Verdicts(source, donor, called)


def judge_own_sets(
    context: Context, judge: Judge, pairs: Pairs, site: str, sets: Sequence[Sequence[Units]]
) -> Verdicts:
    """What the judge says of each pair with sets of its own: `sets` is (pair, set, unit)."""
    with context.progress(len(pairs), "pairs judged") as bar:
        found = []
        for pair, own in enumerate(sets):
            found.append(judge_sets(context.quiet(), judge, pairs[pair], site, own))
            bar.advance(1)
    return Verdicts(
        np.concatenate([one.source for one in found]),
        np.concatenate([one.donor for one in found]),
        np.concatenate([one.called for one in found], axis=1),
    )


def _rate_of(found: Share) -> Rate:
    return Rate(found.value, found.low, found.high, found.n)


def _rate_of_sets(hits: NDArray[np.bool_]) -> Rate:
    """Of (set, pair): all sets of a pair stand or fall with it."""
    n_sets, n_pairs = hits.shape
    of_pairs = hits.mean(0)
    mean, low, high = mean_interval(of_pairs)
    if np.ptp(of_pairs) == 0 or np.isnan(low[0]):  # resamples cannot tell what else could be
        limits = Share(round(float(mean[0]) * n_pairs), n_pairs)
        return Rate(float(mean[0]), limits.low, limits.high, n_pairs, n_sets)
    lower, upper = (float(np.clip(limit[0], 0, 1)) for limit in (low, high))
    return Rate(float(mean[0]), lower, upper, n_pairs, n_sets)
