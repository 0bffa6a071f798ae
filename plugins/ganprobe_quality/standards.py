"""Standards: from what score on an image is good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe_quality.judges import Judge

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_ALL = "all judges"


@dataclass(frozen=True, eq=False)
class Standard:
    """What each judge calls good, found on some samples and used on any.

    Args:
        known: (judge, n) the sorted scores that it was found on, better ones higher.
        cuts: (judge,) from which on a sample is good, on that scale.
        is_jointly: the verdict of all judges together is one more, and the one that counts.
    """

    judges: tuple[Judge, ...]
    known: Floats
    cuts: Floats
    is_jointly: bool

    @classmethod
    def of(
        cls, judges: Sequence[Judge], scores: Floats, *, good_share: float, is_jointly: bool
    ) -> Standard:
        """From the scores (judge, n), and the judges' own limits where they have one.

        Equal scores are equally good: then more than that share may be.
        """
        known = np.sort(scores * _signs(judges)[:, None], axis=1)
        n_good = max(1, round(good_share * scores.shape[1]))
        cuts = known[:, -n_good].copy()
        for slot, judge in enumerate(judges):
            if judge.limit is not None:
                cuts[slot] = np.nextafter(judge.sign * judge.limit, np.inf)  # beyond, not at
        return cls(tuple(judges), known, cuts, is_jointly and len(judges) > 1)

    @property
    def names(self) -> list[str]:
        """Of the verdicts."""
        return [judge.name for judge in self.judges] + [_ALL] * self.is_jointly

    @property
    def kept(self) -> int:
        """The verdict that says what is kept."""
        return len(self.judges) if self.is_jointly else 0

    def goodness(self, scores: Floats) -> Floats:
        """(verdict, n) of scores (judge, n), better higher; of all judges the worst one's rank.

        A rank is the share of the samples that the standard was found on that are no better.
        """
        better = scores * _signs(self.judges)[:, None]
        if not self.is_jointly:
            return np.asarray(better)
        ranks = [
            np.searchsorted(known, one, side="right") / len(known)
            for known, one in zip(self.known, better, strict=True)
        ]
        return np.concatenate([better, np.min(ranks, axis=0, keepdims=True)])

    def good(self, scores: Floats) -> Booleans:
        """(verdict, n) which of scores (judge, n) are good."""
        good = scores * _signs(self.judges)[:, None] >= self.cuts[:, None]
        if not self.is_jointly:
            return np.asarray(good)
        return np.concatenate([good, good.all(0, keepdims=True)])

    def describe(self, verdict: int) -> str:
        """What is good by this verdict, as ``digit-realness >= 0.31``."""
        if verdict == len(self.judges):
            return "good by all judges"
        judge = self.judges[verdict]
        if judge.limit is not None:
            return judge.name
        return f"{judge.name} >= {judge.tell(self.cuts[verdict])}"

    def cut(self, judge: int) -> float:
        """From which score on a sample is good, in the measure's own unit."""
        own = self.judges[judge].limit
        return float(self.judges[judge].sign * self.cuts[judge]) if own is None else own


def _signs(judges: Sequence[Judge]) -> Floats:
    return np.array([judge.sign for judge in judges], np.float64)
