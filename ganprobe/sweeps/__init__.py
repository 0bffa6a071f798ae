"""Sweeps: what would the image be if only this changed? Many answers for the price of a few.

A sweep evaluates variants of the same latents, each a list of interventions, by the fastest
method that gives what plain forwards give:

    additive    sums of contributions behind a linear layer, then as replay
    replay      many variants in a batch that resumes at the edited sites
    batched     many variants in a batch that is computed from the latents
    single      one plain forward for each variant

Nothing is trusted unseen. Before its first image a method must give the unedited images once and
twice in a batch, and those of some variants as plain forwards give them; later ever fewer variants
are looked at once more. What fails is refused with a reason, and the next one takes its place.
"""

from __future__ import annotations

from ganprobe.sweeps.evaluation import Evaluation, How, Options
from ganprobe.sweeps.evaluators import Base
from ganprobe.sweeps.measured import Measured, Objective
from ganprobe.sweeps.sweep import MeasuredSweep, Sweep, measured_sweep
from ganprobe.sweeps.trial import N_TRIAL
from ganprobe.sweeps.unit_values import UnitValues
from ganprobe.sweeps.variants import Variant, Variants, read_variants
from ganprobe.sweeps.ways import METHODS, Method, Refusal, Replays

__all__ = [
    "METHODS",
    "N_TRIAL",
    "Base",
    "Evaluation",
    "How",
    "Measured",
    "MeasuredSweep",
    "Method",
    "Objective",
    "Options",
    "Refusal",
    "Replays",
    "Sweep",
    "UnitValues",
    "Variant",
    "Variants",
    "measured_sweep",
    "read_variants",
]
