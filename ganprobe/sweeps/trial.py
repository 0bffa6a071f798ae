"""Trials: what a variant costs by each way, found out on some of the variants themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from ganprobe.errors import GanprobeError
from ganprobe.sweeps.additive import Additive
from ganprobe.sweeps.chunks import timed
from ganprobe.sweeps.evaluators import Replayed
from ganprobe.sweeps.variants import Variants
from ganprobe.sweeps.ways import Way

__all__ = ["N_TRIAL", "Trial"]

N_TRIAL = 8
"""How many variants a method is tried out on, at most."""

_MANY, _PART = 512, 64
_N_TIMES = 2
_MAPS = 4
_CLEARLY = 0.95


@dataclass(frozen=True)
class Trial:
    """Some variants, and how many there will be in all: the more, the more care is taken."""

    variants: Variants
    n_expected: int
    device: torch.device

    def seconds(self, way: Way) -> float:
        """Seconds for a variant, with what is kept for all shared by all."""
        n, evaluate = self._some(way)
        _, first = timed(evaluate, self.device)
        seconds = self._least(evaluate)
        shared = 0.0
        if isinstance(way.evaluator, Additive):  # it has kept contributions the first time
            n_terms = way.evaluator.n_terms(self.variants, self.n_expected)
            shared = max(0.0, first - seconds) * n_terms / n
        return seconds / n + shared / self.n_expected

    def _least(self, evaluate: Callable[[], object]) -> float:
        n_times = _N_TIMES if self.n_expected >= _MANY else 1
        return min(timed(evaluate, self.device)[1] for _ in range(n_times))

    def choose_layout(self, way: Way) -> None:
        """Have feature maps go on with channels last in memory, if that is clearly faster."""
        evaluator = way.evaluator
        assert isinstance(evaluator, Additive | Replayed)
        replay = evaluator.replay
        has_maps = any(tensor.rank == _MAPS for tensor in replay.plan.sites)
        if self.n_expected < _MANY or not has_maps:
            return
        _, evaluate = self._some(way)
        seconds = self._least(evaluate)
        replay.is_channels_last = True
        try:
            evaluate()
            other = self._least(evaluate)
        except GanprobeError:  # a view that cannot be taken
            other = float("inf")
        replay.is_channels_last = other < _CLEARLY * seconds

    def _some(self, way: Way) -> tuple[int, Callable[[], object]]:
        """Some variants, and their evaluation."""
        n = min(N_TRIAL, len(self.variants), max(2, self.n_expected // _PART))
        n = n if way.one_at_once is None else 1
        return n, partial(way.evaluator.images, self.variants, range(n))
