"""A module that makes images by another method than forward, as ``decode``, as a module."""

from __future__ import annotations

from typing import Any

from torch import nn

from ganprobe.errors import UnknownNameError

__all__ = ["MethodModule"]


class MethodModule(nn.Module):
    """Calls a method of a module in its forward; its layers are called ``model.`` and their name.

    Args:
        model: used as it is.
        method: its name.

    Raises:
        UnknownNameError: the module has no such method; names the nearest.
    """

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        if not callable(getattr(model, method, None)):
            own = {name for kind in type(model).__mro__[:-1] for name in vars(kind)}
            own -= set(vars(nn.Module))
            known = [name for name in own if not name.startswith("_")]
            raise UnknownNameError("method", method, known, where=type(model).__name__)
        self.model = model
        self.method = method
        self.train(model.training)

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """What the method returns."""
        return getattr(self.model, self.method)(*arguments, **keywords)

    def extra_repr(self) -> str:
        """The method's name."""
        return f"method={self.method}"
