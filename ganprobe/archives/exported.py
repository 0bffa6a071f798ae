"""torch.export archives: loaded, and made into modules whose layers can be hooked.

Loading one imports what PyTorch compiles with, some seconds once a process.
"""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node
from torch.utils import _pytree as pytree

from ganprobe.archives.archived import ARCHIVE, Archived
from ganprobe.archives.export_scan import first_risk
from ganprobe.archives.fx_program import compile_fx
from ganprobe.archives.mirror import Mirror, members_of
from ganprobe.archives.program import Program
from ganprobe.archives.torch_layers import with_torch_layers
from ganprobe.errors import ForwardError, GanprobeError, WeightsError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from ganprobe.weight_files import Trust

__all__ = ["load_export"]

_LOGGERS = ("torch.export", "torch.export.pt2_archive._package", "torch._export.serde.serialize")
_HOW = (
    "export it with a batch of any size: torch.export.export(module, (z,),"
    ' dynamic_shapes=({0: torch.export.Dim("n")},))'
)


def load_export(path: Path | str, *, trust: Trust) -> nn.Module:
    """The module in a torch.export archive, its layers under the names that they had.

    It is in eval mode and on the CPU. Each layer that was called is a module whose hooks fire, and
    its class is called as the class that it was exported from.

    Args:
        trust: asked where the archive would do something else than compute once it is loaded.

    Raises:
        WeightsError: it cannot be read, or was exported in train mode.
        UntrustedError: it holds something that would be executed.

    Example:
        >>> import tempfile
        >>> from ganprobe.weight_files import Trust
        >>> net = nn.Sequential(nn.Linear(4, 9), nn.Tanh()).eval()
        >>> n = torch.export.Dim("n")
        >>> exported = torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=[{0: n}])
        >>> with tempfile.NamedTemporaryFile(suffix=".pt2") as file:
        ...     torch.export.save(exported, file.name)
        ...     archived = load_export(file.name, trust=Trust())
        >>> z = torch.randn(3, 4)
        >>> torch.equal(archived(z), net(z)), [type(one).__name__ for one in archived.children()]
        (True, ['Linear', 'Tanh'])
    """
    path = Path(path)
    if risk := first_risk(path):
        trust.require(path, risk)
    program = _loaded(path)
    module = _module(program)
    shapes = _shapes(program)
    batches = {shape[0] for shape in shapes if shape}
    batch = batches.pop() if len(batches) == 1 else None
    module.__dict__[ARCHIVE] = Archived(str(path), batch=batch, shapes=shapes)
    for layer in module.modules():
        layer.training = False
        layer.__dict__["_whole"] = (module,)
    with_torch_layers(module)
    return module


class Exported(Mirror):
    """The whole of an archive: what it takes and returns may be nested."""

    _signature: Any = None

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What its forward returns.

        Raises:
            ForwardError: it was exported for another batch size, and raised.
        """
        if self._schema:
            bound = inspect.Signature(list(self._schema)).bind(*args, **kwargs)
            args, kwargs = bound.args, bound.kwargs
        flat, given = pytree.tree_flatten((args, kwargs))
        wanted = self._signature.in_spec
        if given.num_leaves != wanted.num_leaves:
            raise TypeError(
                f"it was exported with {wanted.num_leaves} inputs, and is given {len(flat)}"
            )
        try:
            values = self._programs["forward"].run(self, (self, *flat))
        except GanprobeError:
            raise
        except RuntimeError as error:
            raise self._other_batch(flat, error) from error
        return pytree.tree_unflatten(values, self._signature.out_spec)

    def _other_batch(self, flat: list[Any], error: RuntimeError) -> Exception:
        archived = self.__dict__.get(ARCHIVE)
        n = len(flat[0]) if flat and isinstance(flat[0], torch.Tensor) and flat[0].ndim else None
        if archived is None or archived.batch is None or n in (None, archived.batch):
            return error
        return ForwardError(
            f"{archived.name} was exported for batches of {archived.batch}, and does not take"
            f" {n} samples ({' '.join(str(error).split())[:120]}); {_HOW}"
        )


def _loaded(path: Path) -> ExportedProgram:
    try:
        with warnings.catch_warnings(), _quiet_loggers(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # of old layouts, and of torch about itself
            return torch.export.load(file)
    except Exception as error:  # of any of the many kinds that reading its graph can raise
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(
            f"{path} is no torch.export archive that torch {torch.__version__} can load: {said};"
            " save it again with torch.export.save of this version, or download it again"
        ) from error


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """What torch writes to the log while it loads is in the error as well."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was_disabled in zip(loggers, before, strict=True):
            logger.disabled = was_disabled


def _shapes(program: ExportedProgram) -> tuple[tuple[int | None, ...], ...]:
    """Of the tensors that it takes; None where any size goes."""
    names = set(program.graph_signature.user_inputs)
    given = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    return tuple(
        tuple(size if isinstance(size, int) else None for size in value.shape)
        for value in given
        if isinstance(value, torch.Tensor)
    )


def _module(program: ExportedProgram) -> Mirror:
    """Its layers as modules, each with the programs of its calls."""
    _part_sizes(program.graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        whole = torch.export.unflatten(program)
    signature = program.module_call_graph[0].signature
    parameters = _parameters(signature.in_spec, program.graph_signature.user_inputs)
    root = _Tree(dict(whole.named_modules(remove_duplicate=False))).module("")
    kind: Any = type(root)
    kind._signature, kind._schema = signature, parameters
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    kind.forward.__signature__ = inspect.Signature([itself, *parameters])
    return root


def _part_sizes(graph: Graph) -> None:
    """Compute sizes again in each layer that needs them, so that no layer returns them."""
    for node in reversed(list(graph.nodes)):
        if node.op != "call_function" or not isinstance(node.meta.get("val"), torch.SymInt | int):
            continue
        place = _layer_of(node)
        for user in list(node.users):
            if user.op == "call_function" and _layer_of(user) != place and _is_sum(node):
                with graph.inserting_before(user):
                    copied = graph.node_copy(node, lambda one: one)
                copied.meta = {**node.meta, "nn_module_stack": user.meta.get("nn_module_stack")}
                user.replace_input_with(node, copied)
        if not node.users:
            graph.erase_node(node)


def _layer_of(node: Node) -> Any:
    return list(node.meta.get("nn_module_stack") or ())


def _is_sum(node: Node) -> bool:
    """Whether it computes with sizes, and reads none off a tensor."""
    return not any(isinstance(one.meta.get("val"), torch.Tensor) for one in node.all_input_nodes)


def _parameters(spec: Any, names: Any) -> tuple[inspect.Parameter, ...]:
    """What its forward takes, where that is one tensor for each argument; else ()."""
    args, kwargs = spec.children() if callable(spec.children) else spec.children
    keys = list(kwargs.context or ())
    n_args = args.num_children
    if spec.num_leaves != n_args + len(keys) or len(names) != spec.num_leaves:
        return ()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    found = [inspect.Parameter(str(name), kind) for name in names[:n_args]]
    return (*found, *(inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY) for key in keys))


class _Tree:
    """The tree of layers, made of what torch has unflattened.

    There a layer's second call is a layer of its own, ``act@1``; here it is a method of ``act``.

    Args:
        flat: what torch has unflattened, by name.
    """

    def __init__(self, flat: dict[str, nn.Module]) -> None:
        self.flat = {name: one for name, one in flat.items() if not isinstance(one, GraphModule)}
        self.made: dict[str, Mirror] = {}
        self.same = _same_layers(self.flat)
        self.calls: dict[str, list[str]] = {}
        for name in self.flat:
            own = _own_name(name)
            self.calls.setdefault(self.same.get(own, own), []).append(name)

    def module(self, name: str) -> Mirror:
        """The layer of a name, with all below it."""
        name = self.same.get(name, name)
        if name not in self.made:
            self.made[name] = self.made_of(name)
        return self.made[name]

    def made_of(self, name: str) -> Mirror:
        calls = self.calls[name]
        given = self.flat[calls[0]]
        called = str(getattr(given, "_ty", None) or type(given).__name__).rpartition(".")[2]
        where = f"layer {name!r} ({called})" if name else f"the module ({called})"
        programs = {
            self.method(call): self.program(call, where)
            for call in calls
            if hasattr(self.flat[call], "graph")
        }
        base = Mirror if name else Exported
        module: Mirror = type(called, (base,), members_of(programs))()
        module._parameters.update(given._parameters)
        module._buffers.update(given._buffers)
        module._non_persistent_buffers_set.update(given._non_persistent_buffers_set)
        constants = {key: one for key, one in vars(given).items() if isinstance(one, torch.Tensor)}
        module.__dict__.update(constants)
        for below in dict.fromkeys(map(_own_name, self.flat)):
            parent, _, key = below.rpartition(".")
            if below and parent == name:
                module._modules[key] = self.module(below)
        return module

    def method(self, call: str) -> str:
        """What a call is a method as: the first is ``forward``, as with what was traced."""
        own = _own_name(call)
        place = self.calls[self.same.get(own, own)].index(call)
        return f"forward{place or ''}"

    def program(self, call: str, where: str) -> Program:
        given: Any = self.flat[call]
        methods = {}
        for node in given.graph.nodes:
            if node.op == "call_module":
                target = str(node.target)
                child = f"{call}.{target}" if call else target
                methods[target] = (_own_name(target), self.method(child))
        return compile_fx(given.graph, where, methods=methods)


def _same_layers(flat: dict[str, nn.Module]) -> dict[str, str]:
    """By a layer's further names its first, as far as its class and tensors tell."""
    first: dict[tuple[Any, ...], str] = {}
    same: dict[str, str] = {}
    for name, layer in flat.items():
        tensors = [
            *layer.named_parameters(remove_duplicate=False),
            *layer.named_buffers(remove_duplicate=False),
        ]
        if not name or not tensors or name != _own_name(name):
            continue
        memory = tuple((key, id(tensor)) for key, tensor in tensors)
        held = (getattr(layer, "_ty", None), memory)
        if first.setdefault(held, name) != name:
            same[name] = first[held]
    return same


def _own_name(name: str) -> str:
    """The name of a layer without the numbers of its calls.

    Example:
        >>> _own_name("blocks.0@1.conv")
        'blocks.0.conv'
    """
    return re.sub(r"@\d+(?=\.|$)", "", name)
