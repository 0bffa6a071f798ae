"""Noise that keeps its values: drawn once in the base forward, the same in every replay."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganprobe.engine import Editing, EveryOperation, is_draw, tensors_of
from ganprobe.errors import NotReplayableError

__all__ = ["Aside", "DrawnNoise", "SameNoise"]


class DrawnNoise(EveryOperation):
    """Keeps what is drawn while it is on, except while `is_away`.

    Args:
        is_away: a replay will not come here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Tensor] = []
        self.is_away = False

    def seen(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        if is_draw(func, args) and not self.is_away:
            self.values += [leaf.clone() for leaf in tensors_of(out)]


class SameNoise(EveryOperation):
    """Gives every draw the values that it had in the base forward, to all variants alike.

    Args:
        is_away: an edit is being made, which draws what it likes.

    Raises:
        NotReplayableError: more is drawn than was, or in another shape.
    """

    def __init__(self, values: list[Tensor], n_samples: int, n_variants: int) -> None:
        super().__init__()
        self._values, self._n_samples, self._n_variants = values, n_samples, n_variants
        self._n_used = 0
        self.is_away = False

    def seen(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        if is_draw(func, args) and not self.is_away:
            for leaf in tensors_of(out):
                self._replace(leaf)

    def _replace(self, drawn: Tensor) -> None:
        if self._n_used == len(self._values):
            raise NotReplayableError("noise", "a replay draws more random numbers than its base")
        values = self._values[self._n_used]
        self._n_used += 1
        rows = (self._n_variants, self._n_samples)
        if drawn.shape == values.shape:
            drawn.copy_(values)
        elif drawn.shape == (rows[0] * rows[1], *values.shape[1:]) and len(values) == rows[1]:
            drawn.unflatten(0, rows).copy_(values)
        else:
            raise NotReplayableError(
                "noise",
                f"noise of shape {tuple(values.shape)} is {tuple(drawn.shape)} for {rows[0]}"
                f" variants of {rows[1]} samples, so that it cannot be kept the same",
            )


class Aside:
    """An edit whose own draws are left as they are."""

    def __init__(self, edit: Editing, noise: SameNoise) -> None:
        self._edit, self._noise = edit, noise

    def __call__(self, activation: Tensor) -> Tensor:
        self._noise.is_away = True
        try:
            return self._edit(activation)
        finally:
            self._noise.is_away = False

    def write(self, activation: Tensor) -> None:
        self._noise.is_away = True
        try:
            self._edit.write(activation)
        finally:
            self._noise.is_away = False
