"""Interventions: what to do with the activation at a site, as pure functions of it.

Each kind has an outcome, a tensor of the activation's shape; what it makes of an activation is

    (1 - a) * activation + a * outcome,    a = strength * region, on the chosen units

Several at one site are done in the order given, each on what the one before left. After two of
them a share (1 - a1)(1 - a2) of the unedited value is left, and the outcomes are weighted by
a1 (1 - a2) and a2: at full strength the last one stands alone. That is the edit algebra of GAN
Dissection's server (Bau et al. 2019, arXiv 1811.10597), taken in order.

An intervention never writes into the activation that it is given, and keeps its shape, dtype and
device: a float32 donor becomes bfloat16 where autocast made the site so. Nothing is broadcast
over the batch unless it has no batch axis. Costs one copy of the activation; with a region or a
partial strength, the chosen units are computed beside it.
"""

from __future__ import annotations

from ganprobe.interventions.base import Intervention
from ganprobe.interventions.edit import Edit
from ganprobe.interventions.function import Apply
from ganprobe.interventions.kinds import Ablate, Patch, Scale, Shift
from ganprobe.interventions.swap import Swap

__all__ = ["Ablate", "Apply", "Edit", "Intervention", "Patch", "Scale", "Shift", "Swap"]
