"""Finding which values of a generator's images stand for black and white, by measuring.

Costs forwards of up to 64 samples; fewer of large images, so that there are some 4 million values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganprobe.errors import ForwardError, UsageError

__all__ = ["FoundRange", "MeasuredValues", "find_range", "range_note"]

Range = tuple[float, float]

_MOST_SAMPLES, _FEWEST_SAMPLES, _MOST_VALUES = 64, 4, 1 << 22
_BATCH = 8
_TOLERANCE = 1e-3  # of a range, beyond which a value is outside
_INSIDE, _MOSTLY, _OUTSIDE = 0.99, 0.5, 0.05


@dataclass(frozen=True, eq=False)
class MeasuredValues:
    """Values of images: `values` (n,), sorted, float32, of `n_samples`."""

    values: Tensor
    n_samples: int

    @classmethod
    def of(cls, images: Tensor) -> MeasuredValues:
        """Those of a batch of images.

        Raises:
            ForwardError: there are NaN or infinity in them.
        """
        values = images.float().flatten().cpu()
        if not values.isfinite().all():
            raise ForwardError(
                f"{float((~values.isfinite()).float().mean()):.1%} of the values of its images are"
                f" NaN or infinite (n = {len(images)} samples, seed 0); are these weights those of"
                " this network?"
            )
        return cls(values.sort().values, len(images))

    @classmethod
    def measure(cls, images_of: Callable[[int, int], Tensor], first: Tensor) -> MeasuredValues:
        """Measure the images of the first samples.

        Args:
            images_of: the images of n samples from a start.
            first: some of these images, which say how large they are.

        Raises:
            ForwardError: there are NaN or infinity in them.
        """
        n = max(_FEWEST_SAMPLES, min(_MOST_SAMPLES, _MOST_VALUES // max(1, first[0].numel())))
        starts = range(0, n, _BATCH)
        batches = [images_of(min(_BATCH, n - start), start).cpu() for start in starts]
        return cls.of(torch.cat(batches))

    def quantile(self, q: float) -> float:
        """The value below which a share `q` of them lies."""
        return float(self.values[round(q * (len(self.values) - 1))])

    def share_outside(self, image_range: Range) -> float:
        """The share that lies outside a range by more than a thousandth of it."""
        low, high = image_range
        slack = _TOLERANCE * (high - low)
        outside = (self.values < low - slack) | (self.values > high + slack)
        return float(outside.float().mean())

    def __str__(self) -> str:
        low, middle, high = (self.quantile(q) for q in (0.001, 0.5, 0.999))
        return (
            f"99.8 % of the values of {self.n_samples} samples (seed 0) lie from {low:.3g} to"
            f" {high:.3g}, their median is {middle:.3g}"
        )


@dataclass(frozen=True)
class FoundRange:
    """An image range and how it was found, in a sentence."""

    image_range: Range
    note: str


def find_range(module: nn.Module, measured: MeasuredValues, name: str) -> FoundRange:
    """The usual range that the values fit.

    Raises:
        UsageError: they fit none; says where they lie.
    """
    last = type(list(module.modules())[-1]).__name__
    for kind, image_range in (("Tanh", (-1.0, 1.0)), ("Sigmoid", (0.0, 1.0))):
        if last == kind and not measured.share_outside(image_range):
            return _found(image_range, measured, f"its last layer is a {kind}, and ")
    for image_range in _USUAL if measured.quantile(0.999) <= _MOST_OF_FLOATS else (_BYTES,):
        if measured.share_outside(image_range) <= 1 - _INSIDE:
            return _found(image_range, measured)
    likely = (-1.0, 1.0) if measured.quantile(1 - _INSIDE) < -_TOLERANCE else (0.0, 1.0)
    outside = measured.share_outside(likely)
    if outside < _MOSTLY:
        return _found(likely, measured, f"{outside:.1%} of the values lie outside it, and ")
    raise UsageError(
        f"which values of the images of {name} are black and white cannot be told: {measured};"
        " say with --image-range LOW,HIGH"
    )


_USUAL: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0))
_BYTES: Range = (0.0, 255.0)
_MOST_OF_FLOATS = 5.0


def range_note(image_range: Range, measured: MeasuredValues) -> str | None:
    """What is to be said where a range was given that much lies outside of."""
    outside = measured.share_outside(image_range)
    if outside <= _OUTSIDE:
        return None
    low, high = image_range
    return (
        f"{outside:.0%} of the values lie outside the image range {low:g} to {high:g} that was"
        f" given: {measured}"
    )


def _found(image_range: Range, measured: MeasuredValues, because: str = "") -> FoundRange:
    low, high = image_range
    note = f"the image range was found out: {low:g} to {high:g}; {because}{measured}"
    return FoundRange(image_range, note)
