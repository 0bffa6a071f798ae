"""Noise that keeps its values: drawn once in the base forward, the same in every replay."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganprobe.errors import NotReplayableError
from ganprobe.replay.watching import is_draw

__all__ = ["DrawnNoise", "SameNoise"]


class DrawnNoise(TorchDispatchMode):
    """Keeps what is drawn while it is on, except while `is_away`.

    Args:
        is_away: a replay will not come here.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: list[Tensor] = []
        self.is_away = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        drawn = func(*args, **(kwargs or {}))
        if is_draw(func, args) and not self.is_away:
            self.values += [leaf.clone() for leaf in _tensors(drawn)]
        return drawn


class SameNoise(TorchDispatchMode):
    """Gives every draw the values that it had in the base forward, to all variants alike.

    Raises:
        NotReplayableError: more is drawn than was, or in another shape.
    """

    def __init__(self, values: list[Tensor], n_samples: int, n_variants: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values, self._n_samples, self._n_variants = values, n_samples, n_variants
        self._n_used = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        drawn = func(*args, **(kwargs or {}))
        if is_draw(func, args):
            for leaf in _tensors(drawn):
                self._replace(leaf)
        return drawn

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


def _tensors(drawn: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(drawn) if isinstance(leaf, Tensor)]
