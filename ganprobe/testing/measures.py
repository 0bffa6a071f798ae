"""Tests that any measure passes: subclass `MeasureTests` in a test file of yours."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ganprobe.measures import Measure
from ganprobe.testing.conformance import check, fail
from ganprobe.testing.images import ImageTests

__all__ = ["MeasureTests"]

_SIGNS = frozenset("=<>&")


class MeasureTests(ImageTests):
    """The tests of a measure. Subclass it, with a name that starts with ``Test``.

    Attributes:
        measure: the measure, as `register_measures` gives it; or define ``make_measure(self)``.
        image_shapes: (channels, height, width) that it is tried on; None: its own `image_shape`,
            or, where it takes any, grey and colour of odd and even sizes. For images of your own
            define ``make_images(self, shape, n)``.
        excused: tests that do not hold for it, each with the reason why.

    Example::

        from ganprobe.testing import MeasureTests
        from my_module import Sharpness

        class TestSharpness(MeasureTests):
            measure = Sharpness()
    """

    measure: ClassVar[Measure | None] = None

    def make_measure(self) -> Measure:
        """The measure; define it where making it takes time or files."""
        if self.measure is None:
            fail(f"{type(self).__name__} says nothing of what it tests; write measure = YourOwn()")
        return self.measure

    def test_its_columns_can_be_named(self) -> None:
        """Each has a name of its own, which can be written in a condition on samples."""
        columns = self._measure.columns
        for name in columns:
            is_legal = isinstance(name, str) and bool(name.strip()) and not _SIGNS & set(name)
            check(is_legal, f"{self._it} has a column {name!r}; take a word without = < > &")
        double = sorted({name for name in columns if columns.count(name) > 1})
        check(not double, f"{self._it} has two columns {', '.join(double)}; rename one")
        check(bool(columns), f"{self._it} has no columns; name the numbers that it gives")

    def test_it_gives_one_number_for_each_image_and_column(self) -> None:
        """(n, columns), of floating point, where the images are."""
        for images in self._batches():
            values = self._measure(images)
            check(
                values.dtype.is_floating_point,
                f"{self._it} gives {values.dtype}; differences are taken of it: give float",
            )
            check(
                values.device == images.device,
                f"{self._it} gives values on {values.device} for images on {images.device}",
            )

    def test_its_numbers_are_finite(self) -> None:
        """On images that show something; on blank ones NaN may say that there is no answer."""
        for images in self._batches():
            unknown = ~self._measure(images).isfinite().all(dim=0)
            names = [name for name, one in zip(self._measure.columns, unknown, strict=True) if one]
            check(not names, f"{self._it} gives NaN or infinity in {', '.join(names)}")
            for level in (0.0, 1.0):
                values = self._measure(torch.full_like(images[:1], level))
                check(
                    not bool(values.isinf().any()),
                    f"{self._it} gives infinity for an image of {level:g} everywhere; give NaN"
                    " where there is no answer",
                )

    def test_it_tells_images_apart(self) -> None:
        """Not all get the same numbers."""
        for images in self._batches():
            values = self._measure(images)
            check(
                not torch.equal(values, values[:1].expand_as(values)),
                f"{self._it} gives the same numbers for {len(images)} different images; give"
                " make_images where it is about others",
            )

    def test_its_numbers_hold_no_graph(self) -> None:
        """Also of images that gradients are taken of."""
        images = next(self._batches()).requires_grad_()
        values = self._measure(images)
        check(not values.requires_grad, f"{self._it} gives values with a graph; detach them")

    @property
    def _measure(self) -> Measure:
        if "measure" not in self._kept:
            self._kept["measure"] = self.make_measure()
        kept: Measure = self._kept["measure"]
        return kept

    @property
    def _subject(self) -> Measure:
        return self._measure

    def _values(self, images: Tensor) -> Tensor:
        return self._measure(images)
