"""Tests that any segmenter passes: subclass `SegmenterTests` in a test file of yours."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ganprobe.segmenters import Segmenter
from ganprobe.testing.conformance import check, fail, skip
from ganprobe.testing.images import ImageTests

__all__ = ["SegmenterTests"]

_AT_THE_EDGE = 1e-3  # the share of pixels that rounding may take into another class
_UNSURE = 0.25  # the share of pixels of which soft and hard masks may say something else


class SegmenterTests(ImageTests):
    """The tests of a segmenter. Subclass it, with a name that starts with ``Test``.

    Attributes:
        segmenter: the segmenter; one that needs an argument with it, as
            ``ganprobe.find_segmenter("painted:mask.png")``. Or define ``make_segmenter(self)``.
        image_shapes: (channels, height, width) that it is tried on; None: its own `image_shape`,
            or, where it takes any, grey and colour of odd and even sizes. For images of your own
            define ``make_images(self, shape, n)``.
        excused: tests that do not hold for it, each with the reason why.

    Example::

        from ganprobe.testing import SegmenterTests
        from my_module import Lit

        class TestLit(SegmenterTests):
            segmenter = Lit()
    """

    segmenter: ClassVar[Segmenter | None] = None

    def make_segmenter(self) -> Segmenter:
        """The segmenter; define it where making it takes time or files."""
        if self.segmenter is None:
            fail(f"{type(self).__name__} says nothing of what it tests; write segmenter = Yours()")
        return self.segmenter

    def test_its_masks_are_one_for_each_class(self) -> None:
        """(n, classes, height, width), boolean, where the images are."""
        for images in self._batches():
            masks = self._segmenter(images)  # refuses others
            check(
                masks.shape[1] == len(self._segmenter.classes) > 0,
                f"{self._it} has no classes; give it with its argument",
            )

    def test_it_finds_something(self) -> None:
        """Some class covers some of the images, and none covers all of all."""
        for images in self._batches():
            masks = self._segmenter(images)
            check(
                bool(masks.any()) and not bool(masks.all()),
                f"{self._it} finds {'everything' if masks.any() else 'nothing'} in"
                f" {len(images)} images {tuple(images.shape[1:])}; give make_images where it is"
                " about others",
            )

    def test_its_colours_can_be_drawn(self) -> None:
        """One for each class, as matplotlib knows them."""
        from matplotlib.colors import is_color_like

        colours = self._segmenter.class_colours
        if colours is None:
            skip("figures choose its colours")
        wrong = [colour for colour in colours if not is_color_like(colour)]
        check(not wrong, f"{self._it} has colours that matplotlib does not know: {wrong}")

    def test_its_soft_masks_are_shares(self) -> None:
        """(n, classes, height, width) in [0, 1], and mostly above one half where the masks are."""
        for images in self._batches():
            soft, hard = self._soft(images), self._segmenter(images)
            check(
                soft.shape == hard.shape,
                f"{self._it} has soft masks {tuple(soft.shape)} and masks {tuple(hard.shape)}",
            )
            is_share = bool((soft >= 0).all()) and bool((soft <= 1).all())
            check(is_share, f"{self._it} has soft masks outside of [0, 1], or NaN")
            apart = float(((soft > 0.5) != hard).double().mean())
            check(
                apart <= _UNSURE,
                f"the soft masks of {self._it} are on the other side of one half than its masks at"
                f" {100 * apart:.0f} % of pixels and classes",
            )

    def test_gradients_go_through_its_soft_masks(self) -> None:
        """Finite ones, and not all zero."""
        for images in self._batches():
            given = images.clone().requires_grad_()
            soft = self._soft(given)
            check(
                soft.requires_grad,
                f"no gradients go through the soft masks of {self._it}; leave no_grad, detach and"
                " comparisons out of soft()",
            )
            weights = torch.rand(soft.shape[1], 1, 1, generator=torch.Generator().manual_seed(0))
            (gradient,) = torch.autograd.grad((weights * soft).sum(), given)
            check(bool(gradient.isfinite().all()), f"gradients through {self._it} are not finite")
            check(bool(gradient.any()), f"gradients through {self._it} are all zero")

    @property
    def _segmenter(self) -> Segmenter:
        if "segmenter" not in self._kept:
            self._kept["segmenter"] = self.make_segmenter()
        kept: Segmenter = self._kept["segmenter"]
        return kept

    @property
    def _subject(self) -> Segmenter:
        return self._segmenter

    def _values(self, images: Tensor) -> Tensor:
        return self._segmenter(images).float()

    def _soft(self, images: Tensor) -> Tensor:
        if not self._segmenter.is_differentiable:
            skip("it defines no soft masks")
        return self._segmenter.soft(images)

    def _agree(self, first: Tensor, second: Tensor, tolerance: float) -> bool:
        if first.shape != second.shape:
            return False
        apart = float((first != second).double().mean())
        return apart <= (_AT_THE_EDGE if tolerance else 0.0)
