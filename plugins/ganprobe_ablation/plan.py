"""The plan: measure, samples and target of an ablation, resolved before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import Context, Intervention, Latents, Measure, PairedEffects, paired_effects
from ganprobe_ablation import AblationParams
from ganprobe_ablation.samples import Samples, choose_donors, split_samples
from ganprobe_ablation.targets import Target, resolve_swapped, resolve_target

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is ablated, on which samples, and what is measured.

    Args:
        measured: what is measured: the measure, and
        column: which of its columns.
        swapped: units that are swapped on top, and
        donors: one for each measured sample; None: nothing is swapped.
    """

    context: Context
    params: AblationParams
    measure: Measure
    column: int
    samples: Samples
    target: Target
    swapped: tuple[int, ...] = ()
    donors: Latents | None = None

    @property
    def name(self) -> str:
        """The measure's column as it was written: ``digit=1``."""
        return self.params.measure

    @property
    def n_top(self) -> int:
        """How many units a curve ends with."""
        return min(self.params.top, len(self.target.units))

    @property
    def sign(self) -> int:
        """-1 where the measure is to be lowered, 1 where it is to be raised."""
        return -1 if self.params.direction == "lower" else 1

    def values(
        self, latents: Latents, variants: Sequence[Sequence[Intervention]]
    ) -> tuple[Floats, str]:
        """(variants, n) the measure of all variants of these latents, and how it was evaluated."""
        sweep = self.context.probe.sweep(
            latents, variants, self.measure, progress=self.context.progress
        )
        values = sweep.values[..., self.column].cpu().double().numpy()
        return values, str(sweep.how).splitlines()[0]

    def effects(self, changes: Floats) -> PairedEffects:
        """The effects that changes (effects, n) show."""
        n_resamples = self.params.n_resamples
        return paired_effects(changes, seed=self.context.seed, n_resamples=n_resamples)


def make_plan(context: Context, params: AblationParams) -> Plan:
    """Resolve all that was asked for.

    Raises:
        UnknownNameError: there is no such measure, column or site.
        ParameterError: samples, units, level, region or swap do not fit.
    """
    measure, column = context.column(params.measure)
    samples = split_samples(context, params)
    target = resolve_target(context, params, samples.ranked)
    swapped = resolve_swapped(params, target)
    donors = None
    if params.donor is not None:
        donors = choose_donors(context, params.donor, params.n_samples)
    return Plan(context, params, measure, column, samples, target, swapped, donors)
