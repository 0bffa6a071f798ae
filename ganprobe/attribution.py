"""Attribution: what the gradient of an objective says that an edit of each unit is worth.

An approximation, named as one wherever it is used: one forward and one backward pass for each step
say of all units at once what a search finds out by trying each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganprobe.errors import ParameterError
from ganprobe.interventions import Intervention, Shift
from ganprobe.probe import Probe
from ganprobe.runs import Run
from ganprobe.sweeps import UnitValues

__all__ = ["INTEGRAL_STEPS", "Attribution"]

INTEGRAL_STEPS = 8
"""Steps of an integrated gradient, in the middles of equal parts of the way."""


class Attribution:
    """What the gradient promises of each unit, for one intervention and objective.

    Costs two forwards of the samples at once, whose activations at the site are kept.

    Raises:
        ParameterError: when asked: the objective has no gradient.
    """

    def __init__(self, probe: Probe, values: UnitValues) -> None:
        self._probe, self._values = probe, values
        site, whole = values.tensor.site, values.intervention.for_units(None)
        base, edited = (self._run(edits, record=[site]) for edits in ([], [whole]))
        self._change = edited[site] - base[site]

    def promise(self, picked: tuple[int, ...] = ()) -> Tensor:
        """(units,): the sum of gradient times change, beside the units that are edited already.

        Source: Molchanov et al. 2017 (arXiv 1611.06440), equation 7, with its sign.
        """
        edits = [self._values.intervention.for_units(picked)] if picked else []
        return self._summed(self._gradient(edits, torch.zeros_like(self._change)))

    def integral(self, n_steps: int = INTEGRAL_STEPS) -> Tensor:
        """(units,): the change times the mean gradient along the way to the edit of all units.

        Source: Sundararajan et al. 2017 (arXiv 1703.01365), equation 1, by the midpoint rule.
        """
        shares = [(step + 0.5) / n_steps for step in range(n_steps)]
        gradients = [self._gradient([], share * self._change) for share in shares]
        return self._summed(torch.stack(gradients).mean(0))

    def _gradient(self, edits: Sequence[Intervention], added: Tensor) -> Tensor:
        """Of the objective, where this is added to the activation after the edits."""
        added = added.detach().requires_grad_()
        site = self._values.tensor.site
        run = self._run([*edits, Shift(site, direction=added)], grad=True)
        with torch.enable_grad():
            objective = self._values.with_gradient(run.images)
        if not objective.requires_grad:
            raise ParameterError(
                "this objective has no gradient, which a screen and the strategies 'gradient' and"
                " 'integrated' need; search without them"
            )
        found = torch.autograd.grad(objective, added, allow_unused=True)[0]
        return torch.zeros_like(added) if found is None else found

    def _summed(self, gradient: Tensor) -> Tensor:
        tensor = self._values.tensor
        axes = [axis for axis in range(tensor.rank) if axis != tensor.unit_axis]
        return (gradient * self._change).sum(axes)

    def _run(self, edits: Sequence[Intervention], **options: Any) -> Run:
        base = self._values.base
        return self._probe.run(base.latents, edits, noise_seed=base.noise_seed, **options)
