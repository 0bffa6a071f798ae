"""The walk: images of every base along every way, and what is kept of them.

All forwards of a block of bases have the same shape, and a base stands at the same places in each,
also in the one of the bases themselves: so a step at a base's own value gives its image bit for
bit, and noise that the generator draws is the same. Costs bases x ways x steps images and one
forward more for each block. The images that figures may show are kept while they take no more than
half a GiB; else those that are shown are made again, and only small ones of the first base kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganprobe import ForwardError, Latents, Probe
from ganprobe_traversal.plan import Plan
from ganprobe_traversal.ways import Floats

__all__ = ["Walks", "batch_size", "layout", "take_walks"]

_BATCH_IMAGES, _FEWEST_IMAGES, _BATCH_BYTES = 32, 8, 1 << 24  # on a CPU: what its caches hold
_GPU_TIMES = 8
_PINNED = 0.005  # so near to black or white
_PAGE_PIXELS = 64
_KEPT_BYTES = 1 << 29


@dataclass(frozen=True, eq=False)
class Walks:
    """What walking gave.

    Args:
        plan: that was carried out.
        effects: (way, base, step) root mean square change of the image, 0 to 1.
        pinned: (way, base, step) share of the image's values at black or white, 0 to 1.
        pages: (way, step, channel, y, x) uint8, small images of the first base.
        page_base: (channel, y, x) uint8, its own.
        shown: the ways whose images were kept, strongest first: positions in the plan.
        images: (shown, row, 1 + step, channel, y, x) in [0, 1]; step 0 is the base.
        measures: by name: (way, base, 1 + step, column); step 0 is the base.
    """

    plan: Plan
    effects: Floats
    pinned: Floats
    pages: NDArray[np.uint8]
    page_base: NDArray[np.uint8]
    shown: tuple[int, ...]
    images: NDArray[np.float32]
    measures: dict[str, Floats]

    @property
    def mean_effects(self) -> Floats:
        """(way,) the effect of each: mean over bases and steps, 0 to 1."""
        means: Floats = self.effects.mean(axis=(1, 2))
        return means

    @property
    def ranking(self) -> list[int]:
        """The ways, strongest first, ties to the lowest."""
        return strongest(self.effects)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Images of some (way, step) pairs for a block of bases.

    Args:
        ways, steps: (pair,) which.
        block: which bases.
        images: (pair, base, channel, y, x) in [0, 1].
        bases: (pair, base, channel, y, x) those of the bases, from the same places of a forward.
        is_finite: (pair, base) whether the generator gave numbers.
        is_first: of this block.
    """

    ways: Tensor
    steps: Tensor
    block: slice
    images: Tensor
    bases: Tensor
    is_finite: Tensor
    is_first: bool


def take_walks(plan: Plan) -> Walks:
    """Walk every way from every base; then keep the images of the strongest.

    Raises:
        ForwardError: the generator raised, or gave NaN or infinity on a walk.
    """
    tally = _Tally(plan)
    n_ways = len(plan.ways.keys)
    with plan.context.progress(n_ways * plan.n_bases * len(plan.steps), "images") as bar:
        for piece in _pieces(plan, range(n_ways), plan.n_bases):
            tally.add(piece)
            bar.advance(piece.is_finite.numel())
    tally.refuse_what_is_not_finite()
    effects = tally.effects.cpu().numpy()
    shown = tuple(strongest(effects)[: plan.params.figures])
    return Walks(
        plan=plan,
        effects=effects,
        pinned=tally.pinned.cpu().numpy(),
        pages=tally.pages.numpy(),
        page_base=tally.page_base.numpy(),
        shown=shown,
        images=tally.shown_images(shown),
        measures={name: values.cpu().numpy() for name, values in tally.measures.items()},
    )


def strongest(effects: Floats) -> list[int]:
    """The ways by their mean effect, strongest first, ties to the lowest."""
    return [int(way) for way in np.argsort(-effects.mean(axis=(1, 2)), kind="stable")]


def batch_size(probe: Probe) -> int:
    """How many images a forward makes: as many as is fast, by the largest activation."""
    sizes = [np.prod(tensor.shape) for layer in probe.layers() for tensor in layer.tensors]
    times = 1 if probe.device.type == "cpu" else _GPU_TIMES
    n_parts = int(4 * max(sizes, default=1)) * _BATCH_IMAGES // _BATCH_BYTES + 1
    return max(_FEWEST_IMAGES, _BATCH_IMAGES // n_parts * times)


def layout(n_bases: int, n_pairs: int, most: int) -> tuple[int, int]:
    """How many bases, and how many (way, step) pairs of each, go into a forward of `most` images.

    Of pairs as many as leave the fewest images over: the last forward is as long as the others,
    and so is one more, of the bases alone.
    """
    n_block = min(n_bases, most)
    largest = max(1, min(n_pairs, most // n_block))
    tried = range(largest, -(-3 * largest // 4) - 1, -1)
    return n_block, min(tried, key=lambda together: -(-n_pairs // together) * together + together)


def _pieces(plan: Plan, ways: Sequence[int], n_bases: int) -> Iterator[_Piece]:
    """The images of the first bases along these ways, a forward at a time."""
    device = plan.points.device
    steps = torch.from_numpy(plan.steps).to(device)
    of_way = torch.tensor(ways, device=device).repeat_interleave(len(steps))  # (pair,)
    of_step = torch.arange(len(steps), device=device).repeat(len(ways))
    for block, together in _blocks(plan, n_bases, len(of_way)):
        n_block = block.stop - block.start
        start = plan.points[block].repeat(together, *[1] * (plan.points.ndim - 1))
        beside = plan.latents[block].take(list(range(n_block)) * together)
        bases, _ = _images(plan, start, beside, together)
        for first in range(0, len(of_way), together):
            kept = slice(first, min(first + together, len(of_way)))
            pairs = torch.arange(first, first + together, device=device).clamp(max=kept.stop - 1)
            each = pairs.repeat_interleave(n_block)  # (pair * base,)
            points = plan.ways.move(start, of_way[each], steps[of_step[each]])
            images, is_finite = _images(plan, points, beside, together)
            n = kept.stop - kept.start
            yield _Piece(
                of_way[kept], of_step[kept], block, images[:n], bases[:n], is_finite[:n], not first
            )


def _blocks(plan: Plan, n_bases: int, n_pairs: int) -> Iterator[tuple[slice, int]]:
    """The blocks of bases, each with how many pairs go into a forward."""
    most = batch_size(plan.context.probe)
    n_block, _ = layout(n_bases, n_pairs, most)
    for start in range(0, n_bases, n_block):
        block = slice(start, min(start + n_block, n_bases))
        yield block, layout(block.stop - block.start, n_pairs, most)[1]


def _images(plan: Plan, points: Tensor, beside: Latents, together: int) -> tuple[Tensor, Tensor]:
    """Images (pair, base, channel, y, x) in [0, 1], and which (pair, base) are finite."""
    (raw,) = plan.space.image_batches(points, beside, batch_size=len(points))
    is_finite = raw.flatten(1).sum(1, dtype=torch.float64).isfinite()  # faster than asking each
    images = plan.context.generator.to_unit_range(raw)
    return images.unflatten(0, (together, -1)), is_finite.unflatten(0, (together, -1))


class _Tally:
    """What is kept of the images, on the probe's device until the walk is over."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        shape = (len(plan.ways.keys), plan.n_bases, len(plan.steps))
        device = plan.points.device
        self.effects = torch.zeros(shape, dtype=torch.float64, device=device)
        self.pinned = torch.zeros(shape, dtype=torch.float64, device=device)
        self.is_finite = torch.ones(shape, dtype=torch.bool, device=device)
        followed = (*shape[:2], 1 + shape[2])
        self.measures = {
            measure.name: torch.zeros(
                (*followed, len(measure.columns)), dtype=torch.float64, device=device
            )
            for measure in plan.measures
        }
        small = tuple(min(size, _PAGE_PIXELS) for size in plan.context.probe.image_shape[1:])
        n_channels = plan.context.probe.image_shape[0]
        self.pages = torch.zeros((shape[0], shape[2], n_channels, *small), dtype=torch.uint8)
        self.page_base = torch.zeros((n_channels, *small), dtype=torch.uint8)
        self.n_rows = min(plan.params.rows, plan.n_bases)
        kept = (shape[0], self.n_rows, 1 + shape[2], *plan.context.probe.image_shape)
        fits = 4 * math.prod(kept) <= _KEPT_BYTES
        self.kept = torch.zeros(kept) if fits else None

    def add(self, piece: _Piece) -> None:
        """Take a forward's images in."""
        ways, steps, block = piece.ways, piece.steps, piece.block
        work = piece.images - piece.bases
        n_values = work[0, 0].numel()
        norms = torch.linalg.vector_norm(work.flatten(2), dim=2)
        self.effects[ways, block, steps] = norms.double() / n_values**0.5
        torch.sub(piece.images, 0.5, out=work).abs_()  # in place: memory costs more than sums
        n_pinned = torch.ge(work, 0.5 - _PINNED, out=work).flatten(2).sum(2, dtype=torch.float64)
        self.pinned[ways, block, steps] = n_pinned / n_values
        self.is_finite[ways, block, steps] = piece.is_finite
        for measure in self.plan.measures:
            values = self.measures[measure.name]
            each = measure(piece.images.flatten(0, 1)).unflatten(0, piece.images.shape[:2])
            values[ways, block, 1 + steps] = each.to(values)
            if piece.is_first:
                values[:, block, 0] = measure(piece.bases[0]).to(values)
        self._keep(piece)
        if block.start == 0:
            self.pages[ways.cpu(), steps.cpu()] = self._small(piece.images[:, 0])
            self.page_base = self._small(piece.bases[:1, 0])[0]

    def shown_images(self, shown: Sequence[int]) -> NDArray[np.float32]:
        """(shown, row, 1 + step, channel, y, x) those that were kept, or else made again."""
        images = _made_again(self.plan, shown) if self.kept is None else self.kept[list(shown)]
        return np.asarray(images, dtype=np.float32)

    def _keep(self, piece: _Piece) -> None:
        """The images of the rows that figures show."""
        rows = slice(piece.block.start, min(piece.block.stop, self.n_rows))
        n = rows.stop - rows.start
        if self.kept is None or n <= 0:
            return
        ways, steps = piece.ways.cpu(), 1 + piece.steps.cpu()
        self.kept[ways, rows, steps] = piece.images[:, :n].float().cpu()
        if piece.is_first:
            self.kept[:, rows, 0] = piece.bases[0, :n].float().cpu()

    def _small(self, images: Tensor) -> Tensor:
        size = tuple(self.pages.shape[-2:])
        reduced = images
        if tuple(images.shape[-2:]) != size:
            reduced = functional.interpolate(images, size=size, mode="area")
        return (reduced.nan_to_num() * 255).round().to(torch.uint8).cpu()

    def refuse_what_is_not_finite(self) -> None:
        """Raise `ForwardError` where the generator gave NaN or infinity."""
        bad = (~self.is_finite).flatten(1).any(1).nonzero().flatten().tolist()
        if bad:
            name = self.plan.context.generator.name
            keys = [self.plan.ways.keys[way] for way in bad]
            raise ForwardError(
                f"generator {name!r} gave NaN or infinity on a walk along dimensions {keys}; walk a"
                " smaller range"
            )


def _made_again(plan: Plan, shown: Sequence[int]) -> NDArray[np.float32]:
    """(shown, row, 1 + step, channel, y, x)."""
    n_rows = min(plan.params.rows, plan.n_bases)
    shape = plan.context.probe.image_shape
    kept = np.zeros((len(shown), n_rows, 1 + len(plan.steps), *shape), dtype=np.float32)
    places = np.zeros(len(plan.ways.keys), dtype=np.int64)
    places[list(shown)] = np.arange(len(shown))
    for piece in _pieces(plan, shown, n_rows):
        at, steps = places[piece.ways.cpu().numpy()], 1 + piece.steps.cpu().numpy()
        kept[at, piece.block, steps] = piece.images.float().cpu().numpy()
        kept[:, piece.block, 0] = piece.bases[0].float().cpu().numpy()
    return kept
