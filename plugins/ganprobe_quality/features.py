"""Features: what a model is given of a latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ganprobe import ModelName
    from ganprobe_quality import Model

Floats = NDArray[np.float64]


def features_of(z: Floats, model: Model) -> Floats:
    """(n, features) of latents z (n, element).

    All models are given the elements; ``curved`` also their sizes, their squares, and the norm.
    """
    if model != "curved":
        return z
    norm = np.linalg.norm(z, axis=1, keepdims=True)
    return np.concatenate([z, np.abs(z), z**2, norm], axis=1)


def method_of(model: Model) -> ModelName:
    """What is fitted to the features."""
    return "logistic" if model == "curved" else model
