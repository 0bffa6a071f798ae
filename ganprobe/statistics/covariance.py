"""Covariance between units: float64, in any order of batches, on the device of the activations.

Costs n_units multiplications for each value: with 512 units and more it takes longer than all
other statistics together. Keeps n_units² float64. Over samples' spatial means
(``covariance_of="samples"``) it costs n_positions times less.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.statistics.moments import two_sum

__all__ = ["Covariance"]


class Covariance:
    """The sum of products of deviations from the mean, between all pairs of units.

    An observation (a position, or a sample) in which some unit is not finite is left out for all
    units, so that the matrix stays one that a covariance can be.

    Args:
        n_units: how many units.

    Source: Chan, Golub, LeVeque (1983), as in `Moments`.
    """

    def __init__(self, n_units: int) -> None:
        self.n = 0
        self._centre, self._rest = np.zeros((2, n_units))
        self._products = torch.zeros(n_units, n_units, dtype=torch.float64)

    def add(self, observations: Tensor, *, all_finite: bool = False) -> None:
        """Take observations (n_units, n) in, of any dtype of floating point.

        Args:
            all_finite: it is known that they are, and need not be looked at.
        """
        if not all_finite:
            is_whole = observations.isfinite().all(0)
            observations = observations[:, is_whole]
        if n := observations.shape[1]:
            shift = self._shift(observations)
            deviations = observations.to(torch.float64, copy=True).sub_(shift)
            rest = deviations.mean(1, keepdim=True)
            products = deviations @ deviations.T
            products.sub_(rest @ rest.T, alpha=n)
            self._combine(n, shift[:, 0].cpu().numpy(), rest[:, 0].cpu().numpy(), products)

    def merge(self, other: Covariance) -> None:
        """Take in what another has seen."""
        if other.n:
            self._combine(other.n, other._centre, other._rest, other._products)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(n_units, n_units), the sums divided by n; NaN where there was no observation."""
        if not self.n:
            return np.full(self._products.shape, np.nan)
        products = self._products.cpu().numpy() / self.n
        return np.asarray((products + products.T) / 2)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All of it as arrays."""
        return {
            "n": np.asarray(float(self.n)),
            "centre": self._centre.copy(),
            "rest": self._rest.copy(),
            "products": self._products.cpu().numpy().copy(),
        }

    @classmethod
    def from_state(cls, state: dict[str, NDArray[np.float64]]) -> Covariance:
        """Back from `state`."""
        covariance = cls(len(state["centre"]))
        covariance.n = int(state["n"])
        covariance._centre, covariance._rest = state["centre"], state["rest"]
        covariance._products = torch.tensor(state["products"])
        return covariance

    def _shift(self, observations: Tensor) -> Tensor:
        """A value near the mean of each unit (n_units, 1): for accuracy, as in `Moments`."""
        if not self.n:
            return observations.double().mean(1, keepdim=True)
        return torch.from_numpy(self._centre).to(observations.device)[:, None]

    def _combine(
        self, n: int, centre: NDArray[np.float64], rest: NDArray[np.float64], products: Tensor
    ) -> None:
        if not self.n:
            self.n, self._centre, self._rest, self._products = n, centre, rest, products.clone()
            return
        delta = (centre - self._centre) + (rest - self._rest)
        share = n / (self.n + n)
        apart = torch.from_numpy(delta).to(self._products.device)
        self._products.add_(products.to(self._products.device))
        self._products.addr_(apart, apart, alpha=self.n * share)
        self._centre, self._rest = two_sum(self._centre, self._rest + delta * share)
        self.n += n
