"""Closed-form factorisation: directions that the first learned map stretches most.

Costs a forward of the first layers for each number of a latent, and the eigenvectors of a matrix
of as many rows; no samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ganprobe.errors import ParameterError
from ganprobe.interventions import Patch
from ganprobe.layers import Layer
from ganprobe.sites import SiteTensor

if TYPE_CHECKING:
    from ganprobe.spaces import Space

__all__ = ["Factorisation", "LearnedMap", "closed_form", "learned_map"]

Floats = NDArray[np.float64]

_BATCH = 128
_MOST_NUMBERS = 4096  # of a point: its map has as many rows
_ROUNDING = 1e-4  # of the largest output: more than that off is not linear
_SMALL = 1e-9  # of the longest column: no weights at all


@dataclass(frozen=True, eq=False)
class Factorisation:
    """Directions that a linear map stretches, the most first.

    Args:
        vectors: (k, d) float64, orthonormal rows; the largest number of each is positive.
        eigenvalues: (k,) of A Aᵀ, in descending order: squared singular values.
    """

    vectors: Floats
    eigenvalues: Floats

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, eq=False)
class LearnedMap:
    """What the first learned layers make of a point.

    Args:
        weights: (d, outputs) float64, one column for each output; without bias.
        layers: their names.
        is_direct: they are given the points as they are; else something is done before, of which
            the weights say nothing.
    """

    weights: Floats
    layers: tuple[str, ...]
    is_direct: bool


def closed_form(weights: ArrayLike, *, normalised: bool = True) -> Factorisation:
    """The eigenvectors of A Aᵀ, by descending eigenvalues.

    Args:
        weights: (d, outputs), one column for each output.
        normalised: the columns are brought to length 1 before, so that each output counts the
            same; columns of 0 are left out.

    Raises:
        ParameterError: the weights are no finite matrix, or all 0.

    Source: SeFa, Shen and Zhou 2020 (arXiv 2007.06600), section 3.2; by `eigh`, and sorted.

    Example:
        >>> closed_form([[0.0, 0.0], [3.0, 1.0]]).eigenvalues.round(9)
        array([2., 0.])
    """
    found = np.asarray(weights, np.float64)
    if found.ndim != 2 or not found.size or not np.isfinite(found).all():
        raise ParameterError(f"weights are a finite matrix (d, outputs), got {found.shape}")
    lengths = np.linalg.norm(found, axis=0)
    kept = lengths > _SMALL * lengths.max()
    if not kept.any():
        raise ParameterError("the weights are all 0, and so stretch nothing")
    columns = found[:, kept] / lengths[kept] if normalised else found[:, kept]
    eigenvalues, vectors = np.linalg.eigh(columns @ columns.T)
    rows = vectors.T[::-1]
    largest = np.abs(rows).argmax(axis=1)
    signs = np.sign(rows[np.arange(len(rows)), largest])
    return Factorisation(rows * signs[:, None], eigenvalues[::-1].clip(min=0.0))


def learned_map(space: Space, layers: Sequence[str] = ()) -> LearnedMap:
    """The weights of the first learned layers that points of a space are given to.

    Each layer is run on 0 and on each unit vector, so that its weights are what it does: of a
    transposed convolution of 1 x 1 maps, ``weight.flatten(1)``. Where several layers are given
    the points, as the styles of w, their columns stand side by side.

    Args:
        layers: their names; without them, they are looked for.

    Raises:
        ParameterError: none is found, or it does not take as many numbers, or is not linear; or
            points have more than 4096 numbers.
        UnknownNameError: there is no such layer.
    """
    if space.n_numbers > _MOST_NUMBERS:
        raise ParameterError(
            f"a point of {space.name} has {space.n_numbers} numbers, and a closed form of more than"
            f" {_MOST_NUMBERS} is not made; take z, w, or pca"
        )
    points = space.points(space.probe.generator.sample(2, seed=0))
    if layers:
        inputs = [_input_of(space, name) for name in layers]
    else:
        inputs = _inputs_of_learned_layers(space)
    held = _held(space, inputs)
    is_direct = [torch.equal(given.flatten(1), points.flatten(1)) for given in held]
    if not layers:
        chosen = [one for one, direct in zip(inputs, is_direct, strict=True) if direct]
        inputs = chosen or _first_dependent(inputs, held)
    if not inputs:
        raise ParameterError(
            f"no learned layer of generator {space.probe.generator.name!r} was found that takes"
            f" the {space.n_numbers} numbers of {space.name}; name one with --layer"
            f" (list them: ganprobe layers {space.probe.generator.name})"
        )
    weights = np.concatenate([_weights_of(space, one) for one in inputs], axis=1)
    names = tuple(dict.fromkeys(one.site.layer for one in inputs))
    return LearnedMap(weights, names, all(is_direct) if layers else any(is_direct))


def _inputs_of_learned_layers(space: Space) -> list[SiteTensor]:
    """What layers with weights of their own are given, where it has as many numbers."""
    found = []
    for layer in _after(space):
        if _is_learned(space.probe.generator.module.get_submodule(layer.name)):
            found += [one for one in _inputs(layer) if _n_numbers(one) == space.n_numbers][:1]
    return found


def _is_learned(module: nn.Module) -> bool:
    """Whether it has weights of its own, and no layers within it that do."""
    children = [child for name, child in module.named_children() if name != "parametrizations"]
    if any(True for child in children for _ in child.parameters()):
        return False
    own = module.parameters(recurse=False)
    return isinstance(module, nn.Linear | _ConvNd) or any(weight.ndim > 1 for weight in own)


def _after(space: Space) -> list[Layer]:
    """The layers that may be given points of the space, in the order in which they end."""
    layers = list(space.probe.layers())
    if space.site is None:
        return layers
    names = [layer.name for layer in layers]
    return layers[names.index(space.site.layer) + 1 :]


def _inputs(layer: Layer) -> list[SiteTensor]:
    return [one for one in layer.tensors if one.site.port == "in" and one.is_batched]


def _input_of(space: Space, name: str) -> SiteTensor:
    layer = space.probe.layers()[name]
    inputs = _inputs(layer)
    fitting = [one for one in inputs if _n_numbers(one) == space.n_numbers]
    if not fitting:
        taken = ", ".join(str(_n_numbers(one)) for one in inputs) or "none"
        raise ParameterError(
            f"--layer {name} takes {taken} numbers for each sample, and a point of {space.name} has"
            f" {space.n_numbers}; name a layer that takes as many"
        )
    return fitting[0]


def _n_numbers(tensor: SiteTensor) -> int:
    return int(np.prod(tensor.shape))


def _held(space: Space, inputs: Sequence[SiteTensor]) -> list[Tensor]:
    """What these layers are given for the first two samples of seed 0."""
    if not inputs:
        return []
    latents = space.probe.generator.sample(2, seed=0)
    run = space.probe.run(latents, record=[one.site for one in inputs], stop_early=True)
    return [run[one.site] for one in inputs]


def _first_dependent(inputs: Sequence[SiteTensor], held: Sequence[Tensor]) -> list[SiteTensor]:
    """The first that differs between two samples: a constant is no latent."""
    differing = [
        one for one, given in zip(inputs, held, strict=True) if not given[0].equal(given[1])
    ]
    return differing[:1]


def _weights_of(space: Space, given: SiteTensor) -> Floats:
    """(d, outputs) what a layer makes of each unit vector, less what it makes of 0.

    Raises:
        ParameterError: what it makes of a random vector is not the sum of these.
    """
    size = space.n_numbers
    random = torch.randn(1, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vectors = torch.cat([torch.zeros(1, size), torch.eye(size), random])
    outputs = _outputs(space, given, vectors)
    weights: Floats = outputs[1:-1] - outputs[0]
    expected = random.numpy()[0] @ weights + outputs[0]
    if np.abs(expected - outputs[-1]).max() > _ROUNDING * np.abs(outputs).max():
        raise ParameterError(
            f"layer {given.site.layer} is not linear in what it is given, so that it has no matrix"
            " to factorise; name another with --layer"
        )
    return weights


def _outputs(space: Space, given: SiteTensor, vectors: Tensor) -> Floats:
    """(n, outputs) what the layer returns for these inputs (n, d)."""
    probe, layer = space.probe, given.site.layer
    output = probe.layers().resolve_one(f"{layer}@{given.site.call}" if given.site.call else layer)
    latent = probe.generator.sample(1, seed=0)
    rows = []
    for batch in vectors.to(probe.device, probe.dtype).split(_BATCH):
        edit = Patch(given.site, values=batch.reshape(-1, *given.shape))
        latents = latent.take([0] * len(batch))
        run = probe.run(latents, edit, record=[output.site], stop_early=True)
        rows.append(run[output.site].flatten(1).double().cpu())
    return np.asarray(torch.cat(rows).numpy(), np.float64)
