"""How good a generator of digits is, by three numbers that a classifier gives.

The share of images that it calls a digit with confidence, the share of each class, and the
Fréchet distance of its features to those of real digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from ..networks import DigitsClassifier

CONFIDENT = 0.9


@dataclass(frozen=True)
class Judged:
    """What the classifier says of n images: `probabilities` (n, 10), `features` (n, 128)."""

    probabilities: Tensor
    features: Tensor

    @property
    def confident_share(self) -> float:
        """The share of images, in [0, 1], whose best class has a probability above 0.9."""
        return float((self.probabilities.amax(dim=1) > CONFIDENT).double().mean())

    @property
    def class_shares(self) -> Tensor:
        """The share of each best class: (10,) float64, sums to 1."""
        chosen = self.probabilities.argmax(dim=1)
        return torch.bincount(chosen, minlength=10).double() / len(chosen)


@torch.no_grad()
def judge(classifier: DigitsClassifier, batches: Iterable[Tensor]) -> Judged:
    """Classify batches of images (n, 1, 28, 28) in [-1, 1]."""
    features = torch.cat([classifier.features(batch) for batch in batches])  # (n, 128)
    return Judged(classifier.logits(features).softmax(dim=1), features)


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features, (n, k) and (m, k).

    Source: Heusel et al. 2017 (arXiv 1706.08500), equation 6; here in the feature space of
    `DigitsClassifier`, so that values compare only with values of the same classifier.
    """
    mean_one, covariance_one = _moments(one)
    mean_other, covariance_other = _moments(other)
    # tr((C1 C2)^1/2) from the symmetric form: C1^1/2 C2 C1^1/2 has the same eigenvalues.
    root = _symmetric_root(covariance_one)
    crossed = _symmetric_root(root @ covariance_other @ root)
    shift = float(((mean_one - mean_other) ** 2).sum())
    return shift + float(np.trace(covariance_one + covariance_other - 2.0 * crossed))


_Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _moments(features: Tensor) -> tuple[_Array, _Array]:
    values = features.double().numpy()
    return values.mean(axis=0), np.cov(values, rowvar=False)


def _symmetric_root(matrix: _Array) -> _Array:
    eigenvalues, vectors = linalg.eigh(matrix)
    root: _Array = (vectors * np.sqrt(np.clip(eigenvalues, 0.0, None))) @ vectors.T
    return root
