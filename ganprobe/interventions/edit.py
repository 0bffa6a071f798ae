"""An intervention prepared for one tensor: units, weights and values at hand, shapes checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganprobe.errors import ShapeError
from ganprobe.interventions.units import Units
from ganprobe.interventions.weights import Weight
from ganprobe.sites import SiteTensor

if TYPE_CHECKING:
    from ganprobe.interventions.base import Intervention, Outcome

__all__ = ["Edit"]


class Edit:
    """An intervention at one tensor: call it with an activation, get the edited one.

    Equal where intervention and tensor are.

    Args:
        outcome: from the chosen units to what they become at full strength.
        level: the one number that they become, if it is one.
    """

    def __init__(
        self,
        intervention: Intervention,
        tensor: SiteTensor,
        outcome: Outcome,
        *,
        level: float | None,
    ) -> None:
        self.intervention, self.tensor = intervention, tensor
        self._outcome = outcome
        self._units = Units(tensor)
        self._weight = Weight.of(intervention.strength, intervention.region, tensor)
        self._level = level if self._weight is None else None
        self._is_whole = tensor.site.units is None
        self._gives_held = intervention.gives_held and self._weight is None
        strength = intervention.strength
        self._does_nothing = isinstance(strength, float) and strength == 0.0

    def __call__(self, activation: Tensor) -> Tensor:
        """The edited activation, in memory of its own; itself at strength 0.

        Raises:
            ShapeError: the values that were given do not fit this batch.
        """
        self._check(activation)
        if self._does_nothing:
            return activation
        if not self._is_whole:
            # On a clone, which keeps the layout of memory: the next layer chooses its kernel by it.
            return self._write(activation.clone(), activation)
        if self._level is not None:
            return torch.full_like(activation, self._level)
        outcome = self._outcome_of(activation)
        if self._gives_held or outcome.stride() != activation.stride():
            # Memory of its own, since the forward may write into it; in the same layout.
            return torch.empty_like(activation).copy_(outcome)
        return outcome

    def write(self, activation: Tensor) -> None:
        """Edit an activation where it lies; without gradients only.

        Raises:
            ShapeError: the values that were given do not fit this batch.
        """
        self._check(activation)
        if not self._does_nothing:
            self._write(activation, activation)

    def _write(self, target: Tensor, activation: Tensor) -> Tensor:
        if self._level is not None:
            return self._units.fill(target, self._level)
        return self._units.put(target, self._outcome_of(self._units.take(activation)))

    def _outcome_of(self, chosen: Tensor) -> Tensor:
        outcome = self._outcome(chosen)
        return outcome if self._weight is None else self._weight.blend(chosen, outcome)

    def _check(self, activation: Tensor) -> None:
        tensor = self.tensor
        if activation.ndim != tensor.rank or activation.shape[tensor.unit_axis] != tensor.n_units:
            raise ShapeError(
                f"{tensor.site} is {tuple(activation.shape)} in this forward, and a sample of it"
                f" was {tensor.shape} in the dry run; it depends on the input, or its layer was"
                " replaced since: then make another Probe"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Edit):
            return NotImplemented
        return (self.intervention, self.tensor) == (other.intervention, other.tensor)

    def __hash__(self) -> int:
        return hash((self.intervention, self.tensor))

    def __repr__(self) -> str:
        return f"{self.intervention!r} at {self.tensor.site}"
