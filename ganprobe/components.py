"""Principal components of points that come in batches, and what they are in latents.

Points of up to `MOST_EXACT` numbers: one pass for their covariance, d² float64, and its exact
eigenvectors. Points of more numbers: a random block of directions that is multiplied with the
covariance, which is never made, once each pass over the points, until the components stay where
they are; that takes 4 to 16 passes, and (components + 10) times d numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe.errors import ParameterError

__all__ = ["MOST_EXACT", "CarriedBack", "Components", "carried_back", "principal_components"]

Floats = NDArray[np.float64]
Batches = Callable[[], Iterable[Tensor]]

MOST_EXACT = 2048
"""So many numbers may a point have for the exact covariance."""

_SPARE = 10  # directions beyond those that are asked for
_MOST_PASSES = 16
_CONVERGED = 1e-6  # residual of a component, in shares of its variance
_NOTHING = 1e-12  # of the total variance


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components, largest variance first.

    Args:
        vectors: (k, d) float64, orthonormal rows; the largest number of each is positive.
        variances: (k,) of the points along each, in the square of their unit.
        total_variance: of all d numbers together.
        mean: (d,) of the points.
        n: how many points.
        method: ``"covariance"``, exact; or ``"randomised"``.
        residual: |C v - variance v| / variance, the largest of the components; 0 where exact.
        n_passes: over the points.
    """

    vectors: Floats
    variances: Floats
    total_variance: float
    mean: Floats
    n: int
    method: Literal["covariance", "randomised"]
    residual: float = 0.0
    n_passes: int = 1

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def deviations(self) -> Floats:
        """(k,) the standard deviation of the points along each."""
        return np.sqrt(self.variances)

    @property
    def shares(self) -> Floats:
        """(k,) of the total variance, in [0, 1]."""
        return self.variances / self.total_variance

    @property
    def errors(self) -> Floats:
        """(k,) the standard error of each variance, for points that are about normal.

        Source: North et al. 1982 (Mon. Weather Rev. 110), equation 24.
        """
        return np.asarray(self.variances * np.sqrt(2 / max(1, self.n - 1)))

    @property
    def is_apart(self) -> NDArray[np.bool_]:
        """(k - 1,) whether each is told from the next: their 95 % limits do not overlap.

        Of those that are not, only the plane that they span is known.
        """
        reach = 1.96 * self.errors
        apart: NDArray[np.bool_] = self.variances[:-1] - reach[:-1] > self.variances[1:] + reach[1:]
        return apart


@dataclass(frozen=True, eq=False)
class CarriedBack:
    """What components of activations are in latents.

    Args:
        directions: (k, latent numbers) float64: how far the latent moves, by least squares, for
            one deviation of each component.
        explained: (k,) the share of each component's variance that is linear in the latent,
            corrected for how much chance explains; 1 for a linear generator, about 0 where there
            is no such direction.
    """

    directions: Floats
    explained: Floats


def principal_components(batches: Batches, n_components: int, *, seed: int = 0) -> Components:
    """The principal components of points.

    Args:
        batches: gives the batches (n, \\*shape) from the first on, each time it is called: on any
            device, of any floating-point type.
        n_components: at most; fewer where the points vary in fewer directions.
        seed: of the block that the randomised method starts with.

    Raises:
        ParameterError: fewer than two points, points that are not finite, or all the same.

    Source: GANSpace, Härkönen et al. 2020 (arXiv 2004.02546), section 2; the randomised method is
    Halko et al. 2011 (SIAM Rev. 53), algorithm 4.4.

    Example:
        >>> points = torch.tensor([[2.0, 0.1], [-2.0, -0.1], [1.0, 0.0], [-1.0, 0.0]])
        >>> found = principal_components(lambda: [points[:2], points[2:]], 1)
        >>> found.vectors.round(2), found.n
        (array([[1.  , 0.04]]), 4)
    """
    moments = _Moments.of(batches)
    if moments.n < 2:
        raise ParameterError(f"components need two points or more, got {moments.n}")
    most = min(n_components, moments.n_numbers, moments.n - 1)
    if moments.n_numbers <= MOST_EXACT:
        return _by_covariance(batches, moments, most)
    return _by_random_block(batches, moments, most, seed)


def carried_back(
    components: Components, pairs: Iterable[tuple[Tensor, Tensor]], *, ridge: float = 1e-9
) -> CarriedBack:
    """What each component of activations is in latents, by least squares over samples.

    Args:
        pairs: batches of points (n, \\*shape) and of the latents (n, \\*shape of a latent) that
            they were made of.
        ridge: in shares of the latents' variance: added, so that constant numbers do no harm.

    Source: GANSpace, Härkönen et al. 2020 (arXiv 2004.02546), equation 4.
    """
    rows = [(_scores(components, points), latents) for points, latents in pairs]
    scores = torch.cat([one for one, _ in rows])  # (n, k), of deviation 1
    latents = torch.cat([one.flatten(1).double().cpu() for _, one in rows])
    scores, latents = scores - scores.mean(0), latents - latents.mean(0)
    n, size = latents.shape
    slopes = torch.linalg.lstsq(scores, latents).solution  # (k, latent numbers)
    gram = latents.T @ latents
    gram += ridge * gram.diagonal().mean() * torch.eye(size, dtype=gram.dtype)
    crossed = latents.T @ scores  # (latent numbers, k)
    explained = (crossed * torch.linalg.solve(gram, crossed)).sum(0) / scores.square().sum(0)
    left = max(1, n - size - 1)
    corrected = 1 - (1 - explained) * (n - 1) / left
    return CarriedBack(slopes.numpy(), corrected.clamp(0, 1).numpy())


@dataclass(frozen=True, eq=False)
class _Moments:
    """Count, mean (d,) and total variance of points."""

    n: int
    mean: Tensor
    total: float

    @property
    def n_numbers(self) -> int:
        return len(self.mean)

    @classmethod
    def of(cls, batches: Batches) -> _Moments:
        n, first, summed, squares = 0, torch.empty(0), torch.empty(0), torch.empty(0)
        for batch in batches():
            flat = batch.flatten(1).double()
            if not n:
                first, summed, squares = flat.mean(0), 0 * flat[0], 0 * flat[0]
            summed += (flat - first).sum(0)
            squares += (flat - first).square().sum(0)
            n += len(flat)
        total = float((squares - summed.square() / max(1, n)).sum()) / max(1, n - 1)
        if not np.isfinite(total):
            raise ParameterError("components need finite points, got NaN or infinity")
        if n > 1 and total <= _NOTHING * float(squares.sum() + first.square().sum()) / n:
            raise ParameterError(f"the {n} points are all the same, and so have no components")
        return cls(n, first + summed / max(1, n), total)


def _by_covariance(batches: Batches, moments: _Moments, n_components: int) -> Components:
    gram = torch.zeros(moments.n_numbers, moments.n_numbers, dtype=torch.float64)
    gram = gram.to(moments.mean.device)
    for batch in batches():
        centred = batch.flatten(1).double() - moments.mean
        gram += centred.T @ centred
    variances, vectors = torch.linalg.eigh(gram / (moments.n - 1))
    ordered = torch.arange(len(variances) - 1, -1, -1)[:n_components]
    return _components(vectors.T[ordered], variances[ordered], moments, "covariance", n_passes=2)


def _by_random_block(
    batches: Batches, moments: _Moments, n_components: int, seed: int
) -> Components:
    size = min(n_components + _SPARE, moments.n_numbers, moments.n - 1)
    random = torch.Generator().manual_seed(seed)
    block = torch.randn(moments.n_numbers, size, generator=random, dtype=torch.float64)
    block, n_passes, residual = block.to(moments.mean.device), 1, np.inf
    chosen = torch.arange(size - 1, size - 1 - n_components, -1)
    while residual > _CONVERGED and n_passes < _MOST_PASSES:
        block = torch.linalg.qr(block).Q
        image = _covariance_times(batches, moments, block)  # (d, size)
        variances, rotation = torch.linalg.eigh(block.T @ image)
        values, vectors = variances[chosen], block @ rotation[:, chosen]
        off = (image @ rotation[:, chosen] - vectors * values).norm(dim=0)
        residual = float((off / values.clamp(min=_NOTHING * moments.total)).max())
        block, n_passes = image, n_passes + 1
    return _components(
        vectors.T, values, moments, "randomised", residual=residual, n_passes=n_passes
    )


def _covariance_times(batches: Batches, moments: _Moments, block: Tensor) -> Tensor:
    product = torch.zeros_like(block)
    for batch in batches():
        centred = batch.flatten(1).double() - moments.mean
        product += centred.T @ (centred @ block)
    return product / (moments.n - 1)


def _components(
    vectors: Tensor,
    variances: Tensor,
    moments: _Moments,
    method: Literal["covariance", "randomised"],
    *,
    residual: float = 0.0,
    n_passes: int,
) -> Components:
    kept = variances > _NOTHING * moments.total
    signed = _with_sign(vectors[kept])
    return Components(
        signed.cpu().numpy(), variances[kept].cpu().numpy(), moments.total,
        moments.mean.cpu().numpy(), moments.n, method, residual, n_passes,
    )  # fmt: skip


def _with_sign(vectors: Tensor) -> Tensor:
    """The same (k, d), each with a positive number where it is largest."""
    largest = vectors.abs().argmax(dim=1, keepdim=True)
    return vectors * vectors.gather(1, largest).sign()


def _scores(components: Components, points: Tensor) -> Tensor:
    """(n, k) how many deviations along each component the points lie."""
    centred = points.flatten(1).double().cpu().numpy() - components.mean
    return torch.from_numpy(centred @ components.vectors.T / components.deviations)
