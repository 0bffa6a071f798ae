"""Segmenters: what can be said of each pixel of an image; and how much of an image a class covers.

A segmenter is written by its name, ``scenes``, or with an argument, ``luminance:5``. The measure
``area:`` and a segmenter's name is the share of the image that each of its classes covers. Masks
take a byte for each class and pixel: 10 classes of a batch of 64 images of 256 x 256 take 42 MB.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from ganprobe.errors import (
    NotDifferentiableError,
    ParameterError,
    PluginError,
    ShapeError,
    UnknownNameError,
    blaming,
)
from ganprobe.measures import Measure

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AREA", "AreaMeasure", "Segmenter", "check_segmenter"]

AREA = "area:"
"""What a measure of areas starts with, before the segmenter's name."""


class Segmenter(ABC):
    """Images to class masks. Subclass it and give one from `register_segmenters`.

    Attributes:
        name: what a user writes after ``--segmenter``.
        summary: one sentence for listings.
        classes: the names of the classes; a pixel may be in none, one or several. () where they
            depend on an argument that has to be given.
        image_shape: (channels, height, width) that it takes, or None for any.
        class_colours: one for each class, as matplotlib has them; None: figures choose.
        argument: what may be written behind the name and a colon, as in ``"BANDS"``; define
            `with_argument` too. "": nothing may.

    Example:
        >>> class Bright(Segmenter):
        ...     name, summary, classes = "bright", "What is bright, and what is not.", ("yes", "no")
        ...     def segment(self, images):
        ...         is_bright = images.mean(dim=1, keepdim=True) > 0.5
        ...         return torch.cat([is_bright, ~is_bright], dim=1)
        >>> import torch
        >>> masks = Bright()(torch.tensor([0.2, 0.9]).view(1, 1, 1, 2))
        >>> masks.shape, masks[0, 0].tolist()
        (torch.Size([1, 2, 1, 2]), [[False, True]])
        >>> AreaMeasure(Bright())(torch.ones(3, 1, 4, 4))[0].tolist()
        [1.0, 0.0]
    """

    name: str
    summary: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int] | None = None
    class_colours: tuple[str, ...] | None = None
    argument: ClassVar[str] = ""

    @abstractmethod
    def segment(self, images: Tensor) -> Tensor:
        """What a subclass defines: as `__call__`, which checks what this gives."""

    def soft(self, images: Tensor) -> Tensor:
        """How much of each pixel is of each class, where a subclass defines it.

        Args:
            images: (n, channels, height, width), float, black 0 and white 1.

        Returns:
            (n, classes, height, width) in [0, 1], which gradients reach the images through; about
            what `__call__` gives where it is above one half.

        Raises:
            NotDifferentiableError: it has none, as here.
        """
        raise NotDifferentiableError(
            f"segmenter {self.name!r} has no soft masks, so that there are no gradients through it;"
            " give a segmenter that defines soft(), or take a way without gradients"
        )

    @property
    def is_differentiable(self) -> bool:
        """Whether it has soft masks."""
        return type(self).soft is not Segmenter.soft

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        """The segmenter that ``NAME:ARGUMENT`` stands for, its `name` the whole of it.

        Args:
            argument: what stands behind the colon; never "".
            find_measure: looks a measure up by name.

        Raises:
            ParameterError: the argument does not fit, or it takes none, as here.
        """
        raise ParameterError(
            f"segmenter {self.name!r} takes nothing behind its name, got {argument!r}; write"
            f" {self.name}"
        )

    def __call__(self, images: Tensor) -> Tensor:
        """The class masks of images (n, channels, height, width), float, black 0 and white 1.

        Returns:
            (n, classes, height, width) bool on the images' device.

        Raises:
            ShapeError: it does not take images of this shape.
            PluginError: the subclass raised, or gave another shape, dtype or device.
        """
        import torch

        if images.ndim != 4 or not self.fits(images.shape[1:]):
            shape = self.image_shape or ("channels", "height", "width")
            raise ShapeError(
                f"segmenter {self.name!r} takes images (n, {', '.join(map(str, shape))}), got"
                f" {tuple(images.shape)}"
            )
        on = f" on images {tuple(images.shape)}"
        blamed = blaming(f"segmenter {self.name!r}", type(self).__module__, on=on, in_batches=True)
        with blamed, torch.no_grad():
            masks = self.segment(images)
        self._check_masks(masks, images)
        return masks

    def _check_masks(self, masks: object, images: Tensor) -> None:
        import torch

        if not isinstance(masks, torch.Tensor):
            raise PluginError(
                f"segmenter {self.name!r} gave a {type(masks).__name__}; it must give a tensor"
            )
        expected = (len(images), len(self.classes), *images.shape[2:])
        if (tuple(masks.shape), masks.dtype, masks.device) != (expected, torch.bool, images.device):
            kind = str(masks.dtype).removeprefix("torch.")
            raise PluginError(
                f"segmenter {self.name!r} gave {kind} {tuple(masks.shape)} on {masks.device} for"
                f" images {tuple(images.shape)} and {len(self.classes)} classes; it must give bool"
                f" {expected} on {images.device}"
            )

    def place_of(self, name: str) -> int:
        """The place of a class by its name.

        Raises:
            UnknownNameError: it has no such class; names the nearest.
        """
        if name not in self.classes:
            where, hint = f"segmenter {self.name!r}", f"it has: {', '.join(self.classes[:20])}"
            raise UnknownNameError("class", name, self.classes, where=where, hint=hint)
        return self.classes.index(name)

    def fits(self, image_shape: tuple[int, ...]) -> bool:
        """Whether it takes images of this (channels, height, width)."""
        return self.image_shape is None or self.image_shape == tuple(image_shape)

    @property
    def written(self) -> str:
        """How it is written, with its argument: ``luminance[:BANDS]``, ``painted:FILE``."""
        if not self.argument or ":" in self.name:
            return self.name
        argument = f":{self.argument}"
        return f"{self.name}[{argument}]" if self.classes else f"{self.name}{argument}"


class AreaMeasure(Measure):
    """The share of an image, in [0, 1], that each class of a segmenter covers.

    Written ``area:scenes=tree``. It has no gradients: a pixel is in a class, or it is not.

    Args:
        segmenter: which images it takes is the measure's too.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.name = f"{AREA}{segmenter.name}"  # type: ignore[misc]
        summary = f"share of the image that each class of {segmenter.name!r} covers"
        self.summary = summary  # type: ignore[misc]
        self.columns = segmenter.classes  # type: ignore[misc]
        self.image_shape = segmenter.image_shape  # type: ignore[misc]

    def measure(self, images: Tensor) -> Tensor:
        import torch

        masks = self.segmenter(images)
        # One class at a time: floats take four times the memory of masks, or more.
        shares = [mask.float().mean(dim=(1, 2)) for mask in masks.unbind(dim=1)]
        return torch.stack(shares, dim=1)  # (n, classes)

    def fits(self, image_shape: tuple[int, ...]) -> bool:
        return self.segmenter.fits(image_shape)


def check_segmenter(offer: object) -> None:
    """Raise `PluginError` if this is no segmenter, or lacks what one needs, saying what."""
    if not isinstance(offer, Segmenter):
        raise PluginError(f"{offer!r} is no Segmenter")
    spoken = type(offer).__name__
    for name, kind in {"name": str, "summary": str, "classes": tuple}.items():
        if not isinstance(getattr(offer, name, None), kind):
            raise PluginError(f"{spoken} needs an attribute {name!r}, a {kind.__name__}")
    _check_argument(offer, spoken)
    _check_classes(offer, spoken)


def _check_argument(offer: Segmenter, spoken: str) -> None:
    takes_one = type(offer).with_argument is not Segmenter.with_argument
    if takes_one and not offer.argument:
        raise PluginError(f"{spoken} defines with_argument; say what it takes with 'argument'")
    if offer.argument and not takes_one:
        raise PluginError(f"{spoken} takes {offer.argument!r}, and defines no with_argument")


def _check_classes(offer: Segmenter, spoken: str) -> None:
    classes, colours = offer.classes, offer.class_colours
    if not classes and not offer.argument:
        raise PluginError(f"{spoken} has no classes")
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise PluginError(f"{spoken} has a class of the name {name!r}; it must be words")
        if classes.count(name) > 1:
            raise PluginError(f"{spoken} has two classes of the name {name!r}")
    if colours is not None and len(colours) != len(classes):
        raise PluginError(f"{spoken} has {len(colours)} colours for {len(classes)} classes")
