"""Measured: an objective on the images of many variants at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganprobe.errors import ParameterError, is_out_of_memory
from ganprobe.generators import Generator
from ganprobe.measures import Measure
from ganprobe.sweeps.agreement import difference, tolerance

__all__ = ["Measured", "Objective"]

_MOST_IMAGES = 128

Objective = Measure | Callable[[Tensor], Tensor]
"""A measure, which sees images in [0, 1]; or a function of images as the generator gives them."""


class Measured:
    """An objective on the images of variants.

    Whether it may be asked for several variants at once is found out on the first that differ;
    until then, and where an image's values depend on what it is batched with, it is asked for
    each variant alone. What it writes into the images it is given reaches nobody else.

    Raises:
        ParameterError: it cannot be called, or gives something other than a number or a row of
            them for each image.
    """

    def __init__(self, objective: Objective, generator: Generator) -> None:
        if not callable(objective):
            raise ParameterError(
                f"a measure is a Measure or a function of images, got {objective!r}"
            )
        self._objective, self._generator = objective, generator
        self._may_be_joined: bool | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """(variants, n, ...) images to (variants, n, columns) values; no gradients."""
        if self._may_be_joined is None and _differ(images):
            self._may_be_joined = self._agree(images)
        return self._joined(images) if self._may_be_joined else self.alone(images)

    def alone(self, images: Tensor) -> Tensor:
        """The same, each variant by itself."""
        with torch.no_grad():
            return torch.stack([self.of_batch(own.clone()) for own in images])

    def of_batch(self, images: Tensor) -> Tensor:
        """(n, ...) images to (n, columns) values, with gradients where they are on."""
        objective = self._objective
        if isinstance(objective, Measure):
            seen = self._generator.to_unit_range(images)
            values = objective.measure(seen) if torch.is_grad_enabled() else objective(seen)
        else:
            values = objective(images)
        if not isinstance(values, Tensor) or values.is_complex():
            raise ParameterError(f"a measure gives a tensor of real numbers, got {values!r}")
        is_right = values.ndim == 1 or (values.ndim == 2 and values.shape[1])
        if not is_right or len(values) != len(images):
            raise ParameterError(
                f"a measure of {len(images)} images gives ({len(images)},) or ({len(images)}, k)"
                f" numbers, got {tuple(values.shape)}"
            )
        return values if values.ndim == 2 else values[:, None]

    def _joined(self, images: Tensor) -> Tensor:
        at_once = max(1, _MOST_IMAGES // images.shape[1])  # variants; more are slower, not faster
        with torch.no_grad():
            parts = [self.of_batch(part.flatten(0, 1).clone()) for part in images.split(at_once)]
        return torch.cat(parts).view(*images.shape[:2], -1)

    def _agree(self, images: Tensor) -> bool:
        alone = self.alone(images).double()
        try:
            together = self._joined(images).double()
        except Exception as error:  # it may only know what to do with so many images
            if is_out_of_memory(error):
                raise
            return False
        return difference(together, alone) <= tolerance(images)


def _differ(images: Tensor) -> bool:
    return len(images) > 1 and bool((images != images[:1]).any())
