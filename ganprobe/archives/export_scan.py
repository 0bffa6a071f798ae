"""What a torch.export archive would do besides computing, once it is loaded; read, not executed.

Its graph is JSON, of which PyTorch evaluates sizes as Python, looks operations up by their dotted
names and writes names into code; it may hold pickles and compiled libraries besides.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ganprobe.errors import WeightsError
from ganprobe.weight_files import DAMAGED_ZIP

__all__ = ["first_risk"]

_OPERATION = re.compile(
    r"torch\.ops\.(aten|prim|prims|higher_order)\.\w+(\.\w+)?"
    r"|torch\.(_sym_\w+|sym_\w+)|torch\._C\._set_grad_enabled|math\.(ceil|floor|trunc|sqrt|pow)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_"
    r"|not_|abs|lshift|rshift)"
)
_REACHES_FILES = frozenset({"from_file", "save", "load_tensor"})
_NAME = re.compile(r"[\w.\-]*")
_SIZE_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Constant, ast.Name,
    ast.Call, ast.keyword, ast.Load, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Tuple,
)  # fmt: skip
_SIZE_FUNCTIONS = re.compile(
    r"Symbol|Integer|Float|Rational|Max|Min|Abs|Mod|Eq|Ne|Gt|Ge|Lt|Le|And|Or|Not|Add|Mul|Pow|Where"
    r"|Piecewise|ExprCondPair|FloorDiv|CleanDiv|CeilDiv|CeilToInt|FloorToInt|IntTrueDiv|Identity"
    r"|FloatTrueDiv|TruncToInt|TruncToFloat|RoundToInt|RoundDecimal|ToFloat|PowByNatural|FloatPow"
    r"|PythonMod|ModularIndexing|LShift|RShift|ceiling|floor|sqrt|OpaqueUnaryFn_sqrt"
)


def first_risk(path: Path) -> str:
    """What it would do besides computing, to follow "it"; "" where there is nothing.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return next(_risks(archive), "")
    except DAMAGED_ZIP as error:
        raise WeightsError(
            f"{path} is no torch.export archive that can be read: {error}; save or download it"
            " again"
        ) from error


def _risks(archive: zipfile.ZipFile) -> Iterator[str]:
    names = [name.lower() for name in archive.namelist()]
    for name in archive.namelist():
        if names.count(name.lower()) > 1:
            yield f"holds {name!r} twice, so that what is read may be another than what was checked"
        if "/data/aotinductor/" in f"/{name}":
            yield f"brings compiled code ({name})"
        if _is_graph(name):
            yield from _risks_of_graph(json.loads(archive.read(name)), name)
        elif name.endswith("_config.json"):
            yield from _risks_of_payload(archive, name)
        elif name.endswith(".pt") or name in ("serialized_state_dict.json",
                                              "serialized_constants.json"):  # fmt: skip
            yield from _risks_of_pickle(archive, name)


def _is_graph(name: str) -> bool:
    in_models = re.fullmatch(r"([^/]*/)?models/[^/]*\.json", name) is not None
    return in_models or name == "serialized_exported_program.json"


def _risks_of_payload(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    """Of tensors and constants that are not stored as plain bytes."""
    for key, payload in json.loads(archive.read(name)).get("config", {}).items():
        member = f"{name.rpartition('/')[0]}/{payload['path_name']}"
        if not payload["path_name"].startswith(("weight_", "tensor_")):
            yield f"holds {key!r}, an object of a class of its own"
        elif payload.get("use_pickle"):
            yield from _risks_of_pickle(archive, member)


def _risks_of_pickle(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    held = archive.read(name)
    try:
        if held:
            torch.load(io.BytesIO(held), weights_only=True, map_location="meta")
    except Exception as error:  # whatever its pickle is, it is not one of tensors
        said = str(error).splitlines()[0][:90]
        yield f"holds a pickle that is more than tensors ({name}: {said})"


def _risks_of_graph(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _risks_of_graph(inner, name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str):
                yield from _risks_of_text(key, inner, name)
            elif key == "range_constraints" and isinstance(inner, dict):
                yield from (_size(one, name) for one in inner if not _is_size(one))
            else:
                yield from _risks_of_graph(inner, name)


def _risks_of_text(key: str, text: str, name: str) -> Iterator[str]:
    if key in ("target", "as_operator"):
        known = _OPERATION.fullmatch(text) is not None
        if not known or _REACHES_FILES & set(text.split(".")):
            yield f"calls {text!r}, which may do anything ({name})"
    elif key == "expr_str" and not _is_size(text):
        yield _size(text, name)
    elif key == "name" and not _NAME.fullmatch(text):
        yield f"has code in place of a name, {text[:60]!r} ({name})"


def _size(text: str, name: str) -> str:
    return f"has code in place of a size, {text[:60]!r} ({name})"


def _is_size(text: str) -> bool:
    """Whether it is arithmetic on sizes, and nothing else."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_of_sizes(node) for node in ast.walk(tree))


def _is_of_sizes(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return (
            isinstance(node.func, ast.Name) and _SIZE_FUNCTIONS.fullmatch(node.func.id) is not None
        )
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.fullmatch(r"\w+", node.value) is not None
    if isinstance(node, ast.Name):
        return "__" not in node.id
    return isinstance(node, _SIZE_NODES)
