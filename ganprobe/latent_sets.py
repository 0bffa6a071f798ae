"""Latent sets: latents that an analysis found, kept in a small file for other commands to take.

One command finds latents and writes them, another takes them: ``--latents @good.json``,
``--source @mine.json:ones``. The file is JSON, or safetensors where JSON would be large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ganprobe.errors import ParameterError
from ganprobe.selection_files import as_json, check_kind, plain, write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ganprobe.latents import Latents

__all__ = ["LATENT_SET_KIND", "LatentSet", "latents_in_record"]

LATENT_SET_KIND = "ganprobe latent set"

_VERSION = 1
_MOST_IN_JSON = 20_000  # numbers


@dataclass(frozen=True, eq=False)
class LatentSet:
    """Latents of one generator, in one group or several that have names.

    Args:
        groups: (n, \\*shape) float32 each, in an order that may mean something: the best first.
            A group alone is usually named ``"z"``.
        indices: of the samples of a group, where they were drawn from the prior.
        labels: of a group, the classes of a class-conditional generator's samples.
        seed: that they were drawn from; None: they were found in another way.
        generator: its name, weights' SHA-256 and normalisation.
        found: how they were found, as plain values.

    Raises:
        ParameterError: no group, an empty one, or values that are not finite; or `generator` or
            `found` holds what JSON cannot.

    Example:
        >>> import numpy as np
        >>> LatentSet({"ones": np.zeros((2, 16), np.float32)}).n_samples
        2
    """

    groups: Mapping[str, NDArray[np.float32]]
    indices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int | None = None
    generator: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import numpy as np

        if not self.groups:
            raise ParameterError("a latent set has one group of latents or more, got none")
        for name, values in self.groups.items():
            if not len(values) or not np.isfinite(values).all():
                raise ParameterError(
                    f"group {name!r} of a latent set holds no latents, or NaN or infinity"
                )
        for place in ("generator", "found", "indices", "labels"):
            object.__setattr__(self, place, plain(dict(getattr(self, place))))

    @classmethod
    def of(
        cls,
        groups: Mapping[str, Latents],
        *,
        generator: Mapping[str, Any] | None = None,
        found: Mapping[str, Any] | None = None,
    ) -> Self:
        """The set of these latents, with seed and indices where all of them have one seed."""
        import numpy as np

        arrays = {
            name: one.z.detach().cpu().float().numpy().astype(np.float32)
            for name, one in groups.items()
        }
        seeds = {one.seed for one in groups.values()}
        indices = {name: one.indices for name, one in groups.items() if one.indices is not None}
        labels = {
            name: tuple(one.labels.tolist())
            for name, one in groups.items()
            if one.labels is not None
        }
        is_drawn = len(seeds) == 1 and None not in seeds and len(indices) == len(groups)
        return cls(
            arrays,
            indices if is_drawn else {},
            seeds.pop() if is_drawn else None,
            generator or {},
            found or {},
            labels,
        )

    @property
    def n_samples(self) -> int:
        """How many latents there are in all groups."""
        return sum(map(len, self.groups.values()))

    @property
    def suffix(self) -> str:
        """``.json``, or ``.safetensors`` where JSON would be large."""
        n_numbers = sum(values.size for values in self.groups.values())
        return ".json" if n_numbers <= _MOST_IN_JSON else ".safetensors"

    def write(self, path: Path | str) -> None:
        """Write it to a ``.json`` or ``.safetensors`` file, which is whole or not there.

        Raises:
            ParameterError: another suffix, or the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            content = as_json(self._record(with_values=True))
        elif suffix == ".safetensors":
            content = self._safetensors()
        else:
            raise ParameterError(f"latents are written to .json or .safetensors, got {path}")
        write_whole(path, content, "latent set")

    def _safetensors(self) -> bytes:
        import json

        import numpy as np
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(values) for name, values in self.groups.items()}
        return save(arrays, {"ganprobe": json.dumps(self._record(with_values=False))})

    def _record(self, *, with_values: bool) -> dict[str, Any]:
        groups = {name: values.tolist() for name, values in self.groups.items()}
        return {
            "kind": LATENT_SET_KIND,
            "version": _VERSION,
            "generator": dict(self.generator),
            "found": dict(self.found),
            "seed": self.seed,
            "indices": dict(self.indices),
            **({"labels": dict(self.labels)} if self.labels else {}),
            **({"latents": groups} if with_values else {}),
        }


def latents_in_record(held: object, where: str) -> object:
    """What a JSON file holds as latents: of one of ours the groups, else all of it.

    Raises:
        ParameterError: it is another selection of ours: a unit set.
    """
    kind = held.get("kind") if isinstance(held, dict) else None
    if not (isinstance(kind, str) and kind.startswith("ganprobe ")):
        return held
    record = check_kind(held, LATENT_SET_KIND, _VERSION, where, made_by="ganprobe run quality")
    return record.get("latents")
