"""A module is as it was, whatever somebody's code left on it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as every_module

from ganprobe.engine import ModuleState


class Counting(nn.Module):
    """A layer whose forward writes into one buffer and puts another tensor in place of a second."""

    steps: Tensor
    latest: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("latest", torch.zeros(1))

    def forward(self, given: Tensor) -> Tensor:
        self.steps += 1
        self.latest = given.mean().view(1) + self.steps
        return given


def make_module() -> nn.Sequential:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), Counting())
    return module.requires_grad_(False).eval()


def keep(*_: object) -> None:
    """A hook of a stranger's."""


def swap_rows(module: nn.Sequential) -> None:
    """With the same sum, the same sum of squares, and no count of the write."""
    layer_of(module, "0").weight.data = layer_of(module, "0").weight.data.flip(0)


def write_quietly(module: nn.Sequential) -> None:
    layer_of(module, "2").weight.data[0, 0] += 1e-6


def replace_forward(module: nn.Sequential) -> None:
    layer_of(module, "2").forward = keep


def layer_of(module: nn.Sequential, name: str) -> Any:
    return module.get_submodule(name)


def replace_layer(module: nn.Sequential) -> None:
    module[0] = nn.Linear(3, 4)


def add_layer(module: nn.Sequential) -> None:
    module.add_module("mine", nn.Identity())


def replace_parameter(module: nn.Sequential) -> None:
    layer_of(module, "0").bias = nn.Parameter(torch.zeros(4), requires_grad=False)


def leave_gradients(module: nn.Sequential) -> None:
    module.requires_grad_(True)
    module(torch.ones(1, 3)).sum().backward()


LEAVINGS: dict[str, tuple[Callable[[nn.Sequential], object], str]] = {
    "forward hook": (
        lambda module: layer_of(module, "2").register_forward_hook(keep),
        r"a forward hook was left on layer '2' \(keep, .*test_leftovers\.py:\d+\)",
    ),
    "pre-hook": (
        lambda module: layer_of(module, "2").register_forward_pre_hook(keep, with_kwargs=True),
        r"a forward pre-hook was left on layer '2' \(keep, .*\)",
    ),
    "backward hook": (
        lambda module: module.register_full_backward_hook(keep),
        r"a backward hook was left on the module \(keep, .*\)",
    ),
    "partial hook": (
        lambda module: layer_of(module, "2").register_forward_hook(functools.partial(keep, 1)),
        r"a forward hook was left on layer '2' \(keep, .*\)",
    ),
    "global hook": (
        lambda module: every_module.register_module_forward_hook(keep),
        r"a hook was left on all modules \(keep, .*\)",
    ),
    "train mode": (
        lambda module: layer_of(module, "1").train(),
        "layer '1' was left in train mode",
    ),
    "requires_grad": (
        lambda module: layer_of(module, "0").weight.requires_grad_(),
        r"requires_grad of '0\.weight' was changed",
    ),
    "gradients": (leave_gradients, r"requires_grad of '0\.weight' \(and 5 more\) was changed"),
    "forward": (replace_forward, r"the forward of layer '2' was replaced \(keep, .*\)"),
    "layer": (replace_layer, "layer '0' of the module was replaced"),
    "new layer": (add_layer, "layer 'mine' of the module was replaced"),
    "parameter": (replace_parameter, "parameter 'bias' of layer '0' was replaced"),
}


@pytest.mark.parametrize("leaving", LEAVINGS)
def test_what_was_left_is_taken_away_and_named(leaving: str) -> None:
    leave, told = LEAVINGS[leaving]
    module = make_module()
    was_hooked = layer_of(module, "0").register_forward_hook(lambda *_: None)
    before, made = describe(module), module(torch.ones(2, 3))
    state = ModuleState.of(module)
    leave(module)
    changes = state.put_back()
    assert any(re.fullmatch(told, change) for change in changes), changes
    assert describe(module) == before
    torch.testing.assert_close(module(torch.ones(2, 3)), made, rtol=0, atol=0)
    was_hooked.remove()
    assert not layer_of(module, "0")._forward_hooks


def describe(module: nn.Module) -> object:
    hooks = [
        (name, kind, tuple(hooks.items()))
        for name, layer in module.named_modules()
        for kind, hooks in vars(layer).items()
        if kind.endswith("_hooks") or "_hooks_" in kind
        if isinstance(hooks, dict)
    ]
    tensors = [
        (name, id(one), one.requires_grad, one.grad) for name, one in module.named_parameters()
    ]
    modes = [(name, id(one), one.training) for name, one in module.named_modules()]
    return hooks, tensors, modes, [*every_module._global_forward_hooks]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (swap_rows, "0.weight"),
        (write_quietly, "2.weight"),
        (lambda module: layer_of(module, "1").running_mean.add_(1), "1.running_mean"),
        (lambda module: layer_of(module, "1").num_batches_tracked.add_(1), "1.num_batches_tracked"),
    ],
)
def test_changed_weights_are_named_and_cannot_be_put_back(
    change: Callable[[nn.Sequential], object], name: str
) -> None:
    module = make_module()
    state = ModuleState.of(module)
    change(module)
    told = [f"the values of {name!r} were changed, which cannot be undone"]
    assert state.put_back(lambda: module(torch.ones(1, 3))) == told


def test_another_tensor_in_the_place_of_a_buffer_is_put_back() -> None:
    module = make_module()
    norm = layer_of(module, "1")
    state, mean = ModuleState.of(module), norm.running_mean
    norm.running_mean = torch.ones(4)
    told = state.put_back(lambda: module(torch.ones(1, 3)))
    assert told == ["the values of '1.running_mean' were changed"]
    assert norm.running_mean is mean


def test_what_the_forward_itself_writes_is_nobodys_fault() -> None:
    module = make_module()
    state = ModuleState.of(module)
    module(torch.ones(1, 3))
    assert state.put_back(lambda: module(torch.zeros(1, 3))) == []


def test_what_was_changed_and_put_back_is_nobodys_business() -> None:
    module = make_module()
    state = ModuleState.of(module)
    module.train().eval()
    layer_of(module, "0").register_forward_hook(keep).remove()
    with torch.no_grad():
        layer_of(module, "0").weight.add_(1.0).zero_()
    kept = layer_of(module, "0").weight.clone()
    layer_of(module, "0").weight.data.copy_(kept)
    again = ModuleState.of(module)
    layer_of(module, "0").weight.data.mul_(1.0)
    assert again.put_back() == []
    assert state.put_back() == ["the values of '0.weight' were changed, which cannot be undone"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_weights_of_any_dtype_are_looked_at(dtype: torch.dtype) -> None:
    module = nn.Linear(3, 2)
    module.weight = nn.Parameter(torch.ones(2, 3, dtype=dtype))
    state = ModuleState.of(module)
    assert state.put_back() == []
    module.weight.data[1, 2] *= 2
    assert state.put_back() == ["the values of 'weight' were changed, which cannot be undone"]


def test_shared_and_strided_and_empty_weights_are_looked_at_once() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(1, 3))
    layer_of(module, "2").weight = nn.Parameter(torch.zeros(3, 0))
    layer_of(module, "1").weight = layer_of(module, "0").weight
    layer_of(module, "0").bias = nn.Parameter(torch.zeros(6)[::2])
    state = ModuleState.of(module)
    assert state.put_back() == []
    layer_of(module, "1").weight.data.zero_()
    assert state.put_back() == ["the values of '0.weight' were changed, which cannot be undone"]
