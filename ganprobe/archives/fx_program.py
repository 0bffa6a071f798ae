"""Programs of the graphs that torch.export writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import fx, nn
from torch._ops import HigherOrderOperator

from ganprobe.archives.hosts import device_of, invoke, read
from ganprobe.archives.program import Action, Block, Program, Slots, Step
from ganprobe.errors import WeightsError

__all__ = ["compile_fx"]

Giver = Callable[[Slots, nn.Module], Any]
_SKIPPED = frozenset({"aten::_assert_tensor_metadata"})
"""What only says in which dtype and on which device it was exported."""


def compile_fx(graph: fx.Graph, where: str, *, methods: Mapping[str, tuple[str, str]]) -> Program:
    """A program of a graph.

    Args:
        where: what it is, for messages.
        methods: what is called under a name: the path of a child, and which of its methods.

    Raises:
        WeightsError: it was exported in train mode, or calls something that is not there.
    """
    nodes = [node for node in graph.nodes if not _is_skipped(node) and not _is_part(node)]
    slots = {node: place for place, node in enumerate(nodes, start=1)}  # 0 is the module
    inputs = [slots[node] for node in nodes if node.op == "placeholder"]
    drops = _drops(nodes, slots)
    steps, returned = [], 0
    for node in nodes:
        if node.op == "output":
            returned = slots[node]
        if node.op != "placeholder":
            act = _action(node, slots, where, methods)
            steps.append(Step(act, drops.get(node, ())))
    constants = (None,) * (len(nodes) + 1)
    body = Block(tuple(steps), (returned,))
    return Program((0, *inputs), constants, body, (), frozenset())


def _is_part(node: fx.Node) -> bool:
    """Whether it reads a part of the graph that is run under a mode; see `_region`."""
    users = [isinstance(user.target, HigherOrderOperator) for user in node.users]
    return node.op == "get_attr" and bool(users) and all(users)


def _is_skipped(node: fx.Node) -> bool:
    if node.op == "call_module":
        return str(node.target).endswith("_guards_fn")
    name = getattr(node.target, "name", None)
    return callable(name) and str(name()).partition(".")[0] in _SKIPPED


def _drops(nodes: list[fx.Node], slots: Mapping[fx.Node, int]) -> dict[fx.Node, tuple[int, ...]]:
    """Which values nobody needs after each node."""
    last: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        last.update({value: node for value in node.all_input_nodes if value in slots})
    drops: dict[fx.Node, tuple[int, ...]] = {}
    for value, user in last.items():
        drops[user] = (*drops.get(user, ()), slots[value])
    return drops


def _action(
    node: fx.Node,
    slots: Mapping[fx.Node, int],
    where: str,
    methods: Mapping[str, tuple[str, str]],
) -> Action:
    place, target = slots[node], node.target
    if node.op == "get_attr":
        return _reading(place, str(target).split("."))
    if node.op == "call_function" and isinstance(target, HigherOrderOperator):
        return _region(node, slots, where)
    args = [_giver(one, slots) for one in node.args]
    named = [(name, _giver(one, slots)) for name, one in node.kwargs.items()]
    if node.op == "output":
        (only,) = args

        def leave(values: Slots, host: nn.Module) -> None:
            values[place] = only(values, host)

        return leave
    if node.op == "call_module":
        if named:
            raise WeightsError(f"{where} calls {target} with keywords, which ganprobe does not run")
        path, method = methods[str(target)]
        return _calling(place, path.split("."), method, args)
    if node.op != "call_function" or not callable(target):
        raise _cannot_run(where, target)
    if _is_in_train_mode(node):
        raise WeightsError(
            f"{where} was exported in train mode: its batch normalisation goes by the batch; call"
            " module.eval() before torch.export.export"
        )

    def act(values: Slots, host: nn.Module) -> None:
        values[place] = target(
            *[give(values, host) for give in args],
            **{name: give(values, host) for name, give in named},
        )

    return act


def _cannot_run(where: str, target: object) -> WeightsError:
    return WeightsError(
        f"{where} uses {str(target)!r}, an operation that ganprobe does not run; give the Python"
        " code that the archive was made of, or make the archive without it"
    )


_MODES: dict[str, Callable[..., AbstractContextManager[Any]]] = {
    "wrap_with_set_grad_enabled": torch.set_grad_enabled,
    "wrap_with_autocast": lambda kind, dtype, enabled, cached: torch.autocast(
        kind, dtype=dtype, enabled=enabled, cache_enabled=cached
    ),
}
"""What a part of a graph is run under, of the arguments that stand ahead of the part."""


def _region(node: fx.Node, slots: Mapping[fx.Node, int], where: str) -> Action:
    """A part of the graph that has a mode of its own, as ``with torch.no_grad()``."""
    place, mode = slots[node], _MODES.get(node.target.name())  # type: ignore[union-attr]
    inner = [one for one in node.args if isinstance(one, fx.Node) and one.op == "get_attr"]
    owner: Any = node.graph.owning_module
    if mode is None or len(inner) != 1 or owner is None:
        raise _cannot_run(where, node.target)
    part = node.args.index(inner[0])
    program = compile_fx(_at(owner, str(inner[0].target)).graph, where, methods={})
    given, args = node.args[:part], [_giver(one, slots) for one in node.args[part + 1 :]]

    def act(values: Slots, host: nn.Module) -> None:
        with mode(*given):
            values[place] = program.run(host, (host, *[give(values, host) for give in args]))

    return act


def _at(owner: Any, path: str) -> Any:
    for name in path.split("."):
        owner = getattr(owner, name)
    return owner


def _reading(place: int, names: list[str]) -> Action:
    def act(values: Slots, host: nn.Module) -> None:
        held: Any = host
        for name in names:
            held = read(held, name)
        values[place] = held

    return act


def _calling(place: int, names: list[str], method: str, args: list[Giver]) -> Action:
    def act(values: Slots, host: nn.Module) -> None:
        child: Any = host
        for name in names:
            child = read(child, name)
        values[place] = invoke(child, method, [give(values, host) for give in args])

    return act


def _giver(value: Any, slots: Mapping[fx.Node, int]) -> Giver:
    """What gives an argument, once the values of the nodes in it are there."""
    if isinstance(value, fx.Node):
        slot = slots[value]
        return lambda values, host: values[slot]
    if isinstance(value, torch.device):
        return lambda values, host: device_of(host)
    if isinstance(value, list | tuple):
        kind, parts = type(value), [_giver(one, slots) for one in value]
        make: Any = list if issubclass(kind, list) else tuple
        return lambda values, host: make([part(values, host) for part in parts])
    if isinstance(value, dict):
        keyed = {key: _giver(one, slots) for key, one in value.items()}
        return lambda values, host: {key: part(values, host) for key, part in keyed.items()}
    if isinstance(value, slice):
        ends = [_giver(one, slots) for one in (value.start, value.stop, value.step)]
        return lambda values, host: slice(*[end(values, host) for end in ends])
    return lambda values, host: value


_NORMALISING = {
    "aten::batch_norm": 5,
    "aten::native_batch_norm": 5,
    "aten::_native_batch_norm_legit": 5,
    "aten::_native_batch_norm_legit_functional": 5,
    "aten::_batch_norm_with_update": None,
    "aten::_batch_norm_with_update_functional": None,
}
"""Batch normalisation, and which argument says that it is in train mode; None: it always is."""


def _is_in_train_mode(node: fx.Node) -> bool:
    name = getattr(node.target, "name", None)
    own = str(name()).partition(".")[0] if callable(name) else ""
    if own not in _NORMALISING or len(node.args) < 5 or node.args[3] is None:
        return False
    place = _NORMALISING[own]
    return place is None or bool(node.args[place])
