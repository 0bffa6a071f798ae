"""What a module is, object by object, to compare before and after."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["hooks_of", "state_of"]


def hooks_of(module: nn.Module) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Every hook of every layer, in order, by number and identity."""
    return [
        (name, kind, [(number, id(hook)) for number, hook in value.items()])
        for name, layer in module.named_modules()
        for kind, value in sorted(vars(layer).items())
        if "_hooks" in kind and isinstance(value, dict)
    ]


def state_of(module: nn.Module) -> list[tuple[Any, ...]]:
    """Attributes of every layer, each with its identity, and the training flag."""
    return [
        (name, key, value if isinstance(value, bool) else id(value))
        for name, layer in module.named_modules()
        for key, value in sorted(vars(layer).items())
    ]
