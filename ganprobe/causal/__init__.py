"""Causal tests: do these units cause this class, and where can they?

    levels          what a unit is set to when it is inserted
    context map     units inserted at each place of each sample: where does the class appear?
    average effect  units forced to their level at a place, less the same units at zero there
    optimisation    which share of each unit makes the average effect largest

All go through `Probe.sweep`: every edit is compared with no edit of the same latents, and a
segmenter says how much of the image, or of the place, the class covers. A context map costs an
image and its segmentation for each place and sample; an average effect two for each set of units,
place and sample; an optimisation some hundred for each step.

Source: GAN Dissection, Bau et al. 2019 (arXiv 1811.10597), sections 3.2 and 4.3; the context
test follows Bau et al. 2020 (PNAS, "Understanding the role of individual units in a deep neural
network").
"""

from __future__ import annotations

from ganprobe.causal.average_effect import (
    CausalEffects,
    average_causal_effect,
    average_causal_effects,
)
from ganprobe.causal.contexts import ContextEffect, ContextMap, context_map
from ganprobe.causal.levels import insertion_levels
from ganprobe.causal.optimisation import OptimisedUnits, optimise_units
from ganprobe.causal.places import Places

__all__ = [
    "CausalEffects",
    "ContextEffect",
    "ContextMap",
    "OptimisedUnits",
    "Places",
    "average_causal_effect",
    "average_causal_effects",
    "context_map",
    "insertion_levels",
    "optimise_units",
]
