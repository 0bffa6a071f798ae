"""Normalisation modes: which statistics the batch normalisation of a generator goes by.

``eval``    the running statistics that were kept in training: what a trained generator is for.
``sample``  each sample's own, over space: what somebody gets who forgot ``.eval()`` and generates
            one image at a time. The same whatever the batch, so that samples can be batched.
``batch``   those of the batch that a sample is in. Samples of a batch influence each other.

Conclusions can differ from mode to mode, so that a mode belongs to a generator's identity. A mode
other than ``eval`` is of a copy of the module, which shares its parameters and buffers; the module
itself is not touched, and no running statistics are updated.
"""

from __future__ import annotations

import copy
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ganprobe.engine import tensors_held, without_hooks
from ganprobe.errors import ParameterError, UsageError

__all__ = ["Normalisation", "check_normalisation", "in_mode"]

Normalisation = Literal["eval", "sample", "batch"]


def check_normalisation(mode: str) -> None:
    """Raise `ParameterError` unless there is such a mode."""
    modes = get_args(Normalisation)
    if mode not in modes:
        raise ParameterError(f"no normalisation {mode!r}; there are: {', '.join(modes)}")


def in_mode(module: nn.Module, mode: Normalisation, name: str) -> nn.Module:
    """A module whose batch normalisation goes by other statistics; itself in mode ``eval``.

    Args:
        module: in eval mode; it is not changed.
        name: of the generator, for messages.

    Raises:
        ParameterError: there is no batch normalisation in it, or no such mode.
        UsageError: a layer of batch normalisation has a forward of its own, whose statistics
            cannot be chosen; or the module cannot be copied.
    """
    check_normalisation(mode)
    if mode == "eval":
        return module
    copied = _copied(module, name)
    layers = {p: layer for p, layer in copied.named_modules() if isinstance(layer, _BatchNorm)}
    if not layers:
        raise ParameterError(
            f"generator {name!r} has no layer of batch normalisation, so that normalisation"
            f" {mode!r} would change nothing; leave it at 'eval'"
        )
    for path, layer in layers.items():
        kind = _kind(layer, mode)
        if kind is None:
            raise UsageError(
                f"layer {path!r} ({type(layer).__name__}) normalises in a forward of its own, whose"
                " statistics cannot be chosen; use normalisation 'eval'"
            )
        layer.__class__ = kind
    return copied


class _ByBatch(_BatchNorm):
    """Batch normalisation by the statistics of what it is given; keeps none."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        return functional.batch_norm(
            input, None, None, self.weight, self.bias, training=True, eps=self.eps
        )


class _BySample(_BatchNorm):
    """Batch normalisation by each sample's own statistics, biased, as with a batch of one."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        if input.shape[2:].numel() < 2:
            raise ValueError(
                "a sample has one value for each unit here, and no statistics of its own; use"
                f" normalisation 'eval' (input {tuple(input.shape)})"
            )
        # Each unit a group: what instance_norm gives, in a third of its time.
        return functional.group_norm(input, input.shape[1], self.weight, self.bias, self.eps)


class _SampleBatchNorm1d(_BySample, nn.BatchNorm1d): ...


class _SampleBatchNorm2d(_BySample, nn.BatchNorm2d): ...


class _SampleBatchNorm3d(_BySample, nn.BatchNorm3d): ...


class _SampleSyncBatchNorm(_BySample, nn.SyncBatchNorm): ...


class _OwnBatchNorm1d(_ByBatch, nn.BatchNorm1d): ...


class _OwnBatchNorm2d(_ByBatch, nn.BatchNorm2d): ...


class _OwnBatchNorm3d(_ByBatch, nn.BatchNorm3d): ...


class _OwnSyncBatchNorm(_ByBatch, nn.SyncBatchNorm): ...


_KINDS: dict[str, dict[type[_BatchNorm], type[_BatchNorm]]] = {
    "sample": {
        nn.BatchNorm1d: _SampleBatchNorm1d,
        nn.BatchNorm2d: _SampleBatchNorm2d,
        nn.BatchNorm3d: _SampleBatchNorm3d,
        nn.SyncBatchNorm: _SampleSyncBatchNorm,
    },
    "batch": {
        nn.BatchNorm1d: _OwnBatchNorm1d,
        nn.BatchNorm2d: _OwnBatchNorm2d,
        nn.BatchNorm3d: _OwnBatchNorm3d,
        nn.SyncBatchNorm: _OwnSyncBatchNorm,
    },
}


def _kind(layer: _BatchNorm, mode: str) -> type[_BatchNorm] | None:
    """What a layer becomes; None where its forward is its own."""
    is_usual = type(layer).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward)
    kinds = (own for kind, own in _KINDS[mode].items() if is_usual and isinstance(layer, kind))
    return next(kinds, None)


def _copied(module: nn.Module, name: str) -> nn.Module:
    """A copy of the layers, which holds the very tensors that the module holds."""
    shared = {id(tensor): tensor for tensor in tensors_held(module)}
    try:
        with torch.no_grad():
            return without_hooks(copy.deepcopy(module, dict(shared)))
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"the module of generator {name!r} cannot be copied ({error}), which another"
            " normalisation than 'eval' needs"
        ) from error
