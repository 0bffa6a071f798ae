"""Direction sets: directions of a space, kept in a safetensors file with how they were found.

One command finds directions and writes them, another walks along them or adds them:
``--direction @pca.safetensors:pc0``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ganprobe.errors import ParameterError, UnknownNameError
from ganprobe.selection_files import check_kind, plain, write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["DirectionSet"]

_KIND, _VERSION = "ganprobe direction set", 1
_FILE = re.compile(r"(.+?\.safetensors)(?::(.*))?", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class DirectionSet:
    """Directions of one space, each of length 1, in an order that may mean something.

    Args:
        vectors: (k, \\*shape) float64; they are scaled to length 1 over all their numbers.
        names: one for each, without ``,`` and ``:``: ``pc0``, ``digit=1``.
        space: ``"z"``, ``"w"``, or the site whose activations are meant.
        deviations: (k,) the standard deviation of the samples' coordinates along each, in the
            space's own unit: how far one step of 1 goes. Without it, 1.
        means: (k,) the mean of those coordinates. Without it, 0.
        generator: its name, weights' SHA-256 and normalisation.
        found: how they were found, as plain values.
        written: how they were asked for, as ``@pca.safetensors:pc0``; "": not by a file.

    Raises:
        ParameterError: no direction, one of length 0 or not finite, names that do not fit.

    Example:
        >>> import numpy as np
        >>> found = DirectionSet(np.array([[3.0, 4.0]]), ("slant",))
        >>> found.vectors
        array([[0.6, 0.8]])
    """

    vectors: Floats
    names: tuple[str, ...]
    space: str = "z"
    deviations: Floats = None  # type: ignore[assignment]  # filled in
    means: Floats = None  # type: ignore[assignment]  # filled in
    generator: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    written: str = ""

    def __post_init__(self) -> None:
        import numpy as np

        vectors = np.asarray(self.vectors, np.float64)
        is_several = vectors.ndim > 1 and vectors.size
        flat = vectors.reshape(len(vectors), -1) if is_several else np.empty((0, 0))
        norms = np.linalg.norm(flat, axis=1)
        if not norms.size or not (np.isfinite(norms) & (norms > 0)).all():
            raise ParameterError(
                "directions are (k, *shape) finite numbers, none of them all 0, got the shape"
                f" {vectors.shape}"
            )
        object.__setattr__(self, "vectors", vectors / norms.reshape(-1, *[1] * (vectors.ndim - 1)))
        object.__setattr__(self, "names", _checked_names(self.names, len(vectors)))
        for place, usual in (("deviations", 1.0), ("means", 0.0)):
            object.__setattr__(self, place, _each(getattr(self, place), usual, len(vectors), place))
        object.__setattr__(self, "generator", plain(dict(self.generator)))
        object.__setattr__(self, "found", plain(dict(self.found)))

    def __len__(self) -> int:
        return len(self.names)

    def select(self, names: Sequence[str]) -> Self:
        """Those of these names, in this order.

        Raises:
            UnknownNameError: there is none of a name; tells the nearest.
        """
        for name in names:
            if name not in self.names:
                raise UnknownNameError("direction", name, self.names, where="the direction set")
        places = [self.names.index(name) for name in names]
        return type(self)(
            self.vectors[places],
            tuple(names),
            self.space,
            self.deviations[places],
            self.means[places],
            self.generator,
            self.found,
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``@pca.safetensors``, or ``@pca.safetensors:pc0,pc3`` for some of its directions.

        Raises:
            ParameterError: it is no such thing, or the file cannot be read.
            UnknownNameError: there is no such direction in it.
        """
        match = _FILE.fullmatch(text.strip().removeprefix("@"))
        if match is None or not text.strip().startswith("@"):
            raise ParameterError(
                f"directions are written @FILE.safetensors or @FILE.safetensors:pc0, got {text!r}"
            )
        path, names = match.groups()
        held = cls.read(path)
        if names:
            held = held.select([one.strip() for one in names.split(",")])
        return replace(held, written=text.strip())

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The set that `write` left in a file.

        Raises:
            ParameterError: there is no such file, or it holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                record = json.loads((file.metadata() or {}).get("ganprobe", "null"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except OSError as error:
            reason = error.strerror or str(error)
            raise ParameterError(f"cannot read the directions in {path}: {reason}") from error
        except (SafetensorError, ValueError) as error:
            raise ParameterError(f"{path} is damaged, or no safetensors file: {error}") from error
        return cls._of(record, arrays, str(path))

    @classmethod
    def _of(cls, held: object, arrays: Mapping[str, Any], where: str) -> Self:
        record = check_kind(held, _KIND, _VERSION, where, made_by="ganprobe run directions")
        try:
            return cls(
                arrays["vectors"],
                tuple(record["names"]),
                str(record["space"]),
                arrays["deviations"],
                arrays["means"],
                record.get("generator", {}),
                record.get("found", {}),
            )
        except (KeyError, TypeError, ParameterError) as error:
            raise ParameterError(f"{where} is a damaged direction set: {error}") from error

    def write(self, path: Path | str) -> None:
        """Write it to a ``.safetensors`` file, which is whole or not there.

        Raises:
            ParameterError: the file cannot be written.
        """
        import numpy as np
        from safetensors.numpy import save

        record = {
            "kind": _KIND,
            "version": _VERSION,
            "names": self.names,
            "space": self.space,
            "generator": dict(self.generator),
            "found": dict(self.found),
        }
        arrays = {"vectors": self.vectors, "deviations": self.deviations, "means": self.means}
        whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        write_whole(path, save(whole, {"ganprobe": json.dumps(record)}), "direction set")

    def __repr__(self) -> str:
        few = ", ".join(self.names[:4]) + (", ..." if len(self) > 4 else "")
        return f"<DirectionSet: {few} of {self.space}>"


def _checked_names(names: Sequence[str], n: int) -> tuple[str, ...]:
    given = tuple(names)
    if len(given) != n or len(set(given)) != n:
        raise ParameterError(f"{n} directions have {n} names, each once, got {given}")
    for name in given:
        if not name or set(name) & set(",:") or name != name.strip():
            raise ParameterError(f"{name!r} cannot name a direction: no ',', ':' or outer spaces")
    return given


def _each(values: Any, usual: float, n: int, what: str) -> Floats:
    import numpy as np

    read = np.full(n, usual) if values is None else np.asarray(values, np.float64)
    if read.shape != (n,) or not np.isfinite(read).all():
        raise ParameterError(f"the {what} of {n} directions are {n} finite numbers, got {read}")
    return read
