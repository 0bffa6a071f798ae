"""Programs of the graphs of TorchScript.

Operators are called by their schemas; only what TorchScript does to lists, dicts and tuples is done
by Python.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.archives.containers import container_operator
from ganprobe.archives.hosts import device_of, invoke, read, write
from ganprobe.archives.program import Action, Block, Program, Slots, Step
from ganprobe.errors import WeightsError

__all__ = ["compile_script"]


def compile_script(graph: Any, where: str) -> Program:
    """A program of a graph.

    Args:
        graph: a ``torch._C.Graph``.
        where: what it is, for messages, as ``layer 'conv' (Conv2d)``.
    """
    compiler = _Compiler(where)
    inputs = tuple(compiler.slot(value) for value in graph.inputs())
    body = compiler.block(graph.nodes(), graph.outputs(), depth=0)
    return Program(
        inputs,
        tuple(compiler.template),
        body,
        tuple(compiler.calls),
        frozenset(compiler.reads),
        compiler.refusals[0] if compiler.refusals else "",
    )


@dataclass
class _Compiler:
    where: str
    slots: dict[str, int] = field(default_factory=dict)
    template: list[Any] = field(default_factory=list)
    calls: dict[tuple[str, str], None] = field(default_factory=dict)  # in order
    reads: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    depth: int = 0

    def slot(self, value: Any) -> int:
        name = value.debugName()
        if name not in self.slots:
            self.slots[name] = len(self.template)
            self.template.append(None)
        return self.slots[name]

    def block(self, nodes: Iterable[Any], outputs: Iterable[Any], *, depth: int) -> Block:
        outer, self.depth = self.depth, depth
        kept = tuple(self.slot(value) for value in outputs)
        acts = [(node, self.action(node)) for node in nodes]
        self.depth = outer
        running = [(node, act) for node, act in acts if act is not None]
        last = _last_uses([node for node, _ in running], self.slot)
        drops: dict[int, list[int]] = {}
        for slot, position in last.items():
            if slot not in kept:
                drops.setdefault(position, []).append(slot)
        steps = [
            Step(act, tuple(drops.get(position, ()))) for position, (_, act) in enumerate(running)
        ]
        return Block(tuple(steps), kept)

    def action(self, node: Any) -> Action | None:
        """What a node does; None for a constant, which needs nothing."""
        kind = node.kind()
        make = _KINDS.get(kind)
        if make is not None:
            return make(self, node)
        return self.operator(node)

    def operator(self, node: Any) -> Action:
        schema = _schema(node)
        if node.kind() == "aten::batch_norm" and _is_in_train_mode(node):
            return self.refuse(
                node,
                f"{self.where} was made in train mode: its batch normalisation goes by the batch"
                f"{_line(node)}; call module.eval() before the archive is made",
            )
        if schema is None:
            return self.refuse(node, self.unknown(node, "ganprobe does not know"))
        inputs = self.inputs(node)
        of_containers = container_operator(schema, [value.type() for value in node.inputs()])
        if of_containers is not None:
            return _apply(of_containers, inputs, self.outputs(node))
        if any(_is_of_anything(one.type) for one in schema.arguments):
            return self.refuse(node, self.unknown(node, "ganprobe does not run"))
        found = torch._C._get_operation_overload(schema.name, schema.overload_name)
        if found is None:
            return self.refuse(node, self.unknown(node, "this version of torch does not have"))
        names = [one.name if one.kwarg_only else None for one in schema.arguments]
        return _call(found[0], inputs, names, self.outputs(node))

    def inputs(self, node: Any) -> tuple[int, ...]:
        return tuple(self.slot(value) for value in node.inputs())

    def outputs(self, node: Any) -> tuple[int, ...]:
        return tuple(self.slot(value) for value in node.outputs())

    def unknown(self, node: Any, why: str) -> str:
        """Says that an operation cannot be run, where it is used, and the way out."""
        return (
            f"{self.where} uses {node.kind()!r}{_line(node)}, an operation that {why}; give the"
            " Python code that the archive was made of, or make the archive without it"
        )

    def refuse(self, node: Any, said: str) -> Action:
        """A step that cannot be taken; a reason not to load it where it is always taken."""
        if not self.depth:
            self.refusals.append(said)

        def act(slots: Slots, host: nn.Module) -> None:
            raise WeightsError(said)

        return act


def _last_uses(nodes: Sequence[Any], slot: Callable[[Any], int]) -> dict[int, int]:
    """For each value that one of these nodes makes, the position of the node that last uses it."""
    made = {slot(value) for node in nodes for value in node.outputs()}
    last = {slot(value): position for position, node in enumerate(nodes)
            for value in node.outputs()}  # fmt: skip
    for position, node in enumerate(nodes):
        for value in _uses(node):
            if slot(value) in made:
                last[slot(value)] = position
    return last


def _uses(node: Any) -> Iterable[Any]:
    """The values that a node needs, also within its blocks."""
    yield from node.inputs()
    for block in node.blocks():
        for inner in block.nodes():
            yield from _uses(inner)
        yield from block.outputs()


def _call(
    operator: Any, inputs: Sequence[int], keywords: Sequence[str | None], outputs: tuple[int, ...]
) -> Action:
    positional = [slot for slot, name in zip(inputs, keywords, strict=True) if name is None]
    named = [(name, slot) for slot, name in zip(inputs, keywords, strict=True) if name is not None]
    if len(outputs) == 1:
        (output,) = outputs

        def act(slots: Slots, host: nn.Module) -> None:
            slots[output] = operator(
                *[slots[slot] for slot in positional], **{name: slots[slot] for name, slot in named}
            )

        return act

    def act_for_many(slots: Slots, host: nn.Module) -> None:
        values = operator(
            *[slots[slot] for slot in positional], **{name: slots[slot] for name, slot in named}
        )
        for output, value in zip(outputs, values if outputs else (), strict=True):
            slots[output] = value

    return act_for_many


def _apply(function: Callable[..., Any], inputs: Sequence[int], outputs: tuple[int, ...]) -> Action:
    return _call(function, inputs, [None] * len(inputs), outputs)


def _constant(compiler: _Compiler, node: Any) -> Action | None:
    output = node.output()
    kind = output.type().kind()
    slot = compiler.slot(output)
    if kind == "FunctionType":
        return None
    value = output.toIValue()
    if kind == "DeviceObjType":  # an archive runs where its tensors are, not where it was made

        def place(slots: Slots, host: nn.Module) -> None:
            slots[slot] = device_of(host)

        return place
    if isinstance(value, Tensor):

        def move(slots: Slots, host: nn.Module) -> None:
            slots[slot] = value.to(device_of(host))

        return move
    compiler.template[slot] = value
    return None


def _get_attribute(compiler: _Compiler, node: Any) -> Action:
    (owner,), (output,), name = compiler.inputs(node), compiler.outputs(node), node.s("name")
    compiler.reads.add(name)

    def act(slots: Slots, host: nn.Module) -> None:
        slots[output] = read(slots[owner], name)

    return act


def _set_attribute(compiler: _Compiler, node: Any) -> Action:
    (owner, given), name = compiler.inputs(node), node.s("name")

    def act(slots: Slots, host: nn.Module) -> None:
        write(slots[owner], name, slots[given])

    return act


def _call_method(compiler: _Compiler, node: Any) -> Action:
    (owner, *given), (output,) = compiler.inputs(node), compiler.outputs(node)
    name = node.s("name")
    compiler.calls[(node.inputsAt(0).type().annotation_str, name)] = None

    def act(slots: Slots, host: nn.Module) -> None:
        slots[output] = invoke(slots[owner], name, [slots[slot] for slot in given])

    return act


def _call_function(compiler: _Compiler, node: Any) -> Action:
    (_, *given), (output,) = compiler.inputs(node), compiler.outputs(node)
    program = compile_script(_graph_of_function(node), compiler.where)
    compiler.calls |= dict.fromkeys(program.calls)
    compiler.reads |= program.reads
    if program.refusal and not compiler.depth:
        compiler.refusals.append(program.refusal)

    def act(slots: Slots, host: nn.Module) -> None:
        slots[output] = program.run(host, [slots[slot] for slot in given])

    return act


def _graph_of_function(node: Any) -> Any:
    """The graph of the function that a node calls, with all that it calls in its turn."""
    graph: Any = torch._C.Graph()
    function = node.inputsAt(0)
    constant = graph.insertNode(graph.createClone(function.node(), _same))
    values = {function.debugName(): constant.output()}
    for value in list(node.inputs())[1:]:
        given = graph.addInput()
        given.setType(value.type())
        values.setdefault(value.debugName(), given)
    clone = graph.insertNode(graph.createClone(node, lambda value: values[value.debugName()]))
    graph.registerOutput(clone.output())
    torch._C._jit_pass_inline(graph)
    return graph


def _same(value: Any) -> Any:
    return value


def _if(compiler: _Compiler, node: Any) -> Action:
    (condition,), outputs = compiler.inputs(node), compiler.outputs(node)
    is_true, is_false = (_inner(compiler, block) for block in node.blocks())

    def act(slots: Slots, host: nn.Module) -> None:
        taken = is_true if slots[condition] else is_false
        taken.run(slots, host)
        for output, slot in zip(outputs, taken.outputs, strict=True):
            slots[output] = slots[slot]

    return act


def _inner(compiler: _Compiler, block: Any) -> Block:
    return compiler.block(block.nodes(), block.outputs(), depth=compiler.depth + 1)


def _loop(compiler: _Compiler, node: Any) -> Action:
    (most, goes_on, *begin), outputs = compiler.inputs(node), compiler.outputs(node)
    (block,) = node.blocks()
    turn, *carried = (compiler.slot(value) for value in block.inputs())
    body = _inner(compiler, block)
    again, *left = body.outputs

    def act(slots: Slots, host: nn.Module) -> None:
        values, is_on, number = [slots[slot] for slot in begin], slots[goes_on], 0
        while is_on and number < slots[most]:
            slots[turn] = number
            for slot, value in zip(carried, values, strict=True):
                slots[slot] = value
            body.run(slots, host)
            values, is_on = [slots[slot] for slot in left], slots[again]
            number += 1
        for output, value in zip(outputs, values, strict=True):
            slots[output] = value

    return act


def _collect(make: Callable[[list[Any]], Any]) -> Callable[[_Compiler, Any], Action]:
    def kind(compiler: _Compiler, node: Any) -> Action:
        inputs, (output,) = compiler.inputs(node), compiler.outputs(node)

        def act(slots: Slots, host: nn.Module) -> None:
            slots[output] = make([slots[slot] for slot in inputs])

        return act

    return kind


def _dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _unpack(compiler: _Compiler, node: Any) -> Action:
    (packed,), outputs = compiler.inputs(node), compiler.outputs(node)

    def act(slots: Slots, host: nn.Module) -> None:
        for output, value in zip(outputs, slots[packed], strict=True):
            slots[output] = value

    return act


def _slice(compiler: _Compiler, node: Any) -> Action:
    begin, end = node.i("beg"), node.i("end")
    return _apply(lambda whole: whole[begin:end], compiler.inputs(node), compiler.outputs(node))


def _with(function: Callable[..., Any]) -> Callable[[_Compiler, Any], Action]:
    def kind(compiler: _Compiler, node: Any) -> Action:
        return _apply(function, compiler.inputs(node), compiler.outputs(node))

    return kind


def _number_to_tensor(number: float) -> Tensor:
    kinds = {bool: torch.bool, int: torch.int64, float: torch.float64}
    return torch.scalar_tensor(number, dtype=kinds.get(type(number), torch.complex128))


def _raise(compiler: _Compiler, node: Any) -> Action:
    (message, *_), where = compiler.inputs(node), f"{compiler.where}{_line(node)}"

    def act(slots: Slots, host: nn.Module) -> None:
        raise RuntimeError(f"{slots[message]} (raised by {where})")

    return act


_PYTHON_TYPES: dict[str, type] = {
    "TensorType": Tensor,
    "IntType": int,
    "FloatType": float,
    "BoolType": bool,
    "StringType": str,
    "ListType": list,
    "TupleType": tuple,
    "DictType": dict,
    "NoneType": type(None),
}


def _is_instance(compiler: _Compiler, node: Any) -> Action:
    kinds = [kind.kind() for kind in node.tys("types")]
    if not set(kinds) <= _PYTHON_TYPES.keys():
        said = compiler.unknown(node, "ganprobe does not know for these types")
        return compiler.refuse(node, said)
    types = tuple(_PYTHON_TYPES[kind] for kind in kinds)
    exact = bool not in types and int in types

    def is_one(value: object) -> bool:
        return isinstance(value, types) and not (exact and isinstance(value, bool))

    return _apply(is_one, compiler.inputs(node), compiler.outputs(node))


def _unwrap(value: Any) -> Any:
    if value is None:
        raise RuntimeError("unwrapping None, where the archive's code says that there is a value")
    return value


def _warn(message: str, stacklevel: int = 2) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)


_UNKNOWN = (
    "prim::PythonOp",
    "prim::IgnoredPythonOp",
    "prim::CreateObject",
    "prim::Enter",
    "prim::Exit",
    "prim::fork",
    "prim::forkClosure",
    "prim::awaitable",
    "prim::rpc_async",
    "prim::rpc_sync",
    "prim::rpc_remote",
    "prim::tolist",
    "prim::EnumName",
    "prim::EnumValue",
    "aten::wait",
)


def _refused(compiler: _Compiler, node: Any) -> Action:
    why = "calls Python" if "Python" in node.kind() else "ganprobe does not run"
    return compiler.refuse(node, compiler.unknown(node, why))


_KINDS: dict[str, Callable[[_Compiler, Any], Action | None]] = {
    "prim::Constant": _constant,
    "prim::GetAttr": _get_attribute,
    "prim::SetAttr": _set_attribute,
    "prim::CallMethod": _call_method,
    "prim::CallFunction": _call_function,
    "prim::If": _if,
    "prim::Loop": _loop,
    "prim::ListConstruct": _collect(list),
    "prim::TupleConstruct": _collect(tuple),
    "prim::DictConstruct": _collect(_dict),
    "prim::ListUnpack": _unpack,
    "prim::TupleUnpack": _unpack,
    "prim::TupleIndex": _with(lambda whole, place: whole[place]),
    "prim::TupleSlice": _slice,
    "prim::unchecked_cast": _with(_same),
    "prim::unchecked_unwrap_optional": _with(_unwrap),
    "aten::_unwrap_optional": _with(_unwrap),
    "prim::Uninitialized": _with(lambda: None),
    "prim::NumToTensor": _with(_number_to_tensor),
    "prim::RaiseException": _raise,
    "prim::Print": _with(lambda *values: None),
    "prim::isinstance": _is_instance,
    "aten::__is__": _with(lambda one, other: one is other),
    "aten::__isnot__": _with(lambda one, other: one is not other),
    "aten::format": _with(lambda form, *values: form.format(*values)),
    "aten::percentFormat": _with(lambda form, *values: form % values),
    "aten::warn": _with(_warn),
    **dict.fromkeys(_UNKNOWN, _refused),
}


def _schema(node: Any) -> Any:
    """The schema of an operator, or None where it has none."""
    written = node.schema()
    return None if "::" not in written else torch._C.parse_schema(written)


def _is_of_anything(kind: Any) -> bool:
    """Whether a type is open, as ``t`` and ``t[]`` are: Python cannot call what takes one."""
    return kind.kind() == "VarType" or any(map(_is_of_anything, kind.containedTypes()))


def _line(node: Any) -> str:
    """`` (networks.py:12)``: where the node was written, as the archive says."""
    found = re.search(r'File "([^"]+)", line (\d+)|^\s*(\S[^\n]*?)\((\d+)\)', node.sourceRange())
    if found is None:
        return ""
    file, line = (found[1], found[2]) if found[1] else (found[3], found[4])
    return f" ({Path(file).name}:{line})"


def _is_in_train_mode(node: Any) -> bool:
    """Whether batch normalisation that keeps statistics is told to go by the batch's instead."""
    mean, training = node.inputsAt(3), node.inputsAt(5)
    is_told = training.node().kind() == "prim::Constant" and bool(training.toIValue())
    return is_told and mean.type().kind() != "NoneType"
