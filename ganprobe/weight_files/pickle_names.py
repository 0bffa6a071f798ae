"""What a pickle would import and call, read off its operations without executing any.

Costs milliseconds for a checkpoint, whose tensors lie beside the pickle; where they lie inside
(``pickle.dump`` of tensors), as long as reading the file.
"""

from __future__ import annotations

import pickletools
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

__all__ = ["code_named", "is_legacy_pytorch", "is_pickle", "names_in_pickle"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle in what torch.save wrote before 1.6

_TENSORS_AND_PLAIN_VALUES = re.compile(
    r"collections\.(OrderedDict|Counter)|argparse\.Namespace|_codecs\.encode"
    r"|(builtins|__builtin__)\.(bytearray|set|complex)"
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.(\w+Storage|storage\.\w+Storage|serialization\._get_layout)"
    r"|torch\.(Size|Tensor|\w+Tensor|device|nn\.parameter\.(Parameter|Buffer))"
    r"|torch\.(u?int\d+|b?float\w+|complex\d+|bool|half|double|long|q\w+|per_\w+|bits\w+)"
)


def names_in_pickle(file: IO[bytes]) -> Iterator[str]:
    """Every ``module.name`` that a pickle names, in order, repeats included.

    Reads one pickle from where `file` stands, and leaves it behind its end; a damaged one gives
    those names that stand before the damage.

    Example:
        >>> import io, pickle
        >>> list(names_in_pickle(io.BytesIO(pickle.dumps([print, len]))))
        ['builtins.print', 'builtins.len']
    """
    recent: list[str] = []  # strings as they were pushed: the last two are a global's name
    memo: dict[int, str] = {}
    for operation, argument, _ in _operations(file):
        name = operation.name
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
            recent.append("")
        elif name == "STACK_GLOBAL":
            yield ".".join(recent[-2:])
            recent.append("")
        elif name == "MEMOIZE":
            memo[len(memo)] = recent[-1] if recent else ""
        elif name.endswith("PUT") and isinstance(argument, int):
            memo[argument] = recent[-1] if recent else ""
        elif name.endswith("GET") and isinstance(argument, int):
            recent.append(memo.get(argument, ""))
        elif isinstance(argument, str) and "UNICODE" in name:
            recent.append(argument)
        elif operation.stack_after:
            recent.append("")
        del recent[:-2]


def code_named(file: IO[bytes], *, n: int = 3) -> list[str]:
    """The first `n` functions and classes that one pickle names beside tensors and plain values."""
    found: list[str] = []
    for name in names_in_pickle(file):
        if not _TENSORS_AND_PLAIN_VALUES.fullmatch(name) and name not in found:
            found.append(name)
        if len(found) == n:
            break
    return found


def is_legacy_pytorch(file: IO[bytes]) -> bool:
    """Whether a file begins with the magic number of PyTorch's format before 1.6."""
    first = (one for one in _operations(file) if one[0].name not in ("PROTO", "FRAME"))
    return any(argument == _LEGACY_MAGIC for _, argument, _ in islice(first, 1))


def is_pickle(file: IO[bytes]) -> bool:
    """Whether a file begins as a pickle does: with operations, the last of which may be its end."""
    begun = [operation.name for operation, _, _ in islice(_operations(file), 8)]
    return len(begun) == 8 or (len(begun) > 1 and begun[-1] == "STOP")


def _operations(
    file: IO[bytes],
) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    """The operations of one pickle, with argument and place, up to its end or the first damage."""
    operations = pickletools.genops(file)
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in what is no text
                operation = next(operations)
        except (StopIteration, ValueError, EOFError, MemoryError, OverflowError):
            return  # the latter two of lengths that a damaged one claims
        yield operation
