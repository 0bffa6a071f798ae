"""Measures: what can be said of an image in numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ganprobe.errors import ParameterError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Measure"]

_MOST_NAMED = 12  # columns in an error


class Measure(ABC):
    """Images to named numbers. Subclass it and give one from `register_measures`.

    Attributes:
        name: what a user writes after ``--measure``.
        summary: one sentence for listings.
        columns: the names of the k numbers.
        image_shape: (channels, height, width) that it takes, or None for any.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    image_shape: ClassVar[tuple[int, int, int] | None] = None

    @abstractmethod
    def measure(self, images: Tensor) -> Tensor:
        """What a subclass defines: as `__call__`, which checks what this gives."""

    def __call__(self, images: Tensor) -> Tensor:
        """Measure images (n, channels, height, width), float, black 0 and white 1.

        Returns:
            (n, k) on the images' device, one column for each of `columns`; no gradients.

        Raises:
            PluginError: the subclass gave another shape.
        """
        import torch

        with torch.no_grad():
            values = self.measure(images)
        expected = (len(images), len(self.columns))
        if tuple(values.shape) != expected:
            raise PluginError(
                f"measure {self.name!r} gave {tuple(values.shape)} for {len(images)} images and"
                f" {len(self.columns)} columns; it must give {expected}"
            )
        return values

    def column(self, name: str | None) -> int:
        """The place of a column by its name; None means the only one.

        Raises:
            UnknownNameError: it has no such column.
            ParameterError: it has several, and none was named.
        """
        if name is None and len(self.columns) == 1:
            return 0
        if name is None:
            raise ParameterError(
                f"measure {self.name!r} has {len(self.columns)} columns:"
                f" {', '.join(self.columns[:_MOST_NAMED])}; name one, as {self.name}="
                f"{self.columns[0]}"
            )
        if name not in self.columns:
            where, hint = f"measure {self.name!r}", f"it has {len(self.columns)}; name one of them"
            raise UnknownNameError("column", name, self.columns, where=where, hint=hint)
        return self.columns.index(name)

    def fits(self, image_shape: tuple[int, ...]) -> bool:
        """Whether it takes images of this (channels, height, width)."""
        return self.image_shape is None or self.image_shape == tuple(image_shape)
