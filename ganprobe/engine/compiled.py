"""Compiled modules, whose compiled code does not hear hooks that come later."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

__all__ = ["eager", "is_compiled"]


def is_compiled(layer: nn.Module) -> bool:
    """Whether this very module was given to `torch.compile`, or its `compile` was called."""
    return "_orig_mod" in layer._modules or getattr(layer, "_compiled_call_impl", None) is not None


def eager() -> AbstractContextManager[object]:
    """Compiled modules run as they were written while this lasts, in all threads.

    Costs nothing where nothing was ever compiled: then the compiler is not even imported.
    """
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
