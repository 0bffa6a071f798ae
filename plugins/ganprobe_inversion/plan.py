"""The plan: what is inverted, where, and from which random streams, resolved before any search."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ganprobe import Context, Extent, Latents, LatentSpace, ParameterError, Space
from ganprobe_inversion import InversionParams
from ganprobe_inversion.targets import Targets, make_targets

_N_EXTENT = 1000  # samples that tell where the prior lies
_MOST_ROWS = 128
_MOST_PIXELS = 1 << 22  # values of the images of one forward
_STREAMS = ("pool", "pairs", "held out", "random start", "extent")


@dataclass(frozen=True, eq=False)
class Plan:
    """What is inverted, and where.

    Args:
        methods: each once, in the order given, without the pool, which is always there.
        space: where the descent goes.
        extent: of the prior in that space.
        deviation: what a step is measured in: the mean standard deviation of a coordinate.
    """

    context: Context
    params: InversionParams
    targets: Targets
    methods: tuple[str, ...]
    space: Space
    extent: Extent
    deviation: float

    @property
    def latent_space(self) -> LatentSpace:
        """Of the generator."""
        return self.context.generator.latent_space

    @property
    def n_rows(self) -> int:
        """How many images one forward makes."""
        return max(1, min(_MOST_ROWS, _MOST_PIXELS // self.n_values))

    @property
    def n_values(self) -> int:
        """How many numbers make one image."""
        return math.prod(self.context.probe.image_shape)

    def seed(self, stream: str) -> int:
        """The seed of one of the random streams, which have no sample in common with the own."""
        return stream_seed(self.context.seed, stream)

    def sample(self, stream: str, n_samples: int, start: int = 0) -> Latents:
        """Samples start, start + 1, ... of one of the streams."""
        return self.context.generator.sample(n_samples, seed=self.seed(stream), start=start)

    def within(self, points: Tensor) -> Tensor:
        """Points (n, \\*shape) brought back to the prior, where they are to stay in it."""
        if not (self.params.stay_in_prior and self.space.is_latent):
            return points
        return within_prior(points, self.latent_space, self.extent)

    def unit_images(self, points: Tensor, beside: Tensor | None) -> Tensor:
        """Images of one batch in [0, 1], differentiable also where they are cut off.

        A pixel that is beyond black or white has the gradient that it would have at its edge: one
        that should be elsewhere comes back.
        """
        latents = None if beside is None else Latents(beside)
        black, white = self.context.generator.image_range
        images = (self.space.image_of(points, latents) - black) / (white - black)
        return images + (images.clamp(0, 1) - images).detach()


def stream_seed(seed: int, stream: str) -> int:
    """The seed of a random stream beside those of the seed itself."""
    sequence = np.random.SeedSequence((seed, 1 + _STREAMS.index(stream)))
    return int(sequence.generate_state(1, np.uint64)[0])


def within_prior(points: Tensor, prior: LatentSpace, extent: Extent) -> Tensor:
    """Latents no further out than the prior's: each number within its bound, or the norm."""
    if np.isfinite(prior.bound):
        return points.clamp(-prior.bound, prior.bound)
    flat = points.flatten(1)
    norms = flat.norm(dim=1, keepdim=True)
    most = extent.norm_limits[1]
    shortened: Tensor = flat * (most / norms.clamp(min=most))
    return shortened.view_as(points)


def make_plan(context: Context, params: InversionParams) -> Plan:
    """Resolve images, methods and space.

    Raises:
        ParameterError: there is no image, one cannot be used, or numbers do not go together.
        UnknownNameError, SiteError: there is no such space.
    """
    if context.generator.normalisation == "batch":
        raise ParameterError(
            "with --normalisation batch an image depends on the others of its batch and has no"
            " latents of its own; take eval or sample"
        )
    methods = tuple(name for name in dict.fromkeys(params.method) if name != "pool")
    if params.n_starts > params.n_pool and "pool+gradient" in methods:
        raise ParameterError(
            f"--n-starts {params.n_starts} are taken from a pool of {params.n_pool}; give a larger"
            " --n-pool or fewer --n-starts"
        )
    space = context.space(params.space)
    targets = make_targets(context, params)
    seed = stream_seed(context.seed, "extent")
    extent = space.extent(context.generator.sample(_N_EXTENT, seed=seed))
    deviation = float(extent.deviations.mean())  # 0 where a space never varies
    return Plan(context, params, targets, methods, space, extent, deviation or 1.0)


def squared_error(images: Tensor, targets: Tensor) -> Tensor:
    """(n,) the mean squared difference of images (n, ...) in [0, 1]."""
    error: Tensor = (images - targets).square().flatten(1).mean(1)
    return error
