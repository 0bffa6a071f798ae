"""Measures: what can be said of an image in numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from ganprobe.errors import ParameterError, PluginError, UnknownNameError, blaming

if TYPE_CHECKING:
    from torch import Tensor

    from ganprobe.weight_files import Trust

__all__ = ["Measure"]

_MOST_NAMED = 12  # columns in an error


class Measure(ABC):
    """Images to named numbers. Subclass it and give one from `register_measures`.

    Attributes:
        name: what a user writes after ``--measure``.
        summary: one sentence for listings.
        columns: the names of the k numbers. () where they depend on an argument that has to be
            given.
        image_shape: (channels, height, width) that it takes, or None for any.
        argument: what may be written behind the name and a colon, as in ``"FOLDER"``; define
            `with_argument` too. "": nothing may.
        source: where it came from, if it is somebody's, as plain values: files with their
            SHA-256. Part of the provenance of what it measured.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    image_shape: ClassVar[tuple[int, int, int] | None] = None
    argument: ClassVar[str] = ""
    source: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def measure(self, images: Tensor) -> Tensor:
        """What a subclass defines: as `__call__`, which checks what this gives."""

    def with_argument(self, argument: str, trust: Trust) -> Measure:
        """The measure that ``NAME:ARGUMENT`` stands for, its `name` the whole of it.

        Args:
            argument: what stands behind the colon; never "".
            trust: whether files that execute code may be read, where it reads any.

        Raises:
            ParameterError: the argument does not fit, or it takes none, as here.
        """
        raise ParameterError(
            f"measure {self.name!r} takes nothing behind its name, got {argument!r}; write"
            f" {self.name}"
        )

    @property
    def written(self) -> str:
        """How it is written, with its argument: ``digit``, ``network:FOLDER``."""
        if not self.argument or ":" in self.name:
            return self.name
        argument = f":{self.argument}"
        return f"{self.name}[{argument}]" if self.columns else f"{self.name}{argument}"

    def __call__(self, images: Tensor) -> Tensor:
        """Measure images (n, channels, height, width), float, black 0 and white 1.

        Returns:
            (n, k) on the images' device, one column for each of `columns`; no gradients.

        Raises:
            PluginError: the subclass raised, or gave another shape.
        """
        import torch

        on = f" on images {tuple(images.shape)}"
        blamed = blaming(f"measure {self.name!r}", type(self).__module__, on=on, in_batches=True)
        with blamed, torch.no_grad():
            values = self.measure(images)
        if not isinstance(values, torch.Tensor):
            raise PluginError(
                f"measure {self.name!r} gave a {type(values).__name__}; it must give a tensor"
            )
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
