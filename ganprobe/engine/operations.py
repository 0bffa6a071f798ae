"""Operations on tensors, seen one by one as they reach a device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, overrides
from torch.utils import _python_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["EveryOperation", "balanced_modes", "is_draw", "tensors_of"]


class EveryOperation(TorchDispatchMode):
    """While it is on, every operation of this thread is seen, also those of scripted functions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled; to say so, torch would import its compiler."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self.seen(func, args, kwargs, out)
        return out

    @abstractmethod
    def seen(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """An operation was done, and gave this."""


@contextmanager
def balanced_modes() -> Iterator[None]:
    """Modes that an interruption left on are off afterwards."""
    dispatch, function = torch._C._len_torch_dispatch_stack(), torch._C._len_torch_function_stack()
    try:
        yield
    finally:
        try:
            _pop_modes(dispatch, function)
        finally:
            _pop_modes(dispatch, function)


def _pop_modes(dispatch: int, function: int) -> None:
    while torch._C._len_torch_dispatch_stack() > dispatch:
        _python_dispatch._pop_mode()
    while torch._C._len_torch_function_stack() > function:
        overrides._pop_mode()


def is_draw(operation: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation draws random numbers; attention without dropout does not."""
    may_draw, place, default = _drawing(operation)
    if place is None:
        return may_draw
    return bool(args[place] if place < len(args) else default)


@cache
def _drawing(operation: Any) -> tuple[bool, int | None, Any]:
    """Whether it may draw, and where it is told how much of attention drops out, or by default."""
    if torch.Tag.nondeterministic_seeded not in operation.tags:
        return False, None, None
    names = [argument.name for argument in operation._schema.arguments]
    if "dropout_p" not in names:
        return True, None, None
    place = names.index("dropout_p")
    return True, place, operation._schema.arguments[place].default_value


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor in lists, tuples and dicts."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
