"""What somebody's code left on a module: hooks, flags, layers and weights that were others before.

`ModuleState.of` remembers a module as it stands and `ModuleState.put_back` makes it so again, and
says what was changed and at which layer. Weights are not kept but told by a checksum each: that
they were changed is said, and cannot be undone. Costs one reading of the weights before and one
after: some 30 ms each for 30 million of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import xxhash
from torch import Tensor, nn
from torch.nn.modules import module as every_module

__all__ = ["ModuleState"]

_HOOKS = {
    "_forward_hooks": "a forward hook",
    "_forward_pre_hooks": "a forward pre-hook",
    "_backward_hooks": "a backward hook",
    "_backward_pre_hooks": "a backward pre-hook",
    "_state_dict_hooks": "a state dict hook",
    "_state_dict_pre_hooks": "a state dict pre-hook",
    "_load_state_dict_pre_hooks": "a state dict pre-hook",
    "_load_state_dict_post_hooks": "a state dict hook",
}
_OF_HOOKS = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called")
_OF_PRE_HOOKS = ("_forward_pre_hooks_with_kwargs",)
_PARTS = {"_modules": "layer", "_parameters": "parameter"}
_KEPT = (*_HOOKS, *_OF_HOOKS, *_OF_PRE_HOOKS, *_PARTS)
_GLOBAL = tuple(
    name
    for name, held in vars(every_module).items()
    if name.startswith("_global") and isinstance(held, dict)
)


class _Change(NamedTuple):
    """One thing that was other: ``before``, where it was, ``after``, which make a sentence."""

    before: str
    where: str
    after: str


def _told(changes: Iterable[_Change]) -> list[str]:
    """A sentence for each kind of change, which names the first place and how many more."""
    places: dict[tuple[str, str], list[str]] = {}
    for before, where, after in changes:
        places.setdefault((before, after), []).append(where)
    return [
        f"{before}{first}{f' (and {len(more)} more)' if more else ''}{after}"
        for (before, after), (first, *more) in places.items()
    ]


@dataclass(frozen=True)
class _LayerState:
    """One layer: its dictionaries, its flags, and a forward that is its own and not its class's."""

    name: str
    layer: nn.Module
    held: Mapping[str, Mapping[Any, Any]]
    is_training: bool
    forward: Callable[..., object] | None

    @classmethod
    def of(cls, name: str, layer: nn.Module) -> _LayerState:
        own = vars(layer)
        held = {kind: dict(own[kind]) for kind in _KEPT if kind in own}
        return cls(name, layer, held, layer.training, own.get("forward"))

    def put_back(self) -> Iterator[_Change]:
        """Make it as it was; tells what that undid."""
        where = f"layer {self.name!r}" if self.name else "the module"
        yield from self._put_back_entries(where)
        if self.layer.training != self.is_training:
            self.layer.training = self.is_training
            mode = "eval" if self.is_training else "train"
            yield _Change("", where, f" was left in {mode} mode")
        own = vars(self.layer)
        if own.get("forward") is not self.forward:
            left = own.pop("forward")
            if self.forward is not None:
                own["forward"] = self.forward
            yield _Change("the forward of ", where, f" was replaced{_line_of(left)}")

    def _put_back_entries(self, where: str) -> Iterator[_Change]:
        for kind, before in self.held.items():
            now = vars(self.layer)[kind]
            if _is_same(now, before):
                continue
            keys = dict.fromkeys([*now, *before])
            for key in (key for key in keys if now.get(key) is not before.get(key)):
                if kind in _HOOKS and key in now:
                    yield _Change(f"{_HOOKS[kind]} was left on ", where, _line_of(now[key]))
                elif kind in _HOOKS:
                    yield _Change(f"{_HOOKS[kind]} was taken off ", where, "")
                elif kind in _PARTS:
                    yield _Change(f"{_PARTS[kind]} {key!r} of ", where, " was replaced")
            _refill(now, before)


def _is_same(now: Mapping[Any, Any], before: Mapping[Any, Any]) -> bool:
    return [*now] == [*before] and all(now[key] is before[key] for key in before)


def _refill(now: dict[Any, Any], before: Mapping[Any, Any]) -> None:
    now.clear()
    now.update(before)


@dataclass(frozen=True)
class _TensorState:
    """A parameter or buffer: where it is held, whether it takes gradients, and what is in it."""

    name: str
    holder: dict[str, Tensor | None]
    tensor: Tensor
    takes_gradients: bool
    had_gradient: bool
    checksum: str

    @classmethod
    def of(cls, name: str, holder: dict[str, Tensor | None], tensor: Tensor) -> _TensorState:
        had_gradient = tensor.is_leaf and tensor.grad is not None
        return cls(name, holder, tensor, tensor.requires_grad, had_gradient, _checksum_of(tensor))

    def put_back(self) -> Iterator[_Change]:
        """Make its flags as they were; tells what that undid."""
        if not self.had_gradient and self.tensor.is_leaf:
            self.tensor.grad = None  # memory that nobody will ask for
        if self.tensor.requires_grad != self.takes_gradients:
            with suppress(RuntimeError):  # it is no leaf any more
                self.tensor.requires_grad_(self.takes_gradients)
            yield _Change("requires_grad of ", repr(self.name), " was changed")

    @property
    def held(self) -> str:
        """The checksum of what is held there now, by this tensor or by another in its place."""
        now = self.holder.get(self.key)
        return "" if now is None else _checksum_of(now)

    @property
    def key(self) -> str:
        return self.name.rpartition(".")[2]

    def put_values_back(self) -> _Change:
        """Put the tensor back where another took its place, and say what was changed."""
        self.holder[self.key] = self.tensor
        way_out = "" if self.held == self.checksum else ", which cannot be undone"
        return _Change("the values of ", repr(self.name), f" were changed{way_out}")


def _checksum_of(tensor: Tensor) -> str:
    """Of what it holds; where that cannot be read, as of a sparse tensor, of nothing."""
    try:
        held = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        return xxhash.xxh3_64_hexdigest(held.numpy().data)
    except (RuntimeError, NotImplementedError, TypeError):
        return ""


@dataclass(frozen=True)
class ModuleState:
    """A module as it stood.

    Example:
        >>> module = nn.Sequential(nn.Linear(2, 2)).eval()
        >>> state = ModuleState.of(module)
        >>> _ = module.train()
        >>> state.put_back()
        ['the module (and 1 more) was left in train mode']
        >>> module.training
        False
    """

    layers: tuple[_LayerState, ...]
    tensors: tuple[_TensorState, ...]
    everywhere: Mapping[str, Mapping[Any, Any]]

    @classmethod
    def of(cls, module: nn.Module) -> ModuleState:
        """The module as it stands now."""
        layers = dict(module.named_modules())
        tensors: dict[int, _TensorState] = {}  # one that several layers share is read once
        for name, layer in layers.items():
            for holder in (layer._parameters, layer._buffers):
                for key, tensor in holder.items():
                    if tensor is not None and id(tensor) not in tensors:
                        full_name = f"{name}.{key}".removeprefix(".")
                        tensors[id(tensor)] = _TensorState.of(full_name, holder, tensor)
        return cls(
            tuple(_LayerState.of(name, layer) for name, layer in layers.items()),
            tuple(tensors.values()),
            {name: dict(vars(every_module)[name]) for name in _GLOBAL},
        )

    def put_back(self, forward: Callable[[], object] | None = None) -> list[str]:
        """Make it so again, but for what its weights hold, and say what was changed since.

        Args:
            forward: runs the module once; called only where buffers hold other values, to see
                which of them the module itself writes into, which is not to be told.
        """
        changes = [change for layer in self.layers for change in layer.put_back()]
        for name, before in self.everywhere.items():
            if not _is_same(vars(every_module)[name], before):
                left = [hook for key, hook in vars(every_module)[name].items() if key not in before]
                _refill(vars(every_module)[name], before)
                everywhere = ("a hook was left on ", "all modules")
                changes += [_Change(*everywhere, _line_of(hook)) for hook in left]
        changes += [change for tensor in self.tensors for change in tensor.put_back()]
        return _told([*changes, *self._changes_of_weights(forward)])

    def _changes_of_weights(self, forward: Callable[[], object] | None) -> Iterator[_Change]:
        changed = [state for state in self.tensors if state.held != state.checksum]
        if forward is not None and any(isinstance(one.tensor, nn.Parameter) for one in changed):
            forward = None  # whatever it would tell, these are not its own to write into
        if forward is not None and changed:
            now = [state.held for state in changed]
            forward()
            changed = [one for one, held in zip(changed, now, strict=True) if one.held == held]
        for state in changed:
            yield state.put_values_back()


def _line_of(left: object) -> str:
    """`` (name, file:line)`` of a function; of a method and a partial that of what they call."""
    inner = getattr(left, "func", left)
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    if code is None:
        return ""
    return f" ({code.co_name}, {Path(code.co_filename)}:{code.co_firstlineno})"
