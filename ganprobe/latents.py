"""Latents, the inputs of a generator, and the spaces that they are drawn from.

Sample i of seed s depends on (s, i) alone: never on the batch size, the device, or how many
processes share the work. Each value comes from a counter-based random stream whose counter is
its position, through the inverse of the prior's distribution function, in float64 on the host:
about 60 ns a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from ganprobe.errors import ParameterError

__all__ = ["LatentSpace", "Latents"]

_WORDS_PER_COUNTER = 4  # Philox gives four 64-bit words for each step of its counter
_TYPICAL_DEVIATIONS = 3.0


@dataclass(frozen=True)
class LatentSpace:
    """The shape of a latent and the prior that it is drawn from.

    Args:
        shape: of one latent, without the batch: ``(16,)`` or ``(100, 1, 1)``.
        distribution: ``"normal"``: mean 0, standard deviation 1; ``"truncated"``: the same,
            kept within ``±bound``; ``"uniform"``: on ``[-bound, bound]``.
        bound: of the truncated (default 2) and the uniform distribution (default 1).

    Raises:
        ParameterError: an empty shape, an unknown distribution, or a bound not above 0.

    Example:
        >>> LatentSpace((16,)).sample(range(2), seed=0).z.shape
        torch.Size([2, 16])
    """

    shape: tuple[int, ...]
    distribution: Literal["normal", "truncated", "uniform"] = "normal"
    bound: float = field(default=0.0)

    def __post_init__(self) -> None:
        if isinstance(self.shape, int):
            object.__setattr__(self, "shape", (self.shape,))
        if not self.shape or any(not isinstance(n, int) or n < 1 for n in self.shape):
            raise ParameterError(
                f"a latent's shape is one or more positive sizes, got {self.shape}"
            )
        defaults = {"normal": math.inf, "truncated": 2.0, "uniform": 1.0}
        if self.distribution not in defaults:
            raise ParameterError(
                f"no latent distribution {self.distribution!r}; there are: {', '.join(defaults)}"
            )
        if self.bound == 0.0 or self.distribution == "normal":
            object.__setattr__(self, "bound", defaults[self.distribution])
        is_finite = math.isfinite(self.bound) or self.distribution == "normal"
        if not (self.bound > 0.0 and is_finite):
            raise ParameterError(f"a latent's bound is above 0 and finite, got {self.bound}")

    @property
    def n_dimensions(self) -> int:
        """How many numbers make one latent."""
        return math.prod(self.shape)

    @property
    def usual_range(self) -> tuple[float, float]:
        """The values that a walk can take without leaving the prior: ±3, or ± its bound."""
        edge = min(self.bound, _TYPICAL_DEVIATIONS)
        return -edge, edge

    @property
    def deviation(self) -> float:
        """The standard deviation of each number of a latent: 1 where the prior is normal.

        Example:
            >>> round(LatentSpace((16,), "uniform").deviation, 4)
            0.5774
        """
        if self.distribution == "uniform":
            return self.bound / math.sqrt(3)
        if self.distribution == "normal":
            return 1.0
        density = math.exp(-(self.bound**2) / 2) / math.sqrt(2 * math.pi)
        within = 1.0 - 2.0 * float(special.ndtr(-self.bound))
        return math.sqrt(1.0 - 2.0 * self.bound * density / within)

    def sample(self, indices: Sequence[int], *, seed: int = 0) -> Latents:
        """The latents of these sample indices: z is (n, *shape), float32, on the CPU.

        Raises:
            ParameterError: a negative index or seed.
        """
        _check_not_negative(indices, seed)
        uniform = _uniform_rows(indices, self.n_dimensions, seed)  # (n, dimensions)
        z = torch.from_numpy(self._from_uniform(uniform).astype(np.float32))
        return Latents(z.reshape(-1, *self.shape), seed=seed, indices=tuple(indices))

    def _from_uniform(self, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.distribution == "uniform":
            return (2.0 * uniform - 1.0) * self.bound
        below = special.ndtr(-self.bound)  # 0 where the prior is not truncated
        values: NDArray[np.float64] = special.ndtri(below + uniform * (1.0 - 2.0 * below))
        return values

    def to_json(self) -> dict[str, object]:
        """The space as plain values."""
        bound = None if math.isinf(self.bound) else self.bound
        return {"shape": list(self.shape), "distribution": self.distribution, "bound": bound}


@dataclass(frozen=True, eq=False)
class Latents:
    """A batch of inputs.

    Args:
        z: (n, \\*shape).
        seed: where they were drawn from a prior.
        indices: of the samples of that seed.
        labels: (n,) int64, the classes of a class-conditional generator's samples; None: as the
            generator says.

    Raises:
        ParameterError: not as many labels as latents.
    """

    z: Tensor
    seed: int | None = None
    indices: tuple[int, ...] | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and self.labels.shape != (len(self.z),):
            raise ParameterError(
                f"{len(self.z)} latents have ({len(self.z)},) labels, got"
                f" {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, chosen: slice) -> Latents:
        """A run of them, with its indices and labels."""
        indices = self.indices[chosen] if self.indices is not None else None
        labels = self.labels[chosen] if self.labels is not None else None
        return Latents(self.z[chosen], self.seed, indices, labels)

    def take(self, rows: Sequence[int]) -> Latents:
        """The latents of these rows in this order, also several times, each with all it has.

        Example:
            >>> Latents(torch.zeros(3, 8), seed=0, indices=(5, 6, 7)).take([2, 2, 0]).indices
            (7, 7, 5)
        """
        chosen = torch.as_tensor(rows, dtype=torch.int64)
        indices = None
        if self.indices is not None:
            indices = tuple(self.indices[row] for row in chosen.tolist())
        labels = None if self.labels is None else self.labels[chosen.to(self.labels.device)]
        return Latents(self.z[chosen.to(self.z.device)], self.seed, indices, labels)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Latents:
        """The same latents on another device or in another floating-point type."""
        is_there = self.z.device == torch.device(device) and dtype in (None, self.z.dtype)
        if is_there and (self.labels is None or self.labels.device == self.z.device):
            return self
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, z=self.z.to(device, dtype), labels=labels)

    def split(self, batch_size: int) -> list[Latents]:
        """Cut into batches of `batch_size`; the last may be smaller."""
        return [self[start : start + batch_size] for start in range(0, len(self), batch_size)]


def _check_not_negative(indices: Sequence[int], seed: int) -> None:
    if seed < 0 or seed >= 2**64:
        raise ParameterError(f"a seed is a whole number from 0 to 2**64 - 1, got {seed}")
    lowest = min(indices, default=0)
    if lowest < 0:
        raise ParameterError(f"sample indices count from 0, got {lowest}")


def _uniform_rows(indices: Sequence[int], n_values: int, seed: int) -> NDArray[np.float64]:
    """(n, n_values) float64 in the open interval (0, 1); row j is a function of (seed, index j)."""
    rows = np.empty((len(indices), n_values))
    for begin, end in _runs(indices):
        rows[begin:end] = _uniform_run(indices[begin], end - begin, n_values, seed)
    return rows


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Positions [begin, end) of the stretches in which each index follows the one before."""
    if not len(indices):
        return []
    steps = np.diff(np.asarray(indices, dtype=np.int64))
    edges = [0, *(np.flatnonzero(steps != 1) + 1).tolist(), len(indices)]
    return list(pairwise(edges))


def _uniform_run(first: int, n: int, n_values: int, seed: int) -> NDArray[np.float64]:
    counters = -(-n_values // _WORDS_PER_COUNTER)  # steps of the counter that one sample owns
    stream = np.random.Philox(key=seed)
    stream.advance(first * counters)
    words = stream.random_raw(n * counters * _WORDS_PER_COUNTER).reshape(n, -1)[:, :n_values]
    # 52 bits and a half: never 0 or 1, whose normal quantiles are infinite.
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
