"""Class: what a measure says of the whole image, so that digits are dissected by digit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, Segmenter

if TYPE_CHECKING:
    from torch import Tensor


class ImageClass(Segmenter):
    """The column of a measure that is the largest; all pixels of an image are in it.

    An image with a column that is no number is in no class.

    Args:
        measure: of two columns or more; None: it is still to be named.
    """

    name = "class"
    summary = "what a measure finds the whole image to be, as class:digit"
    argument = "MEASURE"
    classes: tuple[str, ...] = ()

    def __init__(self, measure: Measure | None = None) -> None:
        self._measure = measure
        if measure is not None:
            self.name = f"class:{measure.name}"
            self.classes = measure.columns
            self.image_shape = measure.image_shape

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        measure = find_measure(argument.strip())
        if len(measure.columns) < 2:
            raise ParameterError(
                f"measure {measure.name!r} has one column, so that it cannot tell of which class an"
                " image is; write class: and a measure with several, as class:digit"
            )
        return ImageClass(measure)

    def fits(self, image_shape: tuple[int, ...]) -> bool:
        return (
            super().fits(image_shape) if self._measure is None else self._measure.fits(image_shape)
        )

    def segment(self, images: Tensor) -> Tensor:
        from ganprobe_segmenters.labels import masks_of

        if self._measure is None:
            raise ParameterError("segmenter 'class' needs a measure; write class:digit")
        values = self._measure(images)  # (n, classes)
        labels = values.argmax(dim=1).masked_fill(values.isnan().any(dim=1), -1)
        masks = masks_of(labels[:, None, None], len(self.classes))  # (n, classes, 1, 1)
        return masks.repeat(1, 1, *images.shape[2:])
