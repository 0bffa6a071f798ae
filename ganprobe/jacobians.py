"""Jacobians: how images change along directions of a space, by derivatives and by steps.

`jvp_images` differentiates in forward mode: one derivative for each direction and sample, exact up
to rounding, which is cheap where directions are fewer than pixels. `difference_images` takes a step
and compares, which any generator allows, and which tells what a step of that size really does.

Both give a block at a time, all directions of some samples before the next samples, and at most
`n_at_once` images of a block are in flight. Directions of one sample share the forward of that
sample itself where `torch.vmap` can run the generator: a block of k directions then costs k + 1
forwards. Elsewhere the sample is repeated for each direction, and costs 2 k. Steps cost k + 1, and
2 k where both sides are taken. For the 100 dimensions of a DCGAN-64 sharing took 1.3 times as long
as steps to one side, repeating 3.2 times, and steps to both sides 2.1 times.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from ganprobe.errors import NotDifferentiableError, ParameterError, ShapeError, is_out_of_memory
from ganprobe.indices import check_count
from ganprobe.latents import Latents
from ganprobe.spaces import Space

__all__ = ["ImageChanges", "difference_images", "gather_changes", "jvp_images", "small_step"]

_AT_ONCE = 128
_LONGEST_REASON = 160  # characters

Sharing = Literal["auto", "shared", "repeated"]
"""Whether directions share the forward of their sample, or it is repeated for each."""


@dataclass(frozen=True, eq=False)
class ImageChanges:
    """How the images of some samples change along some directions.

    Args:
        directions, samples: which of all that were asked for.
        values: (k, n, channels, height, width) change of the image for one unit of the direction,
            where black to white is 1. It is not clipped.
        how: ``"shared"``, ``"repeated"`` or ``"step"``.
    """

    directions: slice
    samples: slice
    values: Tensor
    how: Literal["shared", "repeated", "step"]


def jvp_images(
    space: Space,
    points: Tensor,
    latents: Latents | None,
    directions: Tensor,
    *,
    n_at_once: int = _AT_ONCE,
    sharing: Sharing = "auto",
) -> Iterator[ImageChanges]:
    """The derivative of each image along each direction, in forward mode.

    What a generator computes outside of PyTorch, or detaches, counts as constant: compare with
    `difference_images` at a `small_step`. At a kink, as of a ReLU at 0, it is that of one side.

    Args:
        space: that the points and directions are of.
        points: (n, \\*shape), where the derivative is taken.
        latents: (n,), what goes beside points of a site; for z their noise and classes count.
        directions: (k, \\*shape), of any length: the derivative grows with it.
        n_at_once: images of a block, that bound its memory: each takes twice a forward's.
        sharing: ``"auto"``: shared, and repeated where the generator cannot be run so.

    Raises:
        NotDifferentiableError: forward-mode derivatives do not go through the generator, or are
            not finite; says why.
        ParameterError: the generator is in normalisation ``"batch"``.
        ShapeError: points, latents or directions do not fit the space.
        ForwardError: the generator raised.

    Example:
        >>> import torch, ganprobe
        >>> module = torch.nn.Sequential(
        ...     torch.nn.Linear(2, 4, bias=False), torch.nn.Unflatten(1, (1, 2, 2))).eval()
        >>> _ = module[0].weight.data.copy_(torch.tensor([[1., 0], [2, 0], [0, 3], [0, 0]]))
        >>> generator = ganprobe.Generator.from_module(module, latent=2, image_range=(0, 1))
        >>> space = ganprobe.Space.of(ganprobe.Probe(generator), "z")
        >>> changes = gather_changes(jvp_images(space, torch.zeros(1, 2), None, torch.eye(2)))
        >>> changes.flatten(2)  # (directions, samples, pixels)
        tensor([[[1., 2., 0., 0.]],
        <BLANKLINE>
                [[0., 0., 3., 0.]]])
    """
    points, directions = _ready(space, points, latents, directions, n_at_once)
    latents = _numbered(space, points, latents)
    _prepare_forward_mode()
    ways = {"shared": _shared, "repeated": _repeated}
    left = ["shared", "repeated"] if sharing == "auto" else [sharing]
    for block in _blocks(len(directions), len(points), n_at_once):
        along, some = block
        beside = None if latents is None else _rows(latents, some, len(points))
        given = (space, points[some], beside, directions[along])
        values = _first_that_works(space, [(way, ways[way]) for way in left], given)
        left = [values[0]]
        how: Literal["shared", "repeated"] = "shared" if left == ["shared"] else "repeated"
        yield ImageChanges(along, some, _in_unit_range(space, values[1]), how)


def difference_images(
    space: Space,
    points: Tensor,
    latents: Latents | None,
    directions: Tensor,
    *,
    step: float | Tensor = 1.0,
    is_central: bool = False,
    n_at_once: int = _AT_ONCE,
) -> Iterator[ImageChanges]:
    """The change of each image for a step along each direction, divided by the step.

    A point and the steps from it are run in one batch, so that a direction without any effect
    gives 0 exactly. Noise that the generator draws is the same for both.

    Args:
        space, points, latents, directions, n_at_once: as for `jvp_images`.
        step: how far, times the direction; or (k, n), one for each direction and sample; a
            negative one goes the other way.
        is_central: from the step back to the step ahead, over twice the step: an approximation of
            the derivative whose error falls with the square of the step, until rounding takes
            over; see `small_step`.

    Raises:
        ParameterError: a step of 0, or the generator is in normalisation ``"batch"``.
        ShapeError, ForwardError: as `jvp_images`.
    """
    points, directions = _ready(space, points, latents, directions, n_at_once)
    latents = _numbered(space, points, latents)
    steps = _steps(step, len(directions), points)
    for along, some in _blocks(len(directions), len(points), n_at_once):
        beside = None if latents is None else _rows(latents, some, len(points))
        taken = steps[along, some].reshape(-1, len(points[some]), *[1] * len(space.shape))
        moved = taken * directions[along].unsqueeze(1)  # (k, n, *shape)
        here = points[some].unsqueeze(0)
        starts = here - moved if is_central else here
        images = _render(space, torch.cat([starts, here + moved]), beside)
        change = images[len(starts) :] - images[: len(starts)]
        length = steps[along, some].reshape(*change.shape[:2], 1, 1, 1) * (1 + is_central)
        yield ImageChanges(along, some, _in_unit_range(space, change / length), "step")


def gather_changes(blocks: Iterable[ImageChanges]) -> Tensor:
    """All blocks as one tensor (k, n, channels, height, width)."""
    held = list(blocks)
    n_directions = max(block.directions.stop for block in held)
    n_samples = max(block.samples.stop for block in held)
    whole = held[0].values.new_empty(n_directions, n_samples, *held[0].values.shape[2:])
    for block in held:
        whole[block.directions, block.samples] = block.values
    return whole


def small_step(dtype: torch.dtype) -> float:
    """The step of a central difference that comes nearest to the derivative, for a coordinate of 1.

    The cube root of the dtype's rounding unit, 0.005 in float32: where the error of rounding,
    which falls with the step, and that of the curve, which grows with its square, are equal.

    Source: Press et al. 2007, Numerical Recipes, equation 5.7.8.

    Example:
        >>> import torch
        >>> round(small_step(torch.float32), 4)
        0.0049
    """
    return float(torch.finfo(dtype).eps ** (1 / 3))


Way = Callable[[Space, Tensor, "Latents | None", Tensor], Tensor]


def _first_that_works(
    space: Space, ways: list[tuple[str, Way]], given: tuple[Space, Tensor, Latents | None, Tensor]
) -> tuple[str, Tensor]:
    """The first way that runs, and what it gave."""
    refusal: RuntimeError | None = None
    for name, way in ways:
        try:
            values = way(*given)
        except RuntimeError as error:  # a ForwardError is one, too
            if is_out_of_memory(error):
                raise
            refusal = error
            continue
        if not values.isfinite().all():
            raise NotDifferentiableError(_cannot(space, "a derivative is NaN or infinite"))
        return name, values
    assert refusal is not None  # there was a way, and it did not return
    raise NotDifferentiableError(_cannot(space, _reason(refusal))) from refusal


def _cannot(space: Space, reason: str) -> str:
    return (
        f"generator {space.probe.generator.name!r} has no forward-mode derivative along"
        f" {space.name}: {reason}; take finite differences"
    )


def _reason(error: BaseException) -> str:
    """What stands at the beginning of a chain of errors, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    told = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    first = told.split(". ")[0].rstrip(".")
    return first if len(first) <= _LONGEST_REASON else first[: _LONGEST_REASON - 3] + "..."


def _shared(space: Space, points: Tensor, latents: Latents | None, directions: Tensor) -> Tensor:
    """(k, n, ...) with one forward of the points for all directions."""

    def along(direction: Tensor) -> Tensor:
        return _derivative(space, points, latents, direction.expand_as(points).contiguous())

    found: Tensor = torch.vmap(along, randomness="same")(directions)
    return found.detach()


def _repeated(space: Space, points: Tensor, latents: Latents | None, directions: Tensor) -> Tensor:
    """(k, n, ...) with the points repeated for each direction."""
    k, n = len(directions), len(points)
    tangents = directions.repeat_interleave(n, 0)
    found = _derivative(space, _tiled(points, k), _tiled_latents(latents, k), tangents)
    return found.detach().reshape(k, n, *found.shape[1:])


def _derivative(space: Space, points: Tensor, latents: Latents | None, tangents: Tensor) -> Tensor:
    """(n, ...) of the images of points (n, \\*shape) along a tangent (n, \\*shape) for each."""

    def images(given: Tensor) -> Tensor:
        return space.image_of(given, latents)

    found: Tensor = torch.func.jvp(images, (points,), (tangents,))[1]
    return found


def _render(space: Space, points: Tensor, latents: Latents | None) -> Tensor:
    """(k, n, ...) images of points (k, n, \\*shape), with the same noise for all k."""
    k, n = points.shape[:2]
    beside = _tiled_latents(latents, k)
    images = space.images(points.flatten(0, 1), beside, batch_size=k * n)
    return images.reshape(k, n, *images.shape[1:])


def _in_unit_range(space: Space, changes: Tensor) -> Tensor:
    black, white = space.probe.generator.image_range
    return changes / (white - black)


def _blocks(k: int, n: int, n_at_once: int) -> Iterator[tuple[slice, slice]]:
    """Directions and samples of each block."""
    n_here = min(n, max(1, n_at_once // k))
    k_here = max(1, n_at_once // n_here)
    for first in range(0, n, n_here):
        for start in range(0, k, k_here):
            yield slice(start, min(start + k_here, k)), slice(first, min(first + n_here, n))


def _ready(
    space: Space, points: Tensor, latents: Latents | None, directions: Tensor, n_at_once: int
) -> tuple[Tensor, Tensor]:
    """Points and directions where the generator is, after all that can be checked ahead."""
    check_count(n_at_once, "the number of images at once")
    for what, given in (("points", points), ("directions", directions)):
        if given.shape[1:] != space.shape or not len(given):
            raise ShapeError(
                f"{what} of {space.name} are (n, {', '.join(map(str, space.shape))}), got"
                f" {tuple(given.shape)}"
            )
    if latents is not None and len(latents) not in (1, len(points)):
        raise ShapeError(f"{len(points)} points go with as many latents, got {len(latents)}")
    generator = space.probe.generator
    if generator.normalisation == "batch":
        raise ParameterError(
            f"generator {generator.name!r} is in normalisation 'batch', where a step of one sample"
            " changes all others of its batch; use 'eval', or 'sample'"
        )
    space.probe.layers()  # the dry run, which cannot be made while differentiating
    device, dtype = space.probe.device, space.probe.dtype
    return points.detach().to(device, dtype), directions.detach().to(device, dtype)


def _steps(step: float | Tensor, k: int, points: Tensor) -> Tensor:
    """(k, n)."""
    given = torch.as_tensor(step).to(points)
    steps = given.expand(k, len(points)) if given.ndim == 0 else given
    if steps.shape != (k, len(points)):
        raise ShapeError(f"steps are one number or {(k, len(points))}, got {tuple(given.shape)}")
    if not (steps.isfinite() & (steps != 0)).all():
        raise ParameterError("a step is a finite number that is not 0; take 1 or `small_step`")
    return steps


def _numbered(space: Space, points: Tensor, latents: Latents | None) -> Latents | None:
    """The latents with a number each, by which a sample has the same noise in every block."""
    if latents is None and space.is_latent:
        latents = Latents(points)
    if latents is None:
        return None
    latents = space.probe.generator.labelled(latents)  # a class has to be known, not a number
    if latents.indices is not None:
        return latents
    return replace(latents, indices=tuple(range(len(latents))))


def _rows(latents: Latents, some: slice, n: int) -> Latents:
    return latents if len(latents) == 1 and n > 1 else latents[some]


def _tiled(points: Tensor, k: int) -> Tensor:
    return points.repeat(k, *[1] * (points.ndim - 1))


def _tiled_latents(latents: Latents | None, k: int) -> Latents | None:
    if latents is None or len(latents) == 1:
        return latents
    return latents.take(list(range(len(latents))) * k)


@cache
def _prepare_forward_mode() -> None:
    """Have torch load what the first derivative loads, which warns of its own `jit.script`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        torch.func.jvp(torch.neg, (torch.ones(1),), (torch.ones(1),))
