"""Mirrors: modules of Python that hold what a TorchScript module holds and run its programs.

TorchScript's own modules do not call hooks that are put on their layers; a mirror is called as any
module is. Its parameters and buffers share their memory with the archive's, under the same names.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.archives.archived import ARCHIVE, Archived
from ganprobe.archives.program import Program
from ganprobe.archives.script_program import compile_script
from ganprobe.errors import ForwardError, UsageError, WeightsError

__all__ = ["Mirror", "members_of", "mirrored"]

_TRACED_CALL = re.compile(r"forward\d+")
"""What tracing calls a module's second forward, and those after it."""

_LIKELY_BATCHES = (1, 2, 3, 4, 8, 16)

_called = threading.local()


class Mirror(nn.Module):
    """A module whose forward runs a program; made by `mirrored`."""

    _programs: Mapping[str, Program]
    _schema: tuple[inspect.Parameter, ...] = ()

    def invoke(self, method: str, args: Sequence[Any]) -> Any:
        """Call a method; a forward as a module is called, so that hooks fire."""
        if method == "forward":
            return self(*args)
        if not _TRACED_CALL.fullmatch(method):
            return self._programs[method].run(self, (self, *args))
        _called.forward = (self, method)
        try:
            return self(*args)
        finally:
            _called.forward = None

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What its forward returns."""
        wanted, method = getattr(_called, "forward", None) or (None, "forward")
        _called.forward = None
        program = self._programs.get(method if wanted is self else "forward")
        if program is None:
            raise UsageError(
                f"layer of class {type(self).__name__} has no forward in its archive: nothing calls"
                " it as a module"
            )
        bound = self._bound(args, kwargs)
        archived: Archived | None = self.__dict__.get(ARCHIVE)
        if archived is None or archived.is_checked:
            return program.run(self, (self, *bound))
        try:
            return program.run(self, (self, *bound))
        except RuntimeError as error:
            raise self._batch_error(program, bound, archived, error) from error

    def _batch_error(
        self, program: Program, bound: tuple[Any, ...], archived: Archived, error: RuntimeError
    ) -> Exception:
        """What to raise on a first forward: another batch size may be what was meant."""
        n = next((len(one) for one in bound if isinstance(one, Tensor) and one.ndim), 0)
        for batch in _LIKELY_BATCHES:
            try:
                with torch.no_grad():
                    program.run(self, (self, *(_repeated(one, n, batch) for one in bound)))
            except (RuntimeError, ValueError, IndexError):
                continue
            return ForwardError(
                f"{archived.name} was traced for batches of {batch}, and does not take {n} samples"
                f" ({' '.join(str(error).split())[:120]}); script it, or export it with a batch of"
                " any size: torch.export.export(module, (z,), dynamic_shapes=({0:"
                ' torch.export.Dim("n")},))'
            )
        return error

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if not kwargs and (not self._schema or len(args) == len(self._schema)):
            return args
        bound = inspect.Signature(list(self._schema)).bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(bound.arguments.values())


def _repeated(given: Any, n: int, batch: int) -> Any:
    """The first sample, as often as a batch is large."""
    has_samples = isinstance(given, Tensor) and given.ndim > 0 and len(given) == n
    return given[:1].expand(batch, *given.shape[1:]) if has_samples else given


class _Unreadable:
    """An object of a class that the archive brings; refused where it is used."""

    def __init__(self, name: str, kind: str) -> None:
        self._said = (
            f"attribute {name!r} of an archive is an object of its own class {kind}, which"
            " ganprobe does not run; give the Python code that the archive was made of"
        )

    def read(self, name: str) -> Any:
        raise WeightsError(self._said)

    def write(self, name: str, value: object) -> None:
        raise WeightsError(self._said)

    def invoke(self, method: str, args: Sequence[Any]) -> Any:
        raise WeightsError(self._said)


def mirrored(script: Any, name: str) -> Mirror:
    """A tree of modules that does what a TorchScript module does.

    Args:
        script: in eval mode.
        name: of the archive, for messages.

    Raises:
        WeightsError: it does something that cannot be run in Python; names operation, layer, line.
        UsageError: it was traced in train mode.
    """
    maker = _Maker(name)
    root = maker.module(script, "")
    maker.fill()
    maker.check(_kind(script))
    for module in root.modules():
        module.__dict__["_whole"] = (root,)  # in a tuple, so that it is no child
    return root


@dataclass
class _Maker:
    name: str
    kinds: dict[str, type[Mirror]] = field(default_factory=dict)
    parameters: dict[int, tuple[Tensor, nn.Parameter]] = field(default_factory=dict)
    made: list[tuple[Any, Mirror]] = field(default_factory=list)

    def module(self, script: Any, path: str) -> Mirror:
        known = self.known(script)
        if known is not None:
            return known
        module = self.kind(script, path)()
        module.training = False
        native: Any = torch._C
        for key, parameter in native.ParameterDict(script._c).items():
            module._parameters[key] = self.parameter(parameter)
        module._buffers.update(native.BufferDict(script._c).items())
        self.made.append((script, module))
        for key, _ in native.ModuleDict(script._c).items():
            below = f"{path}.{key}" if path else key
            module._modules[key] = self.module(getattr(script, key), below)
        return module

    def known(self, script: Any) -> Mirror | None:
        """The mirror of the same module under another name, as far as its tensors tell.

        An archive holds such a module twice, and only its tensors once. Tracing gives the second
        no forward.
        """
        tensors = dict(_all_tensors(script))
        if not tensors:
            return None
        for other, one in self.made:
            is_one_class = _kind(other) == _kind(script) or (
                not script._c._method_names() and other.original_name == script.original_name
            )
            if is_one_class and _are_same(dict(_all_tensors(other)), tensors):
                return one
        return None

    def parameter(self, tensor: Tensor) -> nn.Parameter:
        """One parameter for one tensor, also where several modules share it."""
        if id(tensor) not in self.parameters:
            own = nn.Parameter(tensor.detach(), requires_grad=tensor.requires_grad)
            self.parameters[id(tensor)] = (tensor, own)
        return self.parameters[id(tensor)][1]

    def fill(self) -> None:
        """Give every module what else it holds and a program reads."""
        programs = [one for kind in self.kinds.values() for one in kind._programs.values()]
        names = sorted(set().union(*(program.reads for program in programs)) - {"training"})
        for script, module in self.made:
            held = {*module._parameters, *module._buffers, *module._modules}
            for name in names:
                if name not in held and script._c.hasattr(name):
                    module.__dict__[name] = _plain(name, script._c.getattr(name))

    def kind(self, script: Any, path: str) -> type[Mirror]:
        """The class of one of the archive's, called as it was in the code that it was made of."""
        own = _kind(script)
        if own not in self.kinds:
            self.kinds[own] = _class_of(script, path)
        return self.kinds[own]

    def check(self, root: str) -> None:
        """Raise for what is sure to be reached and cannot be run."""
        todo, seen = [(root, "forward")], set()
        while todo:
            kind, method = called = todo.pop(0)
            if called in seen:
                continue
            seen.add(called)
            owner = self.kinds.get(kind)
            program = None if owner is None else owner._programs.get(method)
            if program is not None and program.refusal:
                raise WeightsError(f"{self.name} cannot be loaded: {program.refusal}")
            todo += program.calls if program is not None else ()


def _kind(script: Any) -> str:
    return str(script._c._type().annotation_str)


def _all_tensors(script: Any) -> Iterator[tuple[str, Tensor]]:
    """Its parameters and buffers, and those of all below it."""
    yield from script.named_parameters(remove_duplicate=False)
    yield from script.named_buffers(remove_duplicate=False)


def _are_same(tensors: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return tensors.keys() == others.keys() and all(
        others[name] is tensor for name, tensor in tensors.items()
    )


def _plain(name: str, value: object) -> object:
    is_foreign = isinstance(value, torch.ScriptObject)
    return _Unreadable(name, type(value).__name__) if is_foreign else value


def _class_of(script: Any, path: str) -> type[Mirror]:
    name = script.original_name
    where = f"layer {path!r} ({name})" if path else f"the module ({name})"
    methods = {method: script._c._get_method(method) for method in script._c._method_names()}
    programs = {key: compile_script(one.graph, where) for key, one in methods.items()}
    parameters = _parameters(methods["forward"].schema) if "forward" in methods else ()
    return type(name, (Mirror,), members_of(programs, parameters))


def members_of(
    programs: Mapping[str, Program], parameters: tuple[inspect.Parameter, ...] = ()
) -> dict[str, Any]:
    """What the class of a mirror has of its own.

    Args:
        programs: by method.
        parameters: of its forward, where they are known.
    """

    def forward(self: Mirror, *args: Any, **kwargs: Any) -> Any:
        return self.run(args, kwargs)

    if parameters:
        itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        forward.__signature__ = inspect.Signature([itself, *parameters])  # type: ignore[attr-defined]
    return {"_programs": programs, "_schema": parameters, "forward": forward}


def _parameters(schema: Any) -> tuple[inspect.Parameter, ...]:
    """A method's arguments, without the module itself."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return tuple(
        inspect.Parameter(
            one.name,
            kind,
            default=one.default_value if one.has_default_value() else inspect.Parameter.empty,
        )
        for one in schema.arguments[1:]
    )
