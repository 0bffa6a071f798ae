"""What a program asks of modules: their attributes, their methods, and where their tensors are.

Modules are mirrors, or layers of ``torch.nn`` that stand for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

__all__ = ["device_of", "invoke", "read", "write"]


def read(owner: Any, name: str) -> Any:
    """A parameter, buffer, child or plain attribute."""
    if not isinstance(owner, nn.Module):
        return owner.read(name)
    for held in (owner._parameters, owner._buffers, owner._modules):
        if name in held:
            return held[name]
    return owner.__dict__[name]


def write(owner: Any, name: str, value: Any) -> None:
    """Set one; what it shares with the archive stays as it is there."""
    if not isinstance(owner, nn.Module):
        owner.write(name, value)
        return
    held: Any
    for held in (owner._parameters, owner._buffers, owner._modules):
        if name in held:
            held[name] = value
            return
    owner.__dict__[name] = value


def invoke(owner: Any, method: str, args: Sequence[Any]) -> Any:
    """Call a method; a forward as a module is called, so that its hooks fire."""
    own = getattr(owner, "invoke", None)
    return owner(*args) if own is None else own(method, args)


def device_of(owner: nn.Module) -> torch.device:
    """Where its tensors are; those of the whole that it is in, where it has none."""
    for tensor in (*owner._parameters.values(), *owner._buffers.values()):
        if tensor is not None:
            return tensor.device
    whole = owner.__dict__.get("_whole", (owner,))[0]
    found = next(whole.parameters(), None)
    if found is None:
        found = next(whole.buffers(), None)
    return torch.device("cpu") if found is None else found.device
