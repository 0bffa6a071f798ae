"""The walks: a pure plan of latents, and the images that come of them.

Every walk runs together with its unchanged base, so that a step at the base's own value gives
the base image bit for bit. Costs bases x dimensions x (steps + 1) images; only the images of
the figures are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganprobe import Context, ForwardError, Latents, LatentSpace, ParameterError
from ganprobe_traversal import TraversalParams

_BATCH_IMAGES = 128


@dataclass(frozen=True, eq=False)
class Walks:
    """What walking gave.

    Args:
        params: that were asked for.
        dims: the dimensions walked, in the order asked for.
        values: (step,) the values that a coordinate took, in the latent's own unit.
        is_outside: (step,) whether a value lies outside the prior's usual range.
        base_values: (dim, base) the base samples' own values.
        effects: (dim, base, step) root mean square change of the image, 0 to 1.
        shown: the dimensions whose images were kept, strongest first.
        images: (shown, row, 1 + step, channel, y, x) in [0, 1]; step 0 is the base.
        measures: by name: (dim, base, 1 + step, column).
        columns: by measure: what its columns are.
    """

    params: TraversalParams
    dims: tuple[int, ...]
    values: NDArray[np.float64]
    is_outside: NDArray[np.bool_]
    base_values: NDArray[np.float64]
    effects: NDArray[np.float64]
    shown: tuple[int, ...]
    images: NDArray[np.float32]
    measures: dict[str, NDArray[np.float32]]
    columns: dict[str, tuple[str, ...]]

    @property
    def mean_effects(self) -> NDArray[np.float64]:
        """(dim,) the effect of each dimension: mean over bases and steps, 0 to 1."""
        means: NDArray[np.float64] = self.effects.mean(axis=(1, 2))
        return means

    @property
    def ranking(self) -> list[int]:
        """Positions in `dims`, strongest first, ties to the lowest."""
        return [int(position) for position in np.argsort(-self.mean_effects, kind="stable")]


def walk_dimensions(context: Context, params: TraversalParams) -> Walks:
    """Walk every chosen dimension from every base; then keep the images of the strongest.

    Raises:
        ParameterError: a dimension that the latent does not have, or a range that runs down.
    """
    space = context.generator.latent_space
    dims = _checked_dims(params.dims, space)
    values = _step_values(params, space)
    bases = context.generator.sample(params.bases, seed=context.seed)
    measures = {name: context.measure(name) for name in params.measure}
    effects = np.zeros((len(dims), params.bases, params.steps))
    shape = (len(dims), params.bases, 1 + params.steps)
    followed = {
        name: np.zeros((*shape, len(measure.columns)), dtype=np.float32)
        for name, measure in measures.items()
    }
    jobs = [(i, base) for i in range(len(dims)) for base in range(params.bases)]
    with context.progress(len(jobs), "walks") as bar:
        for chunk in _chunks(jobs, max(1, _BATCH_IMAGES // (1 + params.steps))):
            images = _walk(context, bases, [(dims[i], base) for i, base in chunk], values)
            places = tuple(np.array(chunk).T)  # positions of the dimensions, and the bases
            effects[places] = _effects(images)
            for name, measure in measures.items():
                columns = measure(images.flatten(0, 1))  # (job * (1 + step), column)
                followed[name][places] = columns.reshape(*images.shape[:2], -1).cpu().numpy()
            bar.advance(len(chunk))
    strongest = np.argsort(-effects.mean(axis=(1, 2)), kind="stable")[: params.figures]
    shown = tuple(dims[int(position)] for position in strongest)
    low, high = space.usual_range
    return Walks(
        params=params,
        dims=dims,
        values=values,
        is_outside=(values < low - 1e-9) | (values > high + 1e-9),
        base_values=bases.z.flatten(1)[:, list(dims)].T.double().numpy(),
        effects=effects,
        shown=shown,
        images=_shown_images(context, bases, shown, values, min(params.rows, params.bases)),
        measures=followed,
        columns={name: measure.columns for name, measure in measures.items()},
    )


def walked_latents(
    bases: Latents, jobs: Sequence[tuple[int, int]], values: NDArray[np.float64]
) -> Tensor:
    """Latents (job, 1 + step, *shape): for each (dimension, base) the base, then its walk."""
    chosen = torch.tensor([base for _, base in jobs])
    z = bases.z[chosen].flatten(1)  # (job, dimensions)
    walks = z.unsqueeze(1).repeat(1, 1 + len(values), 1)  # (job, 1 + step, dimensions)
    steps = torch.from_numpy(values).to(z.dtype)
    for job, (dim, _) in enumerate(jobs):
        walks[job, 1:, dim] = steps
    return torch.unflatten(walks, 2, bases.z.shape[1:])


def _walk(
    context: Context,
    bases: Latents,
    jobs: Sequence[tuple[int, int]],
    values: NDArray[np.float64],
) -> Tensor:
    """Images (job, 1 + step, channel, y, x) in [0, 1]."""
    latents = walked_latents(bases, jobs, values)
    batches = latents.flatten(0, 1).split(_BATCH_IMAGES)
    images = torch.cat([context.probe.images(batch) for batch in batches])
    if not images.isfinite().all():
        raise ForwardError(
            f"generator {context.generator.name!r} gave NaN or infinity on a walk along"
            f" dimensions {sorted({dim for dim, _ in jobs})}; walk a smaller range"
        )
    return torch.unflatten(context.generator.to_unit_range(images), 0, latents.shape[:2])


def _shown_images(
    context: Context,
    bases: Latents,
    shown: Sequence[int],
    values: NDArray[np.float64],
    n_rows: int,
) -> NDArray[np.float32]:
    rows = [
        _walk(context, bases, [(dim, base) for base in range(n_rows)], values).float().cpu()
        for dim in shown
    ]
    images: NDArray[np.float32] = torch.stack(rows).numpy()
    return images


def _effects(images: Tensor) -> NDArray[np.float64]:
    """(job, step) root mean square over pixels of each step's image less its base's."""
    change = (images[:, 1:] - images[:, :1]).double()
    effects: NDArray[np.float64] = change.square().mean(dim=(2, 3, 4)).sqrt().cpu().numpy()
    return effects


def _checked_dims(dims: tuple[int, ...] | None, space: LatentSpace) -> tuple[int, ...]:
    n = space.n_dimensions
    if dims is None:
        return tuple(range(n))
    outside = [dim for dim in dims if dim >= n]
    if outside:
        raise ParameterError(
            f"no latent dimension {outside[0]}: this generator has {n}, numbered 0-{n - 1}"
        )
    return dims


def _step_values(params: TraversalParams, space: LatentSpace) -> NDArray[np.float64]:
    low, high = space.usual_range
    low = low if params.low is None else params.low
    high = high if params.high is None else params.high
    if not low < high:
        raise ParameterError(f"--low must be below --high, got {low:g} and {high:g}")
    return np.linspace(low, high, params.steps)


def _chunks(jobs: list[tuple[int, int]], size: int) -> list[list[tuple[int, int]]]:
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]
