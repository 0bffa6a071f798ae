"""Spaces: where points are walked, added and averaged: the latents, w, or a site's activations.

A point of ``z`` is a latent; a point of ``w``, of ``w_plus`` (one w for each style) or of a site is
the activation there. Images of
points of a site are made by putting each in place of what the generator computed there; what lies
beside the site (a skip connection, noise) comes from the latents that go with the points.

Images cost a forward each. `Space.extent` runs its samples once; it holds their coordinates, not
the points themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from ganprobe.errors import ParameterError, ShapeError, SiteError
from ganprobe.interventions import Patch
from ganprobe.latents import Latents, LatentSpace
from ganprobe.sites import Site, SiteTensor

if TYPE_CHECKING:
    from ganprobe.probe import Probe

__all__ = ["Extent", "Space"]

_BATCH = 128
_USUAL_SHARE = 0.999  # of the prior's points that count as usual
_USUAL_DEVIATIONS = 3.0  # of a coordinate that was chosen ahead


@dataclass(frozen=True, eq=False)
class Space:
    """The latents (``z``), ``w``, ``w_plus``, or the activations at a site, as points to be edited.

    A space has axes, one for each number of a latent or each unit of a site. A point's coordinate
    along a unit is its mean over all places (y, x) of that unit's map; moving along it adds the
    same everywhere.

    Args:
        probe: of the generator.
        name: ``"z"``, ``"w"``, ``"w_plus"``, or the site as it was written.
        site: None: the latents.
        shape: of a point, without the batch.
        n_axes: how many axes it has.
        unit_axis: of `shape`, that the axes are on; None: every number is one.
    """

    probe: Probe
    name: str
    site: Site | None
    shape: tuple[int, ...]
    n_axes: int
    unit_axis: int | None

    @classmethod
    def of(cls, probe: Probe, name: str) -> Self:
        """The space of this name: ``"z"``, ``"w"``, ``"w_plus"`` or a site.

        Raises:
            ParameterError: ``"w"`` or ``"w_plus"``, and the generator does not say where that is.
            UnknownNameError, SiteError: there is no such site, it is several, it is written with
                units, or has none for each sample.
        """
        generator = probe.generator
        if name == "z":
            space = generator.latent_space
            return cls(probe, "z", None, space.shape, space.n_dimensions, None)
        known = {"w": generator.w_site, "w_plus": generator.w_plus_site}
        if name in known and known[name] is None and name not in probe.layers():
            raise ParameterError(
                f"generator {generator.name!r} does not say where its {name} is; give the site of"
                " its mapping network's output, as `ganprobe layers` names it, or z"
            )
        tensor = _whole_tensor(probe, known.get(name) or name)
        shape = tensor.shape
        if name == "w_plus":  # every number of every style may go its own way
            return cls(probe, name, tensor.site, shape, math.prod(shape), None)
        unit_axis = None if len(shape) == 1 else tensor.unit_axis - 1
        return cls(probe, name, tensor.site, shape, tensor.n_units, unit_axis)

    @property
    def is_latent(self) -> bool:
        """Whether its points are the latents themselves."""
        return self.site is None

    @property
    def n_numbers(self) -> int:
        """How many numbers make one point."""
        return int(np.prod(self.shape))

    def axis_name(self, axis: int) -> str:
        """As it is written: ``z[3]``, ``w[7]``, ``conv2#20``."""
        is_numbered = self.name in ("z", "w", "w_plus")
        return f"{self.name}[{axis}]" if is_numbered else f"{self.name}#{axis}"

    def check_axes(self, axes: tuple[int, ...] | None) -> tuple[int, ...]:
        """These axes, or all of them for None.

        Raises:
            ParameterError: there is no such axis.
        """
        if axes is None:
            return tuple(range(self.n_axes))
        beyond = [axis for axis in axes if axis >= self.n_axes]
        if beyond:
            what = "latent dimension" if self.is_latent else f"dimension of {self.name}"
            raise ParameterError(
                f"no {what} {beyond[0]}: there are {self.n_axes}, numbered 0-{self.n_axes - 1}"
            )
        return axes

    def points(self, latents: Latents) -> Tensor:
        """The points (n, \\*shape) of these latents, on the probe's device and in its dtype."""
        if self.site is None:
            return latents.to(self.probe.device, self.probe.dtype).z
        runs = self.probe.runs(latents, record=self.site, stop_early=True, batch_size=_BATCH)
        return torch.cat([run[self.site] for run in runs])

    def images(
        self, points: Tensor, latents: Latents | None = None, *, batch_size: int = _BATCH
    ) -> Tensor:
        """The images of points, (n, channels, height, width) in the generator's image range.

        Args:
            points: (n, \\*shape).
            latents: (n,), or one for all: what goes beside points of a site; for z their noise
                and classes count, where the generator has such.

        Raises:
            ShapeError: points of another shape, or latents that are not as many.
            ForwardError: the generator raised.
        """
        return torch.cat(list(self.image_batches(points, latents, batch_size=batch_size)))

    def image_batches(
        self, points: Tensor, latents: Latents | None = None, *, batch_size: int = _BATCH
    ) -> Iterator[Tensor]:
        """As `images`, a batch at a time, in constant memory beside the points."""
        _check_points(points, self.shape)
        if self.site is None:
            for start in range(0, len(points), batch_size):
                part = points[start : start + batch_size]
                yield self.probe.images(self._with_beside(part, latents, start, len(points)))
            return
        beside = self._beside(latents, len(points))
        for start in range(0, len(points), batch_size):
            part = points[start : start + batch_size]
            run = self.probe.run(beside[start : start + batch_size], Patch(self.site, values=part))
            yield run.images

    def image_of(self, points: Tensor, latents: Latents | None = None) -> Tensor:
        """As `images` of one batch, differentiable: gradients and tangents reach the points.

        Raises:
            ShapeError: as `images`.
        """
        _check_points(points, self.shape)
        if self.site is None:
            given = self._with_beside(points, latents, 0, len(points))
            return self.probe.run(given, grad=True).images
        edit = Patch(self.site, values=points)
        return self.probe.run(self._beside(latents, len(points)), edit, grad=True).images

    def _with_beside(self, part: Tensor, latents: Latents | None, start: int, n: int) -> Latents:
        """Points of z with the noise and the classes of the latents that they were made of."""
        here = slice(start, start + len(part))
        if latents is None:
            numbered = range(start, here.stop)
            return replace(self.probe.generator.labelled(Latents(part)), indices=tuple(numbered))
        beside = self._beside(latents, n)[here]
        return Latents(part, indices=beside.indices, labels=beside.labels)

    def _beside(self, latents: Latents | None, n: int) -> Latents:
        """One for each of n points, with the classes and the numbers that they have or are given.

        A class has to be known; noise belongs to a number, and any will do.
        """
        if latents is None:
            raise ShapeError("points of a site need latents, for what lies beside the site")
        if len(latents) not in (1, n):
            raise ShapeError(f"{n} points go with {n} latents or with one, got {len(latents)}")
        latents = self.probe.generator.labelled(latents)
        if latents.indices is None:
            latents = replace(latents, indices=tuple(range(len(latents))))
        return latents if len(latents) == n else latents.take([0] * n)

    def coordinates(self, points: Tensor) -> Tensor:
        """(n, n_axes): each point's coordinates; of a unit with a map its mean."""
        if self.unit_axis is None:
            return points.flatten(1)
        others = [axis for axis in range(1, points.ndim) if axis != self.unit_axis + 1]
        return points.mean(dim=others)

    def along(self, weights: Tensor) -> Tensor:
        """Directions (k, \\*shape) that move the axes by these weights (k, n_axes), all else none.

        A unit's map moves by its weight everywhere, so that `coordinates` move by `weights`.
        """
        if self.unit_axis is None:
            return weights.reshape(-1, *self.shape)
        sizes = [1] * len(self.shape)
        sizes[self.unit_axis] = self.n_axes
        return weights.reshape(-1, *sizes).expand(-1, *self.shape).clone()

    def extent(self, latents: Latents) -> Extent:
        """How far the points of these latents lie: take 1 000 samples of the prior or so."""
        means, norms, total = [], [], torch.zeros(self.shape, dtype=torch.float64)
        for batch in latents.split(_BATCH):
            points = self.points(batch).double()
            means.append(self.coordinates(points).cpu())
            norms.append(points.flatten(1).norm(dim=1).cpu())
            total += points.sum(0).cpu()
        prior = self.probe.generator.latent_space if self.is_latent else None
        return Extent(total / len(latents), torch.cat(means), torch.cat(norms), prior)


@dataclass(frozen=True, eq=False)
class Extent:
    """Where the samples of the prior lie in a space.

    Args:
        mean: (\\*shape) float64, of the points.
        coordinates: (n, n_axes) float64.
        norms: (n,) float64, Euclidean, over all numbers of a point.
        prior: of the latents where the space is z: then the limits are exact.
    """

    mean: Tensor
    coordinates: Tensor
    norms: Tensor
    prior: LatentSpace | None = None

    @property
    def deviations(self) -> Tensor:
        """(n_axes,) the standard deviation of each coordinate, in the space's unit."""
        if len(self.coordinates) < 2:
            return torch.ones(self.coordinates.shape[1], dtype=torch.float64)
        return self.coordinates.std(0)

    @property
    def typical_norm(self) -> float:
        """The mean Euclidean norm of the samples: what a mean of points may be brought back to."""
        return float(self.norms.mean())

    @property
    def norm_limits(self) -> tuple[float, float]:
        """Norms within which 99.9 % of the prior's points lie.

        Exact for normal latents; else the least and the largest of the samples.
        """
        if self.prior is not None and self.prior.distribution == "normal":
            tails = ((1 - _USUAL_SHARE) / 2, (1 + _USUAL_SHARE) / 2)
            low, high = np.asarray(stats.chi.ppf(tails, self.prior.n_dimensions)).tolist()
            return low, high
        return float(self.norms.min()), float(self.norms.max())

    def usual_range(self, axis: int) -> tuple[float, float]:
        """The values that a coordinate usually takes: ± its bound, or 3 deviations of its mean."""
        if self.prior is not None:
            return self.prior.usual_range
        mean = float(self.coordinates[:, axis].mean())
        reach = _USUAL_DEVIATIONS * float(self.deviations[axis])
        return mean - reach, mean + reach

    def is_outside(self, points: Tensor) -> NDArray[np.bool_]:
        """(n,) which points lie where the prior's hardly ever do.

        That is: a number beyond the bound of a uniform or truncated prior; or a norm outside
        `norm_limits`, as of the mean of many normal latents.
        """
        flat = points.detach().flatten(1).double().cpu()
        low, high = self.norm_limits
        norms = flat.norm(dim=1)
        outside = (norms < low * (1 - 1e-6)) | (norms > high * (1 + 1e-6))
        if self.prior is not None and np.isfinite(self.prior.bound):
            outside = (flat.abs() > self.prior.bound * (1 + 1e-6)).any(1)
        found: NDArray[np.bool_] = outside.numpy()
        return found


def _whole_tensor(probe: Probe, written: str) -> SiteTensor:
    tensor = probe.layers().resolve_one(written)
    if probe.layers().parse(written).units is not None:
        raise SiteError(f"a space is a whole site, got {written!r}; leave out its units")
    if not tensor.is_batched or not tensor.shape:
        raise SiteError(f"{tensor.site} holds no numbers for each sample; take another site")
    return tensor


def _check_points(points: Tensor, shape: tuple[int, ...]) -> None:
    if points.shape[1:] != shape or not len(points):
        raise ShapeError(f"points of this space are (n, {shape}), got {tuple(points.shape)}")
