"""Weights: named tensors out of a file, with what else lay in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WeightFormat", "Weights"]

WeightFormat = Literal["safetensors", "pytorch"]


@dataclass(frozen=True)
class Weights:
    """Named tensors out of a file of weights.

    Args:
        tensors: by name, on the CPU, in the dtypes of the file: those of the entry `key`.
        path: the file.
        sha256: of the file; where weights are spread over several, of the file that lists them.
        format: ``"safetensors"``, or ``"pytorch"`` for whatever torch and pickle write.
        key: the entry that was taken, as ``"g_ema"``, dotted where entries nest; "" for the file.
        found: the keys of the other entries.
        others: the tensors of those entries.
        is_chosen: whether `key` was asked for rather than found.
        files: the SHA-256 of every file that was read, by path.
        trusted: why trust was needed to read it; "" where it was not.
    """

    tensors: Mapping[str, Tensor]
    path: Path
    sha256: str
    format: WeightFormat
    key: str = ""
    found: tuple[str, ...] = ()
    others: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)
    is_chosen: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    trusted: str = ""

    @property
    def where(self) -> str:
        """The file and the entry, as messages name them.

        Example:
            >>> Weights({}, Path("cars.pt"), "", "pytorch", key="g_ema").where
            "cars.pt (entry 'g_ema')"
        """
        return f"{self.path} (entry {self.key!r})" if self.key else str(self.path)
