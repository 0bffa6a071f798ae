"""Tests of what images are given to: measures and segmenters have most of them in common."""

from __future__ import annotations

import contextlib
import gc
import io
import re
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganprobe.errors import GanprobeError
from ganprobe.measures import Measure
from ganprobe.segmenters import Segmenter
from ganprobe.testing.conformance import (
    ConformanceTests,
    check,
    check_nothing,
    check_sentence,
    fail,
    refusal_of_plugin,
    skip,
)
from ganprobe.testing.traces import ProcessTraces, scrambled_noise

__all__ = ["ImageTests"]

_USUAL_SHAPES = ((3, 16, 16), (1, 16, 16), (3, 17, 23))
_ODD = 7
_ROUNDING = 1e-4  # in shares of the largest value: what batches and orders of sums may change
_SMALL = 0.01  # what is smaller is compared as if it were this large
_NAME = re.compile(r"[A-Za-z][\w-]*")


class ImageTests(ConformanceTests):
    """What the tests of measures and of segmenters have in common."""

    image_shapes: ClassVar[tuple[tuple[int, int, int], ...] | None] = None

    _kept: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._kept = {}

    @property
    @abstractmethod
    def _subject(self) -> Measure | Segmenter:
        """What is tested."""

    @abstractmethod
    def _values(self, images: Tensor) -> Tensor:
        """What it gives, as floats, one row for each image."""

    def make_images(self, shape: tuple[int, int, int], n: int) -> Tensor:
        """Images (n, \\*shape), black 0 and white 1; define it where noise is not what it takes."""
        stream = torch.Generator().manual_seed(n)
        coarse = torch.rand(n, shape[0], 4, 4, generator=stream)
        smooth = torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
        grain = torch.rand(n, *shape, generator=stream)
        return (0.8 * smooth + 0.2 * grain).clamp(0.0, 1.0)

    def test_it_can_be_registered(self) -> None:
        """Its plugin would load."""
        if ":" in self._subject.name:
            skip("a plugin registers it without its argument")
        reason = refusal_of_plugin(self._hook, self._subject)
        check(reason is None, f"a plugin that gives {self._it} does not load: {reason}")

    def test_its_name_and_summary_can_be_listed(self) -> None:
        """Its name can be written in a condition on samples, and its summary is one line."""
        name = self._subject.name.partition(":")[0]
        check(
            _NAME.fullmatch(name) is not None,
            f"the name {name!r} is typed after a flag; take letters, digits, - and _",
        )
        check_sentence(self._subject.summary, f"the summary of {self._it}")

    def test_it_takes_the_images_that_it_says(self) -> None:
        """Grey and colour, of odd sizes, or those of its `image_shape`."""
        for shape in self._shapes():
            try:
                self._values(self.make_images(shape, 2))
            except GanprobeError as error:
                fail(f"{self._it} says that it fits images {shape}, and refuses them: {error}")

    def test_it_takes_one_image(self) -> None:
        """A batch of one gives what the same image gives among others."""
        self._check_rows([[0]])

    def test_it_takes_an_odd_number_of_images(self) -> None:
        """Batches of three and four give what seven give."""
        self._check_rows([[0, 1, 2], [3, 4, 5, 6]])

    def test_the_order_of_images_does_not_matter(self) -> None:
        """Each image has its own values, wherever it is in the batch."""
        self._check_rows([list(reversed(range(_ODD)))])

    def test_the_same_images_give_the_same_values(self) -> None:
        """Whatever the global random states are."""
        for images in self._batches():
            with scrambled_noise(1):
                first = self._values(images)
            with scrambled_noise(2):
                second = self._values(images)
            check(
                self._agree(first, second, 0.0),
                f"{self._it} gives other values for the same images a second time; draw from a"
                " stream of a fixed seed, and put networks in eval mode",
            )

    def test_it_does_not_write_into_the_images(self) -> None:
        """They are as they were."""
        for images in self._batches():
            before = images.clone()
            self._values(images)
            check(
                torch.equal(images, before),
                f"{self._it} writes into the images that it is given; work on a copy",
            )

    def test_it_takes_images_of_any_layout_in_memory(self) -> None:
        """Channels last, and a part of a larger tensor."""
        for images in self._batches():
            usual = self._values(images)
            wide = torch.zeros(*images.shape[:3], 2 * images.shape[3])
            wide[..., ::2] = images
            layouts = images.contiguous(memory_format=torch.channels_last), wide[..., ::2]
            for given in layouts:
                try:
                    found = self._values(given)
                except GanprobeError as error:
                    fail(f"{self._it} does not take images that are not contiguous: {error}")
                check(
                    self._agree(usual, found, _ROUNDING),
                    f"{self._it} gives other values for the same images in another layout; use"
                    " reshape instead of view",
                )

    def test_it_takes_images_in_float64(self) -> None:
        """As a probe in float64 makes them."""
        for images in self._batches():
            try:
                found = self._values(images.double())
            except GanprobeError as error:
                fail(f"{self._it} does not take images in float64: {error}; convert them")
            check(
                self._agree(self._values(images), found, 0.01),
                f"{self._it} gives other values for the same images in float64",
            )

    def test_it_keeps_no_images(self) -> None:
        """Memory is free when the images are done with."""
        shape = self._shapes()[0]
        images = self.make_images(shape, 2).clone()
        self._values(images)
        held = weakref.ref(images)
        del images
        if held() is not None:
            gc.collect()
        check(held() is None, f"{self._it} keeps the images that it was given; keep numbers only")

    def test_it_leaves_the_process_as_it_was(self) -> None:
        """Random states, modes, settings, folders and figures are as they were."""
        images = next(self._batches())
        with scrambled_noise(0):
            for _ in range(2):  # what it imports in the first, it may
                traces = ProcessTraces.before()
                self._values(images)
                left = traces.left()
        check_nothing(left, f"{self._it} does not leave everything as it was")

    def test_it_prints_nothing(self) -> None:
        """What it has to say are its values."""
        images, printed = next(self._batches()), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self._values(images)
        told = printed.getvalue()
        check(not told, f"{self._it} prints {told[:200]!r}")

    @property
    def _hook(self) -> str:
        return f"register_{self._kind}s"

    @property
    def _it(self) -> str:
        return f"{self._kind} {self._subject.name!r}"

    @property
    def _kind(self) -> str:
        return "measure" if isinstance(self._subject, Measure) else "segmenter"

    def _shapes(self) -> tuple[tuple[int, int, int], ...]:
        if self.image_shapes is not None:
            return self.image_shapes
        own = self._subject.image_shape
        shapes = (own,) if own is not None else _USUAL_SHAPES
        fitting = tuple(shape for shape in shapes if self._subject.fits(shape))
        if not fitting:
            fail(f"{self._it} takes none of the images {shapes}; say image_shapes = (...,)")
        return fitting

    def _batches(self) -> Iterator[Tensor]:
        for shape in self._shapes():
            yield self.make_images(shape, _ODD)

    def _agree(self, first: Tensor, second: Tensor, tolerance: float) -> bool:
        """Equal, or in shares of the largest value of each column nearly so; NaN equals NaN."""
        first, second = first.double(), second.double()
        if first.shape != second.shape or not torch.equal(first.isfinite(), second.isfinite()):
            return False
        known = torch.where(first.isfinite(), first, 0.0)
        apart = (known - torch.where(second.isfinite(), second, 0.0)).abs()
        scale = known.abs().amax(dim=0).clamp_min(_SMALL)
        return bool((apart <= tolerance * scale).all())

    def _check_rows(self, parts: list[list[int]]) -> None:
        for images in self._batches():
            whole = self._values(images)
            for rows in parts:
                try:
                    found = self._values(images[rows])
                except GanprobeError as error:
                    fail(f"{self._it} does not take {len(rows)} images: {error}")
                check(
                    self._agree(whole[rows], found, _ROUNDING),
                    f"{self._it} gives an image other values in another batch; let no image depend"
                    " on the others (statistics over dim=0, BatchNorm in train mode)",
                )
