"""Classes of a class-conditional generator, and which of them a sample is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from ganprobe.errors import ParameterError, UnknownNameError

__all__ = ["Classes"]


@dataclass(frozen=True)
class Classes:
    """The classes that a generator can be asked for, and the one that is asked for now.

    Args:
        count: how many there are; they are numbered from 0.
        names: of all of them, if they have any.
        chosen: the class of every sample; None: all in turn, sample i is of class i % `count`.

    Raises:
        ParameterError: fewer than one class, names that are not as many or not distinct, or a
            chosen class that is not among them.

    Example:
        >>> Classes(10).labels([8, 9, 10]).tolist()
        [8, 9, 0]
        >>> Classes(3, ("cat", "dog", "owl")).choose("owl").labels([0, 1]).tolist()
        [2, 2]
    """

    count: int
    names: tuple[str, ...] = ()
    chosen: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ParameterError(f"a generator has one class or more, got {self.count}")
        if self.names and len(self.names) != self.count:
            raise ParameterError(f"{self.count} classes have {len(self.names)} names; name all")
        if len(set(self.names)) != len(self.names):
            raise ParameterError("two classes have the same name; make the names distinct")
        if self.chosen is not None and not 0 <= self.chosen < self.count:
            raise ParameterError(
                f"no class {self.chosen}: there are {self.count}, numbered 0-{self.count - 1}"
            )

    def choose(self, chosen: int | str | None) -> Self:
        """The same with one class for every sample, by number or name; None: all in turn.

        Raises:
            UnknownNameError: no class has this name; names the nearest.
            ParameterError: no class has this number.
        """
        if isinstance(chosen, str):
            chosen = self.number(chosen)
        return replace(self, chosen=chosen)

    def number(self, written: str) -> int:
        """The number of a class that is written as its name or its number."""
        if written in self.names:
            return self.names.index(written)
        if written.strip().isdecimal():
            return int(written)
        known = self.names or [f"0-{self.count - 1}"]
        raise UnknownNameError("class", written, known, hint="or its number")

    def name(self, number: int) -> str:
        """The name of a class, or its number where it has none."""
        return self.names[number] if self.names else str(number)

    def labels(self, indices: Sequence[int]) -> Tensor:
        """(n,) int64, on the CPU: the classes of the samples of these indices."""
        if self.chosen is not None:
            return torch.full((len(indices),), self.chosen)
        return torch.tensor([index % self.count for index in indices], dtype=torch.int64)

    def to_json(self) -> dict[str, Any]:
        """The classes as plain values."""
        chosen = "in turn" if self.chosen is None else self.chosen
        return {"count": self.count, "chosen": chosen, "names": list(self.names)}
