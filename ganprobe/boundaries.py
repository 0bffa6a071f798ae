"""Boundaries: where points with little of an attribute part from points with much of it.

A linear support vector machine is fitted to the points with the least and the most of it; its
normal is the direction of the attribute. How well that works is told by points that it was not
fitted to. Costs six fits: a second for 1 000 points of 512 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganprobe.effects import Share, share
from ganprobe.errors import ParameterError

__all__ = ["Boundary", "attribute_boundary", "conditional_direction", "extreme_rows"]

Floats = NDArray[np.float64]

_FOLDS = 5
_SCATTER = 1.3  # of accuracies over folds, in that of independent points
_FEWEST = 5  # points on either side
_WITHIN = 1e-6  # of a direction, that must be left of it
_MOST_ROUNDS = 20_000


@dataclass(frozen=True, eq=False)
class Boundary:
    """A plane between points with little and with much of an attribute.

    Args:
        normal: (d,) float64 of length 1, toward more of it.
        offset: a point's distance from the plane is ``points @ normal + offset``.
        accuracy: how many of the points lie on their side of a plane that was fitted to others.
        distances: (n,) from that plane, in the points' unit, of the points as they were given.
    """

    normal: Floats
    offset: float
    accuracy: Share
    distances: Floats

    def distance(self, points: ArrayLike) -> Floats:
        """(n,) how far points (n, \\*shape) lie on the side of more, in their unit."""
        found = np.asarray(points, np.float64)
        return found.reshape(len(found), -1) @ self.normal + self.offset

    @property
    def is_found(self) -> bool:
        """Whether the accuracy lies above what 97.5 % of attributes reach that are not there.

        Accuracies over folds scatter more than so many coins would: in simulations of 40 to 400
        points of 3 to 100 numbers 1.3 times as much, for which this allows.
        """
        chance: float = 0.5 * _SCATTER / self.accuracy.n**0.5
        return self.accuracy.value > 0.5 + 1.96 * chance


def extreme_rows(values: ArrayLike, extreme: float = 0.02) -> tuple[NDArray[np.intp], ...]:
    """The rows with the least and with the most of an attribute, equally many of each.

    Args:
        values: (n,) of the attribute; rows that have none (NaN) are left out.
        extreme: the share of all that counts as the least, and as the most.

    Raises:
        ParameterError: a share outside (0, 0.5], fewer than five rows on either side, or one
            value only.

    Example:
        >>> least, most = extreme_rows(range(100), 0.05)
        >>> least.tolist(), most.tolist()
        ([0, 1, 2, 3, 4], [99, 98, 97, 96, 95])
    """
    found = np.asarray(values, np.float64)
    if not 0 < extreme <= 0.5:
        raise ParameterError(f"the extreme share lies above 0 and up to 0.5, got {extreme!r}")
    there = np.flatnonzero(np.isfinite(found))
    n_each = round(extreme * len(there))
    if n_each < _FEWEST:
        raise ParameterError(
            f"a boundary needs {_FEWEST} samples or more on either side, got {n_each}:"
            f" {100 * extreme:g} % of {len(there)}; take more samples or a larger extreme share"
        )
    order = there[np.argsort(found[there], kind="stable")]
    least, most = order[:n_each], order[::-1][:n_each]
    if not found[least].max() < found[most].min():
        raise ParameterError(
            f"the least and the most {n_each} of {len(there)} samples overlap at the value"
            f" {found[most].min():.3g}: what is measured hardly varies"
        )
    return least, most


def attribute_boundary(points: ArrayLike, is_high: ArrayLike, *, seed: int = 0) -> Boundary:
    """The plane that parts points with little of an attribute from those with much of it.

    Args:
        points: (n, \\*shape), those with the least and the most.
        is_high: (n,) which have the most.
        seed: of the five folds, of which each is told apart by a fit to the other four.

    Raises:
        ParameterError: fewer than five points on either side.

    Source: InterFaceGAN, Shen et al. 2019 (arXiv 1905.10307 and 2005.09635), section 3. The
    plane's offset, which the paper's program leaves out, is kept.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(200, 3))
        >>> found = attribute_boundary(points, points[:, 1] > 0)
        >>> bool(found.normal[1] > 0.99), found.is_found
        (True, True)
    """
    flat = np.asarray(points, np.float64).reshape(len(np.asarray(points)), -1)
    sides = np.asarray(is_high, bool)
    if min(int(sides.sum()), int((~sides).sum())) < _FEWEST:
        raise ParameterError(f"a boundary needs {_FEWEST} points or more on either side")
    distances = np.empty(len(flat))
    folds = _folds(sides, seed)
    for fold in range(_FOLDS):
        normal, offset = _fit(flat[folds != fold], sides[folds != fold])
        distances[folds == fold] = flat[folds == fold] @ normal + offset
    normal, offset = _fit(flat, sides)
    return Boundary(normal, offset, share((distances > 0) == sides), distances)


def conditional_direction(direction: ArrayLike, others: Sequence[ArrayLike]) -> Floats:
    """A direction without what it has of others: the part that is orthogonal to all of them.

    Args:
        direction: (\\*shape).
        others: each of that shape.

    Returns:
        (\\*shape) of length 1.

    Raises:
        ParameterError: nothing of it is left.

    Source: InterFaceGAN, Shen et al. 2020 (arXiv 2005.09635), section 3.3, for any number.

    Example:
        >>> conditional_direction([1.0, 1.0, 0.0], [[0.0, 2.0, 0.0]])
        array([1., 0., 0.])
    """
    given = np.asarray(direction, np.float64)
    flat = given.ravel() / np.linalg.norm(given)
    rows = [np.asarray(one, np.float64).ravel() for one in others]
    spanned = np.stack([one / np.linalg.norm(one) for one in rows]) if rows else flat[None] * 0
    _, sizes, basis = np.linalg.svd(spanned, full_matrices=False)
    basis = basis[sizes > _WITHIN]
    left = flat - basis.T @ (basis @ flat)
    left -= basis.T @ (basis @ left)  # once more: what rounding left
    length = float(np.linalg.norm(left))
    if length < _WITHIN:
        raise ParameterError(
            f"nothing is left of a direction that lies within the span of {len(rows)} others;"
            " project out fewer"
        )
    projected: Floats = (left / length).reshape(given.shape)
    return projected


def _folds(sides: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """(n,) the fold of each point, with about equally many of either side in each."""
    random = np.random.default_rng(seed)
    folds = np.empty(len(sides), np.intp)
    for side in (False, True):
        rows = random.permutation(np.flatnonzero(sides == side))
        folds[rows] = np.arange(len(rows)) % _FOLDS
    return folds


def _fit(points: Floats, sides: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Normal of length 1 and offset; points are brought to a common scale before."""
    from sklearn.svm import LinearSVC

    mean = points.mean(0)
    scale = float(np.sqrt(((points - mean) ** 2).mean())) or 1.0
    machine = LinearSVC(dual=False, tol=1e-6, max_iter=_MOST_ROUNDS)
    machine.fit((points - mean) / scale, sides)
    weights = np.asarray(machine.coef_[0], np.float64)
    length = float(np.linalg.norm(weights)) or 1.0
    normal = weights / length
    return normal, float(machine.intercept_[0]) * scale / length - float(mean @ normal)
