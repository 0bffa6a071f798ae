"""Watching a forward: every operation and every call of a layer goes into a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ganprobe.engine import (
    EveryOperation,
    Hooks,
    Plan,
    PortPlan,
    Registration,
    Step,
    Wanted,
    balanced_modes,
    is_draw,
    kept_noise,
    tensors_held,
    tensors_of,
)
from ganprobe.errors import NotReplayableError
from ganprobe.latents import Latents
from ganprobe.replay.trace import Trace
from ganprobe.sites import Port, SiteTensor

__all__ = ["watch"]

_READS_SHAPE = {"empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like",
                "randint_like", "new_empty", "new_zeros", "new_ones", "new_full",
                "new_empty_strided"}  # fmt: skip
_LIFTS = {"lift_fresh", "lift_fresh_copy"}
_OVERWRITES = {"normal_", "uniform_", "random_", "exponential_", "cauchy_", "log_normal_",
               "geometric_", "bernoulli_"}  # fmt: skip
_LEAVE_TORCH = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.data_ptr}

_MAKE_OF_NUMBERS = {torch.tensor, torch.as_tensor, torch.asarray}
"""Of a list, they take numbers out of the tensors in it."""


def watch(
    module: nn.Module,
    forward: Callable[[Latents], object],
    latents: Latents,
    sites: Sequence[SiteTensor],
    names: Mapping[nn.Module, str],
) -> Trace:
    """Trace one forward in which these sites are taken to be edited.

    Streams of random numbers are put back where they were.

    Raises:
        NotReplayableError: it works on tensors whose memory cannot be followed.
    """
    trace = Trace(dict(names))
    latents = replace(latents, z=latents.z.clone())
    trace.created[trace.memory(latents.z)] = 0  # not what outlives the forward
    for tensor in tensors_held(module):
        trace.hold(tensor)
    watcher = _Watcher(trace)
    hooks = Hooks(module, _marking(sites, _Mark(watcher)))
    with torch.no_grad(), kept_noise(module), watcher.on(names):
        try:
            hooks.open()
            with balanced_modes(), _Escapes(watcher), _Operations(watcher):
                forward(latents)
            hooks.finish()
        finally:
            try:
                hooks.close()
            finally:
                hooks.close()  # what an interruption left
    trace.forget_tensors()
    return trace


class _Watcher:
    """Puts what happens in its thread into a trace, unless it is being edited just now."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.is_paused = trace, False
        self._thread = get_ident()

    @contextmanager
    def on(self, layers: Iterable[nn.Module]) -> Iterator[None]:
        """Watch the calls of these layers while this lasts."""
        wanted: list[Wanted] = []
        for layer in layers:
            wanted += [(layer, "begin", self._on_begin), (layer, "out", self._on_end)]
        with Registration(wanted).on():
            yield

    def _on_begin(self, layer: nn.Module, args: object) -> None:
        if get_ident() == self._thread:
            self.trace.begin_call(layer)

    def _on_end(self, layer: nn.Module, args: object, output: object) -> None:
        if get_ident() == self._thread:
            self.trace.end_call(layer, output)


class _Mark:
    """An edit that changes nothing, but is told to the trace."""

    def __init__(self, watcher: _Watcher) -> None:
        self._watcher = watcher

    def __call__(self, activation: Tensor) -> Tensor:
        self._watcher.is_paused = True
        copied = activation.clone()
        self._watcher.is_paused = False
        self._watcher.trace.mark(copied, source=activation)
        return copied

    def write(self, activation: Tensor) -> None:
        self._watcher.trace.mark(activation)


def _marking(sites: Iterable[SiteTensor], mark: _Mark) -> Plan:
    ports: dict[tuple[str, Port], list[Step]] = {}
    for tensor in sites:
        is_in_place = tensor.is_in_place and not tensor.is_shared
        step = Step(tensor.value_path, tensor.site.call, edit=mark, is_in_place=is_in_place)
        ports.setdefault((tensor.site.layer, tensor.site.port), []).append(step)
    return Plan(tuple(PortPlan(*where, tuple(steps)) for where, steps in ports.items()))


class _Operations(EveryOperation):
    """Puts every operation into the trace."""

    def __init__(self, watcher: _Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def seen(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        if self._watcher.is_paused:
            return
        try:
            self._note(func, args, kwargs, out)
        except (NotImplementedError, RuntimeError) as error:  # sparse, nested: no one memory
            raise NotReplayableError(
                "memory", f"the memory of a tensor of {func} cannot be followed: {error}"
            ) from error

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        trace = self._watcher.trace
        name = func._overloadpacket.__name__
        given = tensors_of((args, kwargs))
        draws = is_draw(func, args)
        if name not in _LIFTS and not trace.knows(given):
            trace.escapes.append(f"a tensor that {func} is given, of unknown origin,")
        is_tainted = trace.operate(
            str(func),
            given,
            _written(func, args, kwargs),
            tensors_of(out),
            reads_values=name not in _READS_SHAPE and not (draws and name in _OVERWRITES),
            draws=draws,
            flops=_flops(func, args, kwargs, out),
        )
        if not is_tainted:
            return
        if draws:
            trace.lost_noise.append(str(func))
        elif _gives_python(out) or _only_judges(func, out) or _shape_depends(func, args):
            trace.escapes.append(str(func))


class _Escapes(TorchFunctionMode):
    """Sees what takes values out of torch without an operation."""

    def __init__(self, watcher: _Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        watcher = self._watcher
        watcher.trace.has_gradients |= torch.is_grad_enabled()
        is_made = func in _MAKE_OF_NUMBERS and bool(args) and not isinstance(args[0], Tensor)
        is_looked_at = (func in _LEAVE_TORCH or is_made) and not watcher.is_paused
        if is_looked_at and watcher.trace.is_reached(tensors_of(args)):
            watcher.trace.escapes.append(f"Tensor.{func.__name__}")
        return func(*args, **(kwargs or {}))


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    written: list[Any] = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            is_there = position < len(args)
            written.append(args[position] if is_there else kwargs.get(argument.name))
    return tensors_of(written)


def _gives_python(out: Any) -> bool:
    return any(not isinstance(leaf, Tensor | type(None)) for leaf in tree_leaves(out))


def _only_judges(func: Any, out: Any) -> bool:
    """Whether an operation can do nothing but raise."""
    writes = any(argument.alias_info is not None for argument in func._schema.arguments)
    return not tensors_of(out) and not writes


def _shape_depends(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether the shape of what it returns depends on values that it is given."""
    if torch.Tag.dynamic_output_shape not in func.tags:
        return False
    if func._overloadpacket is not torch.ops.aten.index:
        return True
    return any(index.dtype in (torch.bool, torch.uint8) for index in tensors_of(args[1]))


def _flops(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    count = flop_registry.get(func._overloadpacket)
    return 0 if count is None else int(count(*args, **kwargs, out_val=out))
