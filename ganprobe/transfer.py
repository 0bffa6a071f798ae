"""Copies from a device to the host, beside the work that goes on there.

From a GPU they go through page-locked memory on a stream of their own: the device does not wait
for them, and the host waits only where it reads. On the host itself a copy is a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

__all__ = ["OnItsWay", "host_memory", "start_copy"]


@dataclass(frozen=True, eq=False)
class OnItsWay:
    """A tensor on the host whose values may still be arriving."""

    target: Tensor
    arrival: torch.cuda.Event | None = None

    def wait(self) -> Tensor:
        """The tensor, once its values are there; may be called in any thread."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.target


def host_memory(shape: tuple[int, ...], dtype: torch.dtype, source: Tensor) -> Tensor:
    """Uninitialised memory on the host, page-locked where copies come from a GPU."""
    return torch.empty(shape, dtype=dtype, pin_memory=source.is_cuda)


def start_copy(source: Tensor, target: Tensor | None = None) -> OnItsWay:
    """Begin to copy a tensor to the host.

    The source may be dropped at once: its memory is not given to others before it was read.

    Args:
        target: memory on the host, of the same shape and any dtype; None: fresh memory.
    """
    if target is None:
        target = host_memory(tuple(source.shape), source.dtype, source)
    if not source.is_cuda:
        return OnItsWay(target.copy_(source))
    stream = _stream_of(source.device)
    stream.wait_stream(torch.cuda.current_stream(source.device))
    with torch.cuda.stream(stream):
        target.copy_(source, non_blocking=True)
        source.record_stream(stream)
        return OnItsWay(target, stream.record_event())


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """One side stream for each device: copies from one device queue up anyway."""
    return torch.cuda.Stream(device)
