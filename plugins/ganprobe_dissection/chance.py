"""How many samples tell what place alone explains of the IoU of a site's units."""

from __future__ import annotations

from collections.abc import Sequence

from ganprobe import Dissection, Overlap, overlap_elsewhere
from ganprobe_dissection.plan import Plan

ENOUGH = 256
"""Samples that are compared with each other, where there are as many."""


def overlaps_elsewhere(plan: Plan, dissections: Sequence[Dissection]) -> tuple[Overlap, ...]:
    """For each site, what its active areas have in common with the masks of other samples."""
    return overlap_elsewhere(
        plan.context.probe,
        plan.segmenter,
        dissections,
        n_samples=min(plan.params.n_samples, ENOUGH),
        read=plan.read,
        progress=plan.context.progress,
    )
